package verdict

import (
	"fmt"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// failing is a member's claim of a breaker whose calls all fail.
func failing(id string) Claim {
	c := Claim{ID: id, Rule: worldRule}
	for i := range c.Spans {
		c.Spans[i] = Evidence{Calls: 5, Failures: 5}
	}
	return c
}

func well(id string) Claim {
	c := Claim{ID: id, Rule: worldRule}
	for i := range c.Spans {
		c.Spans[i] = Evidence{Calls: 20}
	}
	return c
}

func members(of map[string][]Claim) (out []Member) {
	for zone, claims := range of {
		for i, c := range claims {
			out = append(out, Member{ID: uint64(len(out)*100 + i + 1), Zone: zone, Claims: []Claim{c}})
		}
	}
	return out
}

func TestZonesBeforeTheFleet(t *testing.T) {
	for _, c := range []struct {
		name  string
		of    map[string][]Claim
		fleet bool
		zones string
	}{
		{"all fail", map[string][]Claim{"a": {failing("db"), failing("db")}, "b": {failing("db"), failing("db")}}, true, ""},
		{"one zone", map[string][]Claim{"a": {failing("db"), failing("db")}, "b": {well("db"), well("db")}}, false, "a"},
		{"two zones of three", map[string][]Claim{"a": {failing("db"), failing("db")}, "b": {failing("db"), failing("db")}, "c": {well("db"), well("db")}}, false, "ab"},
		{"one zone, and the other is silent", map[string][]Claim{"a": {failing("db"), failing("db")}, "b": {{ID: "db"}}}, false, "a"},
		{"one node of each zone", map[string][]Claim{"a": {failing("db"), well("db")}, "b": {well("db"), well("db")}}, false, ""},
		{"no zones", map[string][]Claim{"": {failing("db"), failing("db")}}, true, ""},
		{"one process", map[string][]Claim{"": {failing("db")}}, false, ""},
	} {
		k := &Coordinator{Params: Defaults()}
		k.Step(time.Second, members(c.of))
		s := k.Subjects["db"]
		if s == nil {
			t.Fatalf("%s: nothing is kept", c.name)
		}
		got := ""
		for _, z := range []string{"a", "b", "c"} {
			if x := s.Zones[z]; x != nil && x.Open {
				got += z
			}
		}
		if s.Fleet.Open != c.fleet || got != c.zones {
			t.Errorf("%s: fleet open %v, zones %q; want %v, %q", c.name, s.Fleet.Open, got, c.fleet, c.zones)
		}
	}
}

// Whatever one member says, no one else opens (F3), and what is kept is bounded
// (F11).
func TestOneVoice(t *testing.T) {
	liar := Member{ID: 1, Zone: "a"}
	for i := range 2 * MaxSubjects {
		c := failing(fmt.Sprint("set/", i))
		c.Tripped, c.Demand = true, 1<<30
		if i%2 == 0 {
			c.Under = 1 << 62
		}
		liar.Claims = append(liar.Claims, c, c) // each twice
	}
	k := &Coordinator{Params: Defaults()}
	for range 10 {
		k.Step(time.Second, []Member{liar, {ID: 2, Zone: "a", Claims: []Claim{well("set/1")}}})
	}
	if len(k.Subjects) > MaxSubjects {
		t.Errorf("%d subjects are kept, want at most %d", len(k.Subjects), MaxSubjects)
	}
	for id, s := range k.Subjects {
		if s.AnyOpen() {
			t.Fatalf("one member opened %s", id)
		}
	}
}

// An order to close begins anew: what was counted before it does not undo it.
func TestClear(t *testing.T) {
	k := &Coordinator{Params: Defaults()}
	of := members(map[string][]Claim{"": {failing("db"), failing("db")}})
	k.Step(time.Second, of)
	if !k.Subjects["db"].Fleet.Open {
		t.Fatal("not open")
	}
	k.Clear("db")
	k.Clear("unknown")
	k.Step(time.Second, of)
	if k.Subjects["db"].Fleet.Open {
		t.Error("evidence from before the order opened it again")
	}
}

func TestOpenTimeOfTheFleet(t *testing.T) {
	r := Rule{Every: 2 * time.Second, Backoff: 2, Max: 10 * time.Second}
	for failed, want := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second} {
		if got := r.openTime(failed); got != want {
			t.Errorf("after %d failed probes %s, want %s", failed, got, want)
		}
	}
	wild := Rule{Every: 1 << 62, Backoff: 1e300}
	if got := wild.openTime(1 << 30); got > maxWait {
		t.Errorf("an open time of %s, want at most %s", got, maxWait)
	}
}

