package breaker

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var errOwnOpen = errors.New("the program's own open error")

// everything is what happens at once in TestEverythingAtOnce: calls of all
// kinds to one breaker and to a set that forgets, while people give orders and
// programs change settings and listen.
type everything struct {
	t      *testing.T
	m      *Manager
	one    *Breaker
	set    *Set[int]
	held   [12]*Breaker // of keys that the set may have forgotten
	bypass bool         // some calls are marked

	ofOne, ofSet seenCalls
}

// seenCalls counts what callers saw.
type seenCalls struct{ successes, failures, ignored, rejected atomic.Uint64 }

func (c *seenCalls) calls() Calls {
	return Calls{
		Successes: c.successes.Load(), Failures: c.failures.Load(),
		Ignored: c.ignored.Load(), Rejected: c.rejected.Load(),
	}
}

// everySettings are chosen so that all states occur often.
var everySettings = []Settings{
	{FailMax: 2, ResetTimeout: time.Millisecond},
	{FailMax: 3, ResetTimeout: 2 * time.Millisecond, FailureRate: 0.5, Window: 10 * time.Millisecond, MinCalls: 5},
	{FailMax: 3, ResetTimeout: time.Millisecond, FailureRate: 0.7, WindowCalls: 8, Ramp: 2 * time.Millisecond},
	{FailMax: 4, ResetTimeout: time.Millisecond, SlowCall: time.Hour, SlowRate: 0.9, ResetBackoff: 1.5, ResetMax: 4 * time.Millisecond, ResetJitter: 0.5},
	{FailMax: 4, ResetTimeout: time.Millisecond, SlowCall: 2 * time.Minute, Probes: 2, SuccessThreshold: 2},
}

// In whatever order things come together: a call that did not run has an open
// error, each call is counted once by Observe, and when the orders end, time
// alone lets a call in (I2), successful calls close the breaker, and no flag
// or timer is left over.
func TestEverythingAtOnce(t *testing.T) {
	for name, opts := range map[string][]Option{
		"plain":      nil,
		"trip error": {WithErrorOnTrip()},
		"own error":  {WithOpenError(func(*OpenError) error { return errOwnOpen })},
		"own rule":   {WithoutHistory(), WithRule("odd", func(c Counts) bool { return c.Failures == 7 })},
	} {
		for _, bypass := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				newEverything(t, bypass, opts).run()
			})
		}
	}
}

func newEverything(t *testing.T, bypass bool, opts []Option) *everything {
	t.Helper()
	m := NewManager(everySettings[0], append(opts, WithBypassAllowed())...)
	m.CapOpen(0.9)
	set, err := CreateSet[int](m, "set", everySettings[0], SetOptions{MaxKeys: 3, MaxEvidence: 6})
	if err != nil {
		t.Fatal(err)
	}
	e := &everything{t: t, m: m, one: m.Breaker("one"), set: set, bypass: bypass}
	for i := range e.held {
		e.held[i] = set.Breaker(i)
	}
	return e
}

func (e *everything) run() {
	stop := e.m.Observe()
	done := make(chan struct{})
	var callers, others sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for i := range 4000 {
				if i%64 == 0 {
					time.Sleep(rand.N(500 * time.Microsecond)) // open times have to pass
				}
				e.call()
			}
		})
	}
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					e.meddle()
					time.Sleep(rand.N(300 * time.Microsecond))
				}
			}
		})
	}
	callers.Wait()
	close(done)
	others.Wait()
	for name, c := range map[string]*seenCalls{"one": &e.ofOne, "set": &e.ofSet} {
		got, want := callsOf(e.m, name), c.calls()
		if n, most := got.Latency.Count(), want.Successes+want.Failures+want.Slow; n > most {
			e.t.Errorf("%s: %d calls are timed, want at most %d", name, n, most)
		}
		want.Latency = got.Latency // which calls were timed is left to chance
		if got != want {
			e.t.Errorf("%s: observed %+v, callers saw %+v", name, got, want)
		}
	}
	stop()
	for _, name := range []string{"a", "b", BeforeShadow} {
		e.m.Unshadow(name)
	}
	for _, b := range append(e.m.Breakers(), e.held[:]...) {
		e.calms(b)
	}
}

// call makes a call to one of the breakers.
func (e *everything) call() {
	if rand.IntN(2) == 0 {
		e.ofOne.call(e, e.one, e.one.Do)
		return
	}
	k := rand.IntN(len(e.held))
	b := e.held[k]
	if rand.IntN(2) == 0 {
		e.ofSet.call(e, b, b.Do)
		return
	}
	e.ofSet.call(e, b, func(ctx context.Context, fn func(context.Context) error) error { return e.set.Do(ctx, k, fn) })
}

