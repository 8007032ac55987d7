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

// The traps that were found, by running them, in other circuit breakers for
// Go. Each test says whose it was, with its number in our survey's list of 27,
// and fails if we have it.
//
// Those of the list that cannot apply to this package, in whole or in part:
//
//   - 2 (gobreaker's Redis store, an unlocked map): breakers share no store
//     here. What they share, a manager, is tested in its place.
//   - 11, 12, 27 (resty, failsafehttp: which HTTP answers count, a body read
//     before the breaker is asked): a guarded call is an opaque function here,
//     and is not begun by a breaker that rejects. The rest is tested in
//     adapters/breakerhttp; what the core decides of it here.
//   - gobreaker's distributed breaker, listed after the 27: this package knows
//     one process, and has no store to lock around a call.

// 1: failsafe-go unlocks and locks its mutex around the listener, so that one
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

// 2: gobreaker's store is a plain map: breakers of different names crash the
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

// 3: hystrix-go and rubyist run the function on a goroutine of their own: its
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

// 4: gobreaker stays half-open for ever after one Goexit, or one hung probe:
// "12x Timeout later: state=half-open err=too many requests".
func TestTrap_GoexitWedgesHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second})
		play(b, "f.")
		elsewhere(func() { _ = b.Do(t.Context(), func(context.Context) error { runtime.Goexit(); return nil }) })
		time.Sleep(12 * time.Second)
		synctest.Wait()
		play(b, "s")
		is(t, b, Closed)
	})
}

func TestTrap_HungProbeWedgesHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, ProbeTimeout: 10 * time.Second})
		hang := make(chan struct{})
		play(b, "f.")
		go func() { _ = b.Do(t.Context(), func(context.Context) error { <-hang; return nil }) }()
		time.Sleep(15 * time.Second)
		synctest.Wait()
		play(b, "s")
		is(t, b, Closed)
		close(hang)
		synctest.Wait()
		is(t, b, Closed)
	})
}

// 5, 6: in failsafe-go, resile, go-redis and sentinel a probe that panics, or
// an entry that is never exited, holds its place for good.
func TestTrap_PanickingProbeWedgesHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, Probes: 3, SuccessThreshold: 3})
		play(b, "f.")
		for range 50 { // more than there are places
			func() {
				defer func() { _ = recover() }()
				_ = b.Do(t.Context(), func(context.Context) error { panic("bug") })
			}()
			play(b, ".")
		}
		play(b, "sss")
		is(t, b, Closed)
	})
}

func TestTrap_EntryNeverExited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, Probes: 2, ProbeTimeout: time.Second})
		play(b, "f.")
		_, _ = b.Allow()
		_, _ = b.Allow()
		if _, err := b.Allow(); !errors.Is(err, ErrOpen) {
			t.Fatalf("a third probe: %v", err)
		}
		play(b, ".s")
		is(t, b, Closed)
	})
}

// 5, 16: failsafe-go, cep21, mercari, goresilience and rubyist do not count a
// panic: "100 panics with threshold 1: state=closed failures=0".
func TestTrap_PanicsAreNotCounted(t *testing.T) {
	for name, end := range map[string]func(){
		"panic":     func() { panic("bug") },
		"nil panic": func() { panic(nil) },
		"Goexit":    runtime.Goexit,
	} {
		b := New("x", Settings{FailMax: 5})
		ran := 0
		for range 100 {
			elsewhere(func() {
				defer func() { _ = recover() }()
				_ = b.Do(t.Context(), func(context.Context) error { ran++; end(); return nil })
			})
		}
		if ran != 5 || b.State() != Open {
			t.Errorf("%s: %d calls ran, %s", name, ran, b.State())
		}
	}
}

// 7: in hystrix-go a Goexit blocks Do for ever and loses its ticket.
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

// 8: hoglet's rejections take a place and do not give it back: ten of them,
// and a recovered breaker admits nothing. Its Goexit counts as a success.
func TestTrap_RejectionsUseUpPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, Probes: 5, SuccessThreshold: 5})
		play(b, "f")
		for range 100 {
			_, _ = b.Allow()
		}
		play(b, ".")
		var permits []Permit
		for range 20 {
			if p, err := b.Allow(); err == nil {
				permits = append(permits, p)
			}
		}
		if len(permits) != 5 {
			t.Fatalf("%d probes admitted, want 5", len(permits))
		}
		for i := range permits {
			permits[i].Done(nil)
		}
		is(t, b, Closed)
	})
}

