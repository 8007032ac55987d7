package breaker

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The keys that a set has when observing begins are counted like later ones,
// each call once, whatever else is on; unobserved names are left out.
func TestObserveExistingKeys(t *testing.T) {
	for name, s := range map[string]Settings{"plain": {}, "rate": {FailureRate: 1}, "calls": {FailureRate: 1, WindowCalls: 5}} {
		for _, heard := range []bool{false, true} {
			var m Manager
			for name, n := range m.Calls() {
				t.Errorf("%s has %+v though it was not observed", name, n)
			}
			set, err := CreateSet[string](&m, "s", s, SetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for range m.Calls() {
				t.Error("an unobserved set is reported")
			}
			if heard {
				set.AddListener(Listener{Success: func(*Breaker) {}})
			}
			old := set.Breaker("old")
			stop := m.Observe()
			play(old, "sssf")
			play(set.Breaker("new"), "s")
			stop()
			play(old, "s")
			for _, got := range m.Calls() {
				if want := (Calls{Successes: 4, Failures: 1}); got != want {
					t.Errorf("%s, heard %v: %+v, want %+v", name, heard, got, want)
				}
			}
		}
	}
}

// A call of a key without a breaker is counted by its outcome, too.
func TestObserveUnknownKeysByOutcome(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		want Calls
	}{
		"success":   {t.Context(), nil, Calls{Successes: 1}},
		"excluded":  {t.Context(), errNotFound, Calls{Successes: 1}},
		"cancelled": {gone, context.Canceled, Calls{Ignored: 1}},
		"failure":   {t.Context(), errX, Calls{Failures: 1}},
	} {
		var m Manager
		set, err := CreateSet[string](&m, "s", Settings{}, SetOptions{MaxKeys: 1}, WithExcluded(ErrorIs(errNotFound)))
		if err != nil {
			t.Fatal(err)
		}
		set.Breaker("filler")
		stop := m.Observe()
		_ = set.Do(c.ctx, "k", func(context.Context) error { return c.err })
		stop()
		for _, got := range m.Calls() {
			if got != c.want {
				t.Errorf("%s: %+v, want %+v", name, got, c.want)
			}
		}
	}
}

func callsOf(m *Manager, name string) Calls {
	for n, c := range m.Calls() {
		if n == name {
			return c
		}
	}
	return Calls{}
}

// Every kind of call is counted once, from Observe until stop.
func TestObserveCountsEveryCallOnce(t *testing.T) {
	settings := map[string]Settings{
		"consecutive": {FailMax: 3},
		"window":      {FailMax: 3, FailureRate: 0.9},
		"last calls":  {FailMax: 3, FailureRate: 0.9, WindowCalls: 4},
		"timed":       {FailMax: 3, SlowCall: time.Second, SlowRate: 0.99},
	}
	for name, s := range settings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := NewManager(s)
				early := m.Breaker("early")
				play(early, "sss") // not observed yet
				stop, stopToo := m.Observe(), m.Observe()
				for _, b := range []*Breaker{early, m.Breaker("late"), SetOf[string](m, "set").Breaker("k")} {
					ctx, cancel := context.WithCancel(t.Context())
					play(b, "sssssfsf")
					_ = b.Do(ctx, func(ctx context.Context) error { cancel(); return ctx.Err() })
					if s.SlowCall > 0 {
						_ = b.Do(t.Context(), func(context.Context) error { time.Sleep(2 * s.SlowCall); return nil })
					}
					p, _ := b.Allow()
					p.Done(nil)
					p.Done(nil) // the first counts
					play(b, "fff")
					for range 3 {
						_ = b.Do(t.Context(), nop)
						_, _ = b.Allow()
					}
					want := Calls{Successes: 7, Failures: 5, Ignored: 1, Rejected: 6}
					if s.SlowCall > 0 {
						want.Successes, want.Slow = want.Successes+1, 1
						want.Latency.buckets[3], want.Latency.buckets[11] = 12, 1
					}
					if got := callsOf(m, b.Name()); got != want {
						t.Errorf("%s: %+v, want %+v", b.Name(), got, want)
					}
				}
				stop()
				stop() // twice is once
				early.Close(Order{})
				before := callsOf(m, "early")
				play(early, "s")
				if got := callsOf(m, "early"); got.Successes != before.Successes+1 {
					t.Error("the first to stop stopped the other")
				}
				stopToo()
				before = callsOf(m, "early")
				play(early, "sfs")
				if got := callsOf(m, "early"); got != before {
					t.Errorf("%+v after the last has stopped, want %+v", got, before)
				}
				if w := early.load(); w&flagObserved != 0 {
					t.Error("the word says that calls are observed")
				}
			})
		})
	}
}

