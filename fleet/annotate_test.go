package fleet_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
	"github.com/switchgear-go/switchgear/ops"
)

// explained is what a member's plane says of its breaker: to switchgear explain, in
// the overview, and in the list.
func (x *mate) explained(t *testing.T) (explain, overview, list ops.Status) {
	t.Helper()
	e, err := x.Plane.Explain("db")
	if err != nil {
		t.Fatal(err)
	}
	all, err := x.Plane.Status(ops.StatusQuery{IDs: []string{"db"}, Full: true})
	if err != nil {
		t.Fatal(err)
	}
	return ops.Status{Next: e.Next, Explain: e.Explain}, x.Plane.Overview().Breakers[0], all[0]
}

// A member whose breaker the fleet holds open says when the fleet probes, and not
// when it would do so by itself.
func TestExplainOfAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 24, 5*time.Second, "a", "b").withPlanes().start().joined()
		time.Sleep(20 * time.Second)
		c.set(func(x *mate) bool { return x.Zone == "b" }, 0)
		var x *mate
		c.until(20*time.Second, "a breaker is open by the verdict", func() bool {
			for _, x = range c.all {
				if s := x.m.Breaker("db").Status(); s.State == breaker.Open && s.Opened.Cause == breaker.CauseFleet {
					return true
				}
			}
			return false
		})
		time.Sleep(300 * time.Millisecond)
		want := regexp.MustCompile(`^db has been open for \S+: (\d+) of (\d+) calls failed in the last \d+s at (\d+) of (\d+) processes of zone b; here \d+ of \d+(; last error: connection refused)?\. The fleet's next probe is in 1\.\ds\.$`)
		explain, overview, list := x.explained(t)
		for where, text := range map[string]string{"explain": explain.Explain, "list": list.Explain} {
			if !want.MatchString(text) {
				t.Errorf("%s: %s", where, text)
			}
		}
		if !strings.HasPrefix(overview.Next, "The fleet's next probe is in 1.") || overview.Next != list.Next || overview.Next != explain.Next {
			t.Errorf("next: %q, %q and %q", overview.Next, list.Next, explain.Next)
		}
		if own, err := x.f.Explain("db"); err != nil || own != explain.Explain {
			t.Errorf("the fleet says %q, %v", own, err)
		}
		var reply struct{ Explanations []ops.Explanation }
		if x.ask(t, "GET", "v1/explain?id=db", "", &reply); len(reply.Explanations) != 1 || !want.MatchString(reply.Explanations[0].Explain) {
			t.Errorf("the API: %+v", reply)
		}
		// The time is the fleet's, and goes down.
		if overview.UntilHalfOpen != list.UntilHalfOpen || list.UntilHalfOpen > 2*time.Second || list.UntilHalfOpen <= 0 {
			t.Errorf("until the probe: %s and %s", overview.UntilHalfOpen, list.UntilHalfOpen)
		}
		// Other processes are healthy, and nothing else is said of them.
		if e, _, _ := c.all[0].explained(t); strings.Contains(e.Explain, "fleet") || !strings.HasPrefix(e.Explain, "db is closed") {
			t.Errorf("zone a: %s", e.Explain)
		}
		said := map[string]bool{}
		for range 300 {
			time.Sleep(50 * time.Millisecond)
			for _, x := range c.all {
				if x.Zone == "b" && x.m.Breaker("db").State() == breaker.Open {
					e, _, _ := x.explained(t)
					said[regexp.MustCompile(`\d+(\.\d)?s?`).ReplaceAllString(e.Next, "N")] = true
				}
			}
		}
		for _, want := range []string{
			"The fleet's next probe is in N.", "The fleet's next probe is in N (N has failed).", "Its next call is the fleet's probe (N has failed).",
			"The fleet's probe is the next call of another process (N has failed).",
		} {
			if !said[want] {
				t.Errorf("it never said %q, but %v", want, said)
			}
		}
		// Without the fleet it is its own probe again.
		c.store.Down(true)
		time.Sleep(8 * time.Second)
		for _, x := range c.all {
			if e, _, _ := x.explained(t); strings.Contains(e.Next, "fleet") {
				t.Errorf("alone: %s", e.Next)
			}
		}
	})
}

// A process that is alone says so of each breaker, since when, and why.
func TestExplainOfTheLonely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 2, time.Second).withPlanes().start()
		first, _, _ := c.all[0].explained(t)
		if want := " This process has acted alone, without its fleet, for 0.0s: it hears no coordinator."; !strings.HasSuffix(first.Explain, want) {
			t.Errorf("at first: %s", first.Explain)
		}
		c.joined()
		if e, _, _ := c.all[0].explained(t); strings.Contains(e.Explain, "alone") {
			t.Errorf("together: %s", e.Explain)
		}
		c.store.Down(true)
		time.Sleep(time.Hour)
		for _, state := range []breaker.State{breaker.Closed, breaker.ForcedOpen} {
			if state == breaker.ForcedOpen {
				if _, err := c.all[0].Plane.Do(withActor(forceOpen("db", time.Hour)).Order, ops.Peer{}); err != nil {
					t.Fatal(err)
				}
			}
			e, overview, list := c.all[0].explained(t)
			want := regexp.MustCompile(`^db (is|was) .*\. This process has acted alone, without its fleet, for (59m5\ds|1h): ` + fleettest.ErrDown.Error() + `\.$`)
			if !want.MatchString(e.Explain) || list.Explain != e.Explain {
				t.Errorf("%s: %s", state, e.Explain)
			}
			if strings.Contains(overview.Next+list.Next, "alone") {
				t.Errorf("%s: next: %s", state, overview.Next)
			}
			if own, err := c.all[0].f.Explain("db"); err != nil || own != e.Explain {
				t.Errorf("the fleet says %q, %v", own, err)
			}
		}
		c.store.Down(false)
		c.joined()
		if e, _, _ := c.all[0].explained(t); strings.Contains(e.Explain, "alone") {
			t.Errorf("back: %s", e.Explain)
		}
	})
}

// A process that stays closed against a verdict says so, and so does one that only
// advises.
func TestExplainOfTheOverruled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 10, 200*time.Millisecond).withPlanes()
		c.all[1].Advise, c.all[1].every = true, 0
		c.start().joined()
		time.Sleep(5 * time.Second)
		c.set(func(x *mate) bool { return x != c.all[0] }, 0)
		c.until(10*time.Second, "eight are open", func() bool { _, open := c.states(); return open == 8 })
		time.Sleep(2 * time.Second)
		for i, want := range []string{
			" The verdict of the fleet is open: .* processes of the fleet; its own calls count for more\\.$",
			" The verdict of the fleet is open: .* processes of the fleet; this process only advises, and would be open\\.$",
		} {
			e, _, list := c.all[i].explained(t)
			if !regexp.MustCompile(want).MatchString(e.Explain) || list.Explain != e.Explain || !strings.HasPrefix(e.Explain, "db is closed") {
				t.Errorf("%s: %s", c.all[i].Member, e.Explain)
			}
			if text, err := json.Marshal(list); err != nil || !strings.Contains(string(text), "The verdict of the fleet") {
				t.Errorf("%s, %v", text, err)
			}
		}
	})
}