func TestTrap_GoexitProbeCloses(t *testing.T) {
	b := New("x", Settings{})
	b.HalfOpen(Order{})
	elsewhere(func() { _ = b.Do(t.Context(), func(context.Context) error { runtime.Goexit(); return nil }) })
	is(t, b, Open)
}

// 9: gobreaker's README ratio, over counts that are never cleared: "after
// 100000 successes it took 150000 consecutive failures to open". The same
// counters wrap after 2^32 calls.
func TestTrap_RatioDrownsInHistory(t *testing.T) {
	for _, s := range []Settings{
		{FailMax: -1, FailureRate: 0.6},
		{FailMax: -1, FailureRate: 0.6, WindowCalls: 100},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("x", s)
			for range 100_000 {
				_ = b.Do(t.Context(), nop)
				if b.FailCount() > 0 {
					t.Fatal("not healthy")
				}
			}
			time.Sleep(11 * time.Second)
			synctest.Wait()
			ran := 0
			for range 1000 {
				_ = b.Do(t.Context(), func(context.Context) error { ran++; return errX })
			}
			if ran > 100 {
				t.Errorf("%v: it took %d failures to open", s, ran)
			}
		})
	}
}

func TestTrap_CountersWrap(t *testing.T) {
	b := New("x", Settings{FailMax: -1, SlowCall: time.Hour, WindowCalls: 10})
	b.win.Load().last.pos.Store(1<<32 - 5)
	b.win.Load().last.cleanAt.Store(1 << 33)
	play(b, "sssfsssfsss")
	if got := b.Status().Window; got != (Counts{10, 2, 0, 2}) {
		t.Errorf("past 2^32 calls the window holds %+v", got)
	}
	play(New("x", Settings{FailMax: -1}), "f") // and failures in a row stay within their bits:
	a := auto{units: maxFailCount}
	if to, _ := next(a, New("x", Settings{FailMax: -1}).settings(), &event{kind: evFailure}); to.units != maxFailCount {
		t.Errorf("%d failures in a row and one more are %d", maxFailCount, to.units)
	}
}

// 10: gobreaker's interval clears the failures in a row with the window: "40
// consecutive failures at 15ms with Interval=50ms: closed".
func TestTrap_ConsecutiveFailuresDecay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 40, FailureRate: 1, Window: 50 * time.Millisecond, MinCalls: 1000})
		for range 40 {
			is(t, b, Closed)
			play(b, "f")
			time.Sleep(15 * time.Millisecond)
		}
		is(t, b, Open)
	})
}

// 10: its Requests include calls in flight: "100 hung + 90 failed of 90
// finished at a 50 % policy: closed".
func TestTrap_CallsInFlightDilute(t *testing.T) {
	for _, s := range []Settings{
		{FailMax: -1, FailureRate: 0.5, MinCalls: 90},
		{FailMax: -1, FailureRate: 0.5, MinCalls: 90, WindowCalls: 1000},
	} {
		b := New("x", s)
		for range 100 {
			if _, err := b.Allow(); err != nil {
				t.Fatal(err)
			}
		}
		for range 90 {
			is(t, b, Closed)
			play(b, "f")
		}
		is(t, b, Open)
	}
}

// 11: resty counts transport errors in half-open only: "50 connection-refused
// errors with threshold 3: open=false". A server that is down never opens it.
func TestTrap_ServerDownNeverOpens(t *testing.T) {
	b := New("x", Settings{FailMax: 3})
	ran := 0
	for range 50 {
		_ = b.Do(t.Context(), func(context.Context) error { ran++; return &netError{} })
	}
	if ran != 3 {
		t.Errorf("%d calls ran, want 3", ran)
	}
}

type netError struct{}

func (*netError) Error() string   { return "dial tcp 127.0.0.1:1: connection refused" }
func (*netError) Temporary() bool { return true }

