package breaker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Traps of other circuit breakers: calls, orders and listeners, each with what
// was seen in that library. docs/traps.md has those that can be shown side by
// side.

// Resilience4j: an order for a misspelt name creates a breaker, forces it open
// and answers "successfully".
func TestTrap_OrderToAMisspeltName(t *testing.T) {
	var m Manager
	m.Breaker("payments")
	_, err := m.Apply("paymnets", Order{Verb: VerbForceOpen})
	var unknown *UnknownError
	if !errors.As(err, &unknown) || len(unknown.Near) != 1 || unknown.Near[0] != "payments" {
		t.Errorf("got %v", err)
	}
	if n := len(m.Status()); n != 1 {
		t.Errorf("%d breakers, want the 1 there was", n)
	}
}

// Resilience4j: a forced-open breaker reports no calls, so the state that rejects
// most is the quietest.
func TestTrap_ForcedOpenIsSilent(t *testing.T) {
	rejected := 0
	b := New("x", Settings{}, WithListener(Listener{Rejected: func(*Breaker, error) { rejected++ }}))
	b.ForceOpen(Order{})
	play(b, "sss")
	if rejected != 3 {
		t.Errorf("%d rejections were reported, want 3", rejected)
	}
}

// pybreaker: its lock is held during the call: calls run one by one, and an
// operator's open() waits for those that hang.
func TestTrap_LockAroundTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{})
		began := time.Now()
		for range 100 {
			go func() { _ = b.Do(t.Context(), func(context.Context) error { time.Sleep(time.Minute); return nil }) }()
		}
		synctest.Wait()
		b.Open(Order{Actor: "ana"})
		_ = b.Status()
		if d := time.Since(began); d != 0 {
			t.Errorf("the order waited %s", d)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if d := time.Since(began); d != time.Minute {
			t.Errorf("100 calls of a minute took %s", d)
		}
	})
}

// failsafe-go unlocks and locks its mutex around the listener, so that one
// that panics kills the process: "sync: unlock of unlocked mutex".
func TestTrap_PanickingListenerIsFatal(t *testing.T) {
	boom := func() { panic("listener bug") }
	b := New("x", Settings{FailMax: 1}, WithListener(Listener{
		BeforeCall:  func(context.Context, *Breaker) { boom() },
		Success:     func(*Breaker) { boom() },
		Failure:     func(*Breaker, error) { boom() },
		Rejected:    func(*Breaker, error) { boom() },
		StateChange: func(*Breaker, Transition) { boom() },
	}))
	play(b, "sff")
	is(t, b, Open)
	b.Close(Order{})
	play(b, "s")
	is(t, b, Closed)
	if n := b.Status().Panics; n != 9 {
		t.Errorf("%d panics on record, want 9", n)
	}
}

// gobreaker's store is a plain map: breakers of different names crash the
// process with "concurrent map read and map write".
func TestTrap_ManyNamesAtOnce(t *testing.T) {
	var m Manager
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				b := m.Breaker(fmt.Sprintf("b%d", (i+g)%50))
				play(b, "sf")
				_ = m.Status()
			}
		})
	}
	wg.Wait()
	if n := len(m.Status()); n != 50 {
		t.Errorf("%d breakers, want 50", n)
	}
}

// hystrix-go and rubyist run the function on another goroutine: its
// panic kills the process, and the caller's recover is useless.
func TestTrap_FunctionOnAForeignGoroutine(t *testing.T) {
	for _, s := range []Settings{{}, {SlowCall: time.Second}, {FailureRate: 0.5}} {
		b := New("x", s)
		got := func() (got any) {
			defer func() { got = recover() }()
			_ = b.Do(t.Context(), func(context.Context) error { panic("user bug") })
			return nil
		}()
		if got != "user bug" {
			t.Errorf("%v: recovered %v", s, got)
		}
	}
}

