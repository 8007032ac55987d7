package fleet

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
	"github.com/switchgear-go/switchgear/ops"
)

// ErrUnsigned is the error of an order without a key to sign it.
var ErrUnsigned = errors.New("fleet: orders for all need a key that signs them, see Options.Key")

// ErrStanding is the error of an override or of settings when so many stand that
// no more are kept.
var ErrStanding = errors.New("fleet: too many standing orders, release some first")

const (
	maxStanding = 256
	orderLasts  = 10 * time.Minute // of one that does not stand, and of receipts
	receiptPoll = 100 * time.Millisecond
	settleTime  = 3 * time.Second // which a store that has lost its data needs at most
)

// Group shows operators the processes of a group, and gives them orders, through
// the store alone: a program that uses it is not a member, and guards nothing. It
// may be used by many goroutines at once.
type Group struct {
	store Store
	seal  wire.Seal
	owns  bool
}

// Open opens a group that other processes have joined, to look at it and to give
// it orders. It does not use client itself, but connections with the same
// options, until Close. key is Options.Key of the members; without it, messages
// are shown unchecked, and no orders can be given. The error matches ErrOptions.
func Open(client redis.UniversalClient, group string, key []byte) (*Group, error) {
	o := Options{Redis: client, Group: group, Key: key}
	if err := o.check(); err != nil {
		return nil, err
	}
	store, err := NewRedis(client, group)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return &Group{store: store, seal: wire.Seal{Group: group, Key: key}, owns: true}, nil
}

// Group returns the group that f is a member of. Closing it does nothing.
func (f *Fleet) Group() *Group { return &Group{store: f.store, seal: f.seal} }

// Close closes the connections that Open made.
func (g *Group) Close() error {
	if !g.owns {
		return nil
	}
	return g.store.Close()
}

// Order is an order for all members of a fleet.
type Order struct {
	ops.Order
	// Versions are the versions that the order is for, by MemberReceipt.Boot: a
	// member refuses if people have changed its breaker since that version; what the
	// breaker did by itself does not count. A member that is not among them
	// refuses, unless the order stands, because that is for later members as well, or
	// releases what did.
	// Versions differ from process to process, so ops.Order.IfVersion must be 0. A
	// dry run's Receipts.Versions has them.
	Versions map[string]uint64 `json:"versions,omitempty"`
}

// MemberReceipt is what an order did in one member.
type MemberReceipt struct {
	Member  string       `json:"member"`
	Boot    string       `json:"boot"` // drawn when the process joined
	Zone    string       `json:"zone,omitempty"`
	Late    bool         `json:"late,omitempty"` // it joined after the order was given
	Receipt *ops.Receipt `json:"receipt,omitempty"`
	Error   string       `json:"error,omitempty"` // why it refused
}

// Receipts are what an order did in all members.
type Receipts struct {
	ID      string          `json:"id"`
	Number  uint64          `json:"number"`
	Age     ops.Duration    `json:"age"` // of the order, when this was read
	Order   ops.Order       `json:"order"`
	Members int             `json:"members"` // that were there when it was given
	Done    []MemberReceipt `json:"done"`    // by member
	Refused []MemberReceipt `json:"refused,omitempty"`
	Silent  []string        `json:"silent,omitempty"` // members without a receipt
	// Gone reports that the order is no longer in the store, so the silent members will
	// not carry it out. The store has lost its data, or another order has replaced it.
	Gone bool `json:"gone,omitempty"`
}

// Versions are the versions of the one breaker that a dry run was for, for
// Order.Versions.
func (r *Receipts) Versions() map[string]uint64 {
	out := map[string]uint64{}
	for _, m := range r.Done {
		if m.Receipt != nil && len(m.Receipt.Results) == 1 {
			out[m.Boot] = m.Receipt.Results[0].From
		}
	}
	return out
}

// String says it in one line, such as "38 of 40 done, 1 refused: unknown
// breaker, 1 silent: pod-7".
func (r *Receipts) String() string {
	text := fmt.Sprintf("%d of %d done", len(r.Done), r.Members)
	if n := len(r.Refused); n > 0 {
		text += fmt.Sprintf(", %d refused: %s", n, r.Refused[0].Error)
	}
	if n := len(r.Silent); n > 0 {
		text += fmt.Sprintf(", %d silent: %s", n, r.Silent[0])
		if n > 1 {
			text += " and others"
		}
	}
	if r.Gone {
		text += "; the store has lost the order, or another one has replaced it"
	}
	return text
}