// 12: failsafehttp opens on "3 user-cancelled requests to a healthy server",
// whether told as context.Canceled or as the cause.
func TestTrap_CallersCancelOpens(t *testing.T) {
	left := errors.New("the user left")
	b := New("x", Settings{FailMax: 1, FailureRate: 0.1, MinCalls: 1})
	for range 10 {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(left)
		_ = b.Do(ctx, func(ctx context.Context) error { return ctx.Err() })
		_ = b.Do(ctx, func(ctx context.Context) error { return fmt.Errorf("get: %w", context.Cause(ctx)) })
	}
	is(t, b, Closed)
	if s := b.Status(); s.FailCount != 0 || s.Window != (Counts{}) {
		t.Errorf("counted: %+v", s)
	}
	// But a cancel of the dependency's own making, on a context that lives, is
	// its failure.
	_ = b.Do(t.Context(), func(context.Context) error { return context.Canceled })
	is(t, b, Open)
}

// 13: autobreaker and cep21 overlook the caller's deadline: "200/200 calls time
// out via ctx deadline -> closed".
func TestTrap_DeadlinesNeverOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 5})
		ran := 0
		for range 200 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_ = b.Do(ctx, func(ctx context.Context) error { ran++; <-ctx.Done(); return ctx.Err() })
			cancel()
		}
		if ran != 5 {
			t.Errorf("%d calls ran, want 5", ran)
		}
	})
}

// 13: autobreaker drops a result when the context ends beside it, which leaks
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

// 14: rubyist compares with ==: "ConsecutiveBreaker(2): 3 of 20000 rounds of 4
// concurrent failures never trip".
func TestTrap_LimitJumpedOver(t *testing.T) {
	rounds := 5000
	if testing.Short() {
		rounds = 500
	}
	b := New("x", Settings{FailMax: 2})
	for range rounds {
		var wg sync.WaitGroup
		for range 4 {
			p, _ := b.Allow()
			wg.Go(func() { p.Done(errX) })
		}
		wg.Wait()
		is(t, b, Open)
		b.Close(Order{})
	}
	a, d := next(auto{units: 10}, New("x", Settings{FailMax: 2}).settings(), &event{kind: evFailure})
	if !d.moved || a.state != Open {
		t.Error("a limit that has been passed is not met")
	}
}

// 15: bytedance's collector of idle keys forgets open ones: "tripped
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

// 17: results of calls from before: in failsafe-go they free permits and close
// ("permits 5 -> 9 in flight"), in hystrix-go a late success closes within the
// sleep window, in autobreaker a failure of the last half-open opens the next.
func TestTrap_StaleResults(t *testing.T) {
	s := Settings{FailMax: 1, Probes: 5, SuccessThreshold: 5, ResetTimeout: time.Minute}
	synctest.Test(t, func(t *testing.T) {
		b := New("x", s)
		var old []Permit
		for range 10 {
			p, _ := b.Allow()
			old = append(old, p)
		}
		play(b, "f")
		old[0].Done(nil)
		is(t, b, Open) // hystrix-go
		time.Sleep(time.Minute)
		synctest.Wait()
		var probes []Permit
		for range 5 {
			p, err := b.Allow()
			if err != nil {
				t.Fatal(err)
			}
			probes = append(probes, p)
		}
		for i := 1; i < 9; i++ {
			old[i].Done(nil)
		}
		is(t, b, HalfOpen) // failsafe-go
		if _, err := b.Allow(); !errors.Is(err, ErrOpen) {
			t.Errorf("stale results gave a sixth probe its place: %v", err)
		}
		probes[0].Done(errX)
		is(t, b, Open)
		time.Sleep(time.Minute)
		synctest.Wait()
		p, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		probes[1].Done(errX)
		old[9].Done(errX)
		is(t, b, HalfOpen) // autobreaker
		p.Ignore()
	})
}

// 18: hystrix-go counts its own rejections as errors: "backend healthy, 20
// concurrency rejections only: circuit open=true".
func TestTrap_RejectionsAreCounted(t *testing.T) {
	b := New("x", Settings{FailureRate: 0.1, MinCalls: 1, FailMax: 3})
	b.HalfOpen(Order{})
	p, _ := b.Allow()
	for range 1000 {
		if err := b.Do(t.Context(), nop); !errors.Is(err, ErrOpen) {
			t.Fatal(err)
		}
	}
	p.Done(nil)
	is(t, b, Closed)
	b.ForceOpen(Order{})
	for range 1000 {
		_ = b.Do(t.Context(), nop)
	}
	b.Release(Order{})
	is(t, b, Closed)
	if s := b.Status(); s.FailCount != 0 || s.Window != (Counts{}) {
		t.Errorf("rejections were counted: %+v", s)
	}
}

