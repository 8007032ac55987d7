package breaker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// To have no limit, set the largest number.
func TestLimitsThatOverflow(t *testing.T) {
	for _, o := range []SetOptions{{MaxKeys: math.MaxInt}, {MaxEvidence: math.MaxInt}, {MaxKeys: math.MaxInt, MaxEvidence: math.MaxInt}} {
		set := NewSet[int]("s", Settings{}, o)
		if a, b := set.Breaker(1), set.Breaker(2); a == b || set.Overflowed() > 0 {
			t.Errorf("%+v: %s and %s, %d overflows", o, a.ID(), b.ID(), set.Overflowed())
		}
	}
}

func TestSetKeepsKeysApart(t *testing.T) {
	set := NewSet[string]("tenant", Settings{FailMax: 2}, SetOptions{})
	for range 2 {
		_ = set.Do(bg, "a", broken)
	}
	if err := set.Do(bg, "a", nop); !errors.Is(err, ErrOpen) {
		t.Errorf("key a: got %v, want ErrOpen", err)
	}
	var open *OpenError
	if errors.As(set.Do(bg, "a", nop), &open); open.Name != "tenant" || open.Key != "a" {
		t.Errorf("the rejection names %s/%s", open.Name, open.Key)
	}
	if err := set.Do(bg, "b", nop); err != nil {
		t.Errorf("key b: %v", err)
	}
	if b := set.Breaker("a"); b.ID() != "tenant/a" || b.Key() != "a" || b.Name() != "tenant" {
		t.Errorf("key a is called %q, %q, %q", b.ID(), b.Name(), b.Key())
	}
}

func TestWrapKeyed(t *testing.T) {
	set := NewSet[int]("shard", Settings{FailMax: 1}, SetOptions{})
	get := WrapKey(set, func(user int) int { return user % 2 }, func(_ context.Context, user int) (string, error) {
		if user%2 == 1 {
			return "", errX
		}
		return strconv.Itoa(user), nil
	})
	_, _ = get(bg, 1)
	if _, err := get(bg, 3); !errors.Is(err, ErrOpen) {
		t.Errorf("user 3 shares shard 1 with user 1: got %v, want ErrOpen", err)
	}
	if v, err := get(bg, 4); v != "4" || err != nil {
		t.Errorf("user 4: got %q, %v", v, err)
	}
	if v, err := DoKey(bg, set, 8, func(context.Context) (string, error) { return "ok", nil }); v != "ok" || err != nil {
		t.Errorf("DoKey: got %q, %v", v, err)
	}
}

func TestSetUpdate(t *testing.T) {
	set := NewSet[string]("tenant", Settings{}, SetOptions{})
	own := set.Breaker("own")
	other := set.Breaker("other")
	if err := own.Update(Settings{FailMax: 9}); err != nil {
		t.Fatal(err)
	}
	if err := set.Update(Settings{FailMax: 2}); err != nil {
		t.Fatal(err)
	}
	for b, want := range map[*Breaker]int{own: 9, other: 2, set.Breaker("new"): 2} {
		if got := b.Settings().FailMax; got != want {
			t.Errorf("%s: FailMax %d, want %d", b.ID(), got, want)
		}
	}
	if err := set.Update(Settings{FailureRate: 7}); !errors.Is(err, ErrSettings) {
		t.Errorf("got %v, want ErrSettings", err)
	}
	if err := set.Update(Settings{FailMax: 2, FailureRate: .5, MinCalls: 3}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_ = other.Do(bg, nop)
	}
	if got := other.Status().Window.Calls; got != 2 {
		t.Errorf("a key that was there before counts %d calls in its new window, want 2", got)
	}
}

func TestSetListenersReceiveOldAndNewKeys(t *testing.T) {
	set := NewSet[string]("tenant", Settings{}, SetOptions{})
	_ = set.Do(bg, "old", nop)
	var heard, one listenerLog
	remove := set.AddListener(heard.listener())
	set.Breaker("old").AddListener(one.listener())
	_ = set.Do(bg, "old", nop)
	_ = set.Do(bg, "new", nop)
	remove()
	_ = set.Do(bg, "new", nop)
	if got, want := heard.take(), "before, success, before, success"; got != want {
		t.Errorf("the set's listener heard %q, want %q", got, want)
	}
	if got, want := one.take(), "before, success"; got != want {
		t.Errorf("the key's listener heard %q, want %q", got, want)
	}
}

