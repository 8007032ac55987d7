package breaker

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Where a success matters to somebody, an unknown key of a full set gets a
// breaker for it.
func TestFullSetCountsSuccessesThatMatter(t *testing.T) {
	heard := 0
	for name, c := range map[string]struct {
		s    Settings
		opts []Option
		has  bool
	}{
		"nobody":   {Settings{}, nil, false},
		"a rate":   {Settings{FailureRate: 0.5}, nil, true},
		"slowness": {Settings{SlowCall: 1}, nil, true},
		"listener": {Settings{}, []Option{WithListener(Listener{Success: func(*Breaker) { heard++ }})}, true},
		"a rule":   {Settings{}, []Option{WithRule("own", func(Counts) bool { return false })}, true},
	} {
		set := NewSet[string]("s", c.s, SetOptions{MaxKeys: 1}, c.opts...)
		set.Breaker("filler")
		if err := set.Do(t.Context(), "k", nop); err != nil {
			t.Fatal(err)
		}
		if has := set.find("k") != nil; has != c.has {
			t.Errorf("%s: the key has a breaker: %v, want %v", name, has, c.has)
		}
	}
	if heard != 1 {
		t.Errorf("heard of %d successes, want 1", heard)
	}
}

// Keys whose evidence is in their windows alone are kept as well, until both
// limits together are met (I8). Then one gives way.
func TestFullOfEvidenceInWindows(t *testing.T) {
	for name, c := range map[string]struct {
		s      Settings
		script string
		want   Counts
	}{
		"failures": {Settings{FailureRate: 0.9}, "fs", Counts{2, 1, 0, 1}},
		"slow":     {Settings{SlowCall: time.Second}, "S", Counts{1, 0, 1, 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			set := NewSet[int]("s", c.s, SetOptions{MaxKeys: 2, MaxEvidence: 3})
			for k := range 5 {
				b := set.Breaker(k)
				play(b, c.script)
				if got, want := b.ID(), fmt.Sprintf("s/%d", k); got != want {
					t.Fatalf("%s: key %d got the breaker %s", name, k, got)
				}
			}
			if n := set.Overflowed(); n != 0 {
				t.Errorf("%s: %d overflows, want none", name, n)
			}
			for k, b := range set.Breakers() {
				if got := b.Status().Window; got != c.want {
					t.Errorf("%s: key %d has %+v in its window, want %+v", name, k, got, c.want)
				}
			}
			play(set.Breaker(5), c.script)
			if set.Overflowed() != 1 || set.Len() != 5 {
				t.Errorf("%s: %d overflows, %d keys, want 1 and 5", name, set.Overflowed(), set.Len())
			}
		})
	}
}

// Both limits together hold when many keys come at once.
func TestRegressionSetLimitsOvershot(t *testing.T) {
	const most, callers = 5, 100
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			set := NewSet[int]("s", Settings{FailureRate: 0.9}, SetOptions{MaxKeys: 2, MaxEvidence: most - 2})
			var all sync.WaitGroup
			for k := range callers {
				all.Go(func() { _ = set.Do(t.Context(), k, broken) })
			}
			all.Wait()
			if n := set.Len(); n > most+callers {
				t.Errorf("%d keys are remembered, want %d, and %d calls in flight", n, most, callers)
			}
			time.Sleep(2 * time.Second) // the sweeper has been
			if n := len(set.Breakers()); n > most || n != set.Len() {
				t.Errorf("%d keys are remembered and %d counted, want %d at most", n, set.Len(), most)
			}
		})
	}
}

// Who wants no limit sets the largest number there is.
func TestRegressionLimitsThatOverflow(t *testing.T) {
	for _, o := range []SetOptions{{MaxKeys: math.MaxInt}, {MaxEvidence: math.MaxInt}, {MaxKeys: math.MaxInt, MaxEvidence: math.MaxInt}} {
		set := NewSet[int]("s", Settings{}, o)
		if a, b := set.Breaker(1), set.Breaker(2); a == b || set.Overflowed() > 0 {
			t.Errorf("%+v: %s and %s, %d overflows", o, a.ID(), b.ID(), set.Overflowed())
		}
	}
}

// A healthy key takes the place of another, though all come at once.
func TestHealthyKeysDoNotOverflow(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 100, MaxEvidence: 1})
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 300 {
				set.Breaker(g*1000 + i)
			}
		})
	}
	all.Wait()
	if n := set.Overflowed(); n > 0 {
		t.Errorf("%d healthy keys got the breaker that keys beyond the limits share", n)
	}
}

// A key with a listener of its own is not forgotten: the listener would be.
func TestKeysWithListenersAreKept(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1})
	b := set.Breaker(-1)
	remove := b.AddListener(Listener{StateChange: func(*Breaker, Transition) {}})
	for k := range 10 {
		set.Breaker(k)
	}
	if set.kept(-1) != b {
		t.Error("the key is forgotten, and its listener with it")
	}
	remove()
	for k := range 10 {
		set.Breaker(10 + k)
	}
	if set.kept(-1) != nil {
		t.Error("the key is kept though nobody listens any more")
	}
}

// The log tells once that the set is full.
func TestOverflowIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	for name, opts := range map[string][]Option{
		"with a log": {WithLogger(slog.New(slog.NewTextHandler(&log, nil)))}, "without": nil,
	} {
		set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1, MaxEvidence: 1}, opts...)
		for k := range 6 {
			play(set.Breaker(k), "f")
		}
		if s := set.Breaker(5).Status(); s.Panics != 0 || set.Overflowed() != 4 || s.FailCount != 1 {
			t.Errorf("%s: %d panics and %d overflows, want 0 and 4; %d failures", name, s.Panics, set.Overflowed(), s.FailCount)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), `msg="circuit breaker set is full: failing keys replace the keys that have been idle longest" set=s keys=2`) {
		t.Errorf("logged %q, want one line", log.String())
	}
}