// In hystrix-go a Goexit blocks Do forever and loses its ticket.
func TestTrap_GoexitBlocksTheCaller(t *testing.T) {
	b := New("x", Settings{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = b.Do(t.Context(), func(context.Context) error { runtime.Goexit(); return nil })
	}()
	<-ended // or the test's own time limit
	if n := b.FailCount(); n != 1 {
		t.Errorf("%d failures, want 1", n)
	}
}

// autobreaker drops a result when the context ends beside it, which leaks
// a response's body.
func TestTrap_ResultDropped(t *testing.T) {
	b := New("x", Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	body, err := Do(ctx, b, func(context.Context) (io.Reader, error) {
		cancel()
		return io.LimitReader(nil, 0), nil
	})
	if body == nil || err != nil {
		t.Errorf("got %v, %v", body, err)
	}
}

// bytedance's collector of idle keys forgets open ones: "tripped
// allowed=false; after the window drains (CoolingTimeout=1h): allowed=true".
func TestTrap_IdleKeyForgottenWhileOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet[int]("s", Settings{FailMax: 1, ResetTimeout: time.Hour, FailureRate: 0.5}, SetOptions{MaxKeys: 10})
		_ = s.Do(t.Context(), -1, broken)
		for k := range 1000 {
			_ = s.Do(t.Context(), k, nop)
			s.Breaker(k)
			if k%100 == 0 {
				time.Sleep(time.Second)
			}
		}
		if err := s.Do(t.Context(), -1, nop); !errors.Is(err, ErrOpen) {
			t.Errorf("the open key was forgotten: %v", err)
		}
	})
}

// Reloading a rule closes sentinel's open breaker, even if only its retry time
// changed.
func TestTrap_NewSettingsClose(t *testing.T) {
	b := New("x", Settings{FailMax: 1, ResetTimeout: time.Minute})
	play(b, "f")
	for _, s := range []Settings{{FailMax: 1, ResetTimeout: time.Hour}, {FailMax: -1}, {FailureRate: 0.5}, {WindowCalls: 10, FailureRate: 1}} {
		if err := b.Update(s); err != nil {
			t.Fatal(err)
		}
		if err := b.Do(t.Context(), nop); !errors.Is(err, ErrOpen) {
			t.Errorf("after %v: %v", s, err)
		}
	}
}

// gobreaker and mercari call listeners under their mutex: one that asks
// for the state deadlocks, a slow one stops all callers.
func TestTrap_ListenerUnderTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slept := false
		b := New("x", Settings{FailMax: 1}, WithListener(Listener{StateChange: func(b *Breaker, tr Transition) {
			_, _, _, _ = b.State(), b.Status(), b.History(), b.Settings()
			_ = b.Update(Settings{FailMax: 2})
			_ = b.Do(context.Background(), nop)
			b.AddListener(Listener{})
			if tr.To == Open && !slept {
				slept = true
				time.Sleep(time.Hour)
				b.Close(Order{})
			}
		}}))
		go play(b, "f")
		synctest.Wait() // the listener sleeps
		began := time.Now()
		if err := b.Do(t.Context(), nop); !errors.Is(err, ErrOpen) {
			t.Errorf("another caller got %v", err)
		}
		if d := time.Since(began); d > 0 {
			t.Errorf("another caller waited %s for the listener", d)
		}
		time.Sleep(2 * time.Hour)
		is(t, b, Closed)
	})
}

// The metrics in failsafe-go's event are the old state's, read while others
// write to them: a data race. For the race detector.
func TestTrap_EventReadsLiveState(t *testing.T) {
	var seen atomic.Int64
	b := New("x", Settings{FailMax: 3, FailureRate: 0.5, WindowCalls: 20}, WithListener(Listener{StateChange: func(_ *Breaker, tr Transition) {
		for _, e := range tr.Errors {
			seen.Add(int64(e.Count + len(e.Error)))
		}
		seen.Add(int64(tr.Counts.Calls))
		tr.Errors = append(tr.Errors, ErrorSample{}) // and it is ours to change
	}}))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for range 200 {
				play(b, "sffff")
				for _, h := range b.History() {
					seen.Add(int64(len(h.Errors)))
				}
				if g == 0 {
					b.Close(Order{})
				}
			}
		})
	}
	wg.Wait()
	if seen.Load() == 0 {
		t.Error("nothing was seen")
	}
}

// In cep21 a partial update means zero for the rest ("changing only Timeout
// sets MaxConcurrentRequests=0: total outage"), and a zero Config never opens.
func TestTrap_ZeroFieldMeansZero(t *testing.T) {
	b := New("x", Settings{})
	play(b, "fffff")
	is(t, b, Open)
	b = New("x", Settings{FailMax: 3})
	if err := b.Update(Settings{ResetTimeout: time.Second}); err != nil {
		t.Fatal(err)
	}
	if got, want := b.Settings(), New("y", Settings{ResetTimeout: time.Second}).Settings(); got != want {
		t.Errorf("zero fields became %v, want the defaults %v", got, want)
	}
	b.HalfOpen(Order{})
	play(b, "s")
	is(t, b, Closed) // with Probes and SuccessThreshold of 0 it could not

	b = New("x", Settings{FailMax: 3, Probes: 7})
	patched := b.Settings()
	if err := json.Unmarshal([]byte(`{"reset_timeout": "1s"}`), &patched); err != nil {
		t.Fatal(err)
	}
	if err := b.Update(patched); err != nil || b.Settings().FailMax != 3 || b.Settings().Probes != 7 {
		t.Errorf("a patch of one field made %v, %v", b.Settings(), err)
	}
}