// call makes one call in a random way, and notes its end.
func (c *seenCalls) call(e *everything, b *Breaker, do func(context.Context, func(context.Context) error) error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	plain := false
	if e.bypass {
		switch rand.IntN(12) {
		case 0:
			ctx, plain = WithBypass(ctx, "plain"), true
		case 1:
			ctx = WithBypassProbe(ctx, "probe")
		}
	}
	ran := false
	fn := func(context.Context) error {
		ran = true
		return c.end(cancel, plain)
	}
	var err error
	switch rand.IntN(4) {
	case 0:
		ran, err = c.inTwoSteps(b)
	case 1:
		var p Permit
		if p, err = b.AllowContext(ctx); err == nil {
			err = p.DoneContext(ctx, fn(ctx))
		}
	case 2:
		_, err = Do(ctx, b, func(ctx context.Context) (int, error) { return 0, fn(ctx) })
	case 3:
		err = do(ctx, fn)
	}
	if ran {
		return
	}
	c.rejected.Add(1)
	var open *OpenError
	if !errors.Is(err, ErrOpen) && !errors.Is(err, errOwnOpen) || errors.As(err, &open) && open.State == ForcedClosed {
		e.t.Errorf("a call that did not run got %v", err)
	}
}

// inTwoSteps makes a call without a context.
func (c *seenCalls) inTwoSteps(b *Breaker) (ran bool, err error) {
	p, err := b.Allow()
	defer p.Done(errX) // the first end counts
	switch {
	case err != nil:
		return false, err
	case rand.IntN(10) == 0:
		c.ignored.Add(1)
		p.Ignore()
	case rand.IntN(2) == 0:
		c.failures.Add(1)
		p.Done(errX)
	default:
		c.successes.Add(1)
		p.Done(nil)
	}
	return true, nil
}

// end is a call that ends in a random way. unjudged means that its result is
// not evidence.
func (c *seenCalls) end(cancel func(), unjudged bool) error {
	if rand.IntN(4) == 0 {
		runtime.Gosched()
	}
	n := rand.IntN(10)
	switch {
	case unjudged || n == 9:
		c.ignored.Add(1)
	case n < 5:
		c.successes.Add(1)
	default:
		c.failures.Add(1)
	}
	switch {
	case n == 9:
		cancel()
		return context.Canceled
	case n < 5:
		return nil
	}
	return errX
}

// meddle does one of the things that people and programs do besides calls.
func (e *everything) meddle() {
	b := e.one
	if rand.IntN(2) == 0 {
		b = e.held[rand.IntN(len(e.held))]
	}
	why := Order{For: rand.N(3 * time.Millisecond)}
	s := everySettings[rand.IntN(len(everySettings))]
	hold := func(end func()) {
		runtime.Gosched()
		end()
	}
	[]func(){
		func() { b.ForceOpen(why) },
		func() { b.ForceOpen(Order{}) },
		func() { b.ForceClosed(why) },
		func() { b.ForceClosed(Order{}) },
		func() { b.Release(why) },
		func() { b.Release(why) },
		func() { b.Open(why) },
		func() { b.Close(why) },
		func() { b.HalfOpen(why) },
		func() { _ = b.Update(s) },
		func() { _ = e.set.Update(s) },
		func() { hold(b.AddListener(Listener{Success: func(*Breaker) {}})) },
		func() { hold(e.m.AddListener(Listener{Rejected: func(*Breaker, error) {}})) },
		func() { hold(e.m.Observe()) },
		func() { _ = e.m.Status() },
		func() { _ = b.History() },
		func() { _ = e.one.Shadow("a", s) },
		func() { _ = e.set.Shadow("a", s) },
		func() { _ = e.m.Shadow("b", s) },
		func() { e.m.Unshadow("a") },
		func() { e.m.Unshadow("b") },
		func() { _, _ = e.one.Promote("a", 0) },
		func() { _, _ = e.set.Promote("b", 0) },
	}[rand.IntN(23)]()
}

// calms returns b to rest, without an override, by time and successful calls.
func (e *everything) calms(b *Breaker) {
	e.t.Helper()
	b.Release(Order{})
	for deadline := time.Now().Add(5 * time.Second); b.load()&(evidenceMask&^flagKept) != 0; runtime.Gosched() {
		_ = b.Do(context.Background(), nop)
		if time.Now().After(deadline) {
			e.t.Fatalf("%s stays as it is: word %#x, %+v", b.ID(), b.load(), b.Status())
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.cold.Load(); c != nil && c.dueTimer != nil {
		e.t.Errorf("%s is closed and has a timer", b.ID())
	}
	if w := b.load(); w&(flagReject|flagDue|flagHeld|flagObserved|flagWatched) != 0 {
		e.t.Errorf("%s: word %#x has flags left over", b.ID(), w)
	}
}
