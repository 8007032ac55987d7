package breakertest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/breakertest"
)

// spy is a testing.TB that keeps messages instead of failing.
type spy struct {
	testing.TB
	received []string
}

func (s *spy) Helper() {}
func (s *spy) Errorf(format string, args ...any) {
	s.received = append(s.received, fmt.Sprintf(format, args...))
}

func TestScenario(t *testing.T) {
	five := breaker.Settings{}
	half := breaker.Settings{FailMax: -1, FailureRate: 0.5, MinCalls: 10}
	slow := breaker.Settings{FailMax: -1, SlowCall: time.Second, SlowRate: 0.5, MinCalls: 10}
	long := breakertest.Limit{Time: time.Minute}
	for name, c := range map[string]struct {
		s     breakertest.Scenario
		limit breakertest.Limit
		want  string
	}{
		"dead at once":        {breakertest.Scenario{Settings: five, Fault: breakertest.Dead(0)}, long, "consecutive-failures at call 5 after 400ms"},
		"dead after a while":  {breakertest.Scenario{Settings: five, Fault: breakertest.Dead(2 * time.Second)}, long, "consecutive-failures at call 25 after 2.4s"},
		"limit of calls":      {breakertest.Scenario{Settings: five, Fault: breakertest.Dead(0)}, breakertest.Limit{Calls: 5}, "consecutive-failures at call 5 after 400ms"},
		"too few calls":       {breakertest.Scenario{Settings: five, Fault: breakertest.Dead(0)}, breakertest.Limit{Calls: 4}, "closed at call 4 after 400ms"},
		"calls under way":     {breakertest.Scenario{Settings: five, Fault: breakertest.Dead(2 * time.Second)}, breakertest.Limit{Calls: 5}, "consecutive-failures at call 5 after 2.4s"},
		"just in time":        {breakertest.Scenario{Settings: five, Fault: breakertest.Dead(2 * time.Second)}, breakertest.Limit{Time: 2400 * time.Millisecond}, "consecutive-failures at call 24 after 2.4s"},
		"too late":            {breakertest.Scenario{Settings: five, Fault: breakertest.Dead(2 * time.Second)}, breakertest.Limit{Time: 2300 * time.Millisecond}, "closed at call 23 after 4.2s"},
		"healthy":             {breakertest.Scenario{Settings: five}, breakertest.Limit{Calls: 10}, "closed at call 10 after 1s"},
		"time limit":          {breakertest.Scenario{Settings: five, Fault: breakertest.Healthy(time.Hour), Timeout: time.Second, Every: time.Second}, long, "consecutive-failures at call 6 after 5s"},
		"a tenth":             {breakertest.Scenario{Settings: half, Fault: breakertest.Failing(0.1)}, long, "closed at call 600 after 1m0s"},
		"three fifths":        {breakertest.Scenario{Settings: half, Fault: breakertest.Failing(0.6)}, long, "failure-rate at call 10 after 900ms"},
		"slow":                {breakertest.Scenario{Settings: slow, Fault: breakertest.Healthy(time.Second)}, long, "slow-rate at call 20 after 1.9s"},
		"in turn":             {breakertest.Scenario{Settings: five, Fault: breakertest.Sequence(bad, bad, bad, bad, breakertest.Reply{})}, long, "closed at call 600 after 1m0s"},
		"until a call":        {breakertest.Scenario{Settings: five, Fault: breakertest.Healthy(0).UntilCall(100, breakertest.Dead(0))}, long, "consecutive-failures at call 105 after 10.4s"},
		"until a time":        {breakertest.Scenario{Settings: five, Fault: breakertest.Healthy(0).Until(10*time.Second, breakertest.Dead(0))}, long, "consecutive-failures at call 105 after 10.4s"},
		"back before it can":  {breakertest.Scenario{Settings: five, Fault: breakertest.Dead(0).UntilCall(4, breakertest.Healthy(0))}, long, "closed at call 600 after 1m0s"},
		"panics":              {breakertest.Scenario{Settings: five, Fault: breakertest.Sequence(breakertest.Reply{Panic: "bug"})}, long, "consecutive-failures at call 5 after 400ms"},
		"a rule of their own": {breakertest.Scenario{Settings: breaker.Settings{FailMax: -1}, Fault: breakertest.Dead(0), Options: []breaker.Option{breaker.WithRule("two", func(c breaker.Counts) bool { return c.Failures >= 2 })}}, long, "rule at call 2 after 100ms"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := c.s.Run(c.limit)
				what := "closed"
				if r.Opened {
					what = string(r.Why.Cause)
				}
				if got := fmt.Sprintf("%s at call %d after %s", what, r.Calls, r.After); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			})
		})
	}
}

var bad = breakertest.Reply{Err: breakertest.ErrFault}

