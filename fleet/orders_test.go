package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/ops"
)

var testKey = []byte("a key of the tests, 32 bytes long")

// withPlanes gives each member a plane and the key.
func (c *crew) withPlanes() *crew {
	for _, x := range c.all {
		x.Key = testKey
		plane := ops.New(&x.m, ops.Options{Service: "shop"})
		x.Plane = plane
		c.t.Cleanup(func() { plane.Close() })
	}
	return c
}

func (c *crew) order(o fleet.Order) *fleet.Receipts {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
	defer cancel()
	if o.Actor == "" {
		o.Actor = "ana"
	}
	r, err := c.all[0].f.Group().Order(ctx, o, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func forceOpen(id string, d time.Duration) fleet.Order {
	return fleet.Order{Order: ops.Order{ID: id, Verb: breaker.VerbForceOpen, For: ops.Duration(d), Reason: "maintenance"}}
}

// An order for all is done once by each, with a receipt from each, and the names
// of the silent (F10).
func TestOrderForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 5, time.Second, "a", "b").withPlanes().start().joined()
		r := c.order(forceOpen("db", time.Hour))
		if len(r.Done) != 5 || len(r.Silent)+len(r.Refused) != 0 || r.String() != "5 of 5 done" {
			t.Fatalf("%s: %+v", r, r)
		}
		for i, x := range c.all {
			s := x.m.Breaker("db").Status()
			if s.State != breaker.ForcedOpen || s.Override.Actor != "ana" || s.Override.Reason != "maintenance" {
				t.Errorf("%s: %s", x.Member, s.Explain())
			}
			m := r.Done[i]
			if m.Member != x.Member || m.Zone != x.Zone || m.Late || m.Receipt.Results[0].After != breaker.ForcedOpen {
				t.Errorf("receipt %+v", m)
			}
		}
		time.Sleep(30 * time.Second)
		if n := len(c.all[0].m.Breaker("db").History()); n != 1 {
			t.Errorf("%d changes, want the order done once", n)
		}
		if r := c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: breaker.VerbRelease}}); len(r.Done) != 5 {
			t.Errorf("release: %s", r)
		}
		if closed, _ := c.states(); closed != 5 {
			t.Errorf("%d closed after the release", closed)
		}
		// One of them is gone, without leaving.
		c.all[4].f.Close()
		if err := c.store.Put(t.Context(), fleet.ReportTable, "feedbeef", reportOf(t, c)); err != nil {
			t.Fatal(err)
		}
		r = c.order(fleet.Order{Order: ops.Order{ID: "nope", Verb: breaker.VerbClose}})
		if len(r.Refused) != 4 || len(r.Silent) != 1 || !strings.Contains(r.String(), "4 refused: unknown breaker") || !strings.Contains(r.String(), "1 silent: pod-") {
			t.Errorf("%s", r)
		}
	})
}

// reportOf is a report as a member that is gone left it.
func reportOf(t *testing.T, c *crew) []byte {
	t.Helper()
	all, err := c.store.All(t.Context(), fleet.ReportTable)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		return r
	}
	t.Fatal("no report")
	return nil
}

// Overrides stand: who joins later, and what is made later, gets them for the
// time that remains, and a store that lost them gets them back (F12).
func TestStandingOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 4, time.Second).withPlanes()
		late := c.all[3]
		c.all = c.all[:3]
		c.start().joined()
		c.order(forceOpen("db", 10*time.Minute))
		c.order(forceOpen("later", 10*time.Minute))
		time.Sleep(4 * time.Minute)
		c.all = append(c.all, late)
		c.join(late)
		c.joined()
		time.Sleep(15 * time.Second)
		check := func(b *breaker.Breaker) {
			t.Helper()
			s := b.Status()
			if s.State != breaker.ForcedOpen {
				t.Errorf("%s", s.Explain())
				return
			}
			if left := time.Until(s.Override.Expires); left > 6*time.Minute || left < 5*time.Minute {
				t.Errorf("%s is forced open for another %s, want what remains of 10m", s.ID, left)
			}
		}
		check(late.m.Breaker("db"))
		for _, x := range c.all {
			check(x.m.Breaker("later"))
		}
		c.store.Flush()
		time.Sleep(30 * time.Second)
		orders, _, err := c.store.Orders(t.Context())
		if err != nil || len(orders) != 2 {
			t.Errorf("%d orders after the flush, %v; want 2", len(orders), err)
		}
		for _, o := range orders {
			if o.Age < 4*time.Minute {
				t.Errorf("an order that was put back is %s old", o.Age)
			}
		}
		// It is released while one of them does not hear.
		alone := c.all[1]
		alone.f.Close()
		c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: breaker.VerbRelease}})
		orders, _, err = c.store.Orders(t.Context())
		if err != nil || slices.ContainsFunc(orders, func(o fleet.StoredOrder) bool {
			return strings.Contains(string(o.Order), `"id":"db","verb":"force-open"`)
		}) {
			t.Errorf("the override stands after its release: %v", err)
		}
	})
}

