package breaker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// log records what listeners of transitions and reminders receive.
func logOf(b *Breaker) *[]string {
	var heard []string
	b.AddListener(Listener{
		StateChange: func(_ *Breaker, t Transition) {
			shadow := ""
			if t.Shadow {
				shadow = "shadow "
			}
			heard = append(heard, fmt.Sprintf("%s%s>%s %s", shadow, t.From, t.To, t.Cause))
		},
		Reminder: func(_ *Breaker, o Override) {
			heard = append(heard, fmt.Sprintf("reminder %s by %s (%s), %s left", o.State, o.Actor, o.Reason, time.Until(o.Expires)))
		},
	})
	return &heard
}

func wantLog(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("heard:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// An override is limited in time: it says who, why and until when, reminds at
// half its time, and expires on time, through half-open if the automatic state
// is not closed.
func TestOverrideIsALease(t *testing.T) {
	why := Order{Actor: "ana", Reason: "INC-42", For: time.Hour}
	for _, c := range []struct {
		name    string
		prepare func(*Breaker)
		force   func(*Breaker, Order) error
		forced  State
		auto    State
		after   State
	}{
		{"open over closed", func(*Breaker) {}, (*Breaker).ForceOpen, ForcedOpen, Closed, Closed},
		{"open over open", func(b *Breaker) { b.Open(Order{For: 24 * time.Hour}) }, (*Breaker).ForceOpen, ForcedOpen, Open, HalfOpen},
		{"open over half-open", func(b *Breaker) { b.HalfOpen(Order{}) }, (*Breaker).ForceOpen, ForcedOpen, HalfOpen, HalfOpen},
		{"closed over closed", func(*Breaker) {}, (*Breaker).ForceClosed, ForcedClosed, Closed, Closed},
		{"closed over open", func(b *Breaker) { b.Open(Order{For: 24 * time.Hour}) }, (*Breaker).ForceClosed, ForcedClosed, Open, HalfOpen},
		{"closed over half-open", func(b *Breaker) { b.HalfOpen(Order{}) }, (*Breaker).ForceClosed, ForcedClosed, HalfOpen, HalfOpen},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("x", Settings{})
				c.prepare(b)
				heard := logOf(b)
				began := time.Now()
				c.force(b, why)
				s := b.Status()
				want := Override{State: c.forced, Actor: "ana", Reason: "INC-42", Since: began, Expires: began.Add(time.Hour)}
				if s.State != c.forced || s.Auto != c.auto || s.Override == nil || *s.Override != want {
					t.Fatalf("status %+v, override %+v", s, s.Override)
				}
				time.Sleep(time.Hour - time.Nanosecond)
				synctest.Wait()
				is(t, b, c.forced)
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				is(t, b, c.after)
				if s := b.Status(); s.Override != nil || !s.Since.Equal(began.Add(time.Hour)) {
					t.Errorf("after its end: %+v", s)
				}
				wantLog(t, *heard,
					fmt.Sprintf("%s>%s order", c.auto, c.forced),
					fmt.Sprintf("reminder %s by ana (INC-42), 30m0s left", c.forced),
					fmt.Sprintf("%s>%s override-expired", c.forced, c.after))
			})
		})
	}
}

// An override that is released, replaced or lifted by another order neither
// reminds nor expires later.
func TestOverrideEndsOnce(t *testing.T) {
	hour := Order{For: time.Hour}
	for name, c := range map[string]struct {
		order func(*Breaker)
		want  State
	}{
		"release":      {func(b *Breaker) { b.Release(Order{}) }, Closed},
		"close":        {func(b *Breaker) { b.Close(Order{}) }, Closed},
		"open":         {func(b *Breaker) { b.Open(Order{For: 24 * time.Hour}) }, Open},
		"half-open":    {func(b *Breaker) { b.HalfOpen(Order{}) }, HalfOpen},
		"force closed": {func(b *Breaker) { b.ForceClosed(Order{}) }, ForcedClosed},
		"force open":   {func(b *Breaker) { b.ForceOpen(Order{}) }, ForcedOpen},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("x", Settings{})
				b.ForceOpen(hour)
				time.Sleep(20 * time.Minute)
				c.order(b)
				is(t, b, c.want)
				heard := logOf(b)
				time.Sleep(3 * time.Hour)
				synctest.Wait()
				is(t, b, c.want)
				wantLog(t, *heard)
			})
		})
	}
}

