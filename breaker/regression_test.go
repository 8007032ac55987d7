package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// An override that replaces another, and an order that replaces it by a state
// that rejects too, let no call through in between (I5).
func TestRegressionOverrideReplacedLetsNothingIn(t *testing.T) {
	for name, order := range map[string]func(*breaker.Breaker){
		"force open again": func(b *breaker.Breaker) { b.ForceOpen(breaker.Order{}) },
		"open":             func(b *breaker.Breaker) { b.Open(breaker.Order{}); b.ForceOpen(breaker.Order{}) },
	} {
		t.Run(name, func(t *testing.T) {
			b := breaker.New("x", breaker.Settings{})
			b.ForceOpen(breaker.Order{})
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

// A listener of calls that exits the goroutine does not keep the transition of
// that call from the listeners of transitions (I7).
func TestRegressionGoexitInCallListenerDelaysNoTransition(t *testing.T) {
	b := breaker.New("x", breaker.Settings{FailMax: 1})
	var heard []breaker.State
	b.AddListener(breaker.Listener{
		Failure:     func(*breaker.Breaker, error) { runtime.Goexit() },
		StateChange: func(_ *breaker.Breaker, t breaker.Transition) { heard = append(heard, t.To) },
	})
	onGoroutine(func() { _ = b.Do(t.Context(), proofFail) })
	if want := []breaker.State{breaker.Open}; !slices.Equal(heard, want) {
		t.Errorf("transitions heard: %s, want %s", heard, want)
	}
}

// A listener that exits the goroutine while it is told of one transition does
// not leave the next ones untold (I7).
func TestRegressionGoexitInStateChangeLeavesNoneUntold(t *testing.T) {
	b := breaker.New("x", breaker.Settings{})
	var heard []breaker.State
	b.AddListener(breaker.Listener{StateChange: func(b *breaker.Breaker, t breaker.Transition) {
		heard = append(heard, t.To)
		if t.To == breaker.Open {
			b.Close(breaker.Order{}) // queued behind this one
			runtime.Goexit()
		}
	}})
	onGoroutine(func() { b.Open(breaker.Order{}) })
	if want := []breaker.State{breaker.Open, breaker.Closed}; !slices.Equal(heard, want) {
		t.Errorf("transitions heard: %s, want %s", heard, want)
	}
}

// A call that outlives its forgotten breaker and trips the one made since
// tells the listeners (I7).
func TestRegressionTripOfSuccessorIsTold(t *testing.T) {
	s := breaker.NewSet[string]("s", breaker.Settings{FailMax: 1}, breaker.SetOptions{MaxKeys: 1})
	var heard []string
	s.AddListener(breaker.Listener{StateChange: func(b *breaker.Breaker, t breaker.Transition) {
		heard = append(heard, b.ID()+" "+t.To.String())
	}})
	p, err := s.Breaker("a").Allow()
	if err != nil {
		t.Fatal(err)
	}
	s.Breaker("b") // forgets a
	s.Breaker("a") // a new one
	p.Done(errProof)
	if got, want := fmt.Sprint(heard), "[s/a open]"; got != want {
		t.Errorf("transitions heard: %s, want %s", got, want)
	}
}

// Settling a call during the ramp is no call: it must not use up, or add to,
// what the ramp owes to calls.
func TestRegressionFailureInRampIsNotAnAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("x", breaker.Settings{FailMax: 1000, Ramp: 100 * time.Second})
		b.HalfOpen(breaker.Order{})
		if err := b.Do(t.Context(), proofOK); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		admitted := 0
		for range 100 {
			if errors.Is(b.Do(t.Context(), proofFail), errProof) {
				admitted++
			}
		}
		if admitted < 49 || admitted > 51 {
			t.Errorf("%d of 100 failing calls admitted at half of the ramp, want 50", admitted)
		}
	})
}

// Keys whose only evidence is in a window count towards the set's limits.
func TestRegressionWindowEvidenceIsBounded(t *testing.T) {
	s := breaker.NewSet[int]("s", breaker.Settings{FailMax: -1, FailureRate: 0.9, WindowCalls: 20},
		breaker.SetOptions{MaxKeys: 10, MaxEvidence: 50})
	for k := range 1000 {
		_ = s.Do(t.Context(), k, proofFail)
		_ = s.Do(t.Context(), k, proofOK)
	}
	if n := len(s.Status()); n > 61 { // 10 healthy, 50 with evidence, 1 for the others
		t.Errorf("the set holds %d breakers, want at most 61", n)
	}
}

// A classifier that exits the goroutine loses no failure and no permit.
func TestRegressionGoexitInClassifierOfDone(t *testing.T) {
	b := breaker.New("x", breaker.Settings{FailMax: 2}, breaker.WithClassifier(
		func(context.Context, error) breaker.Outcome { runtime.Goexit(); return breaker.Ignored }))
	p, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	onGoroutine(func() { p.Done(errProof) })
	if got := b.FailCount(); got != 1 {
		t.Errorf("FailCount = %d, want 1", got)
	}
}

// A panic in what OnSuspicion calls is not the caller's.
func TestRegressionPanicInOnSuspicion(t *testing.T) {
	var m breaker.Manager
	called := 0
	m.OnSuspicion(func(breaker.Suspicion) { called++; panic("boom") })
	for _, name := range []string{"a", "b", "c"} {
		if b := m.Breaker(name); b.Update(breaker.Settings{FailMax: 1}) != nil {
			t.Fatal("update")
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		if err := m.Breaker(name).Do(t.Context(), proofFail); !errors.Is(err, errProof) {
			t.Errorf("Do = %v, want %v", err, errProof)
		}
	}
	if called != 1 {
		t.Errorf("OnSuspicion's function was called %d times, want 1", called)
	}
}

// A probe that ends after its lease counts, so that a healthy dependency that
// takes longer than that can close the breaker: in one hour 719 calls succeeded,
// none failed, 2,881 were rejected, and it stayed half-open.
func TestRegressionLateProbeCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("x", breaker.Settings{ProbeTimeout: time.Second})
		b.HalfOpen(breaker.Order{})
		p, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		p.Done(nil)
		if got := b.State(); got != breaker.Closed {
			t.Errorf("state after a probe that succeeded past its lease: %s, want closed", got)
		}
	})
}