// Order gives an order to all members, and waits for their receipts until all
// have answered or ctx ends; in that case it returns the receipts so far, without
// an error. Each member carries the order out at most once, through its plane, with
// its audit log. Overrides and settings stand: members that join later, and
// breakers that are made later, get them with the time that remains, until they
// end, or another order for the same id takes their place. progress, if not nil,
// is called when receipts have come in.
func (g *Group) Order(ctx context.Context, o Order, progress func(*Receipts)) (*Receipts, error) {
	switch {
	case len(g.seal.Key) == 0:
		return nil, ErrUnsigned
	case !utf8.ValidString(o.ID):
		return nil, fmt.Errorf("%w: the id %q is not UTF-8, which JSON cannot carry", breaker.ErrOrder, o.ID)
	case o.IfVersion != 0:
		return nil, fmt.Errorf("%w: if_version for a fleet, want Versions: each process has its own", breaker.ErrOrder)
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Verb == ops.VerbExtend {
		return nil, fmt.Errorf("%w: extend for a fleet, want the override again with the time that it is to last from now", breaker.ErrOrder)
	}
	w := wire.Order{ID: rand.Text(), From: o.Actor, Order: o.Order, Versions: o.Versions}
	message, err := g.seal.CloseRecord(wire.KindOrder, w)
	if err != nil {
		return nil, err
	}
	before, members, err := g.settled(ctx)
	if err != nil {
		return nil, err
	}
	if w.Standing() && len(before) >= maxStanding {
		return nil, ErrStanding
	}
	r := &Receipts{ID: w.ID, Order: o.Order, Members: len(members)}
	waiting := map[string]string{}
	for field, m := range members {
		waiting[field] = m.Member
	}
	if r.Number, err = g.store.Add(ctx, w.ID, message, 0, 0); err != nil {
		return nil, err
	}
	if err := g.supersede(ctx, &w, before); err != nil {
		return nil, err
	}
	return r, g.wait(ctx, r, waiting, progress)
}

// settled returns the orders that stand, and the members by field. A store that
// has just lost its data gets its standing orders back from the members, who tell
// by the numbers what is lost: a new order must wait for that, or it would pass for
// the one that has taken the others back (F12).
func (g *Group) settled(ctx context.Context) (standing []standingOrder, members map[string]*wire.Report, err error) {
	patience := settleTime
	if end, ok := ctx.Deadline(); ok { // the order itself needs time, too
		patience = min(patience, time.Until(end)/2)
	}
	for began := time.Now(); ; {
		var newest, done uint64
		if standing, newest, err = g.standing(ctx); err != nil {
			return nil, nil, err
		}
		reports, _, err := g.store.Collect(ctx)
		if err != nil {
			return nil, nil, err
		}
		members = map[string]*wire.Report{}
		for field, raw := range reports {
			if m := g.report(raw); m != nil {
				members[field] = m
				done = max(done, m.Done)
			}
		}
		if len(members) > 0 && done <= newest || time.Since(began) >= patience {
			return standing, members, nil
		}
		rest(ctx, receiptPoll)
	}
}

func (g *Group) report(raw []byte) *wire.Report {
	body, err := g.seal.Open(wire.KindReport, raw)
	if err != nil {
		return nil
	}
	r, err := wire.ReadReport(body)
	if err != nil {
		return nil
	}
	return r
}

// standingOrder is an order that stands, as a member or a Group reads it.
type standingOrder struct {
	StoredOrder
	wire.Order
}

// left is the time that remains of an override; 0 for none.
func (s *standingOrder) left() time.Duration {
	return max(0, time.Duration(s.Order.Order.For)-s.Age)
}

func (s *standingOrder) expired() bool { return s.Order.Order.For > 0 && s.left() == 0 }

// standing returns the orders that stand, the oldest first, and the number of the
// newest order of all. It removes what is over.
func (g *Group) standing(ctx context.Context) (out []standingOrder, newest uint64, err error) {
	all, newest, err := g.store.Orders(ctx)
	if err != nil {
		return nil, 0, err
	}
	var over []string
	for _, o := range all {
		s := standingOrder{StoredOrder: o}
		if g.seal.OpenRecord(wire.KindOrder, o.Order, &s.Order) != nil || s.Order.ID != o.ID {
			continue // not ours to touch
		}
		switch {
		case s.Standing() && !s.expired():
			out = append(out, s)
		case o.Age > orderLasts:
			over = append(over, o.ID)
		}
	}
	slices.SortFunc(out, func(a, b standingOrder) int { return cmp.Compare(a.Number, b.Number) })
	return out, newest, g.store.Remove(ctx, over...)
}

// supersede removes the standing orders that this one takes the place of.
func (g *Group) supersede(ctx context.Context, by *wire.Order, before []standingOrder) error {
	if by.Order.DryRun {
		return nil
	}
	var ids []string
	for i := range before {
		if old := &before[i].Order; supersedes(&by.Order, &old.Order) {
			ids = append(ids, old.ID)
		}
	}
	return g.store.Remove(ctx, ids...)
}

// supersedes reports whether a new order leaves nothing of an old one that stands.
// An order of the state ends or replaces the override; settings are patches, of
// which a later one replaces an earlier one only with the same fields. Notes, acks
// and marks change neither.
func supersedes(by, old *ops.Order) bool {
	if by.ID != old.ID && by.ID != "*" && !prefixOf(by.ID, old.ID) {
		return false
	}
	switch by.Verb {
	case ops.VerbSet:
		return old.Verb == ops.VerbSet && sameFields(by.Settings, old.Settings)
	case ops.VerbNote, ops.VerbAck, ops.VerbMark:
		return false
	}
	return old.Verb != ops.VerbSet
}

// wait gathers receipts. Those that have come in stay, also if the store loses them.
func (g *Group) wait(ctx context.Context, r *Receipts, waiting map[string]string, progress func(*Receipts)) error {
	came := map[string][]byte{}
	for {
		all, err := g.store.All(ctx, receiptsOf(r.ID))
		maps.Copy(came, all)
		g.fill(r, came, waiting)
		if progress != nil {
			progress(r)
		}
		if err == nil && len(r.Silent) == 0 {
			return nil
		}
		rest(ctx, receiptPoll)
		if ctx.Err() != nil {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				r.Gone = g.gone(ctx, r.ID)
				return nil // the silent are named
			}
			return ctx.Err()
		}
	}
}

