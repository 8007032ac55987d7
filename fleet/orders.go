package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
	"github.com/switchgear-go/switchgear/ops"
)

const (
	maxDone    = 4096             // orders that are remembered as done (F11)
	orderFresh = 30 * time.Second // older ones are not carried out, unless they stand or release
	confirmAll = 1 << 30
)

// book is what a member knows of orders.
type book struct {
	mu       sync.Mutex               // guards the fields below; no other lock is taken under it
	done     map[string]bool          // by id: carried out, or refused, here
	order    []string                 // of done, the oldest first
	standing map[string]standingOrder // those that stand
	stood    map[string]bool          // by id, of done: those that another one took the place of
	carried  []standingOrder          // the newest that were carried out; Age is when they were given
	read     time.Duration            // when they were read
	newest   uint64                   // number, of those that the store had then
}

// readOrders carries out what is new, in order, and puts back what the store has
// lost (F10, F12).
func (f *Fleet) readOrders(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	all, number, err := f.store.Orders(short)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.read = number
	f.mu.Unlock()
	lost := f.book.lost(all, number, f.now())
	for i := range lost {
		o := &lost[i]
		if f.replaced(o, all) {
			continue
		}
		if _, err := f.store.Add(short, o.Order.ID, o.StoredOrder.Order, o.Number, o.Age); err != nil {
			return err
		}
	}
	slices.SortFunc(all, func(a, b StoredOrder) int { return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.ID, b.ID)) })
	for _, stored := range all {
		if receipt := f.obey(stored, all); receipt != nil && len(f.receipts) < maxDone {
			f.receipts = append(f.receipts, receipt)
		}
	}
	for _, missed := range f.book.settle(all, number, f.now()) {
		f.release(&missed)
	}
	if over := f.book.over(all); len(over) > 0 {
		if err := f.store.Remove(short, over...); err != nil {
			return err
		}
	}
	return f.giveReceipts(ctx)
}

// giveReceipts puts into the store what it has not taken yet. A receipt that is lost
// on the way is given again: it says what was done, once (F10).
func (f *Fleet) giveReceipts(ctx context.Context) error {
	for len(f.receipts) > 0 {
		r := f.receipts[0]
		message, err := f.closeReceipt(r)
		if err != nil {
			f.receipts = f.receipts[1:] // it would stand in the way of the others
			return err
		}
		if err := f.put(ctx, receiptsOf(r.Order), f.field, message); err != nil {
			return err
		}
		f.receipts = f.receipts[1:]
	}
	return nil
}

// replaced reports whether one of the orders that there are is younger than s, and
// takes its place: then the store's newest order is not what was lost. Numbers do
// not tell, as they begin again where the store lost them.
func (f *Fleet) replaced(s *standingOrder, all []StoredOrder) bool {
	return slices.ContainsFunc(all, func(o StoredOrder) bool {
		var by wire.Order
		younger := cmp.Or(cmp.Compare(s.Age, o.Age), cmp.Compare(o.Number, s.Number)) > 0
		return younger && f.seal.OpenRecord(wire.KindOrder, o.Order, &by) == nil && by.ID == o.ID &&
			!by.Order.DryRun && supersedes(&by.Order, &s.Order.Order)
	})
}

// lost are the standing orders that the store has not got any more: not those
// that were taken back, but those that went with all its data, its numbers
// included.
func (b *book) lost(all []StoredOrder, number uint64, now time.Duration) (out []standingOrder) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if number >= b.newest {
		return nil
	}
	there := map[string]bool{}
	for _, o := range all {
		there[o.ID] = true
	}
	for id, s := range b.standing {
		s.Age += now - b.read
		if !there[id] && !s.expired() {
			out = append(out, s)
		}
	}
	return out
}

// over are orders that stood, and that another one took the place of here. A store
// that has them nevertheless has lost that, or its giver died before removing them:
// they must not come back for members that join later (F12).
func (b *book) over(all []StoredOrder) (ids []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range all {
		if b.stood[o.ID] {
			ids = append(ids, o.ID)
		}
	}
	return ids
}

// outdated reports whether an order that takes the place of s was carried out here
// before: a store that has fallen back to old data has s again. It is done with (F10).
func (b *book) outdated(s *standingOrder, now time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	given := now - s.Age
	for i := range b.carried {
		c := &b.carried[i]
		younger := c.Number > s.Number
		if apart := c.Age - given; apart.Abs() > time.Second { // numbers may begin again
			younger = apart > 0
		}
		if younger && supersedes(&c.Order.Order, &s.Order.Order) {
			b.superseded(s.Order.ID)
			return true
		}
	}
	return false
}

// forget has an order stand no more.
func (b *book) forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.superseded(id)
}

