package breaker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

func TestRejectionSaysWhoWhyAndUntilWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{ResetTimeout: 30 * time.Second})
		failTimes(b, 5)
		time.Sleep(10 * time.Second)
		err := b.Do(bg, nop)
		if !errors.Is(err, ErrOpen) {
			t.Fatalf("error %v does not match ErrOpen", err)
		}
		var open *OpenError
		if !errors.As(err, &open) {
			t.Fatalf("error %v is not an *OpenError", err)
		}
		if open.Name != "db" || open.State != Open || open.RetryAfter() != 20*time.Second {
			t.Errorf("got %+v with RetryAfter %s, want db, open, 20s", open, open.RetryAfter())
		}
		if open.Transition == nil || open.Transition.Cause != CauseConsecutive || open.Transition.Fails != 5 {
			t.Errorf("cause is %+v, want five consecutive failures", open.Transition)
		}
		if want := "db: circuit breaker is open: 5 failures in a row; last error: connection refused"; err.Error() != want {
			t.Errorf("text is %q, want %q", err, want)
		}
		if again := b.Do(bg, nop); again != err {
			t.Error("two rejections of one open period are two values, want one shared")
		}
	})
}

func TestOpenErrorReplaced(t *testing.T) {
	errBusy := errors.New("try the queue")
	b := New("db", Settings{FailMax: 1}, WithOpenError(func(e *OpenError) error {
		return fmt.Errorf("%w: %w", errBusy, e)
	}))
	failTimes(b, 1)
	if err := b.Do(bg, nop); !errors.Is(err, errBusy) || !errors.Is(err, ErrOpen) {
		t.Errorf("got %v, want the replacement and what it wraps", err)
	}
	if _, err := b.Allow(); !errors.Is(err, errBusy) {
		t.Errorf("Allow returned %v, want the replacement", err)
	}
}

// The rejection gives the same reason.
func TestRejectionSaysWhy(t *testing.T) {
	b := New("db", Settings{FailMax: 2})
	play(b, "ff")
	_, err := b.Allow()
	if want := "db: circuit breaker is open: " + b.Status().Transition.Summary(); err == nil || err.Error() != want {
		t.Errorf("rejected with %v, want %s", err, want)
	}
}

// If a function of WithOpenError returns no error, or panics, a rejection does
// not become a success, and transitions still reach the listeners.
func TestOpenErrorOfNothing(t *testing.T) {
	for name, f := range map[string]func(*OpenError) error{
		"nil":    func(*OpenError) error { return nil },
		"panics": func(*OpenError) error { panic("boom") },
	} {
		for _, watched := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, watched %v", name, watched), func(t *testing.T) {
				received := 0
				l := Listener{StateChange: func(*Breaker, Transition) { received++ }}
				if watched {
					l.Success = func(*Breaker) {}
				}
				b := New("x", Settings{FailMax: 1}, WithErrorOnTrip(),
					WithOpenError(f), WithListener(l))
				if err := b.Do(t.Context(), broken); !errors.Is(err, errX) || !errors.Is(err, ErrOpen) {
					t.Errorf("the tripping call: %v, want %v and ErrOpen", err, errX)
				}
				if received != 1 {
					t.Errorf("listeners heard of %d transitions, want 1", received)
				}
				err := b.Do(t.Context(), func(context.Context) error { t.Error("it ran"); return nil })
				if !errors.Is(err, ErrOpen) {
					t.Errorf("a rejected call: %v, want ErrOpen", err)
				}
				if _, err := b.Allow(); !errors.Is(err, ErrOpen) {
					t.Errorf("Allow: %v, want ErrOpen", err)
				}
			})
		}
	}
}