// A member may look at the orders of a store that was just flushed before it
// hears of that from the coordinator: that takes nothing back (F12).
func TestFlushTakesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, time.Second).withPlanes().start().joined()
		c.order(forceOpen("db", time.Hour))
		time.Sleep(time.Minute)
		c.store.Flush()
		for _, x := range c.all {
			x.m.Breaker("another") // makes its member look
		}
		time.Sleep(20 * time.Second)
		for _, x := range c.all {
			if s := x.m.Breaker("db").Status(); s.State != breaker.ForcedOpen {
				t.Errorf("%s: %s", x.Member, s.Explain())
			}
		}
		if orders, _, err := c.store.Orders(t.Context()); err != nil || len(orders) != 1 {
			t.Errorf("%d orders, %v; want the one that was put back", len(orders), err)
		}
	})
}

// An order that is given just after a flush waits until the store has the others
// back, and so is not taken for the one that took them back (F12).
func TestOrderJustAfterAFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, time.Second).withPlanes().start().joined()
		for _, x := range c.all {
			x.m.Breaker("cache")
		}
		c.order(forceOpen("db", time.Hour))
		for range 3 { // so that the newest number is not that of an order that stands
			c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: ops.VerbNote, Reason: "a note"}})
		}
		time.Sleep(time.Minute)
		for i := range 3 {
			c.store.Flush()
			c.order(forceOpen("cache", time.Hour))
			time.Sleep(time.Minute)
			for _, x := range c.all {
				for _, id := range []string{"db", "cache"} {
					if s := x.m.Breaker(id).Status(); s.State != breaker.ForcedOpen {
						t.Fatalf("flush %d, %s: %s", i, x.Member, s.Explain())
					}
				}
			}
		}
		// What is released then stays released.
		c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: breaker.VerbRelease}})
		c.store.Flush()
		time.Sleep(time.Minute)
		v := c.view()
		if len(v.Standing) != 1 || v.Standing[0].ID != "cache" {
			t.Errorf("%+v", v.Standing)
		}
		c.wantNoOverride("db")
	})
}

// A member that was cut off while the store lost its data, and while the override
// was released, does not put the override back.
func TestReleasedAndFlushedWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, time.Second).withPlanes()
		away := &lossy{Store: c.store}
		c.all[2].Store = away
		c.start().joined()
		c.order(forceOpen("db", time.Hour))
		for range 4 {
			c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: ops.VerbNote, Reason: "a note"}})
		}
		time.Sleep(time.Minute)
		away.down.Store(true)
		time.Sleep(2 * time.Minute)
		c.store.Flush()
		time.Sleep(time.Minute)
		c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: breaker.VerbRelease}})
		away.down.Store(false)
		time.Sleep(time.Minute)
		if v := c.view(); len(v.Standing) != 0 {
			t.Errorf("%+v", v.Standing)
		}
		c.wantNoOverride("db")
	})
}