// Exclusions and listeners of a set also apply to existing keys.
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
		t.Error("the key's calls are still watched though there is no listener")
	}
}

func TestNewSetPanicsOnInvalidArguments(t *testing.T) {
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

// A change of a set's settings changes the version of each of its keys, also
// of those with settings of their own; a listener does not.
func TestVersionsOfKeys(t *testing.T) {
	set := NewSet[string]("s", Settings{}, SetOptions{})
	fresh, cold, own := set.Breaker("fresh"), set.Breaker("cold"), set.Breaker("own")
	cold.Open(Order{})
	if err := own.Update(Settings{Probes: 3}); err != nil {
		t.Fatal(err)
	}
	check := func(when string, want ...uint64) {
		t.Helper()
		for i, b := range []*Breaker{fresh, cold, own} {
			if got := b.Status().Version; got != want[i] {
				t.Errorf("%s: %s is at version %d, want %d", when, b.ID(), got, want[i])
			}
		}
	}
	check("before", 1, 2, 2)
	remove := set.AddListener(Listener{Success: func(*Breaker) {}})
	remove()
	check("after a listener", 1, 2, 2)
	if err := set.Update(Settings{FailMax: 9}); err != nil {
		t.Fatal(err)
	}
	check("after an update", 2, 3, 3)
	if err := set.Update(Settings{FailMax: 9}); err != nil {
		t.Fatal(err)
	}
	check("after an update that changes nothing", 2, 3, 3)
}

// Invalid limits are refused with the name of the field.
func TestSetOptionsValidate(t *testing.T) {
	for _, c := range []struct {
		o    SetOptions
		want string // "" if it is valid
	}{
		{SetOptions{MaxKeys: -1}, "SetOptions.MaxKeys is -1, want 1 or more, or 0 for the default"},
		{SetOptions{MaxEvidence: -1}, "SetOptions.MaxEvidence is -1, want 1 or more, or 0 for the default"},
		{SetOptions{MaxHistory: -1}, "SetOptions.MaxHistory is -1, want 1 or more, or 0 for the default"},
		{SetOptions{Retention: -1}, "SetOptions.Retention is -1ns, want more than 0, or 0 for the default"},
		{SetOptions{CapOpen: -0.1}, "SetOptions.CapOpen is -0.1, want a share in (0, 1], or 0 for the manager's"},
		{SetOptions{CapOpen: 1.1}, "SetOptions.CapOpen is 1.1, want a share in (0, 1], or 0 for the manager's"},
		{SetOptions{CapOpen: math.NaN()}, "SetOptions.CapOpen is NaN, want a share in (0, 1], or 0 for the manager's"},
		{SetOptions{}, ""},
		{SetOptions{MaxKeys: 1, MaxEvidence: 1, MaxHistory: 1, Retention: 1, CapOpen: 1}, ""},
	} {
		m := NewManager(Settings{})
		_, err := CreateSet[int](m, "s", Settings{}, c.o)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrSettings) || !strings.HasSuffix(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}

// A set's settings change only from the version that the caller has seen, and
// the receipt says what they changed to.
func TestSetUpdateIf(t *testing.T) {
	set := NewSet[string]("s", Settings{FailMax: 3}, SetOptions{})
	for _, c := range []struct {
		version, from, to uint64 // to 0: refused
		s                 Settings
		failMax           int // in effect afterwards
	}{
		{1, 1, 2, Settings{FailMax: 4}, 4},
		{1, 0, 0, Settings{FailMax: 5}, 4},
		{3, 0, 0, Settings{FailMax: 5}, 4},
		{2, 2, 2, Settings{FailMax: 4}, 4}, // nothing changes
		{2, 2, 3, Settings{FailMax: 5}, 5},
		{0, 3, 4, Settings{FailMax: 6}, 6},
	} {
		want := Receipt{}
		if c.to > 0 {
			want = Receipt{ID: "s/*", From: c.from, Version: c.to}
		}
		got, err := set.UpdateIf(c.s, c.version)
		if got != want || (c.to == 0) != errors.Is(err, ErrVersion) {
			t.Errorf("%+v: receipt %+v and %v, want %+v", c, got, err, want)
		}
		if c.to == 0 && !strings.HasSuffix(err.Error(), fmt.Sprintf("the settings of s are at version 2, the order was for %d", c.version)) {
			t.Errorf("%+v: %v", c, err)
		}
		if c.to > 0 && set.Version() != c.to || set.Settings().FailMax != c.failMax {
			t.Errorf("%+v: then version %d and FailMax %d", c, set.Version(), set.Settings().FailMax)
		}
	}
	if got, err := set.UpdateIf(Settings{FailureRate: 2}, 0); got != (Receipt{}) || !errors.Is(err, ErrSettings) {
		t.Errorf("invalid settings: %+v, %v", got, err)
	}
}

// Lookup finds what is remembered and creates nothing.
func TestSetLookup(t *testing.T) {
	set := NewSet[string]("s", Settings{}, SetOptions{})
	if b, known := set.Lookup("a"); b != nil || known || set.Len() != 0 {
		t.Errorf("an unknown key: %v, %v, then %d keys", b, known, set.Len())
	}
	a := set.Breaker("a")
	if b, known := set.Lookup("a"); b != a || !known {
		t.Errorf("a known key: %v, %v", b, known)
	}
}

// DoKey returns what the function returns, even if the key has no breaker.
func TestDoKeyOfAFullSet(t *testing.T) {
	set := NewSet[string]("s", Settings{FailMax: 1}, SetOptions{MaxKeys: 1})
	set.Breaker("filler")
	for _, want := range []error{nil, errX} {
		v, err := DoKey(bg, set, "k", func(context.Context) (int, error) { return 7, want })
		if v != 7 || err != want {
			t.Errorf("got %d and %v, want 7 and %v", v, err, want)
		}
	}
	if v, err := DoKey(bg, set, "k", func(context.Context) (int, error) { return 7, nil }); v != 0 || !errors.Is(err, ErrOpen) {
		t.Errorf("of an open key: %d and %v, want 0 and ErrOpen", v, err)
	}
}

// What Remove ends is dated, and a version from before it is never valid again.
func TestRemoveIsARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard []Transition
		s := NewSet[string]("s", Settings{}, SetOptions{}, WithListener(Listener{StateChange: func(_ *Breaker, t Transition) { heard = append(heard, t) }}))
		b := s.Breaker("k")
		_ = b.ForceOpen(Order{})
		seen := b.Status().Version
		s.Remove("k")
		for _, x := range heard {
			if x.At != time.Now() {
				t.Errorf("%s to %s is dated %s", x.From, x.To, x.At)
			}
		}
		if now := b.Status().Version; now <= seen {
			t.Errorf("version %d after it was %d", now, seen)
		}
		// Also where nothing changes but what is known.
		_ = b.Open(Order{})
		_ = b.Close(Order{})
		seen = b.Status().Version
		s.Remove("k")
		if now := b.Status().Version; now <= seen {
			t.Errorf("version %d after it was %d", now, seen)
		}
		if _, err := b.Apply(Order{Verb: VerbOpen, IfVersion: seen}); !errors.Is(err, ErrVersion) {
			t.Errorf("an order for the version from before: %v", err)
		}
	})
}