// Each period has its own rejection: what a caller is shown is current,
// whatever earlier callers were shown.
func TestEachPeriodHasItsOwnRejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{FailMax: 1, ResetTimeout: time.Minute, Ramp: time.Hour})
		why := Order{For: 10 * time.Minute}
		for _, c := range []struct {
			name  string
			do    func()
			state State
			cause Cause
			order Verb
			after time.Duration
		}{
			{"tripped", func() { play(b, "f") }, Open, CauseConsecutive, "", time.Minute},
			{"forced open", func() { b.ForceOpen(why) }, ForcedOpen, CauseOrder, VerbForceOpen, 10 * time.Minute},
			{"released, the probe is out", func() { b.Release(Order{}); _, _ = b.Allow() }, HalfOpen, CauseOrder, VerbRelease, time.Minute},
			{"opened by order", func() { b.Open(why) }, Open, CauseOrder, VerbOpen, 10 * time.Minute},
			{"opened again", func() { b.Open(Order{}) }, Open, CauseOrder, VerbOpen, time.Minute},
			{"half-open, the probe is out", func() { b.HalfOpen(Order{}); _, _ = b.Allow() }, HalfOpen, CauseOrder, VerbHalfOpen, time.Minute},
			{"ramping", func() { b.HalfOpen(Order{}); play(b, "s") }, Closed, CauseProbesPassed, "", 0},
			{"forced open again", func() { b.ForceOpen(Order{}) }, ForcedOpen, CauseOrder, VerbForceOpen, 0},
		} {
			c.do()
			for range 2 {
				_, err := b.Allow()
				var e *OpenError
				if !errors.As(err, &e) {
					t.Fatalf("%s: rejected with %v", c.name, err)
				}
				if e.State != c.state || e.Transition == nil || e.Transition.Cause != c.cause || e.Transition.Order != c.order || e.RetryAfter() != c.after {
					t.Errorf("%s: %+v after %s, want %s, %s %s, %s", c.name, e, e.RetryAfter(), c.state, c.cause, c.order, c.after)
				}
			}
		}
	})
}

// A caller who was rejected before something happened is not shown it; the
// next one is.
func TestRejectionOfASuspect(t *testing.T) {
	_, bs := crew(t, 3)
	suspect := func() bool {
		_, err := bs[0].Allow()
		var e *OpenError
		return errors.As(err, &e) && e.Transition.SuspectLocal
	}
	play(bs[0], "f")
	if suspect() {
		t.Error("one of three is suspect")
	}
	play(bs[1], "f")
	play(bs[2], "f")
	if !suspect() {
		t.Error("all of three have opened, and the rejection does not tell")
	}
}

// From the second rejection on, neither the lock nor the clock is used.
func TestRejectionIsPrepared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{})
		b.Open(Order{})
		if b.fastRejection(b.load()) != nil {
			t.Error("an error is there before a call was turned away")
		}
		_, err := b.Allow()
		e := b.fastRejection(b.load())
		if e == nil || err != error(e) {
			t.Errorf("%p is prepared after %p", e, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if b.fastRejection(b.load()) != nil {
			t.Error("the open time is over, and the next call is still rejected")
		}
	})
}