// A note changes no override, so the override goes on standing; and an order that
// members cannot keep for those that come later is refused.
func TestNotesEndNoOverride(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 2, time.Second).withPlanes().start().joined()
		c.order(forceOpen("db", time.Hour))
		for _, verb := range []breaker.Verb{ops.VerbNote, ops.VerbAck} {
			if r := c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: verb, Reason: "the vendor knows"}}); len(r.Done) != 2 {
				t.Errorf("%s: %s", verb, r)
			}
		}
		c.order(fleet.Order{Order: ops.Order{ID: "*", Verb: ops.VerbMark, Reason: "deploy", Confirm: 1}})
		v, err := c.all[0].f.Group().View(t.Context())
		if err != nil || len(v.Standing) != 1 {
			t.Errorf("%+v, %v; want the override to stand", v.Standing, err)
		}
		longer := fleet.Order{Order: ops.Order{ID: "db", Verb: ops.VerbExtend, Actor: "ana", For: ops.Duration(time.Hour)}}
		if _, err := c.all[0].f.Group().Order(t.Context(), longer, nil); !errors.Is(err, breaker.ErrOrder) {
			t.Errorf("extend: %v, want ErrOrder", err)
		}
	})
}

// A member that was away while an override was taken back takes it back as well.
func TestReleasedWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, time.Second).withPlanes()
		away := &lossy{Store: c.store}
		c.all[2].Store = away
		c.start().joined()
		c.order(forceOpen("db", time.Hour))
		away.down.Store(true)
		time.Sleep(10 * time.Second)
		r := c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: breaker.VerbRelease}})
		if len(r.Done) != 2 {
			t.Errorf("%s", r)
		}
		time.Sleep(20 * time.Minute)
		if s := c.all[2].m.Breaker("db").State(); s != breaker.ForcedOpen {
			t.Errorf("alone it is %s", s)
		}
		away.down.Store(false)
		time.Sleep(time.Minute)
		if s := c.all[2].m.Breaker("db").Status(); s.State == breaker.ForcedOpen {
			t.Errorf("back, and %s", s.Explain())
		}
	})
}

// Orders are refused unless a key signs them.
func TestOrdersNeedAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, time.Second).withPlanes()
		c.all[0].Key = nil
		c.all[1].Key = nil
		c.all[2].Key = []byte("another key, also long enough")
		c.start()
		time.Sleep(5 * time.Second)
		if _, err := c.all[0].f.Group().Order(t.Context(), forceOpen("db", time.Hour), nil); !errors.Is(err, fleet.ErrUnsigned) {
			t.Errorf("got %v, want ErrUnsigned", err)
		}
		// Someone who can write to the store, and has no key.
		text, err := json.Marshal(map[string]any{"id": "x", "from": "eve", "order": map[string]any{"id": "db", "verb": "force-open", "actor": "eve", "reason": "no", "for": "1h"}})
		if err != nil {
			t.Fatal(err)
		}
		message := append([]byte{1, 0, 1, byte(len(text)) | 0x80, 1}, text...)
		if _, err := c.store.Add(t.Context(), "x", message, 0, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if closed, _ := c.states(); closed != 3 {
			t.Errorf("%d closed, want 3", closed)
		}
		if s := c.all[2].f.State(); s.Dropped == 0 || s.LastDrop == "" {
			t.Errorf("nothing was dropped: %+v", s)
		}
	})
}

// A dry run changes nothing, and says the versions that the order can be made
// conditional on.
func TestDryRunAndVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, time.Second).withPlanes().start().joined()
		o := forceOpen("db", time.Hour)
		o.DryRun = true
		dry := c.order(o)
		if len(dry.Done) != 3 || len(dry.Versions()) != 3 {
			t.Fatalf("%+v", dry)
		}
		if closed, _ := c.states(); closed != 3 {
			t.Fatal("a dry run changed something")
		}
		if err := c.all[1].m.Breaker("db").Open(breaker.Order{}); err != nil {
			t.Fatal(err)
		}
		o.DryRun, o.Versions = false, dry.Versions()
		r := c.order(o)
		if len(r.Done) != 2 || len(r.Refused) != 1 || r.Refused[0].Member != "pod-1" || !strings.Contains(r.Refused[0].Error, "version") {
			t.Errorf("%s", r)
		}
		o.Versions, o.IfVersion = nil, 7
		if _, err := c.all[0].f.Group().Order(t.Context(), withActor(o), nil); !errors.Is(err, breaker.ErrOrder) {
			t.Errorf("if_version: %v", err)
		}
		// A wildcard is confirmed in each process, as by itself.
		wild := forceOpen("*", time.Hour)
		if r := c.order(wild); len(r.Refused) != 3 || !strings.Contains(r.Refused[0].Error, "confirm") {
			t.Errorf("%s", r)
		}
		wild.Confirm = 1
		if r := c.order(wild); len(r.Done) != 3 {
			t.Errorf("%s", r)
		}
	})
}

