package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/mutants"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
	"github.com/switchgear-go/switchgear/ops"
)

// The exploration of orders (F10, F12): two members and those that come after them,
// a store that loses things, and people who give orders. Members are real ones
// without their goroutines: what the clerk does in turn is a step here. As members
// cannot be copied, the steps that lead to a state are repeated for each that follows.

// shelf is a Store, as far as orders go.
type shelf struct {
	Store
	seal     wire.Seal
	now      time.Duration
	orders   map[string]shelved
	number   uint64
	receipts map[string]string // by order and member
	reports  map[string][]byte
	fails    bool // receipts are not taken, and nothing is removed
	said     map[string]string
	twice    string // of which there were two different ones
}

type shelved struct {
	StoredOrder
	at time.Duration
}

var errLost = errors.New("the connection is lost")

func (s *shelf) Orders(context.Context) (all []StoredOrder, newest uint64, err error) {
	for _, o := range s.orders {
		o.Age = s.now - o.at
		all = append(all, o.StoredOrder)
	}
	return all, s.number, nil
}

func (s *shelf) Add(_ context.Context, id string, order []byte, number uint64, age time.Duration) (uint64, error) {
	if o, ok := s.orders[id]; ok {
		return o.Number, nil
	}
	if number == 0 {
		number = s.number + 1
	}
	s.number = max(s.number, number)
	s.orders[id] = shelved{StoredOrder{ID: id, Number: number, Order: order}, s.now - age}
	return number, nil
}

func (s *shelf) Remove(_ context.Context, ids ...string) error {
	if s.fails && len(ids) > 0 {
		return errLost
	}
	for _, id := range ids {
		delete(s.orders, id)
	}
	return nil
}

func (s *shelf) Put(_ context.Context, _ Table, _ string, value []byte) error {
	var r wire.Receipt
	if err := s.seal.OpenRecord(wire.KindReceipt, value, &r); err != nil {
		return err
	}
	of := r.Order + "/" + r.Boot
	if old, ok := s.said[of]; ok && old != string(value) {
		s.twice = of
	}
	s.said[of] = string(value)
	if s.fails {
		return errLost
	}
	s.receipts[of] = string(value)
	return nil
}

func (s *shelf) All(context.Context, Table) (map[string][]byte, error) { return nil, nil }

func (s *shelf) Collect(context.Context) (map[string][]byte, uint64, error) {
	return s.reports, s.number, nil
}

// yard is a fleet of which only orders are looked at.
type yard struct {
	shelf
	group   *Group
	members []*Fleet // two, or who came in their place
	boots   uint64
	backup  shelf // as it was before the last order
	given   []string
	kinds   []byte // of given
	left    [orderKinds]int
}

// A step is a kind, and a member or what kind of order it is.
type orderStep struct{ kind, of byte }

const (
	gives      byte = iota
	givesHalf       // and dies before it has removed what the order takes the place of
	reads           // a member reads orders
	readsMute       // and its receipts are lost
	restarts        // a process starts again
	minute          // passes
	loses           // the store loses everything
	fallsBack       // the store loses the last order, and what it removed
	orderKinds = iota
)

var orderVerbs = []breaker.Verb{breaker.VerbForceOpen, breaker.VerbForceClosed, breaker.VerbRelease}

func newYard(left [orderKinds]int) *yard {
	y := &yard{left: left}
	y.shelf = shelf{seal: wire.Seal{Group: "test", Key: []byte("0123456789abcdef")}, orders: map[string]shelved{}, receipts: map[string]string{}, reports: map[string][]byte{}, said: map[string]string{}}
	y.backup = y.copied()
	y.group = &Group{store: &y.shelf, seal: y.seal}
	y.members = []*Fleet{y.join(), y.join()}
	return y
}

func (s *shelf) copied() shelf {
	c := *s
	c.orders, c.receipts = maps.Clone(s.orders), maps.Clone(s.receipts)
	return c
}