// A busy member is armed first and alone; of many that seldom call, many.
func TestArms(t *testing.T) {
	under := func(demand int) Claim {
		return Claim{ID: "db", Auto: breaker.Open, State: breaker.Open, Under: 1, Demand: demand, Rule: worldRule}
	}
	busy := members(map[string][]Claim{"": {under(0), under(160), under(20)}})
	seldom := members(map[string][]Claim{"": {under(1), under(1), under(1), under(1)}})
	for _, c := range []struct {
		name string
		of   []Member
		want int
	}{{"busy", busy, 1}, {"seldom", seldom, 4}} {
		k := &Coordinator{Params: Defaults(), Clock: 1, Subjects: map[string]*Subject{
			"db": {ID: "db", Fleet: Scope{Open: true, Epoch: 1, Rule: worldRule}},
		}}
		k.Step(time.Second, c.of)
		if got := k.Subjects["db"].Fleet.active(); len(got) != c.want || c.name == "busy" && got[0] != c.of[1].ID {
			t.Errorf("%s: armed %v, want %d", c.name, got, c.want)
		}
	}
}

// A coordinator that remembers nothing goes on with the time that members know,
// and one voice cannot move it far.
func TestClockGoesOn(t *testing.T) {
	all := members(map[string][]Claim{"": {failing("db"), failing("db")}})
	all[0].Clock, all[1].Clock = 9, 7
	for i := range all {
		all[i].Claims[0].Stamp = 5
	}
	k := &Coordinator{Params: Defaults()}
	k.Step(time.Second, all)
	if x := k.Subjects["db"].Fleet; !x.Open || x.Epoch != 10 {
		t.Errorf("epoch %d, open %v; want 10 and open", x.Epoch, x.Open)
	}
	all[0].Clock = 1 << 63
	k.Step(time.Second, all[:1])
	if k.Clock != 10 {
		t.Errorf("one voice moved the clock to %d", k.Clock)
	}
}

// A member that has only good to say of a breaker says so in short, and counts.
func TestWellCounts(t *testing.T) {
	good := Claim{ID: "db", Well: true, Spans: [SpanCount]Evidence{{Calls: 20}, {Calls: 20}, {Calls: 20}}}
	k := &Coordinator{Params: Defaults()}
	k.Step(time.Second, members(map[string][]Claim{"": {failing("db"), failing("db"), good, good, good}}))
	if k.Subjects["db"].AnyOpen() {
		t.Error("two of five opened it")
	}
	if !k.Busy {
		t.Error("two members fail, and the coordinator takes its time")
	}
}

// The busiest member cannot reach the dependency, which is back for all others: its
// probes alone do not hold them open (F3).
func TestABadMemberHoldsNoOthers(t *testing.T) {
	k := &Coordinator{Params: Defaults(), Clock: 1, Subjects: map[string]*Subject{
		"db": {ID: "db", Fleet: Scope{Open: true, Epoch: 1, Rule: worldRule}},
	}}
	of := members(map[string][]Claim{"": {{}, {}, {}, {}}})
	for i := range of {
		of[i].Claims[0] = Claim{ID: "db", Auto: breaker.Open, State: breaker.Open, Under: 1, Demand: 100, Rule: worldRule}
	}
	of[2].Claims[0].Demand = 200 // and it is the bad one
	for range 60 {
		k.Step(time.Second, of)
		x := &k.Subjects["db"].Fleet
		if !x.Open {
			return
		}
		for i := range of {
			if c := &of[i].Claims[0]; x.armed(of[i].ID) {
				c.Probe = Probe{Epoch: 1, Attempt: x.Attempt, Result: Passed}
				if i == 2 {
					c.Probe.Result = Failed
				}
			}
		}
	}
	t.Errorf("after %d attempts it is open", k.Subjects["db"].Fleet.Attempt)
}
