package verdict

import (
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// A verdict of the fleet on failed calls, as a member of zone z hears of it.
func heard(epoch, since Epoch, arms ...Arm) *View {
	return &View{
		Member: 7, Zone: "z", Heard: true, Clock: max(epoch, since),
		Subject: &Subject{ID: "db", Fleet: Scope{
			Open: epoch != 0, Epoch: epoch, Since: since, Arms: arms,
			Why: Why{Rate: 0.5, Tally: Tally{Evidence{20, 20, 0}, 4, 4}}, Wait: time.Second,
		}},
	}
}

func closedAt() *Local {
	return &Local{Rule: worldRule, Lease: lease, Reset: resetTime, Passed: true}
}

func openedAt(version uint64, cause breaker.Cause) *Local {
	l := closedAt()
	l.State, l.Auto, l.Opened, l.Cause, l.DueIn = breaker.Open, breaker.Open, version, cause, resetTime
	l.By = Evidence{Calls: 5, Failures: 5}
	return l
}

// An order to open stands: the fleet neither holds it nor lets it go (I5).
func TestOwnLeavesOrdersAlone(t *testing.T) {
	var o Own
	l := openedAt(3, breaker.CauseOrder)
	for _, v := range []*View{heard(1, 0), heard(1, 0, Arm{Member: 7, Active: true}), heard(0, 5)} {
		if act := o.Step(params(), time.Minute, l, v); act != (Action{}) || o.Under != 0 {
			t.Errorf("open by order, and the fleet does %+v", act)
		}
	}
	if c := o.Claim("db", time.Minute, l); c.Tripped || c.Spans != ([SpanCount]Evidence{}) {
		t.Errorf("an order is told as evidence: %+v", c)
	}
}

// A breaker that closed and opened again between two steps has passed its probe,
// and has tripped since.
func TestOwnSeesWhatItMissed(t *testing.T) {
	var o Own
	now := time.Minute
	v := heard(1, 0, Arm{Member: 7, Active: true})
	o.Step(params(), now, openedAt(3, breaker.CauseConsecutive), v)
	if o.Under != 1 || o.Probe.Epoch != 1 {
		t.Fatalf("under %d, probe %+v, want both of epoch 1", o.Under, o.Probe)
	}
	o.Step(params(), now+time.Second, openedAt(6, breaker.CauseConsecutive), v)
	if o.Probe.Result != Passed || o.Stamp != 1 {
		t.Errorf("result %d and stamp %d, want passed and 1", o.Probe.Result, o.Stamp)
	}
}

// A breaker that closed after a verdict is not opened by it, however long the digest
// waits for the member's next step (F2).
func TestOwnClosedAfterTheVerdict(t *testing.T) {
	closed, digest := time.Minute, time.Minute+900*time.Millisecond
	for _, c := range []struct {
		verdict time.Duration
		opens   bool
	}{
		{closed - 100*time.Millisecond, false},
		{closed + 100*time.Millisecond, true},
	} {
		o := Own{opened: 3, at: closed - resetTime}
		o.Step(params(), closed, closedAt(), heard(0, 0))
		for _, late := range []time.Duration{0, time.Millisecond, time.Second, 2 * time.Second} {
			o := o
			v := heard(1, 0)
			v.Age, v.Subject.Fleet.OpenFor = late, digest-c.verdict
			if act := o.Step(params(), digest+late, closedAt(), v); (act.Scope != nil) != c.opens {
				t.Errorf("a verdict %s after it closed, looked at %s after it was heard: opened %t, want %t", c.verdict-closed, late, act.Scope != nil, c.opens)
			}
		}
	}
}

// A verdict on failures does not concern who has no limit for them, and one that
// only watches obeys none.
func TestOwnJudges(t *testing.T) {
	now := time.Minute
	for _, c := range []struct {
		name                     string
		change                   func(*Own, *Local, *View)
		opens, overruled, advise bool
	}{
		{"nothing of its own", func(*Own, *Local, *View) {}, true, false, false},
		{"good calls of its own", func(o *Own, _ *Local, _ *View) { o.Add(now, Evidence{Calls: 20}) }, false, true, false},
		{"no limit for what it is about", func(_ *Own, l *Local, v *View) { v.Subject.Fleet.Why.Kind = Slow }, false, false, false},
		{"it only watches", func(_ *Own, _ *Local, v *View) { v.Advise = true }, false, false, true},
		{"it hears no one", func(_ *Own, _ *Local, v *View) { v.Heard = false }, false, false, false},
		{"a verdict from before", func(o *Own, _ *Local, _ *View) { o.Stamp = 1 }, false, false, false},
		{"held back by the cap a moment ago", func(o *Own, _ *Local, _ *View) { o.HeldBack(params(), now) }, false, false, false},
	} {
		o, l, v := new(Own), closedAt(), heard(1, 0)
		c.change(o, l, v)
		act := o.Step(params(), now, l, v)
		claim := o.Claim("db", now, l)
		if act.Open > 0 != c.opens || claim.Overruled != c.overruled || claim.Advised != c.advise {
			t.Errorf("%s: opens %v, overruled %v, advised %v", c.name, act.Open > 0, claim.Overruled, claim.Advised)
		}
	}
}

// What opened a breaker by its own rule is told as long as the span, or as the
// open time if that is longer.
func TestClaimOfATrip(t *testing.T) {
	var o Own
	l := openedAt(3, breaker.CauseConsecutive)
	o.Step(params(), 0, l, heard(0, 0))
	for after, want := range map[time.Duration][SpanCount]int{
		time.Second: {5, 5, 5}, resetTime: {5, 5, 5}, 12 * time.Second: {0, 5, 5}, 20 * time.Second: {0, 0, 5}, 61 * time.Second: {},
	} {
		c := o.Claim("db", after, l)
		for i, e := range c.Spans {
			if e.Failures != want[i] {
				t.Errorf("after %s the span of %s has %d failures, want %d", after, Spans[i], e.Failures, want[i])
			}
		}
	}
	l.Opened, l.Cause = 5, breaker.CauseProbeFailed
	o.Step(params(), 12*time.Second, l, heard(0, 0))
	if c := o.Claim("db", 12*time.Second, l); c.Spans[0] != (Evidence{6, 6, 0}) {
		t.Errorf("after its probe failed it tells %v, want six failures", c.Spans[0])
	}
}

// When its scope is cleared, a member may probe at once: only that closes its
// breaker.
func TestOwnIsLetGo(t *testing.T) {
	var o Own
	l := openedAt(3, breaker.CauseFleet)
	o.Step(params(), 0, l, heard(2, 0))
	if act := o.Step(params(), time.Second, l, heard(0, 3)); !act.Holding || act.Hold != 0 || o.Under != 0 {
		t.Errorf("cleared, and the member does %+v, want its next call to probe", act)
	}
	if act := o.Step(params(), 2*time.Second, l, heard(0, 3)); act.Holding {
		t.Errorf("let go twice: %+v", act)
	}
}

// The store is flushed, and the next coordinator goes on from a digest of before
// it heard of a probe's result: the member says it again, and is not let go for
// another probe of the same attempt (F7, F12).
func TestOwnTellsAResultAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		passed bool
		want   Result
		next   *View // what the coordinator that knew has said
	}{
		{"failed", false, Failed, func() *View { v := heard(1, 0); v.Subject.Fleet.Attempt = 1; return v }()},
		{"passed", true, Passed, heard(0, 2)},
	} {
		var o Own
		now := time.Minute
		before := heard(1, 0, Arm{Member: 7, Active: true})
		l := openedAt(3, breaker.CauseFleet)
		o.Step(params(), now, l, before)
		if c.passed {
			l = closedAt()
		} else {
			l = openedAt(4, breaker.CauseProbeFailed)
		}
		o.Step(params(), now, l, before)
		if got := o.Claim("db", now, l).Probe; got != (Probe{Epoch: 1, Result: c.want}) {
			t.Fatalf("%s: it tells %+v", c.name, got)
		}
		o.Step(params(), now, l, c.next)
		if got := o.Claim("db", now, l); got.Probe != (Probe{}) {
			t.Errorf("%s: the coordinator knows, and the member tells %+v", c.name, got.Probe)
		}
		act := o.Step(params(), now, l, before)
		if got := o.Claim("db", now, l).Probe; got != (Probe{Epoch: 1, Result: c.want}) || act.Open > 0 || act.Holding && act.Hold == 0 {
			t.Errorf("%s: a coordinator that has forgotten it hears %+v, and the member does %+v", c.name, got, act)
		}
	}
}