// What the breakers do by themselves between the dry run and the order does not
// void it: in an outage they probe all the time.
func TestVersionsAllowForProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, 200*time.Millisecond).withPlanes().start().joined()
		c.allFail()
		c.until(20*time.Second, "all are open", func() bool { _, open := c.states(); return open == 3 })
		o := forceOpen("db", time.Hour)
		o.DryRun = true
		dry := c.order(o)
		time.Sleep(9 * time.Second) // some probes fail
		moved := 0
		for _, x := range c.all {
			if x.m.Breaker("db").Status().Version != dry.Versions()[boot(dry, x)] {
				moved++
			}
		}
		if moved == 0 {
			t.Fatal("no breaker has moved")
		}
		o.DryRun, o.Versions = false, dry.Versions()
		if r := c.order(o); len(r.Done) != 3 {
			t.Errorf("%s", r)
		}
		// Settings are changed by people.
		dry = c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: breaker.VerbRelease, DryRun: true}})
		if err := c.all[2].m.Breaker("db").Update(breaker.Settings{FailMax: 7}); err != nil {
			t.Fatal(err)
		}
		if r := c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: breaker.VerbRelease}, Versions: dry.Versions()}); len(r.Done) != 2 || len(r.Refused) != 1 {
			t.Errorf("%s", r)
		}
	})
}

func boot(r *fleet.Receipts, x *mate) string {
	for _, m := range r.Done {
		if m.Member == x.Member {
			return m.Boot
		}
	}
	return ""
}

// A standing order that was tried first reaches members and breakers that were not
// there when it was.
func TestLateJoinersGetWhatWasTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 4, time.Second).withPlanes()
		late := c.all[3]
		c.all = c.all[:3]
		c.start().joined()
		tried := func(o fleet.Order) {
			t.Helper()
			o.DryRun = true
			dry := c.order(o)
			o.DryRun, o.Versions = false, dry.Versions()
			if r := c.order(o); len(r.Done) != 3 {
				t.Fatalf("%s", r)
			}
		}
		tried(forceOpen("db", time.Hour))
		tried(fleet.Order{Order: ops.Order{ID: "db", Verb: ops.VerbSet, Settings: json.RawMessage(`{"fail_max": 9}`)}})
		time.Sleep(time.Minute)
		c.all = append(c.all, late)
		c.join(late)
		c.joined()
		time.Sleep(5 * time.Second)
		if b := late.m.Breaker("db"); b.State() != breaker.ForcedOpen || b.Settings().FailMax != 9 {
			t.Errorf("the late joiner: %s, FailMax %d", b.State(), b.Settings().FailMax)
		}
		// One is made anew.
		late.m.Remove("db")
		if b := late.m.Breaker("db"); b.State() != breaker.ForcedOpen {
			t.Errorf("a breaker that is made anew is %s", b.State())
		}
	})
}

func withActor(o fleet.Order) fleet.Order {
	o.Actor = "ana"
	return o
}

// Settings stand as well, and what differs shows.
func TestSettingsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, time.Second).withPlanes().start().joined()
		set := func(patch string) {
			c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: ops.VerbSet, Settings: json.RawMessage(patch)}})
		}
		set(`{"fail_max": 9}`)
		set(`{"fail_max": 7, "reset_timeout": "20s"}`)
		for _, x := range c.all {
			if s := x.m.Breaker("db").Settings(); s.FailMax != 7 || s.ResetTimeout != 20*time.Second {
				t.Errorf("%s has %+v", x.Member, s)
			}
		}
		orders, _, err := c.store.Orders(t.Context())
		if err != nil || len(orders) != 1 {
			t.Errorf("%d orders, %v; want the newer one alone, as it sets all that the older one did", len(orders), err)
		}
		// A process that starts again has them, after a flush as well.
		c.store.Flush()
		time.Sleep(30 * time.Second)
		again := &mate{every: time.Second, Options: fleet.Options{Member: "pod-9"}}
		(&crew{t: t, all: []*mate{again}}).withPlanes()
		c.leave(c.all[0])
		c.all[0] = again
		c.join(again)
		c.joined()
		time.Sleep(2 * time.Second)
		if s := again.m.Breaker("db").Settings(); s.FailMax != 7 || s.ResetTimeout != 20*time.Second {
			t.Errorf("after a restart it has %+v", s)
		}
	})
}

