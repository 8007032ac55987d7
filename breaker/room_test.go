package breaker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The part of evict.go that makes room.

// Keys whose only evidence is in a window count towards the set's limits.
func TestWindowEvidenceIsBounded(t *testing.T) {
	s := NewSet[int]("s", Settings{FailMax: -1, FailureRate: 0.9, WindowCalls: 20},
		SetOptions{MaxKeys: 10, MaxEvidence: 50})
	for k := range 1000 {
		_ = s.Do(t.Context(), k, broken)
		_ = s.Do(t.Context(), k, nop)
	}
	if n := len(s.Status()); n > 61 { // 10 healthy, 50 with evidence, 1 for the others
		t.Errorf("the set holds %d breakers, want at most 61", n)
	}
}

// Keys whose only evidence is in their windows are kept as well, until both
// limits together are reached (I8). Then one is evicted.
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
func TestSetLimitsOvershot(t *testing.T) {
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

// A healthy key replaces another one, even if all come at once.
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

// A full set keeps to its limits, logs that once, and guards the keys that are
// failing now.
func TestSetOverflows(t *testing.T) {
	var log bytes.Buffer
	set := NewSet[int]("n", Settings{FailMax: 2}, SetOptions{MaxKeys: 2, MaxEvidence: 5},
		WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	for i := range 100 {
		_ = set.Do(bg, i, broken)
	}
	if n := set.Overflowed(); n != 93 || set.Len() != 7 {
		t.Errorf("Overflowed = %d with %d keys, want 93: 7 keys of 100 are remembered", n, set.Len())
	}
	if n := strings.Count(log.String(), "circuit breaker set is full"); n != 1 {
		t.Errorf("the log says %d times that the set is full, want once:\n%s", n, &log)
	}
	for range 2 {
		_ = set.Do(bg, 1_000, broken)
	}
	if err := set.Do(bg, 1_000, nop); !errors.Is(err, ErrOpen) {
		t.Errorf("a key that fails in a full set is not guarded: got %v", err)
	}
	if err := set.Do(bg, 2_000, nop); err != nil {
		t.Errorf("a healthy key of a full set was rejected: %v", err)
	}
}

// If no key can make room, another key runs without a breaker.
func TestSetFullOfOverrides(t *testing.T) {
	set := NewSet[int]("n", Settings{FailMax: 1}, SetOptions{MaxKeys: 1, MaxEvidence: 1})
	set.Breaker(1).ForceOpen(Order{})
	set.Breaker(2).ForceOpen(Order{})
	for range 3 {
		if err := set.Do(bg, 3, broken); !errors.Is(err, errX) {
			t.Errorf("got %v, want the call's own error", err)
		}
	}
	if n := set.Overflowed(); n != 3 || set.Len() != 2 {
		t.Errorf("Overflowed = %d with %d keys, want 3 with 2", n, set.Len())
	}
	is(t, set.Breaker(1), ForcedOpen)
}

// A key for which there is no room, because no other key may make room, still
// has a breaker, and only one. The set takes it in once it has evidence.
func TestBreakerWithoutAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := NewSet[int]("s", Settings{FailMax: 1}, SetOptions{MaxKeys: 1, MaxEvidence: 1})
		for k := range 2 {
			_ = set.Breaker(k).ForceOpen(Order{})
		}
		b := set.Breaker(3)
		if _, known := set.Lookup(3); known || set.Len() != 2 || set.Breaker(3) != b {
			t.Errorf("the set remembers the key: %v, of %d keys", known, set.Len())
		}
		if err := set.Do(t.Context(), 3, broken); !errors.Is(err, errX) {
			t.Errorf("its call: %v", err)
		}
		wait(time.Minute) // the sweeper takes the place away again
		if _, known := set.Lookup(3); known || set.Len() != 2 || set.Overflowed() != 1 {
			t.Errorf("after a failure, the set remembers the key: %v, of %d keys, %d overflows", known, set.Len(), set.Overflowed())
		}
		_ = b.ForceClosed(Order{})
		wait(time.Minute)
		if got, known := set.Lookup(3); !known || got != b || set.Len() != 3 {
			t.Errorf("with an override, the set remembers the key: %v, of %d keys", known, set.Len())
		}
	})
}