// A call of a forgotten breaker counts for the one made since while that is in
// its first stretch, whatever override is on it; and not at all when the call
// was of an earlier stretch of the forgotten one (I1, I11).
func TestRegressionCallOfForgottenBreaker(t *testing.T) {
	for _, c := range []struct {
		name         string
		before       func(*breaker.Breaker)
		after        func(*breaker.Breaker)
		wantFailures int
	}{
		{"override since", nil, func(b *breaker.Breaker) { b.ForceOpen(breaker.Order{}) }, 1},
		{"earlier stretch", func(b *breaker.Breaker) { b.Open(breaker.Order{}); b.Close(breaker.Order{}) }, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := breaker.NewSet[string]("s", breaker.Settings{}, breaker.SetOptions{MaxKeys: 1})
			p, err := s.Breaker("a").Allow()
			if err != nil {
				t.Fatal(err)
			}
			if c.before != nil {
				c.before(s.Breaker("a"))
			}
			s.Breaker("z") // forgets a
			if b := s.Breaker("a"); c.after != nil {
				c.after(b)
			}
			p.Done(errProof)
			if got := s.Breaker("a").FailCount(); got != c.wantFailures {
				t.Errorf("FailCount = %d, want %d", got, c.wantFailures)
			}
		})
	}
}

// A forgotten breaker that somebody holds comes back with the settings and the
// listeners that its set has been given meanwhile.
func TestRegressionForgottenBreakerComesBackUpToDate(t *testing.T) {
	s := breaker.NewSet[string]("s", breaker.Settings{FailMax: -1}, breaker.SetOptions{MaxKeys: 1})
	held := s.Breaker("a")
	s.Breaker("z") // forgets a
	if err := s.Update(breaker.Settings{FailMax: -1, FailureRate: 0.5, WindowCalls: 4, MinCalls: 2}); err != nil {
		t.Fatal(err)
	}
	heard := 0
	s.AddListener(breaker.Listener{Failure: func(*breaker.Breaker, error) { heard++ }})
	for range 2 {
		_ = held.Do(t.Context(), proofFail)
	}
	if got := held.State(); got != breaker.Open {
		t.Errorf("state after 2 of 2 calls failed: %s, want open by the rate that the set was given", got)
	}
	if heard != 2 {
		t.Errorf("the set's listener heard of %d failures, want 2", heard)
	}
}

// A call that trips a rule of the program's own behind forced-closed gets its
// own error, as with the other rules: nobody is rejected.
func TestRegressionErrorOnTripBehindOverride(t *testing.T) {
	for name, b := range map[string]*breaker.Breaker{
		"setting": breaker.New("x", breaker.Settings{FailMax: 1}, breaker.WithErrorOnTrip()),
		"own rule": breaker.New("x", breaker.Settings{FailMax: -1}, breaker.WithErrorOnTrip(),
			breaker.WithRule("all", func(breaker.Counts) bool { return true })),
	} {
		b.ForceClosed(breaker.Order{})
		if err := b.Do(t.Context(), proofFail); err != errProof {
			t.Errorf("%s: Do = %v, want %v alone", name, err, errProof)
		}
		if got := b.Status().Auto; got != breaker.Open {
			t.Errorf("%s: automatic state %s, want open", name, got)
		}
	}
}

// A breaker that is forgotten while a rule of the program's own looks at it
// opens where its set finds it.
func TestRegressionForgottenDuringOwnRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *breaker.Set[string]
		settings := breaker.Settings{FailMax: -1, SlowCall: time.Millisecond, Window: 10 * time.Millisecond}
		s = breaker.NewSet[string]("s", settings, breaker.SetOptions{MaxKeys: 1},
			breaker.WithRule("slow", func(breaker.Counts) bool {
				time.Sleep(time.Second) // the slow call leaves the window
				s.Breaker("z")          // and the key has no evidence
				return true
			}))
		_ = s.Do(t.Context(), "a", func(context.Context) error { time.Sleep(time.Millisecond); return nil })
		if got := s.Breaker("a").State(); got != breaker.Open {
			t.Errorf("a is %s, want open: its rule said so", got)
		}
	})
}