// superseded remembers that an order stands no more. b.mu is held.
func (b *book) superseded(id string) {
	if b.stood == nil {
		b.stood = map[string]bool{}
	}
	delete(b.standing, id)
	b.stood[id] = true
}

// settle takes in which orders there are now. It returns those that stand here
// and were taken back while this process did not hear of it.
func (b *book) settle(all []StoredOrder, number uint64, now time.Duration) (missed []standingOrder) {
	b.mu.Lock()
	defer b.mu.Unlock()
	there := map[string]StoredOrder{}
	newest := number
	for _, o := range all {
		there[o.ID] = o
		newest = max(newest, o.Number)
	}
	for id, s := range b.standing {
		o, ok := there[id]
		switch {
		case ok:
			s.Age = o.Age
			b.standing[id] = s
		case number >= b.newest:
			b.superseded(id)
			missed = append(missed, s)
		default: // the store has lost it, and it was just put back
			s.Age += now - b.read
			b.standing[id] = s
			newest = max(newest, s.Number)
		}
	}
	b.read, b.newest = now, newest
	// What the store still has is not forgotten: it would be carried out again (F10).
	excess := len(b.order) - maxDone
	b.order = slices.DeleteFunc(b.order, func(id string) bool {
		_, kept := there[id]
		if excess <= 0 || kept {
			return false
		}
		excess--
		delete(b.done, id)
		delete(b.stood, id)
		return true
	})
	return missed
}

// through is the number of the newest order that was gone through here.
func (b *book) through() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest
}

// release ends an override that was taken back while this process was alone.
func (f *Fleet) release(s *standingOrder) {
	if s.Order.Order.Verb == ops.VerbSet || s.expired() {
		return // settings stay as they are, and drift shows
	}
	_, err := f.o.Plane.Do(ops.Order{
		ID: s.Order.Order.ID, Verb: breaker.VerbRelease, Actor: s.From, Confirm: confirmAll,
		Reason: "taken back while this process did not hear the fleet",
	}, ops.Peer{Transport: ops.TransportFleet, Addr: s.From})
	if err != nil {
		f.dropped(fmt.Errorf("release of order %d: %w", s.Number, err))
	}
}

// obey carries out one order, unless that was done before. It returns the
// receipt, if there is something to tell.
func (f *Fleet) obey(stored StoredOrder, all []StoredOrder) *wire.Receipt {
	s := standingOrder{StoredOrder: stored}
	r := &wire.Receipt{Order: stored.ID, Boot: f.field, Member: f.o.Member, Zone: f.o.Zone, Late: stored.Age > f.now()}
	if len(f.o.Key) > 0 {
		err := f.seal.OpenRecord(wire.KindOrder, stored.Order, &s.Order)
		if err == nil && s.Order.ID != stored.ID {
			err = fmt.Errorf("%w: it is that of another id", wire.ErrSignature)
		}
		if err != nil {
			// It is not remembered: what is forged must not make this process forget
			// what it has done.
			f.dropped(fmt.Errorf("order %d: %w", stored.Number, err))
			return nil
		}
	}
	if !f.book.begin(stored.ID) {
		return nil
	}
	if len(f.o.Key) == 0 {
		r.Error = "it has no key to check orders with"
		return r
	}
	verb := s.Order.Order.Verb
	switch {
	case s.expired() && s.Standing(), !s.Standing() && r.Late:
		return nil // it was for those that were there
	case r.Late && f.replaced(&s, all):
		f.book.forget(stored.ID)
		return nil // who gave the one that replaced it died before removing it
	case !s.Standing() && stored.Age > orderFresh && verb != breaker.VerbRelease:
		r.Error = fmt.Sprintf("it heard of the order %s late", stored.Age.Round(time.Second))
		return r
	case f.o.Plane == nil:
		r.Error = "it has no operations plane"
	case f.o.Advise:
		r.Error = "it only advises, and does not carry out the fleet's orders"
	case s.missed(f.field):
		// What this order ends here is released when the orders are settled.
		r.Error = "it was not among those that the order was tried on"
		if _, err := f.m.Lookup(s.Order.Order.ID); err != nil {
			r.Error = err.Error() // which is why
		}
	}
	if r.Error != "" {
		f.tellClosed(&s)
		return r
	}
	if !s.Order.Order.DryRun {
		if f.book.outdated(&s, f.now()) {
			return nil
		}
		f.book.stands(s, f.now())
	}
	f.carryOut(&s, r)
	return r
}

// missed reports whether a member missed the dry run of an order, and must not carry
// it out. One that stands is for later members as well, and a release is for all.
func (s *standingOrder) missed(field string) bool {
	_, tried := s.Versions[field]
	return len(s.Versions) > 0 && !tried && !s.Standing() && s.Order.Order.Verb != breaker.VerbRelease
}