// A key that is not NaN is removed also from a set whose keys may be.
func TestRemoveFloat(t *testing.T) {
	s := NewSet[float64]("s", Settings{}, SetOptions{})
	s.Breaker(1.5)
	if !s.Remove(1.5) || s.Len() != 0 {
		t.Errorf("%d keys are left, want none", s.Len())
	}
}

// The keys of a set keep their failures when the settings of the set change the
// units that failures are counted in.
func TestSetUpdateKeepsFailures(t *testing.T) {
	with, without := Settings{FailMax: 5, SuccessesToForgive: 2}, Settings{FailMax: 5}
	for _, tt := range []struct{ from, to Settings }{{with, without}, {without, with}} {
		s := NewSet[string]("set", tt.from, SetOptions{})
		b := s.Breaker("k")
		play(b, "ff")
		if err := s.Update(tt.to); err != nil {
			t.Fatal(err)
		}
		if got := b.FailCount(); got != 2 {
			t.Errorf("from %v to %v: %d failures, want 2", tt.from, tt.to, got)
		}
		if play(b, "ff"); b.State() != Closed {
			t.Errorf("from %v to %v: %v after 4 failures, want closed", tt.from, tt.to, b.State())
		}
		if play(b, "f"); b.State() != Open {
			t.Errorf("from %v to %v: %v after 5 failures, want open", tt.from, tt.to, b.State())
		}
	}
}