// Keys that clients invent fail once each. They replace each other, but not
// keys that fail again and again or that are open, even if those have been
// idle longer.
func TestInventedKeysGiveWayToEachOther(t *testing.T) {
	for name, c := range map[string]struct {
		s     Settings
		fails string
		lasts func(*Breaker) bool
	}{
		"counted":   {Settings{FailMax: 100}, "ff", func(b *Breaker) bool { return b.FailCount() == 2 }},
		"forgiving": {Settings{FailMax: 100, SuccessesToForgive: 10}, "ff", func(b *Breaker) bool { return b.FailCount() == 2 }},
		"open":      {Settings{FailMax: 2}, "ff", func(b *Breaker) bool { return b.State() == Open }},
	} {
		set := NewSet[int]("s", c.s, SetOptions{MaxKeys: 1, MaxEvidence: 24})
		for k := range 8 {
			play(set.Breaker(k), c.fails)
		}
		for k := range 2000 {
			_ = set.Do(t.Context(), 1000+k, broken)
			if n := set.Len(); n > 25 {
				t.Fatalf("%s: %d keys are remembered, want 25 at most", name, n)
			}
		}
		for k := range 8 {
			if b, known := set.Lookup(k); !known || !c.lasts(b) {
				t.Errorf("%s: key %d lost its failures to keys that failed once", name, k)
			}
		}
		if got, want := set.Overflowed(), 2008-len(set.WithEvidence()); got != uint64(want) {
			t.Errorf("%s: %d overflows, want %d: as many keys have lost their failures", name, got, want)
		}
	}
}

// A key that needs room while the healthy keys cannot be evicted costs only
// one key its evidence.
func TestOneKeyMakesRoom(t *testing.T) {
	const evidence = 20
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1, MaxEvidence: evidence})
	busy := set.shard(0)
	last := 0
	next := func() int { // a key that is not in that shard
		for last++; set.shard(last) == busy; {
			last++
		}
		return last
	}
	for range evidence {
		play(set.Breaker(next()), "ff")
	}
	set.Breaker(0)
	busy.mu.Lock()
	made := set.insert(next(), true)
	busy.mu.Unlock()
	if lost := evidence - len(set.WithEvidence()); lost != 1 || set.Overflowed() != 1 || made == nil {
		t.Errorf("%d keys have lost their failures, %d overflows, want one of each", lost, set.Overflowed())
	}
	// The sweeper may have evicted one of the two healthy keys by now.
	if n := set.Len(); n != evidence && n != evidence+1 {
		t.Errorf("%d keys are remembered, want %d, or one more", n, evidence)
	}
}

// A healthy key makes room before any other loses its evidence, although it was
// used last.
func TestHealthyKeyMakesRoomFirst(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 2, MaxEvidence: 3})
	for k := range 4 {
		play(set.Breaker(k), "f")
	}
	set.Breaker(4)
	_ = set.Do(bg, 5, broken)
	_, healthy := set.Lookup(4)
	_, failed := set.Lookup(5)
	if healthy || !failed || set.Overflowed() != 0 || len(set.WithEvidence()) != 5 {
		t.Errorf("healthy key kept: %v, new key kept: %v, %d overflows, %d keys with evidence; want false, true, 0 and 5",
			healthy, failed, set.Overflowed(), len(set.WithEvidence()))
	}
}