// mercari's Reset panics once its backoff has stopped. Orders are possible
// in every state, in any order.
func TestTrap_ResetPanics(t *testing.T) {
	orders := []func(*Breaker, Order) error{(*Breaker).Open, (*Breaker).Close, (*Breaker).HalfOpen, (*Breaker).ForceOpen, (*Breaker).ForceClosed, (*Breaker).Release}
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, ResetMax: 2 * time.Second, ResetBackoff: 10})
		for i := range orders {
			for j := range orders {
				for k := range orders {
					for _, n := range []int{i, j, k} {
						orders[n](b, Order{})
						play(b, "fs.")
					}
				}
			}
		}
		b.Close(Order{})
		play(b, "s")
		is(t, b, Closed)
	})
}

// mercari, goresilience and handy keep a goroutine for each breaker, dropped
// ones included: "500 dropped breakers: goroutines 6 -> 505".
func TestTrap_GoroutineForEachBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a bubble fails where goroutines stay
		before := runtime.NumGoroutine()
		m := NewManager(Settings{FailMax: 1, FailureRate: 0.5, SlowCall: time.Second, Ramp: time.Second})
		for i := range 500 {
			b := New("x", m.defaults)
			play(b, "sf")
			b.ForceOpen(Order{For: time.Hour})
			play(m.Breaker(fmt.Sprint(i)), "sf")
		}
		synctest.Wait()
		// The runtime's own that runs cleanups counts while it does, and so do timers
		// that other tests have left.
		if after := runtime.NumGoroutine(); after > before+50 {
			t.Errorf("goroutines: %d before, %d after 1000 breakers", before, after)
		}
	})
}

// rubyist's injected clock does not reach its window. In a bubble, all time
// is the bubble's: open time, window, lease, ramp, override, latency.
func TestTrap_ClockThatOnlyPartlyMoves(t *testing.T) {
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 2, FailureRate: 1, MinCalls: 2, SlowCall: time.Hour, SlowRate: 1, Window: 24 * time.Hour, ResetTimeout: 48 * time.Hour, Ramp: 24 * time.Hour})
		p, _ := b.Allow()
		time.Sleep(time.Hour)
		p.Done(nil)
		if got := b.Status().Window; got != (Counts{1, 0, 1, 1}) {
			t.Errorf("an hour's call: %+v", got)
		}
		time.Sleep(25 * time.Hour)
		if got := b.Status().Window; got != (Counts{}) {
			t.Errorf("after a day: %+v", got)
		}
		play(b, "ff")
		is(t, b, Open)
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		play(b, "s")
		is(t, b, Closed)
		time.Sleep(12 * time.Hour)
		if got := b.Status().Admitted; got != 0.5 {
			t.Errorf("half the ramp admits %v", got)
		}
		b.ForceOpen(Order{For: time.Hour})
		time.Sleep(time.Hour)
		synctest.Wait()
		is(t, b, Closed)
	})
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("that took %s of real time", d)
	}
}

// failsafehttp reads the whole body before it asks the breaker: "breaker
// OPEN, 64MiB streaming upload: 64 MiB read". Here, nothing of a rejected call
// is begun.
func TestTrap_WorkBeforeAsking(t *testing.T) {
	b := New("x", Settings{})
	b.Open(Order{})
	var m Manager
	keyed := SetOf[string](&m, "s")
	keyed.Breaker("k").Open(Order{})
	ran := 0
	fn := func(context.Context, int) (int, error) { ran++; return 0, nil }
	_, err1 := Wrap(b, fn)(t.Context(), 1)
	_, err2 := WrapKey(keyed, func(int) string { return "k" }, fn)(t.Context(), 1)
	if ran != 0 || !errors.Is(err1, ErrOpen) || !errors.Is(err2, ErrOpen) {
		t.Errorf("%d ran; %v, %v", ran, err1, err2)
	}
}