// The assertions pass and fail as they should, and say why.
func TestAssertions(t *testing.T) {
	dead := breakertest.Scenario{Fault: breakertest.Dead(0)}
	well := breakertest.Scenario{Fault: breakertest.Healthy(0)}
	ten := breakertest.Limit{Calls: 10, Time: time.Minute}
	for name, c := range map[string]struct {
		run  func(testing.TB)
		want string
	}{
		"opens":             {func(t testing.TB) { breakertest.AssertOpens(t, dead, ten) }, ""},
		"opens, not":        {func(t testing.TB) { breakertest.AssertOpens(t, well, ten) }, "the breaker did not open within 10 calls or 1m0s, 10 calls in 1s: scenario is closed and has never opened. It opens on 5 more failures in a row."},
		"stays closed":      {func(t testing.TB) { breakertest.AssertStaysClosed(t, well, ten) }, ""},
		"stays closed, not": {func(t testing.TB) { breakertest.AssertStaysClosed(t, dead, ten) }, "the breaker opened at call 5 after 400ms, want it closed for 10 calls or 1m0s: 5 failures in a row; last error: scripted fault"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &spy{TB: t}
				c.run(s)
				if got := strings.Join(s.received, "\n"); got != c.want {
					t.Errorf("received %q, want %q", got, c.want)
				}
			})
		})
	}
}

func TestMisuse(t *testing.T) {
	for name, f := range map[string]func(){
		"no limit": func() { breakertest.Scenario{}.Run(breakertest.Limit{}) },
		"bad settings": func() {
			breakertest.Scenario{Settings: breaker.Settings{FailureRate: 2}}.Run(breakertest.Limit{Calls: 1})
		},
		"empty replies": func() { breakertest.Sequence() },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestLimitString(t *testing.T) {
	for want, l := range map[string]breakertest.Limit{
		"3 calls":       {Calls: 3},
		"5s":            {Time: 5 * time.Second},
		"3 calls or 5s": {Calls: 3, Time: 5 * time.Second},
	} {
		if l.String() != want {
			t.Errorf("%q, want %q", l.String(), want)
		}
	}
}

// Outside a bubble it takes the time that it describes.
func TestRealTime(t *testing.T) {
	r := breakertest.AssertOpens(t, breakertest.Scenario{Fault: breakertest.Dead(time.Millisecond), Every: time.Millisecond}, breakertest.Limit{Time: 10 * time.Second})
	if r.After < 5*time.Millisecond {
		t.Errorf("5 failures of a millisecond each took %s", r.After)
	}
}

func TestRecorder(t *testing.T) {
	var rec breakertest.Recorder
	b := breaker.New("db", breaker.Settings{FailMax: 2}, breaker.WithListener(rec.Listener()))
	ctx := context.Background()
	down := errors.New("down")
	_ = b.Do(ctx, func(context.Context) error { return nil })
	_ = b.Do(ctx, func(context.Context) error { return down })
	_ = b.Do(ctx, func(context.Context) error { return down })
	_ = b.Do(ctx, func(context.Context) error { return nil })
	b.ForceClosed(breaker.Order{Actor: "ana"})
	want := "before success before failure before failure open rejected forced"
	want = strings.NewReplacer("failure open", "failure closed>open", "forced", "open>forced-closed").Replace(want)
	if got := rec.String(); got != want {
		t.Errorf("recorded %q, want %q", got, want)
	}
	moves := rec.Events(breakertest.StateChange)
	if len(moves) != 2 || moves[0].Transition.Cause != breaker.CauseConsecutive || moves[0].Breaker != "db" || moves[0].At.IsZero() {
		t.Errorf("state changes %+v", moves)
	}
	if e := rec.Events(breakertest.Failure, breakertest.Rejected); len(e) != 3 || e[0].Err != down || !errors.Is(e[2].Err, breaker.ErrOpen) {
		t.Errorf("failures and rejections %+v", e)
	}
	if n := rec.Count(breakertest.BeforeCall); n != 3 {
		t.Errorf("%d calls began", n)
	}
	rec.Reset()
	if rec.String() != "" {
		t.Errorf("after Reset: %q", rec.String())
	}
}

func TestRecorderRecordsReminders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec breakertest.Recorder
		b := breaker.New("db", breaker.Settings{}, breaker.WithListener(rec.Listener()))
		b.ForceOpen(breaker.Order{Actor: "ana", For: time.Hour})
		time.Sleep(time.Hour)
		synctest.Wait()
		if got, want := rec.String(), "closed>forced-open reminder forced-open>closed"; got != want {
			t.Errorf("recorded %q, want %q", got, want)
		}
		if e := rec.Events(breakertest.Reminder); e[0].Override.Actor != "ana" {
			t.Errorf("reminder %+v", e)
		}
	})
}