func (y *yard) join() *Fleet {
	m := new(breaker.Manager)
	m.Breaker("db")
	y.boots++
	f := &Fleet{
		m: m, store: &y.shelf, seal: y.seal, boot: y.boots, field: fieldOf(y.boots), began: time.Now(),
		fetch: make(chan struct{}, 1), changed: make(chan struct{}, 1), clears: make(chan cleared, 64),
	}
	f.o = Options{Key: y.seal.Key, Member: fmt.Sprint(y.boots), Plane: ops.New(m, ops.Options{Service: "test"}), Only: func(string) bool { return true }}
	y.tell(f)
	return f
}

func (y *yard) tell(f *Fleet) {
	y.reports[f.field] = y.seal.Close(wire.KindReport, f.report(1).Append())
}

func (y *yard) pass(d time.Duration) {
	y.now += d
	for _, f := range y.members {
		f.began = f.began.Add(-d)
	}
}

// settled: a store that has lost something has it back before an order is given, see
// Group.settled.
func (y *yard) settled() bool {
	return !slices.ContainsFunc(y.members, func(f *Fleet) bool { return f.book.through() > y.number })
}

func (y *yard) steps() (out []orderStep) {
	for kind := range byte(orderKinds) {
		if y.left[kind] == 0 {
			continue
		}
		switch kind {
		case gives, givesHalf:
			if y.settled() {
				for verb := range orderVerbs {
					out = append(out, orderStep{kind, byte(verb)})
				}
			}
		case reads, readsMute, restarts:
			out = append(out, orderStep{kind, 0}, orderStep{kind, 1})
		default:
			out = append(out, orderStep{kind, 0})
		}
	}
	return out
}

func (y *yard) take(s orderStep) {
	y.pass(time.Second)
	if s.kind != reads {
		y.left[s.kind]--
	}
	switch s.kind {
	case gives, givesHalf:
		y.give(orderVerbs[s.of], s.kind == givesHalf)
	case reads, readsMute:
		y.read(y.members[s.of], s.kind == readsMute)
	case restarts:
		delete(y.reports, y.members[s.of].field)
		y.members[s.of] = y.join()
	case minute:
		y.pass(time.Minute)
	case loses:
		now := y.now
		y.shelf = shelf{seal: y.seal, orders: map[string]shelved{}, receipts: map[string]string{}, reports: y.reports, said: map[string]string{}, now: now, twice: y.twice}
	case fallsBack:
		now, twice := y.now, y.twice
		y.shelf = y.backup.copied()
		y.now, y.twice, y.said = now, twice, maps.Clone(y.receipts)
	}
}

func (y *yard) give(verb breaker.Verb, dies bool) {
	y.backup = y.copied()
	y.backup.reports = y.reports
	before := maps.Clone(y.orders)
	ctx, cancel := context.WithTimeout(context.Background(), 0) // waits for no receipt
	defer cancel()
	y.fails = dies
	o := ops.Order{ID: "db", Verb: verb, Actor: "ana", Reason: "maintenance"}
	if verb == breaker.VerbForceOpen || verb == breaker.VerbForceClosed {
		o.For = ops.Duration(time.Hour)
	}
	_, err := y.group.Order(ctx, Order{Order: o}, nil)
	y.fails = false
	if err != nil && !errors.Is(err, errLost) {
		panic(err)
	}
	for id := range y.orders {
		if _, old := before[id]; !old {
			y.given, y.kinds = append(y.given, id), append(y.kinds, verb[len(verb)-1])
		}
	}
}

func (y *yard) read(f *Fleet, mute bool) {
	y.fails = mute
	err := f.readOrders(context.Background())
	y.fails = false
	if err != nil && !errors.Is(err, errLost) {
		panic(err)
	}
	y.tell(f)
}