// Of the half that has been idle longest, keys with one failure make room before
// those with more and those that are open; among equals it is the longest idle.
func TestWhichKeyMakesRoom(t *testing.T) {
	once := func(b *Breaker) { play(b, "f") }
	often := func(b *Breaker) { play(b, "ff") }
	open := func(b *Breaker) { _ = b.Open(Order{}) }
	for name, c := range map[string]struct {
		keys []func(*Breaker) // the longest idle first
		goes int
	}{
		"one failure before two":            {[]func(*Breaker){often, once, once}, 1},
		"one failure before an open one":    {[]func(*Breaker){open, once, once}, 1},
		"among equals, once":                {[]func(*Breaker){once, once, once}, 0},
		"among equals, often":               {[]func(*Breaker){often, often, once}, 0},
		"among equals, open":                {[]func(*Breaker){open, often, once}, 0},
		"not one that was used more lately": {[]func(*Breaker){often, often, often, once}, 0},
	} {
		set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1, MaxEvidence: len(c.keys) - 1})
		for k, f := range c.keys {
			f(set.Breaker(k))
		}
		_ = set.Do(bg, 100, broken)
		for k := range c.keys {
			if _, known := set.Lookup(k); known == (k == c.goes) {
				t.Errorf("%s: key %d is remembered: %v", name, k, known)
			}
		}
		if set.Overflowed() != 1 {
			t.Errorf("%s: %d overflows, want 1", name, set.Overflowed())
		}
	}
}

// Keys with settings of their own do not make room, and looking for room among
// them costs no evidence.
func TestPinnedKeysMakeNoRoom(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1, MaxEvidence: 1})
	for k := range 2 {
		_ = set.Breaker(k).Update(Settings{FailMax: 9})
	}
	_ = set.Do(bg, 3, broken)
	if set.Overflowed() != 1 || set.Len() != 2 {
		t.Errorf("%d overflows, %d keys, want 1 and 2", set.Overflowed(), set.Len())
	}
}

// Few healthy keys are found among many with evidence: by calls, which look at
// some, or by the sweeper soon afterwards.
func TestHealthyKeysAmongManyOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const others = 20 * mostLooked
		set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 2})
		for k := range others {
			_ = set.Do(t.Context(), k, broken)
		}
		for k := range 100 {
			set.Breaker(-1 - k)
		}
		wait(2 * time.Second)
		// A call and the sweeper, which run at the same time, may both evict the last
		// one too many.
		if n := set.healthy(); n < 1 || n > 2 || len(set.WithEvidence()) != others {
			t.Errorf("%d healthy keys are remembered, and %d others, want 2 and %d", n, len(set.WithEvidence()), others)
		}
	})
}

// A call that needs room looks at a bounded number of keys, however many there
// are: it waits meanwhile.
func TestSampleIsBounded(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 10 * mostLooked})
	for k := range 10 * mostLooked {
		set.Breaker(k)
	}
	for name, fits := range map[string]bool{"all fit": true, "none fits": false} {
		looked := 0
		found := set.sample(mostLooked, func(*Breaker) bool { looked++; return fits })
		if looked > mostLooked || len(found) != sampleCount*btoi(fits) {
			t.Errorf("%s: %d keys found of %d looked at, want %d of %d at most", name, len(found), looked, sampleCount*btoi(fits), mostLooked)
		}
	}
}

// A call evicts what is beyond MaxKeys itself, and finds it among some keys with
// evidence. Only where healthy keys are few does it leave that to the sweeper.
func TestCallsEvictHealthyKeys(t *testing.T) {
	for name, c := range map[string]struct{ failing, healthy, want int }{
		"none fails": {0, 200, 5},
		"some fail":  {trimLooked - 10, 100, 5}, // a call looks at all of them
		"most fail":  {100 * trimLooked, 100, 100},
	} {
		synctest.Test(t, func(t *testing.T) {
			set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 5})
			set.sweeper.ended = time.Now() // the next sweep is a second away
			for k := range c.failing + c.healthy {
				play(set.Breaker(k), "f")
			}
			for k := range c.healthy {
				play(set.Breaker(c.failing+k), "s")
			}
			// A call that finds none leaves one more.
			if n := int(set.healthy()); n < 5 || n > c.want || c.want > 5 && n < c.want/5 {
				t.Errorf("%s: %d healthy keys are left, want %d", name, n, c.want)
			}
			wait(3 * time.Second)
			if n := set.healthy(); n != 5 {
				t.Errorf("%s: %d healthy keys after a sweep, want 5", name, n)
			}
		})
	}
}