// Set.Update brings one key after another up to date. A call of a key whose turn
// has not come counts as one failure, and shows as one.
func TestSetUpdateUnderWay(t *testing.T) {
	with, without := Settings{FailMax: 5, SuccessesToForgive: 100}, Settings{FailMax: 5}
	for _, tt := range []struct{ from, to Settings }{{with, without}, {without, with}} {
		s := NewSet[string]("set", tt.from, SetOptions{})
		b := s.Breaker("k")
		play(b, "ff")
		s.cfg.settings.Store(s.cfg.compile(tt.to, 2)) // what Update does first
		if got, shown := b.FailCount(), b.Status(); got != 2 || shown.FailCount != 2 || shown.FailuresUntilOpen != 3 {
			t.Errorf("from %v to %v: %d failures, and Status shows %d, and %d until it opens; want 2, 2 and 3", tt.from, tt.to, got, shown.FailCount, shown.FailuresUntilOpen)
		}
		play(b, "f")
		s.refresh() // what it does then
		if got := b.FailCount(); got != 3 {
			t.Errorf("from %v to %v: %d failures, want 3", tt.from, tt.to, got)
		}
		if play(b, "f"); b.State() != Closed {
			t.Errorf("from %v to %v: %v after 4 failures, want closed", tt.from, tt.to, b.State())
		}
		if play(b, "f"); b.State() != Open {
			t.Errorf("from %v to %v: %v after 5 failures, want open", tt.from, tt.to, b.State())
		}
	}
}

// A key that has only succeeded so far gets the window of its set's new settings.
func TestSetUpdateOfTheWindow(t *testing.T) {
	s := NewSet[string]("s", Settings{FailureRate: 0.5}, SetOptions{})
	b := s.Breaker("k")
	play(b, "s")
	_ = s.Update(Settings{FailureRate: 0.5, Window: time.Minute})
	if r := b.settings(); !b.spans(r) || b.win.Load().time.clock.width != 6*time.Second {
		t.Error("its window has another span")
	}
}

// A listener that is added while the settings of its set change does not undo
// the change: each key ends up with the window that the new settings ask for.
func TestListenerAddedDuringSetUpdate(t *testing.T) {
	for range 100 {
		s := NewSet[string]("s", Settings{FailMax: -1}, SetOptions{})
		b := s.Breaker("a")
		sh := s.shard("a")
		sh.mu.Lock() // both stop where they look for the keys, and go on at once
		var wg sync.WaitGroup
		wg.Go(func() { s.AddListener(Listener{StateChange: func(*Breaker, Transition) {}}) })
		for len(s.cfg.watchers()) == 0 {
			runtime.Gosched()
		}
		runtime.Gosched()
		wg.Go(func() { _ = s.Update(Settings{FailMax: -1, FailureRate: 0.5, WindowCalls: 4, MinCalls: 2}) })
		for s.Settings().FailureRate < 0 {
			runtime.Gosched()
		}
		runtime.Gosched()
		sh.mu.Unlock()
		wg.Wait()
		for range 2 {
			_ = b.Do(t.Context(), broken)
		}
		is(t, b, Open)
	}
}
