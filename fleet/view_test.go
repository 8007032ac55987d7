package fleet_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
)

func (c *crew) view() *fleet.View {
	c.t.Helper()
	v, err := c.all[0].f.Group().View(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

// The view has every process, zones side by side, who counts and who is silent.
func TestView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 6, time.Second, "a", "b").withPlanes().start().joined()
		c.all[1].m.Breaker("cache")
		time.Sleep(70 * time.Second)
		c.set(func(x *mate) bool { return x.Zone == "b" }, 0)
		c.until(10*time.Second, "zone b is open", func() bool { _, open := c.states(); return open == 3 })
		time.Sleep(time.Second)
		v := c.view()
		if v.Group != "test" || v.Coordinator == "" || len(v.Members) != 6 || len(v.Breakers) != 2 || v.Dropped != 0 {
			t.Fatalf("%+v", v)
		}
		b := v.Breakers[0]
		if b.ID != "db" || b.States[breaker.Closed] != 3 || b.Zones["a"][breaker.Closed] != 3 || b.Zones["b"][breaker.Closed] != 0 {
			t.Errorf("%+v", b)
		}
		text := b.Explain()
		if !strings.Contains(text, "of 6 processes.") || !strings.Contains(text, "A verdict has held zone b open for ") || !strings.Contains(text, "of 3 processes of zone b") {
			t.Errorf("explained: %s", text)
		}
		if cache, err := v.Breaker("cache"); err != nil || cache.Explain() != "cache is closed in its one process." {
			t.Errorf("cache: %v, %v", cache, err)
		}
		if _, err := v.Breaker("d"); err == nil || !strings.Contains(err.Error(), "db") {
			t.Errorf("unknown: %v", err)
		}
		if _, err := json.Marshal(v); err != nil {
			t.Error(err)
		}
		// The process itself says the same of its own breaker.
		text, err := c.all[1].f.Explain("db")
		if err != nil || !strings.Contains(text, "processes of zone b; here ") && !strings.Contains(text, "5 failures in a row") {
			t.Errorf("%s, %v", text, err)
		}
		t.Log(text)
	})
}

// A process that stays closed against a verdict says so, and its screen says why.
func TestViewOfTheOverruled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 10, 200*time.Millisecond).start().joined()
		time.Sleep(5 * time.Second)
		c.set(func(x *mate) bool { return x != c.all[0] }, 0)
		c.until(10*time.Second, "nine are open", func() bool { _, open := c.states(); return open == 9 })
		time.Sleep(2 * time.Second)
		v := c.view()
		if text := v.Breakers[0].Explain(); !strings.Contains(text, "pod-0 stays closed against the verdict") {
			t.Errorf("explained: %s", text)
		}
		text, err := c.all[0].f.Explain("db")
		if err != nil || !strings.Contains(text, "The verdict of the fleet is open: ") {
			t.Errorf("%s, %v", text, err)
		}
		text, err = c.all[2].f.Explain("db")
		if err != nil || !strings.Contains(text, "fleet") {
			t.Errorf("%s, %v", text, err)
		}
	})
}

func TestViewOfDriftAndOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, time.Second).withPlanes().start().joined()
		if err := c.all[1].m.Breaker("db").Update(breaker.Settings{FailMax: 3, ResetTimeout: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		c.order(forceOpen("cache", time.Hour))
		time.Sleep(40 * time.Second)
		v := c.view()
		b, err := v.Breaker("db")
		if err != nil {
			t.Fatal(err)
		}
		d := b.Drift["fail_max"]
		if len(b.Drift) != 1 || len(d) != 2 || d[0].Count != 2 || d[1].Value != "3" || d[1].Members[0] != "pod-1" {
			t.Errorf("drift %+v", b.Drift)
		}
		if text := b.Explain(); !strings.Contains(text, "Its setting fail_max is 5 in 2 processes and 3 in pod-1.") {
			t.Errorf("explained: %s", text)
		}
		if len(v.Standing) != 1 || v.Standing[0].ID != "cache" || v.Standing[0].Actor != "ana" || time.Duration(v.Standing[0].Left) > time.Hour || time.Duration(v.Standing[0].Left) < 59*time.Minute {
			t.Errorf("standing: %+v", v.Standing)
		}
		if o := v.Standing[0]; o.Verb != breaker.VerbForceOpen || o.Number == 0 {
			t.Errorf("%+v", o)
		}
	})
}

// A store that has lost its data is told again within half a minute which breakers
// there are, and within a minute what they went through.
func TestViewAfterFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 4, time.Second).start().joined()
		if err := c.all[0].m.Breaker("db").Open(breaker.Order{Actor: "ana"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Second)
		c.store.Flush()
		time.Sleep(35 * time.Second)
		v := c.view()
		if b, err := v.Breaker("db"); err != nil || b.States[breaker.Closed]+b.States[breaker.Open] != 4 {
			t.Errorf("%+v, %v", b, err)
		}
		time.Sleep(30 * time.Second)
		if past, err := c.all[1].f.Group().History(t.Context(), "db"); err != nil || len(past) == 0 {
			t.Errorf("history %+v, %v", past, err)
		}
	})
}

// When all processes were killed, or none reaches the store, what the store still has does
// not pass for what is now.
func TestViewWithoutACoordinator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, 0)
		for _, x := range c.all {
			x.Store = dies{noResign{c.store}}
		}
		c.start().joined()
		if v := c.view(); v.Coordinator == "" || len(v.Members) != 3 {
			t.Errorf("%+v", v)
		}
		g := c.all[0].f.Group()
		for _, x := range c.all {
			c.leave(x)
		}
		time.Sleep(4 * time.Second)
		v, err := g.View(t.Context())
		if err != nil || v.Coordinator != "" || len(v.Members) != 3 {
			t.Errorf("%v, %+v, want no coordinator", err, v)
		}
	})
}

// noResign is a store for a member that is killed: its lease stays until it ends.
type noResign struct{ fleet.Store }

func (noResign) Resign(context.Context, string, uint64) error { return nil }