// 19: loading a rule anew closes sentinel's open breaker, even when only its
// retry time changed.
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

// 19: sentinel says open before it has set the time of the next retry, so that
// a call in between probes at once.
func TestTrap_ProbeInTheInstantOfOpening(t *testing.T) {
	for range 300 {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Hour})
		var ran atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 20 {
					p, err := b.Allow()
					if err != nil {
						continue
					}
					if p.tag.probe() != 0 {
						ran.Add(1)
					}
					p.Done(errX)
				}
			})
		}
		wg.Wait()
		if ran.Load() > 0 || len(b.History()) != 1 {
			t.Fatalf("%d probes within an open time of an hour; history %+v", ran.Load(), b.History())
		}
	}
}

// 20: mercari, eapache, goresilience, ion and sentinel admit everybody in
// half-open: "500 callers, 500 executed".
func TestTrap_HerdInHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second})
		play(b, "f.")
		var ran atomic.Int64
		for range 500 {
			go func() {
				_ = b.Do(t.Context(), func(context.Context) error { ran.Add(1); time.Sleep(time.Second / 2); return nil })
			}()
		}
		synctest.Wait()
		if n := ran.Load(); n != 1 {
			t.Errorf("%d of 500 callers ran, want 1", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		is(t, b, Closed)
	})
}

// 21: eapache opens on 3 errors of 300,000 calls, schigh on 1 of 10,001, hoglet
// on 1 of 1.
func TestTrap_FewErrorsOfManyOpen(t *testing.T) {
	for _, s := range []Settings{{}, {FailureRate: 0.1}, {FailureRate: 0.1, WindowCalls: 1000}, {FailureRate: 0.1, Confidence: 0.95}} {
		b := New("x", s)
		play(b, "f")
		for i := range 100_000 {
			err := error(nil)
			if i%33_000 == 16_000 {
				err = errX
			}
			if got := b.Do(t.Context(), func(context.Context) error { return err }); !errors.Is(got, err) {
				t.Fatalf("%v: call %d got %v", s, i, got)
			}
		}
		is(t, b, Closed)
	}
}

// 22: gobreaker and mercari call listeners under their mutex: one that asks
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

// 22: gobreaker asks IsExcluded about nil, and a panic in it records the call
// twice: "Requests:1 TotalFailures:1".
func TestTrap_ClassifierOfNil(t *testing.T) {
	asked := 0
	check := func(err error) bool { asked++; return err.Error() == "not found" }
	for _, opt := range []Option{
		WithExcluded(ErrorIf(check)),
		WithClassifier(func(_ context.Context, err error) Outcome {
			if check(err) {
				return Success
			}
			return Failure
		}),
	} {
		b := New("x", Settings{FailMax: -1, SlowCall: time.Hour}, opt)
		asked = 0
		play(b, "ssf")
		if s := b.Status(); asked != 1 || s.Window != (Counts{3, 1, 0, 1}) || s.Panics != 0 {
			t.Errorf("asked %d times, window %+v, %d panics", asked, s.Window, s.Panics)
		}
	}
}

// 23: the metrics in failsafe-go's event are the old state's, read while others
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

// 24: in cep21 a partial update means zero for the rest ("changing only Timeout
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

// 25: gobreaker's done, called six times after one Allow, opens the breaker.
func TestTrap_DoneCountsEachTime(t *testing.T) {
	b := New("x", Settings{FailMax: 2})
	p, _ := b.Allow()
	for range 6 {
		p.Done(errX)
	}
	if n := b.FailCount(); n != 1 {
		t.Errorf("%d failures of one call", n)
	}
	b.HalfOpen(Order{})
	p, _ = b.Allow()
	copied := p // the same permit
	p.Ignore()
	copied.Done(nil)
	is(t, b, HalfOpen)
}

// 26: mercari's Reset panics once its backoff has stopped. Orders are possible
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

// 26: mercari, goresilience and handy keep a goroutine for each breaker, dropped
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

// 26: rubyist's injected clock does not reach its window. In a bubble, all time
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

// 27: failsafehttp reads the whole body before it asks the breaker: "breaker
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