// key says what distinguishes states. Orders are called by when they were given.
func (y *yard) key() string {
	var b strings.Builder
	fmt.Fprint(&b, y.left, y.number, string(y.kinds), y.now >= time.Minute)
	for _, s := range []*shelf{&y.shelf, &y.backup} {
		for i, id := range y.given {
			if o, ok := s.orders[id]; ok {
				fmt.Fprint(&b, " ", i, ":", o.Number)
			}
		}
		fmt.Fprint(&b, "|", s.number)
	}
	for _, f := range y.members {
		fmt.Fprint(&b, "|", f.m.Breaker("db").State(), f.book.newest, len(f.receipts))
		for i, id := range y.given {
			_, standing := f.book.standing[id]
			_, given := y.receipts[id+"/"+f.field]
			fmt.Fprint(&b, i, f.book.done[id], standing, f.book.stood[id], given, y.orders[id].at > y.now-f.now())
		}
	}
	return b.String()
}

// wants is the state that the newest order asks for that a member has carried out or
// the store has, and that no member knows to be over. An order that both have lost was
// never given, as its giver hears from no one.
func (y *yard) wants() breaker.State {
	for i := len(y.given) - 1; i >= 0; i-- {
		id := y.given[i]
		_, there := y.orders[id]
		if slices.ContainsFunc(y.members, func(f *Fleet) bool { return f.book.stood[id] }) {
			continue
		}
		if there || slices.ContainsFunc(y.members, func(f *Fleet) bool { return f.did(id) }) {
			return map[byte]breaker.State{'n': breaker.ForcedOpen, 'd': breaker.ForcedClosed, 'e': breaker.Closed}[y.kinds[i]]
		}
	}
	return breaker.Closed
}

// did reports whether a member has carried out an order, and not only passed it by.
func (f *Fleet) did(id string) bool {
	return slices.ContainsFunc(f.book.carried, func(o standingOrder) bool { return o.Order.ID == id })
}

// check settles everything, and looks whether all is as it should be: each order was
// carried out once at most, its receipts are there, and all members, also one that
// comes now, are as the newest order asks.
func (y *yard) check() string {
	want := y.wants()
	for range 3 {
		y.pass(time.Second)
		for _, f := range y.members {
			y.read(f, false)
		}
	}
	y.pass(time.Second)
	y.members = append(y.members, y.join())
	for range 2 {
		y.pass(time.Second)
		for _, f := range y.members {
			y.read(f, false)
		}
	}
	if y.twice != "" {
		return "F10: carried out twice: " + y.twice
	}
	for _, f := range y.members { // those that have died are silent
		for _, id := range y.given {
			if r, ok := y.said[id+"/"+f.field]; ok && y.receipts[id+"/"+f.field] != r {
				return "F10: a receipt is missing: " + id
			}
		}
	}
	for i, f := range y.members {
		if s := f.m.Breaker("db").State(); s != want {
			return fmt.Sprintf("F12: member %d is %s, want %s", i, s, want)
		}
	}
	return ""
}

func (y *yard) close() {
	for _, f := range y.members {
		f.o.Plane.Close()
	}
}

// collectLess lets garbage pile up, which takes a quarter off the processor time of
// an exploration.
func collectLess(t *testing.T) {
	old := debug.SetGCPercent(400)
	t.Cleanup(func() { debug.SetGCPercent(old) })
}

func TestExploreOrders(t *testing.T) {
	t.Parallel()
	collectLess(t)
	depth := 3
	if os.Getenv("SWITCHGEAR_EXPLORE") != "" && !mutants.Race {
		depth = 5
	}
	// In a bubble no time passes but what the steps say.
	synctest.Test(t, func(t *testing.T) { exploreOrders(t, depth) })
}

