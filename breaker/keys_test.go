package breaker

import (
	"context"
	"errors"
	"iter"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// If something needs to see successes, an unknown key of a full set gets a
// breaker for a success.
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

// I1 for calls that began before their key had a breaker.
func TestUnknownKeyCountsOnlyForItsGeneration(t *testing.T) {
	full := func() *Set[string] {
		set := NewSet[string]("tenant", Settings{FailMax: 2}, SetOptions{MaxKeys: 1})
		set.Breaker("filler")
		return set
	}
	set := full()
	_ = set.Do(bg, "k", func(context.Context) error {
		_ = set.Do(bg, "k", broken) // the key gets its breaker meanwhile
		return errX
	})
	is(t, set.Breaker("k"), Open)

	set = full()
	_ = set.Do(bg, "k", func(context.Context) error {
		_ = set.Do(bg, "k", broken)
		_ = set.Do(bg, "k", broken)
		set.Breaker("k").Close(Order{})
		return errX
	})
	if got := set.Breaker("k").FailCount(); got != 0 {
		t.Errorf("a call from before the trip counts after it: %d failures", got)
	}

	set = full()
	_ = set.Do(bg, "k", func(context.Context) error {
		_ = set.Do(bg, "k", broken)
		return nil
	})
	if got := set.Breaker("k").FailCount(); got != 0 {
		t.Errorf("the success of a key without a breaker did not end the row: %d failures", got)
	}

	set = full()
	func() {
		defer func() { _ = recover() }()
		_ = set.Do(bg, "k", func(context.Context) error { panic("bug") })
	}()
	if got := set.Breaker("k").FailCount(); got != 1 {
		t.Errorf("a panic counts %d failures, want 1", got)
	}
}

// A call of a key that is unknown to a full set leaves a breaker behind only
// if it failed.
func TestUnknownKeyOfAFullSet(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	late, cancelLate := context.WithDeadline(context.Background(), time.Now().Add(-time.Hour))
	defer cancelLate()
	plain := context.Background()
	answers := func(err error) func(*Set[string]) error { return func(*Set[string]) error { return err } }
	afterAFailure := func(err error) func(*Set[string]) error {
		return func(set *Set[string]) error { _ = set.Do(plain, "k", broken); return err }
	}
	for name, c := range map[string]struct {
		ctx   context.Context
		call  func(*Set[string]) error
		fails int // of the key's breaker; -1: it has none
	}{
		"succeeds":                       {plain, answers(nil), -1},
		"fails":                          {plain, answers(errX), 1},
		"is excluded":                    {plain, answers(errNotFound), -1},
		"is cancelled":                   {gone, answers(context.Canceled), -1},
		"is too late":                    {late, answers(errX), -1},
		"is too late, after one failed":  {late, afterAFailure(errX), 1},
		"is marked, fails":               {WithBypass(plain, "x"), answers(errX), 0},
		"is marked, succeeds":            {WithBypass(plain, "x"), answers(nil), 0},
		"is marked as a probe":           {WithBypassProbe(plain, "x"), answers(errX), 1},
		"fails, after another":           {plain, afterAFailure(errX), 2},
		"succeeds, after another failed": {plain, afterAFailure(nil), 0},
		"is excluded, after one failed":  {plain, afterAFailure(errNotFound), 0},
		"is cancelled, after one failed": {gone, afterAFailure(context.Canceled), 1},
		"is marked, fails after another": {WithBypass(plain, "x"), afterAFailure(errX), 1},
	} {
		t.Run(name, func(t *testing.T) {
			opts := []Option{WithExcluded(ErrorIs(errNotFound))}
			if strings.HasPrefix(name, "is marked") {
				opts = append(opts, WithBypassAllowed())
			}
			set := NewSet[string]("s", Settings{}, SetOptions{MaxKeys: 1}, opts...)
			set.Breaker("filler")
			_ = set.Do(c.ctx, "k", func(context.Context) error { return c.call(set) })
			fails := -1
			if b := set.find("k"); b != nil {
				fails = b.FailCount()
			}
			if fails != c.fails {
				t.Errorf("%d failures, want %d (-1: no breaker)", fails, c.fails)
			}
		})
	}
}

// All keys that are not equal to themselves share one breaker, even if two
// come first at the same time.
func TestNaNKeysShareOneBreaker(t *testing.T) {
	const n = 2000
	sets := make([]*Set[float64], n)
	for i := range sets {
		sets[i] = NewSet[float64]("s", Settings{}, SetOptions{})
	}
	var got, other [n]*Breaker
	abreast(n, func(i int) { got[i] = sets[i].Breaker(math.NaN()) }, func(i int) { other[i] = sets[i].Breaker(math.NaN()) })
	for i, s := range sets {
		if got[i] != other[i] || s.Breaker(math.NaN()) != got[i] || s.Len() != 1 {
			t.Fatalf("set %d: %p, %p and then %p, %d keys", i, got[i], other[i], s.Breaker(math.NaN()), s.Len())
		}
	}
}

// notEqual is never equal to itself. Its String runs f the first time.
type notEqual struct {
	nan float64
	f   *func()
}

func (k notEqual) String() string {
	if f := *k.f; f != nil {
		*k.f = nil
		f()
	}
	return "NaN"
}

// The same if the first one comes while the text of its key is made, in which
// another one comes first.
func TestNaNKeysShareOneBreakerByText(t *testing.T) {
	set := NewSet[notEqual]("s", Settings{}, SetOptions{})
	var f func()
	k := notEqual{math.NaN(), &f}
	var first *Breaker
	f = func() { first = set.Breaker(k) }
	if b := set.Breaker(k); b != first || set.Breaker(k) != b || set.Len() != 1 {
		t.Errorf("%p, then %p, and then %p, %d keys", first, b, set.Breaker(k), set.Len())
	}
}

// Keys that are not equal to themselves have one breaker, which can be found,
// listed, changed and removed like any other; other keys have their own.
func TestNaNKeys(t *testing.T) {
	set := NewSet[float64]("s", Settings{FailMax: 2}, SetOptions{MaxKeys: 1})
	if _, known := set.Lookup(math.NaN()); known || set.Remove(math.NaN()) {
		t.Error("a key is known that never came")
	}
	b, plain := set.Breaker(math.NaN()), set.Breaker(1.5)
	_ = plain.ForceOpen(Order{})
	if b == plain || b.ID() != "s/NaN" || plain.ID() != "s/1.5" {
		t.Errorf("the breakers are %s and %s", b.ID(), plain.ID())
	}
	if got, known := set.Lookup(math.NaN()); !known || got != b {
		t.Error("it is not found by its key")
	}
	if got, err := set.BreakerOf("NaN"); err != nil || got != b {
		t.Errorf("it is not found by its text: %v", err)
	}
	if got, err := set.BreakerOf("1.5"); err != nil || got != plain {
		t.Errorf("another is not found by its text: %v", err)
	}
	if all := set.Breakers(); len(all) != 2 || !slices.Contains(all, b) {
		t.Errorf("%d breakers are listed, want 2", len(all))
	}
	heard := 0
	set.AddListener(Listener{Failure: func(*Breaker, error) { heard++ }})
	for range 2 {
		_ = set.Do(t.Context(), math.NaN(), broken)
	}
	if err := set.Do(t.Context(), math.NaN(), nop); !errors.Is(err, ErrOpen) || heard != 2 {
		t.Errorf("after two failures: %v, the set's listener heard %d", err, heard)
	}
	for key, b := range map[float64]*Breaker{math.NaN(): b, 1.5: plain} {
		if !set.Remove(key) || b.State() != Closed {
			t.Errorf("%v was not removed: it is %s", key, b.State())
		}
	}
	if _, known := set.Lookup(1.5); known {
		t.Error("the key beside it was not forgotten")
	}
}

// The error for a text that identifies no key names the text and the set.
func TestBreakerOfUnknownText(t *testing.T) {
	set := NewSet[[2]int]("s", Settings{}, SetOptions{})
	_, err := set.BreakerOf("[1 2]")
	var unknown *UnknownError
	if !errors.As(err, &unknown) || unknown.ID != "s/[1 2]" {
		t.Errorf("got %v, want an UnknownError for s/[1 2]", err)
	}
}

// A call that began without a breaker and does not return counts one failure.
func TestUnknownKeyThatDoesNotReturn(t *testing.T) {
	for name, fn := range map[string]func(context.Context) error{
		"panics": func(context.Context) error { panic("bug") },
		"exits":  func(context.Context) error { runtime.Goexit(); return nil },
	} {
		set := NewSet[string]("s", Settings{FailMax: 2}, SetOptions{MaxKeys: 1})
		set.Breaker("filler")
		elsewhere(func() {
			defer func() { _ = recover() }()
			_ = set.Do(bg, "k", fn)
		})
		if got := set.Breaker("k").FailCount(); got != 1 {
			t.Errorf("%s: %d failures, want 1", name, got)
		}
	}
}

// A call of an unknown key of a full set whose context was over before it began is
// no evidence, and is counted as that.
func TestUnknownKeyBegunTooLate(t *testing.T) {
	m := NewManager(Settings{FailMax: 1})
	s, err := CreateSet[int](m, "s", Settings{FailMax: 1}, SetOptions{MaxKeys: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.Breaker(1)
	defer m.Observe()()
	late, cancel := context.WithDeadline(bg, time.Now().Add(-time.Hour))
	defer cancel()
	_ = s.Do(late, 2, func(ctx context.Context) error { return ctx.Err() })
	func() {
		defer func() { _ = recover() }()
		_ = s.Do(late, 3, func(context.Context) error { panic("x") })
	}()
	for _, n := range m.Calls() {
		if n != (Calls{Ignored: 2}) {
			t.Errorf("counted %+v, want 2 ignored", n)
		}
	}
	if s.Len() != 1 {
		t.Errorf("%d keys are remembered, want 1", s.Len())
	}
}

// BreakerOf creates the breaker of a key from its text, if the text identifies
// the key.
func TestBreakerOfText(t *testing.T) {
	m := NewManager(Settings{})
	type pair struct{ a, b int }
	strs, ints, pairs := SetOf[string](m, "strings"), SetOf[int8](m, "ints"), SetOf[pair](m, "pairs")
	pairs.Breaker(pair{1, 2})
	for _, tt := range []struct {
		set  AnySet
		text string
		ok   bool
	}{
		{strs, "acme", true},
		{strs, `\*`, true},
		{ints, "-7", true},
		{ints, "007", false},
		{ints, "300", false},
		{pairs, "{1 2}", true},
		{pairs, "{3 4}", false},
	} {
		b, err := tt.set.BreakerOf(tt.text)
		if !tt.ok {
			if !errors.Is(err, ErrUnknown) {
				t.Errorf("%s/%s: %v, want ErrUnknown", tt.set.Name(), tt.text, err)
			}
			continue
		}
		if err != nil || b.ID() != tt.set.Name()+"/"+tt.text {
			t.Errorf("%s/%s: %v, %v", tt.set.Name(), tt.text, b, err)
		}
	}
	if seven, err := ints.BreakerOf("-7"); err != nil || strs.Breaker("*").ID() != `strings/\*` || ints.Breaker(-7) != seven {
		t.Error("a key has another breaker by its text")
	}
}

// A walk that brings all breakers up to date misses none that is in use, however
// keys come back, go and are removed meanwhile.
func TestWalkMissesNone(t *testing.T) {
	const keys = 1000
	for name, meanwhile := range map[string]func(s *Set[int], k int){
		"come back":       func(s *Set[int], k int) { s.Breaker(k) },
		"fail":            func(s *Set[int], k int) { _ = s.Do(bg, k, broken) },
		"recover":         func(s *Set[int], k int) { _ = s.Do(bg, k, broken); _ = s.Do(bg, k, nop) },
		"make room":       func(s *Set[int], k int) { s.Breaker(-1 - k) },
		"are removed":     func(s *Set[int], k int) { s.Remove(k) },
		"come back twice": func(s *Set[int], k int) { s.Breaker(k); s.Remove(k); s.Breaker(k) },
	} {
		for _, room := range []int{1, keys / 2, 2 * keys} {
			s := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: room})
			held := make([]*Breaker, keys)
			for k := range held {
				held[k] = s.Breaker(k)
			}
			var stop atomic.Bool
			var beside sync.WaitGroup
			beside.Go(func() {
				for k := 0; !stop.Load(); k = (k + 7) % keys {
					meanwhile(s, k)
				}
			})
			s.AddListener(Listener{Success: func(*Breaker) {}})
			stop.Store(true)
			beside.Wait()
			missed := 0
			for _, b := range held {
				missed += btoi(b.load()&flagWatched == 0)
			}
			if missed > 0 {
				t.Errorf("%s, with room for %d: %d of %d breakers do not know their listener", name, room, missed, keys)
			}
		}
	}
}

// While a walk goes through a shard, none of its keys makes room for another.
// Remove evicts, and brings the breaker up to date itself.
func TestWalkAndEviction(t *testing.T) {
	s := NewSet[int]("s", Settings{}, SetOptions{})
	b := s.Breaker(1)
	sh := s.shard(1)
	next, stop := iter.Pull(s.walk(true))
	for x, ok := next(); ok && x != b; x, ok = next() {
	}
	for range s.walk(true) { // another walk, which ends earlier
	}
	if s.tryEvict(candidate[int]{in: sh, key: 1, b: b}) || len(s.sample(mostLooked, isHealthy)) > 0 {
		t.Error("a key is evicted during a walk")
	}
	s.cfg.setListener(&Listener{Success: func(*Breaker) {}}, true)
	if !s.Remove(1) || b.load()&flagWatched == 0 || b.load()&flagEvicted == 0 {
		t.Errorf("after Remove: word %b, want it evicted and watched", b.load())
	}
	stop()
	s.Breaker(2)
	if found := s.sample(mostLooked, isHealthy); len(found) != 1 || !s.tryEvict(found[0]) {
		t.Error("no key can be evicted after the walk")
	}
}

// The breaker of NaN counts beside others.
func TestNaNBesideOtherKeys(t *testing.T) {
	s := NewSet[float64]("s", Settings{}, SetOptions{})
	for _, k := range []float64{1, 2, math.NaN()} {
		s.Breaker(k)
	}
	if got := s.Len(); got != 3 {
		t.Errorf("%d keys are remembered, want 3", got)
	}
}

// Everything that is alive in a shard is found there, kept or evicted.
func TestAliveInOneShard(t *testing.T) {
	s := NewSet[int]("s", Settings{}, SetOptions{})
	var all []*Breaker
	for k := 0; len(all) < 4; k++ {
		if sh := s.shard(k); sh == s.shard(0) {
			all = append(all, s.Breaker(k))
			if len(all) > 1 {
				s.tryEvict(candidate[int]{in: sh, key: k, b: s.Breaker(k)})
			}
		}
	}
	n := 0
	for range s.walk(true) {
		n++
	}
	if n != len(all) {
		t.Errorf("%d breakers are alive, want %d", n, len(all))
	}
	runtime.KeepAlive(all)
}

// A key that was just inserted is the last to make room.
func TestInsertedKeyWasJustUsed(t *testing.T) {
	s := NewSet[int]("s", Settings{}, SetOptions{})
	for k := range 3 {
		if b := s.Breaker(k); b.used.Load() != s.tick.Load() || s.tick.Load() != uint32(k+1) {
			t.Errorf("key %d was last used at %d, and it is %d", k, b.used.Load(), s.tick.Load())
		}
	}
}

// A recording alone gives an unknown key of a full set no breaker: its calls are
// counted as untracked. If calls are timed for a rule, it gets one.
func TestUntrackedCallsOfARecording(t *testing.T) {
	for slow, want := range map[time.Duration]uint64{0: 1, time.Hour: 0} {
		m := NewManager(Settings{SlowCall: slow})
		s, _ := CreateSet[string](m, "s", Settings{SlowCall: slow}, SetOptions{MaxKeys: 1})
		_ = s.Do(bg, "first", nop)
		w := watchTape(m)
		_ = s.Do(bg, "unknown", nop)
		if _, got := w.tape.Losses(); got != want {
			t.Errorf("with SlowCall %s, %d calls are untracked, want %d", slow, got, want)
		}
		w.detach()
	}
}