// A function of WithOpenError that has no error to give, or panics, makes no
// success of a rejection, and keeps no transition from the listeners.
func TestRegressionOpenErrorOfNothing(t *testing.T) {
	for name, f := range map[string]func(*breaker.OpenError) error{
		"nil":    func(*breaker.OpenError) error { return nil },
		"panics": func(*breaker.OpenError) error { panic("boom") },
	} {
		for _, watched := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, watched %v", name, watched), func(t *testing.T) {
				told := 0
				l := breaker.Listener{StateChange: func(*breaker.Breaker, breaker.Transition) { told++ }}
				if watched {
					l.Success = func(*breaker.Breaker) {}
				}
				b := breaker.New("x", breaker.Settings{FailMax: 1}, breaker.WithErrorOnTrip(),
					breaker.WithOpenError(f), breaker.WithListener(l))
				if err := b.Do(t.Context(), proofFail); !errors.Is(err, errProof) || !errors.Is(err, breaker.ErrOpen) {
					t.Errorf("the tripping call: %v, want %v and ErrOpen", err, errProof)
				}
				if told != 1 {
					t.Errorf("listeners heard of %d transitions, want 1", told)
				}
				err := b.Do(t.Context(), func(context.Context) error { t.Error("it ran"); return nil })
				if !errors.Is(err, breaker.ErrOpen) {
					t.Errorf("a rejected call: %v, want ErrOpen", err)
				}
				if _, err := b.Allow(); !errors.Is(err, breaker.ErrOpen) {
					t.Errorf("Allow: %v, want ErrOpen", err)
				}
			})
		}
	}
}

// A listener that exits the goroutine when it hears of half-open does not take
// the probe's place with it (I2).
func TestRegressionGoexitAtHalfOpenReturnsThePermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("x", breaker.Settings{FailMax: 1, ResetTimeout: time.Second, ProbeTimeout: time.Hour},
			breaker.WithListener(breaker.Listener{StateChange: func(_ *breaker.Breaker, x breaker.Transition) {
				if x.To == breaker.HalfOpen {
					runtime.Goexit()
				}
			}}))
		_ = b.Do(t.Context(), proofFail)
		time.Sleep(time.Second)
		synctest.Wait()
		go func() {
			_, err := b.Allow()
			t.Errorf("Allow returned (%v), want its goroutine to be gone", err)
		}()
		synctest.Wait()
		if n := b.Status().ProbesOut; n != 0 {
			t.Errorf("%d probes are out, want none", n)
		}
	})
}

// What goes on behind an override does not wash its order out of the status.
func TestRegressionWhyOutlastsShadows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, opts := range map[string][]breaker.Option{"history": nil, "no history": {breaker.WithoutHistory()}} {
			b := breaker.New("x", breaker.Settings{FailMax: 1, ResetTimeout: time.Second}, opts...)
			b.ForceClosed(breaker.Order{Actor: "ann"})
			for range 20 { // opens and probes, each time
				_ = b.Do(t.Context(), proofFail)
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if why := b.Status().Transition; why == nil || why.Actor != "ann" {
				t.Errorf("%s: Why = %+v, want ann's order", name, why)
			}
		}
	})
}

// panicky is a handler of a logger that is broken.
type panicky struct{ slog.Handler }

func (panicky) Handle(context.Context, slog.Record) error { panic("boom") }

// A logger that panics is not the caller's, whatever there is to log.
func TestRegressionPanicInLogger(t *testing.T) {
	logger := slog.New(panicky{slog.NewTextHandler(io.Discard, nil)})
	s := breaker.NewSet[int]("n", breaker.Settings{FailMax: 1}, breaker.SetOptions{MaxEvidence: 1}, breaker.WithLogger(logger))
	for i := range 3 { // a transition, and the overflow
		if err := s.Do(t.Context(), i, proofFail); i < 2 && !errors.Is(err, errProof) {
			t.Errorf("Do = %v, want %v", err, errProof)
		}
	}
	if st := s.Status(); st[0].Panics < 2 {
		t.Errorf("%d panics are counted, want those of a transition and of the overflow", st[0].Panics)
	}
}

// exiting is a handler that exits the goroutine, as t.FailNow does.
type exiting struct{ slog.Handler }

func (exiting) Handle(context.Context, slog.Record) error { runtime.Goexit(); return nil }

// A logger that exits the goroutine keeps no transition from the listeners (I7).
func TestRegressionGoexitInLoggerLeavesNoneUntold(t *testing.T) {
	told := 0
	b := breaker.New("x", breaker.Settings{FailMax: 1},
		breaker.WithLogger(slog.New(exiting{slog.NewTextHandler(io.Discard, nil)})),
		breaker.WithListener(breaker.Listener{StateChange: func(*breaker.Breaker, breaker.Transition) { told++ }}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Do(context.Background(), proofFail)
	}()
	<-done
	if told != 1 {
		t.Errorf("the listener heard of %d transitions, want 1", told)
	}
}