// An override can be renewed: the new time counts from now.
func TestOverrideRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{})
		b.ForceOpen(Order{For: time.Hour, Actor: "ana"})
		time.Sleep(50 * time.Minute)
		heard := logOf(b)
		b.ForceOpen(Order{For: time.Hour, Actor: "bob"})
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		is(t, b, ForcedOpen)
		time.Sleep(time.Minute)
		synctest.Wait()
		is(t, b, Closed)
		wantLog(t, *heard, "forced-open>forced-open order", "reminder forced-open by bob (), 30m0s left", "forced-open>closed override-expired")
	})
}

// Without an end it stays, and there is no reminder.
func TestOverrideWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{})
		heard := logOf(b)
		b.ForceOpen(Order{})
		time.Sleep(1000 * time.Hour)
		synctest.Wait()
		is(t, b, ForcedOpen)
		if o := b.Status().Override; !o.Expires.IsZero() {
			t.Errorf("it expires at %s", o.Expires)
		}
		wantLog(t, *heard, "closed>forced-open order")
	})
}

// Releasing a breaker without an override changes nothing and records nothing.
func TestReleaseOfNothing(t *testing.T) {
	for _, prepare := range []func(*Breaker){
		func(*Breaker) {},
		func(b *Breaker) { b.Open(Order{}) },
		func(b *Breaker) { b.ForceOpen(Order{}); b.Release(Order{}) },
	} {
		b := New("x", Settings{})
		prepare(b)
		before := b.Status()
		b.Release(Order{Actor: "ana"})
		if after := b.Status(); after.Version != before.Version || after.State != before.State || len(b.History()) != int(before.Version)-1 {
			t.Errorf("before %+v, after %+v", before, after)
		}
	}
}

// Behind forced-closed the automatic layer continues: it opens, waits, probes
// and closes, every call runs, and each of its transitions is recorded as a
// shadow.
func TestShadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 2, ResetTimeout: 10 * time.Second})
		heard := logOf(b)
		b.ForceClosed(Order{Actor: "ana"})
		since := b.Status().Since
		ran := 0
		call := func(err error) {
			if got := b.Do(t.Context(), func(context.Context) error { ran++; return err }); !errors.Is(got, err) {
				t.Fatalf("a call got %v, want %v", got, err)
			}
		}
		call(errX)
		call(errX)
		s := b.Status()
		if s.State != ForcedClosed || s.Auto != Open || s.UntilHalfOpen != 10*time.Second || s.Admitted != 1 {
			t.Errorf("after two failures: %+v", s)
		}
		if s.Transition == nil || s.Transition.Cause != CauseOrder || !s.Since.Equal(since) {
			t.Errorf("why the effective state began: %+v since %s", s.Transition, s.Since)
		}
		time.Sleep(9 * time.Second)
		call(nil) // not a probe: it runs, and is not evidence
		if s := b.Status(); s.Auto != Open {
			t.Errorf("a call behind the override moved it to %s before the open time was over", s.Auto)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		call(nil)
		call(errX)
		if s := b.Status(); s.Auto != Closed || s.FailCount != 1 {
			t.Errorf("after a good probe and a failure: %+v", s)
		}
		if ran != 5 {
			t.Errorf("%d calls ran, want 5", ran)
		}
		b.Release(Order{})
		is(t, b, Closed)
		if n := b.FailCount(); n != 1 {
			t.Errorf("%d failures after the release, want the 1 there was", n)
		}
		wantLog(t, *heard, "closed>forced-closed order",
			"shadow closed>open consecutive-failures", "shadow open>half-open open-time-elapsed",
			"shadow half-open>closed probes-passed", "forced-closed>closed order")
	})
}