// A call that was about to be rejected when the breaker closed says so, and
// does not mention a ramp if there is none.
func TestRejectionInTheMomentOfAClose(t *testing.T) {
	b := New("db", Settings{})
	b.Open(Order{})
	b.Close(Order{Actor: "ana"})
	want := "db: circuit breaker is open (closed again just now): closed by ana"
	if err := b.rejection(); !errors.Is(err, ErrOpen) || err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

// A panic while the error of a rejection is made is counted, too, and the
// caller learns that the call did not run.
func TestPanicInOpenErrorIsCounted(t *testing.T) {
	b := New("x", Settings{}, WithOpenError(func(*OpenError) error { panic("no error") }))
	b.Open(Order{})
	if err := b.Do(t.Context(), nop); !errors.Is(err, ErrOpen) {
		t.Errorf("rejected with %v, want ErrOpen", err)
	}
	if n := b.Status().Panics; n != 1 {
		t.Errorf("%d panics counted, want 1", n)
	}
}

// The timer of an open period ends with it, however long it was to run.
func TestOpenLeavesNoTimer(t *testing.T) {
	for name, end := range map[string]func(*Breaker){
		"closed":    func(b *Breaker) { b.Close(Order{}) },
		"half-open": func(b *Breaker) { b.HalfOpen(Order{}) },
	} {
		b := New("db", Settings{})
		b.Open(Order{For: 365 * 24 * time.Hour})
		play(b, "s") // the first call that is rejected sets the timer
		timer := b.cold.Load().dueTimer
		end(b)
		if timer.Stop() || b.cold.Load().dueTimer != nil {
			t.Errorf("%s: a timer is left", name)
		}
	}
}

// The rejection names the state, and when to try again if that is known.
func TestRejectionInEachState(t *testing.T) {
	for _, c := range []struct {
		prepare func(*Breaker)
		state   State
		text    string
		after   time.Duration
	}{
		{func(b *Breaker) { b.Open(Order{}) }, Open, "db: circuit breaker is open: opened by an unknown actor", time.Minute},
		{func(b *Breaker) { b.HalfOpen(Order{}); _, _ = b.Allow() }, HalfOpen, "db: circuit breaker is open (half-open, waiting for a probe): set half-open by an unknown actor", time.Minute},
		{func(b *Breaker) { b.ForceOpen(Order{Actor: "ana"}) }, ForcedOpen, "db: circuit breaker is open (forced): forced open by ana", 0},
		{func(b *Breaker) { b.ForceOpen(Order{Actor: "ana", For: time.Hour}) }, ForcedOpen, "db: circuit breaker is open (forced): forced open by ana", time.Hour},
		{func(b *Breaker) { b.HalfOpen(Order{}); play(b, "s") }, Closed, "db: circuit breaker is open (closed again, admitting calls gradually): the probe succeeded", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("db", Settings{Ramp: time.Hour})
			c.prepare(b)
			var open *OpenError
			if err := b.Do(t.Context(), nop); !errors.As(err, &open) {
				t.Fatalf("%s: %v", c.state, err)
			}
			if open.State != c.state || open.Error() != c.text || open.RetryAfter() != c.after {
				t.Errorf("%s: %s, after %s\nwant %s: %s, after %s", open.State, open, open.RetryAfter(), c.state, c.text, c.after)
			}
		})
	}
	if again := New("x", Settings{}).Do(context.Background(), nop); again != nil {
		t.Error(again)
	}
}

// A function of WithOpenError that returns nil does not make a success of a call
// that did not run.
func TestOpenErrorIsNeverNil(t *testing.T) {
	b := New("x", Settings{}, WithOpenError(func(*OpenError) error { return nil }))
	_ = b.Open(Order{})
	var open *OpenError
	if err := b.Do(bg, nop); !errors.As(err, &open) || open == nil || open.State != Open {
		t.Errorf("got %v, want the rejection itself", err)
	}
}

// An order may come between the decision to reject a call and its error. Behind
// forced-closed the error then names the state that is behind it.
func TestRejectionBehindForcedClosed(t *testing.T) {
	b := New("x", Settings{})
	_ = b.Open(Order{})
	_ = b.ForceClosed(Order{})
	if e := b.rejectionLocked(); e.State != Open {
		t.Errorf("rejected because it is %s, want open", e.State)
	}
}

// A timer that fires too early, because Peer.Hold has extended the open time,
// changes nothing.
func TestTimerOfAShorterOpenTime(t *testing.T) {
	b := New("x", Settings{})
	_ = b.Open(Order{For: time.Hour})
	before := b.load()
	b.due(genOf(before))
	if b.load() != before {
		t.Errorf("the word became %x, want %x", b.load(), before)
	}
}

// What a tape has counted but not written is written when it is asked for.
func TestFlushOfRejections(t *testing.T) {
	m := NewManager(Settings{})
	b := m.Breaker("b")
	w := watchTape(m)
	defer w.detach()
	_ = b.Open(Order{})
	play(b, "sss")
	for _, want := range []int{3, 0} {
		tape.Engine.Flush(b)
		n := 0
		calls, _ := w.tape.Read(w.read, nil)
		for _, c := range calls {
			n += c.What.Count()
		}
		if n != want {
			t.Errorf("%d rejected calls, want %d", n, want)
		}
	}
}
