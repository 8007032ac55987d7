package breaker

import (
	"context"
	"strings"
	"testing"
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

// A call of a key that a full set does not know leaves a breaker behind only
// if it failed.
func TestUnknownKeyOfAFullSet(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
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