// Behind forced-open, calls in flight still count for the automatic layer, and
// callers are shown the order, not the shadow transition.
func TestForcedOpenIsTheRejectionsCause(t *testing.T) {
	b := New("x", Settings{FailMax: 2})
	p, _ := b.Allow()
	q, _ := b.Allow()
	b.ForceOpen(Order{Actor: "ana", Reason: "INC-42"})
	p.Done(errX)
	q.Done(errX)
	if s := b.Status(); s.State != ForcedOpen || s.Auto != Open || s.Transition.Cause != CauseOrder {
		t.Fatalf("status %+v", s)
	}
	var open *OpenError
	err := b.Do(t.Context(), nop)
	if !errors.As(err, &open) || open.State != ForcedOpen || open.Transition.Cause != CauseOrder {
		t.Errorf("rejected with %v, cause %+v", err, open.Transition)
	}
	if got, want := err.Error(), `x: circuit breaker is open (forced): forced open by ana ("INC-42")`; got != want {
		t.Errorf("rejected with %q, want %q", got, want)
	}
	b.Release(Order{})
	is(t, b, HalfOpen)
}

// I5: automation never changes an override, whatever happens behind it.
func TestAutomationLeavesOverridesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, state := range []State{ForcedOpen, ForcedClosed} {
			b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, Ramp: time.Minute})
			var permits []Permit
			for range 10 {
				p, _ := b.Allow()
				permits = append(permits, p)
			}
			if state == ForcedOpen {
				b.ForceOpen(Order{})
			} else {
				b.ForceClosed(Order{})
			}
			for i := range permits {
				permits[i].Done(errX)
				time.Sleep(time.Second)
				play(b, "sfsf")
				is(t, b, state)
			}
		}
	})
}

// While an override replaces another, or an order replaces it by a state that
// also rejects, no call is admitted in between (I5).
func TestReplacedOverrideAdmitsNothing(t *testing.T) {
	for name, order := range map[string]func(*Breaker){
		"force open again": func(b *Breaker) { b.ForceOpen(Order{}) },
		"open":             func(b *Breaker) { b.Open(Order{}); b.ForceOpen(Order{}) },
	} {
		t.Run(name, func(t *testing.T) {
			b := New("x", Settings{})
			b.ForceOpen(Order{})
			var admitted, stop atomic.Int64
			done := make(chan struct{})
			go func() {
				defer close(done)
				for stop.Load() == 0 {
					if _, err := b.Allow(); err == nil {
						admitted.Add(1)
					}
				}
			}()
			for range 20_000 {
				order(b)
			}
			stop.Store(1)
			<-done
			if n := admitted.Load(); n > 0 {
				t.Errorf("%d calls got in, want none: it rejected before and after each order", n)
			}
		})
	}
}

// An override that is replaced or lifted leaves no timer behind, however far
// away its end was, and there is no reminder even if the timer has just fired.
func TestOverrideLeavesNoTimer(t *testing.T) {
	year := Order{For: 365 * 24 * time.Hour}
	for name, end := range map[string]func(*Breaker){
		"replaced": func(b *Breaker) { b.ForceClosed(year) },
		"released": func(b *Breaker) { b.Release(Order{}) },
		"lifted":   func(b *Breaker) { b.Close(Order{}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reminded := 0
				b := New("db", Settings{}, WithListener(Listener{Reminder: func(*Breaker, Override) { reminded++ }}))
				b.ForceOpen(year)
				o := b.cold.Load().override
				halfway, deadline := o.halfway, o.deadline
				end(b)
				if halfway.Stop() || deadline.Stop() || o.halfway != nil || o.deadline != nil {
					t.Error("a timer is left")
				}
				state := b.State()
				b.remind(o)
				b.expire(o)
				if reminded != 0 || b.State() != state {
					t.Errorf("%d reminders and %s, want none and %s", reminded, b.State(), state)
				}
			})
		})
	}
}

// The record of an override that has expired says which order had set it. What was
// counted before it stays on view.
func TestRecordOfAnExpiredOverride(t *testing.T) {
	for verb, order := range map[Verb]func(*Breaker, Order) error{VerbForceOpen: (*Breaker).ForceOpen, VerbForceClosed: (*Breaker).ForceClosed} {
		synctest.Test(t, func(t *testing.T) {
			b := New("x", Settings{FailMax: 3})
			play(b, "fff")
			_ = order(b, Order{Actor: "ana", Reason: "drill", For: time.Second})
			wait(time.Second)
			if got := b.Status().Transition; got.Cause != CauseExpired || got.Order != verb || got.Actor != "ana" || got.Reason != "drill" || got.To != HalfOpen {
				t.Errorf("the record is %+v", got)
			}
			if got := b.FailCount(); got != 3 {
				t.Errorf("%d failures on view, want 3", got)
			}
		})
	}
}