// gone reports whether the store has an order no longer. Those that are waited for
// stay there for ten minutes, unless others replace them.
func (g *Group) gone(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	all, _, err := g.store.Orders(ctx)
	return err == nil && !slices.ContainsFunc(all, func(o StoredOrder) bool { return o.ID == id })
}

// fill gives r the receipts for it among all. waiting are the members, by field,
// that are silent as long as there is none of theirs.
func (g *Group) fill(r *Receipts, all map[string][]byte, waiting map[string]string) {
	r.Done, r.Refused, r.Silent = nil, nil, nil
	answered := map[string]bool{}
	for _, raw := range all {
		var m wire.Receipt
		if g.seal.OpenRecord(wire.KindReceipt, raw, &m) != nil || m.Order != r.ID {
			continue
		}
		answered[m.Boot] = true
		got := MemberReceipt{Member: m.Member, Boot: m.Boot, Zone: m.Zone, Late: m.Late, Receipt: m.Receipt, Error: m.Error}
		if m.Error != "" {
			r.Refused = append(r.Refused, got)
		} else {
			r.Done = append(r.Done, got)
		}
	}
	for boot, member := range waiting {
		if !answered[boot] {
			r.Silent = append(r.Silent, member)
		}
	}
	r.Members = max(r.Members, len(r.Done)+len(r.Refused)+len(r.Silent))
	byMember := func(a, b MemberReceipt) int {
		return cmp.Or(cmp.Compare(a.Member, b.Member), cmp.Compare(a.Boot, b.Boot))
	}
	slices.SortFunc(r.Done, byMember)
	slices.SortFunc(r.Refused, byMember)
	slices.Sort(r.Silent)
}
