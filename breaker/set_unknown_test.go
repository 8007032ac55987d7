package breaker

import (
	"context"
	"strings"
	"testing"
)

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

// Exclusions and listeners of a set reach the keys that there are.
func TestSetChangesReachItsKeys(t *testing.T) {
	set := NewSet[string]("s", Settings{}, SetOptions{})
	old := set.Breaker("old")
	set.Exclude(ErrorIs(errX))
	play(old, "f")
	play(set.Breaker("new"), "f")
	if n := old.FailCount() + set.Breaker("new").FailCount(); n != 0 {
		t.Errorf("%d excluded errors count as failures", n)
	}
	heard := 0
	remove := set.AddListener(Listener{Success: func(*Breaker) { heard++ }})
	play(old, "s")
	if heard != 1 {
		t.Errorf("the key's success was heard %d times, want once", heard)
	}
	remove()
	play(old, "s")
	if heard != 1 || old.load()&flagWatched != 0 {
		t.Error("the key's calls are still watched though nobody listens")
	}
}

func TestNewSetPanicsOnWhatIsInvalid(t *testing.T) {
	for name, c := range map[string]struct {
		make func()
		want string
	}{
		"name":     {func() { NewSet[int]("a/b", Settings{}, SetOptions{}) }, ErrName.Error()},
		"settings": {func() { NewSet[int]("a", Settings{FailureRate: 2}, SetOptions{}) }, ErrSettings.Error()},
		"limits":   {func() { NewSet[int]("a", Settings{}, SetOptions{MaxKeys: -1}) }, "SetOptions.MaxKeys is -1, want 1 or more, or 0 for the default"},
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, c.want) {
					t.Errorf("%s: panic %q, want one that says %q", name, text, c.want)
				}
			}()
			c.make()
		}()
	}
}