// A sweep evicts the healthy keys that have been idle longest.
func TestSweepEvictsTheLongestIdle(t *testing.T) {
	const all, kept = 100, 10
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: all})
	for k := range all {
		set.Breaker(k)
	}
	for k := range kept {
		set.tick.Add(1)
		set.Breaker(k)
	}
	set.limits.MaxKeys = kept
	set.evictBeyond()
	for k := range all {
		if got := set.kept(k) != nil; got != (k < kept) {
			t.Errorf("key %d is kept: %t", k, got)
		}
	}
}

// A key with evidence that gives way makes room.
func TestDropOneMakesRoom(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1, MaxEvidence: 1})
	for k := range 2 {
		play(set.Breaker(k), "f")
	}
	if !set.dropOne() || set.Len() != 1 {
		t.Errorf("%d keys are left, want 1, and dropOne to say so", set.Len())
	}
}

// Of the keys that are not healthy none is in a sample of those that are.
func TestSampleOfHealthyKeys(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{})
	for k := range 4 * shardCount {
		play(set.Breaker(k), []string{"s", "f"}[k%2])
	}
	found := set.sample(mostLooked, isHealthy)
	for _, c := range found {
		if c.key%2 == 1 {
			t.Errorf("key %d, which has failed, is in the sample", c.key)
		}
	}
	if len(found) == 0 {
		t.Error("the sample is empty")
	}
}

// Keys with evidence take no place of healthy ones.
func TestHealthyKeysBesideOthers(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 5})
	for k := range 15 {
		b := set.Breaker(k)
		if k < 10 {
			play(b, "f")
		}
	}
	if set.Len() != 15 || set.healthy() != 5 {
		t.Errorf("%d keys are remembered, %d of them healthy, want 15 and 5", set.Len(), set.healthy())
	}
}

// The few keys that may make room are found among many that may not.
func TestRoomAmongPinnedKeys(t *testing.T) {
	const pinned = 500
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1, MaxEvidence: pinned})
	for k := range pinned {
		_ = set.Breaker(k).Update(Settings{FailMax: 9})
	}
	for k := range 50 { // each takes the place of the one before it
		_ = set.Do(bg, pinned+k, broken)
		if _, known := set.Lookup(pinned + k); !known || set.Len() != pinned+1 {
			t.Fatalf("key %d is remembered: %v, of %d keys", pinned+k, known, set.Len())
		}
	}
}

// A healthy key that comes new is kept in place of another.
func TestNewHealthyKeyIsKept(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 2, MaxEvidence: 3})
	for k := range 4 {
		play(set.Breaker(k), "f")
	}
	set.Breaker(4)
	set.Breaker(5)
	if _, known := set.Lookup(5); !known || set.Len() != 5 || len(set.WithEvidence()) != 4 {
		t.Errorf("it is remembered: %v, of %d keys, %d with evidence, want true, 5 and 4", known, set.Len(), len(set.WithEvidence()))
	}
}

// A logger that panics does no harm where a set is full.
func TestOverflowWithAPanickingLogger(t *testing.T) {
	s := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1, MaxEvidence: 1}, WithLogger(slog.New(panicky{slog.NewTextHandler(io.Discard, nil)})))
	for k := range 4 {
		_ = s.Do(bg, k, broken)
	}
	if s.Overflowed() != 2 || s.cfg.panics.Load() != 1 {
		t.Errorf("%d overflows and %d panics, want 2 and 1", s.Overflowed(), s.cfg.panics.Load())
	}
}

// It is logged once that the set is full.
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