// No more stand than are kept.
func TestStandingOrdersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 1, 0).withPlanes().start().joined()
		group := c.all[0].f.Group()
		var err error
		for i := range 300 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			_, err = group.Order(ctx, withActor(forceOpen(fmt.Sprint("none", i), time.Hour)), nil)
			cancel()
			if err != nil {
				break
			}
		}
		if !errors.Is(err, fleet.ErrStanding) {
			t.Errorf("got %v, want ErrStanding", err)
		}
	})
}

// A fleet's order to close begins anew: evidence from before does not open again.
func TestCloseForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 4, 200*time.Millisecond).withPlanes().start().joined()
		c.allFail()
		c.until(10*time.Second, "all are open", func() bool { _, open := c.states(); return open == 4 })
		c.allWork()
		if r := c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: breaker.VerbClose}}); len(r.Done) != 4 {
			t.Fatalf("%s", r)
		}
		for range 50 {
			time.Sleep(100 * time.Millisecond)
			if closed, _ := c.states(); closed != 4 {
				t.Fatalf("%d closed", closed)
			}
		}
	})
}

// What a member closed by order long ago does not clear a verdict when it becomes
// the coordinator: that would let all processes probe at once (F7).
func TestNewCoordinatorForgetsOldOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 4, 200*time.Millisecond).withPlanes().start().joined()
		c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: breaker.VerbClose}})
		time.Sleep(time.Minute)
		c.allFail()
		c.until(10*time.Second, "all are open", func() bool { _, open := c.states(); return open == 4 })
		time.Sleep(time.Second)
		epoch := func() uint64 {
			v := c.view()
			if len(v.Breakers) != 1 || len(v.Breakers[0].Verdicts) != 1 {
				t.Fatalf("%+v", v.Breakers)
			}
			return v.Breakers[0].Verdicts[0].Epoch
		}
		before := epoch()
		at := slices.IndexFunc(c.all, func(x *mate) bool { return x.f.State().Coordinator })
		c.leave(c.all[at])
		c.all = slices.Delete(c.all, at, at+1)
		c.until(10*time.Second, "another one counts", func() bool {
			return slices.ContainsFunc(c.all, func(x *mate) bool { return x.f.State().Coordinator })
		})
		time.Sleep(3 * time.Second)
		if got := epoch(); got != before {
			t.Errorf("the verdict of epoch %d was cleared: now there is %d", before, got)
		}
	})
}

// racing is a store in which something happens just before an order is added.
type racing struct {
	fleet.Store
	first func()
}

func (r *racing) Add(ctx context.Context, id string, order []byte, number uint64, age time.Duration) (uint64, error) {
	if f := r.first; f != nil {
		r.first = nil
		f()
	}
	return r.Store.Add(ctx, id, order, number, age)
}

// Two people give orders at the same time. Who joins later does as the later one says
// (F12).
func TestTwoGiveOrdersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, time.Second).withPlanes()
		store := &racing{Store: c.store}
		c.all[0].Store = store
		late := c.all[2]
		c.all = c.all[:2]
		c.start().joined()
		store.first = func() {
			if _, err := c.all[1].f.Group().Order(t.Context(), withActor(forceOpen("db", time.Hour)), nil); err != nil {
				t.Error(err)
			}
		}
		c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: breaker.VerbRelease}})
		c.all = append(c.all, late)
		c.join(late)
		c.joined()
		time.Sleep(time.Minute)
		for _, x := range c.all {
			if s := x.m.Breaker("db").Status(); s.Override != nil {
				t.Errorf("%s: %s", x.Member, s.Explain())
			}
		}
		if v := c.view(); len(v.Standing) != 0 {
			t.Errorf("%+v", v.Standing)
		}
	})
}