// A key that leaves nothing behind is counted with its set.
func TestObserveCountsUnknownKeys(t *testing.T) {
	m := NewManager(Settings{})
	s, err := CreateSet[int](m, "s", Settings{}, SetOptions{MaxKeys: 1}, WithBypassAllowed())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Observe()()
	for k := range 10 {
		_ = s.Do(t.Context(), k, nop)
	}
	_ = s.Do(t.Context(), 11, broken)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = s.Do(ctx, 12, func(ctx context.Context) error { return ctx.Err() })
	if got, want := callsOf(m, "s"), (Calls{Successes: 10, Failures: 1, Ignored: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if n := len(s.Breakers()); n > 2 {
		t.Errorf("%d keys stayed", n)
	}
}

// Counts are exact while observers come and go and breakers trip.
func TestObserveUnderLoad(t *testing.T) {
	m := NewManager(Settings{FailMax: 2, ResetTimeout: time.Millisecond, FailureRate: 0.5})
	defer m.Observe()()
	b := m.Breaker("b")
	errDown := errors.New("down")
	var ran, rejected [8]uint64
	var wg sync.WaitGroup
	for g := range ran {
		wg.Go(func() {
			for i := range 5000 {
				fail := i%3 == g%3
				err := b.Do(context.Background(), func(context.Context) error {
					ran[g]++
					if fail {
						return errDown
					}
					return nil
				})
				if errors.Is(err, ErrOpen) {
					rejected[g]++
				}
			}
		})
	}
	done := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				m.Observe()()
				runtime.Gosched()
			}
		}
	})
	wg.Wait()
	close(done)
	others.Wait()
	var wantRan, wantRejected uint64
	for g := range ran {
		wantRan += ran[g]
		wantRejected += rejected[g]
	}
	if c := callsOf(m, "b"); c.Successes+c.Failures != wantRan || c.Rejected != wantRejected || c.Ignored != 0 {
		t.Errorf("%+v, but %d ran and %d were rejected", c, wantRan, wantRejected)
	}
}

// Calls marked to bypass are not evidence, whether or not their key has a
// breaker.
func TestObserveCountsBypassesAlikeForUnknownKeys(t *testing.T) {
	m := NewManager(Settings{})
	s, err := CreateSet[int](m, "s", Settings{}, SetOptions{MaxKeys: 1}, WithBypassAllowed())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Observe()()
	ctx := WithBypass(t.Context(), "migration")
	_ = s.Do(ctx, 0, nop) // has one from here on
	_ = s.Do(ctx, 0, nop)
	_ = s.Do(ctx, 1, nop)
	_ = s.Do(ctx, 2, broken)
	if got, want := callsOf(m, "s"), (Calls{Ignored: 4}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A call is counted once even if goroutines have contended, and counting
// without contention does not make goroutines draw again.
func TestCallCountAfterContention(t *testing.T) {
	var c callCount
	c.on.Store(true)
	c.more.Store(newSpread())
	for range 5 {
		c.count(Success, false, untimed)
	}
	if got, drawn := c.read().Successes, c.more.Load().shift.Load(); got != 5 || drawn != 0 {
		t.Errorf("%d calls are counted, want 5; they draw from bit %d, want 0", got, drawn)
	}
}

// Watch counts the calls of one breaker, from then on and whatever else changes,
// and forgets them when it ends.
func TestWatch(t *testing.T) {
	for name, b := range map[string]*Breaker{
		"alone": New("db", Settings{FailMax: 3}),
		"a key": NewSet[string]("s", Settings{FailMax: 3}, SetOptions{}).Breaker("k"),
	} {
		count := func(when string, want Calls) {
			t.Helper()
			if got := b.Peer().Calls(); got != want {
				t.Errorf("%s, %s: %+v, want %+v", name, when, got, want)
			}
		}
		play(b, "s")
		count("not watched", Calls{})
		b.Peer().Watch(true)
		play(b, "ssfi")
		count("watched", Calls{Successes: 2, Failures: 1, Ignored: 1})
		b.AddListener(Listener{Success: func(*Breaker) {}})()
		_ = b.Update(Settings{FailMax: 2})
		b.Peer().Watch(true)
		play(b, "sffss")
		count("watched again", Calls{Successes: 3, Failures: 3, Ignored: 1, Rejected: 2})
		_ = b.Close(Order{})
		b.Peer().Watch(false)
		play(b, "s")
		count("not watched any more", Calls{})
		b.Peer().Watch(true)
		play(b, "s")
		count("watched anew", Calls{Successes: 1})
	}
}

// Counts and latencies are sums over all cells, once callers have spread over
// several.
func TestCountsOfAllCells(t *testing.T) {
	c := new(callCount)
	c.on.Store(true)
	var want Calls
	for range 2 {
		for _, o := range []Outcome{Success, Failure, Ignored, Canceled, countRejected} {
			c.count(o, o == Failure, time.Millisecond)
		}
		c.contended()
		c.latency[0].contended()
		want.Successes++
		want.Failures++
		want.Ignored += 2
		want.Rejected++
		want.Slow++
	}
	got := c.read()
	if n := got.Latency.Count(); n != 4 {
		t.Errorf("%d latencies are counted, want 4", n)
	}
	got.Latency = Latency{}
	if got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

// A set does not evict a healthy key that is watched.
func TestWatchedKeyIsKept(t *testing.T) {
	s := NewSet[string]("s", Settings{}, SetOptions{})
	b := s.Breaker("k")
	b.Peer().Watch(true)
	if s.tryEvict(candidate[string]{in: s.shard("k"), key: "k", b: b}) {
		t.Error("it was evicted")
	}
	b.Peer().Watch(false)
	if !s.tryEvict(candidate[string]{in: s.shard("k"), key: "k", b: b}) {
		t.Error("it is kept, although nothing observes it")
	}
}