// carryOut has the plane do it. No lock is held.
func (f *Fleet) carryOut(s *standingOrder, r *wire.Receipt) {
	o := s.Order.Order
	if o.For > 0 && s.Standing() {
		o.For = ops.Duration(s.left())
	}
	if version, tried := s.Versions[f.field]; tried {
		o.IfVersion = f.sinceTried(o.ID, version)
	} else if s.Standing() && r.Late {
		o.Confirm = confirmAll
	}
	got, err := f.o.Plane.Do(o, ops.Peer{Transport: ops.TransportFleet, Addr: s.From})
	if err != nil {
		r.Error = err.Error()
		if errors.Is(err, breaker.ErrUnknown) {
			if s.Standing() {
				r.Error += "; it applies when one is made"
			}
			f.tellClosed(s)
		}
		return
	}
	r.Receipt = &got
	f.tellClosed(s)
}

// tellClosed tells the coordinator of this process of an order to close: what was
// counted before does not undo it. That others can carry it out is enough.
func (f *Fleet) tellClosed(s *standingOrder) {
	o := &s.Order.Order
	if o.DryRun || o.Verb != breaker.VerbClose && o.Verb != breaker.VerbRelease {
		return
	}
	select {
	case f.clears <- cleared{o.ID, f.now()}:
	default: // there are so many that one is missed: the evidence decides
	}
}

// sinceTried is the version that an order for version is for now: a later one, if
// nothing but the breaker itself has changed it since. In an outage, probes do so
// all the time.
func (f *Fleet) sinceTried(id string, version uint64) uint64 {
	b, err := f.m.Lookup(id)
	if err != nil {
		return version
	}
	now, moves := b.Status().Version, uint64(0)
	for _, t := range b.History() {
		if t.Version > version && t.Version <= now {
			if moves++; t.Order != "" || t.Cause == breaker.CauseExpired {
				return version
			}
		}
	}
	if moves != now-version {
		return version // settings have changed, or the history is too short to tell
	}
	return now
}

// created applies the standing orders to a breaker or set that was just made,
// on the goroutine that makes it. It does not touch the store (F1).
func (f *Fleet) created(name string) {
	poke(f.fetch) // the inventory has changed
	if f.o.Plane == nil {
		return
	}
	for _, s := range f.book.all(f.now()) {
		id := s.Order.Order.ID
		if id != name && id != "*" && id != name+"/*" || s.expired() {
			continue
		}
		s.Order.Order.Confirm, s.Versions = confirmAll, nil
		if id == "*" {
			s.Order.Order.ID = name
		}
		f.carryOut(&s, new(wire.Receipt))
	}
}

// all are the standing orders, the oldest first.
func (b *book) all(now time.Duration) []standingOrder {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.standing) == 0 {
		return nil
	}
	out := slices.SortedFunc(maps.Values(b.standing), func(x, y standingOrder) int { return cmp.Compare(x.Number, y.Number) })
	for i := range out {
		out[i].Age += now - b.read
	}
	return out
}

// begin reports whether an order is new here, and remembers it: it is carried
// out at most once (F10).
func (b *book) begin(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done[id] {
		return false
	}
	if b.done == nil {
		b.done = map[string]bool{}
	}
	b.done[id] = true
	b.order = append(b.order, id)
	return true
}

// stands keeps an order if it stands, and drops those that it takes the place
// of.
func (b *book) stands(s standingOrder, now time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.standing == nil {
		b.standing = map[string]standingOrder{}
	}
	for id, old := range b.standing {
		if supersedes(&s.Order.Order, &old.Order.Order) {
			b.superseded(id)
		}
	}
	c := s
	c.Age = now - s.Age // when it was given
	c.StoredOrder.Order, c.Versions = nil, nil
	b.carried = append(b.carried[max(0, len(b.carried)+1-maxStanding):], c)
	if s.Standing() && len(b.standing) < maxStanding {
		s.Age -= now - b.read // all ages are as of read
		b.standing[s.Order.ID] = s
	}
}

// prefixOf reports whether by is "name/*" and id one of those.
func prefixOf(by, id string) bool {
	set, ok := strings.CutSuffix(by, "/*")
	return ok && strings.HasPrefix(id, set+"/")
}

// nameOf is the name of the breaker or set that an id belongs to.
func nameOf(id string) string {
	name, _, _ := strings.Cut(id, "/")
	return name
}

// sameFields reports whether a patch sets every field that old sets.
func sameFields(by, old json.RawMessage) bool {
	var x, y map[string]json.RawMessage
	if json.Unmarshal(by, &x) != nil || json.Unmarshal(old, &y) != nil {
		return false
	}
	for field := range y {
		if _, ok := x[field]; !ok {
			return false
		}
	}
	return true
}