func exploreOrders(t *testing.T, depth int) {
	const many = 100
	left := [orderKinds]int{gives: 3, givesHalf: 1, reads: many, readsMute: 1, restarts: 2, minute: 1, loses: 1, fallsBack: 1}
	names := []string{"give", "give and die", "read", "read, mute", "restart", "minute", "lose", "fall back"}
	seen := map[string]bool{}
	level := [][]orderStep{nil}
	transitions := 0
	for d := range depth + 1 {
		var next [][]orderStep
		for _, path := range level {
			y := newYard(left)
			for _, s := range path {
				y.take(s)
			}
			k := y.key()
			transitions++
			if seen[k] {
				y.close()
				continue
			}
			seen[k] = true
			if d < depth {
				for _, s := range y.steps() {
					next = append(next, append(slices.Clip(path), s))
				}
			}
			why := y.check()
			y.close()
			if why != "" {
				var said []string
				for _, s := range path {
					said = append(said, fmt.Sprint(names[s.kind], " ", s.of))
				}
				t.Fatalf("%s\nafter %s", why, strings.Join(said, ", "))
			}
		}
		level = next
	}
	t.Logf("%d states, %d transitions", len(seen), transitions)
}

// Orders are carried out in the order in which they were given (F10).
func TestOrdersInOrder(t *testing.T) {
	y := newYard([orderKinds]int{})
	defer y.close()
	for range 20 {
		y.give(ops.VerbNote, false)
	}
	y.read(y.members[0], false)
	if got := y.members[0].book.order; !slices.Equal(got, y.given) {
		t.Errorf("got %v, want %v", got, y.given)
	}
}

// What a member has carried out is not forgotten while the store has it, however
// many orders follow (F10).
func TestDoneIsKeptWhileItStands(t *testing.T) {
	var b book
	stands := StoredOrder{ID: "stands", Number: 1}
	b.begin(stands.ID)
	for i := range maxDone + 10 {
		id := fmt.Sprint(i)
		b.begin(id)
		b.settle([]StoredOrder{stands, {ID: id, Number: uint64(i + 2)}}, uint64(i+2), time.Duration(i))
	}
	if b.begin(stands.ID) {
		t.Error("it would be carried out again")
	}
	if len(b.done) > maxDone+2 || len(b.order) != len(b.done) {
		t.Errorf("%d and %d are remembered, want about %d", len(b.done), len(b.order), maxDone)
	}
}

// slips are what the exploration of orders must notice.
var slips = []mutants.Mutant{
	{Name: "an order is carried out at each reading", Old: "	if b.done[id] {\n		return false\n	}\n"},
	{Name: "a receipt is given once, whether it arrives or not", Old: "		if err := f.put(ctx, receiptsOf(r.Order), f.field, message); err != nil {\n			return err\n		}\n", New: "		_ = f.put(ctx, receiptsOf(r.Order), f.field, message)\n"},
	{Name: "orders are carried out in any order", By: "TestOrdersInOrder", Old: "cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.ID, b.ID))", New: "cmp.Compare(b.Number, a.Number)"},
	{Name: "what was replaced is carried out when it comes back", Old: "if younger && supersedes(", New: "if younger && false && supersedes("},
	{Name: "what was replaced stays in the store", Old: "		if b.stood[o.ID] {", New: "		if false {"},
	{Name: "a late member carries out what was replaced", Old: "case r.Late && f.replaced(&s, all):", New: "case false:"},
	{Name: "what is lost is not put back", Old: "	if number >= b.newest {\n		return nil", New: "	if true {\n		return nil"},
	{Name: "what is lost counts as taken back", Old: "case number >= b.newest:", New: "case true:"},
	{Name: "what was taken back while away stays", Old: "		f.release(&missed)\n", New: "		_ = missed\n"},
}

func TestMutants(t *testing.T) {
	t.Parallel()
	if os.Getenv("SWITCHGEAR_EXPLORE") == "" || mutants.Race {
		t.Skip("takes long: set SWITCHGEAR_EXPLORE=1")
	}
	for i := range slips {
		slips[i].By = cmp.Or(slips[i].By, "^TestExploreOrders$")
	}
	mutants.Kill(t, slips)
}
