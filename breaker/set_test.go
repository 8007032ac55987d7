package breaker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
)

func TestSetKeepsKeysApart(t *testing.T) {
	set := breaker.NewSet[string]("tenant", breaker.Settings{FailMax: 2}, breaker.SetOptions{})
	for range 2 {
		_ = set.Do(ctx, "a", fail)
	}
	if err := set.Do(ctx, "a", succeed); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("key a: got %v, want ErrOpen", err)
	}
	var open *breaker.OpenError
	if errors.As(set.Do(ctx, "a", succeed), &open); open.Name != "tenant" || open.Key != "a" {
		t.Errorf("the rejection names %s/%s", open.Name, open.Key)
	}
	if err := set.Do(ctx, "b", succeed); err != nil {
		t.Errorf("key b: %v", err)
	}
	if b := set.Breaker("a"); b.ID() != "tenant/a" || b.Key() != "a" || b.Name() != "tenant" {
		t.Errorf("key a is called %q, %q, %q", b.ID(), b.Name(), b.Key())
	}
}

func TestWrapKeyed(t *testing.T) {
	set := breaker.NewSet[int]("shard", breaker.Settings{FailMax: 1}, breaker.SetOptions{})
	get := breaker.WrapKey(set, func(user int) int { return user % 2 }, func(_ context.Context, user int) (string, error) {
		if user%2 == 1 {
			return "", errDown
		}
		return strconv.Itoa(user), nil
	})
	_, _ = get(ctx, 1)
	if _, err := get(ctx, 3); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("user 3 shares shard 1 with user 1: got %v, want ErrOpen", err)
	}
	if v, err := get(ctx, 4); v != "4" || err != nil {
		t.Errorf("user 4: got %q, %v", v, err)
	}
	if v, err := breaker.DoKey(ctx, set, 8, func(context.Context) (string, error) { return "ok", nil }); v != "ok" || err != nil {
		t.Errorf("DoKey: got %q, %v", v, err)
	}
}

func TestSetUpdate(t *testing.T) {
	set := breaker.NewSet[string]("tenant", breaker.Settings{}, breaker.SetOptions{})
	own := set.Breaker("own")
	other := set.Breaker("other")
	if err := own.Update(breaker.Settings{FailMax: 9}); err != nil {
		t.Fatal(err)
	}
	if err := set.Update(breaker.Settings{FailMax: 2}); err != nil {
		t.Fatal(err)
	}
	for b, want := range map[*breaker.Breaker]int{own: 9, other: 2, set.Breaker("new"): 2} {
		if got := b.Settings().FailMax; got != want {
			t.Errorf("%s: FailMax %d, want %d", b.ID(), got, want)
		}
	}
	if err := set.Update(breaker.Settings{FailureRate: 7}); !errors.Is(err, breaker.ErrSettings) {
		t.Errorf("got %v, want ErrSettings", err)
	}
	if err := set.Update(breaker.Settings{FailMax: 2, FailureRate: .5, MinCalls: 3}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_ = other.Do(ctx, succeed)
	}
	if got := other.Status().Window.Calls; got != 2 {
		t.Errorf("a key that was there before counts %d calls in its new window, want 2", got)
	}
}

func TestSetListenersHearOldAndNewKeys(t *testing.T) {
	set := breaker.NewSet[string]("tenant", breaker.Settings{}, breaker.SetOptions{})
	_ = set.Do(ctx, "old", succeed)
	var heard, one tape
	remove := set.AddListener(heard.listener())
	set.Breaker("old").AddListener(one.listener())
	_ = set.Do(ctx, "old", succeed)
	_ = set.Do(ctx, "new", succeed)
	remove()
	_ = set.Do(ctx, "new", succeed)
	if got, want := heard.take(), "before, success, before, success"; got != want {
		t.Errorf("the set's listener heard %q, want %q", got, want)
	}
	if got, want := one.take(), "before, success"; got != want {
		t.Errorf("the key's listener heard %q, want %q", got, want)
	}
}

// I8: a bounded set forgets healthy keys, the longest idle first, and no
// evidence.
func TestSetForgetsOnlyHealthyKeys(t *testing.T) {
	const most = 10
	for name, s := range map[string]breaker.Settings{
		"consecutive": {FailMax: 3},
		"rate":        {FailMax: 3, FailureRate: .9, MinCalls: 100},
	} {
		t.Run(name, func(t *testing.T) {
			set := breaker.NewSet[string]("tenant", s, breaker.SetOptions{MaxKeys: most})
			_ = set.Do(ctx, "failing", fail)
			set.Breaker("open").Open(breaker.Order{})
			set.Breaker("forced").ForceClosed(breaker.Order{})
			if err := set.Breaker("tuned").Update(breaker.Settings{FailMax: 9}); err != nil {
				t.Fatal(err)
			}
			for i := range 10_000 {
				_ = set.Do(ctx, "invented-"+strconv.Itoa(i), succeed)
				if n := len(set.Status()); n > most+4 {
					t.Fatalf("%d keys are remembered, want at most %d and 4 more", n, most)
				}
			}
			seen := map[string]breaker.Status{}
			for _, s := range set.Status() {
				seen[s.Key] = s
			}
			if got := seen["failing"].FailCount; got != 1 {
				t.Errorf("the failing key's count is %d, want 1: it was washed out", got)
			}
			if seen["open"].State != breaker.Open || seen["forced"].State != breaker.ForcedClosed || seen["tuned"].Settings.FailMax != 9 {
				t.Errorf("a key with evidence, an order or settings of its own was forgotten: %+v", seen)
			}
		})
	}
}

func TestSetForgetsTheLongestIdle(t *testing.T) {
	set := breaker.NewSet[int]("n", breaker.Settings{FailureRate: .5}, breaker.SetOptions{MaxKeys: 3})
	for i := range 3 {
		_ = set.Do(ctx, i, succeed)
	}
	for i := 3; i < 50; i++ {
		_ = set.Do(ctx, 1, succeed) // always in use
		_ = set.Do(ctx, i, succeed)
	}
	for _, s := range set.Status() {
		if s.Key == "1" {
			if s.Window.Calls != 48 {
				t.Errorf("the busy key counts %d calls, want 48: it was forgotten in between", s.Window.Calls)
			}
			return
		}
	}
	t.Errorf("the key that was always in use is forgotten: %+v", set.Status())
}

// A breaker that its set has forgotten comes back with its next use, and
// evidence is never split between two breakers of one key.
func TestForgottenBreakerStaysUsable(t *testing.T) {
	set := breaker.NewSet[string]("tenant", breaker.Settings{FailMax: 3}, breaker.SetOptions{MaxKeys: 1})
	held := set.Breaker("held")
	set.Breaker("x")
	set.Breaker("y") // held is forgotten by now
	_ = held.Do(ctx, fail)
	_ = set.Do(ctx, "held", fail)
	if got := set.Breaker("held").FailCount(); got != 2 {
		t.Errorf("%d failures on record, want 2", got)
	}
	if held.FailCount() != 2 {
		t.Errorf("the handle sees %d failures, want 2", held.FailCount())
	}
	_ = held.Do(ctx, fail)
	wantState(t, set.Breaker("held"), breaker.Open)
	wantState(t, held, breaker.Open)
}

// A call that was in flight while its key was forgotten counts where the key
// is now.
func TestFailureOfAForgottenKeyCounts(t *testing.T) {
	set := breaker.NewSet[string]("tenant", breaker.Settings{FailMax: 2}, breaker.SetOptions{MaxKeys: 1})
	p, err := set.Breaker("held").Allow()
	if err != nil {
		t.Fatal(err)
	}
	set.Breaker("x")
	set.Breaker("y")
	_ = set.Do(ctx, "held", fail)
	p.Done(errDown)
	wantState(t, set.Breaker("held"), breaker.Open)
}

// I1 for calls that began before their key had a breaker.
func TestUnknownKeyCountsOnlyForItsGeneration(t *testing.T) {
	full := func() *breaker.Set[string] {
		set := breaker.NewSet[string]("tenant", breaker.Settings{FailMax: 2}, breaker.SetOptions{MaxKeys: 1})
		set.Breaker("filler")
		return set
	}
	set := full()
	_ = set.Do(ctx, "k", func(context.Context) error {
		_ = set.Do(ctx, "k", fail) // the key gets its breaker meanwhile
		return errDown
	})
	wantState(t, set.Breaker("k"), breaker.Open)

	set = full()
	_ = set.Do(ctx, "k", func(context.Context) error {
		_ = set.Do(ctx, "k", fail)
		_ = set.Do(ctx, "k", fail)
		set.Breaker("k").Close(breaker.Order{})
		return errDown
	})
	if got := set.Breaker("k").FailCount(); got != 0 {
		t.Errorf("a call from before the trip counts after it: %d failures", got)
	}

	set = full()
	_ = set.Do(ctx, "k", func(context.Context) error {
		_ = set.Do(ctx, "k", fail)
		return nil
	})
	if got := set.Breaker("k").FailCount(); got != 0 {
		t.Errorf("the success of a key without a breaker did not end the row: %d failures", got)
	}

	set = full()
	func() {
		defer func() { _ = recover() }()
		_ = set.Do(ctx, "k", func(context.Context) error { panic("bug") })
	}()
	if got := set.Breaker("k").FailCount(); got != 1 {
		t.Errorf("a panic counts %d failures, want 1", got)
	}
}

// A full set keeps to its limits, says so once, and guards whichever keys fail
// now.
func TestSetOverflows(t *testing.T) {
	var log bytes.Buffer
	set := breaker.NewSet[int]("n", breaker.Settings{FailMax: 2}, breaker.SetOptions{MaxKeys: 2, MaxEvidence: 5},
		breaker.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	for i := range 100 {
		_ = set.Do(ctx, i, fail)
	}
	if n := set.Overflowed(); n != 93 || set.Len() != 7 {
		t.Errorf("Overflowed = %d with %d keys, want 93: 7 keys of 100 are remembered", n, set.Len())
	}
	if n := strings.Count(log.String(), "circuit breaker set is full"); n != 1 {
		t.Errorf("the log says %d times that the set is full, want once:\n%s", n, &log)
	}
	for range 2 {
		_ = set.Do(ctx, 1_000, fail)
	}
	if err := set.Do(ctx, 1_000, succeed); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("a key that fails in a full set is not guarded: got %v", err)
	}
	if err := set.Do(ctx, 2_000, succeed); err != nil {
		t.Errorf("a healthy key of a full set was rejected: %v", err)
	}
}

// Where no key can give way, a further one runs without a breaker.
func TestSetFullOfOverrides(t *testing.T) {
	set := breaker.NewSet[int]("n", breaker.Settings{FailMax: 1}, breaker.SetOptions{MaxKeys: 1, MaxEvidence: 1})
	set.Breaker(1).ForceOpen(breaker.Order{})
	set.Breaker(2).ForceOpen(breaker.Order{})
	for range 3 {
		if err := set.Do(ctx, 3, fail); !errors.Is(err, errDown) {
			t.Errorf("got %v, want the call's own error", err)
		}
	}
	if n := set.Overflowed(); n != 3 || set.Len() != 2 {
		t.Errorf("Overflowed = %d with %d keys, want 3 with 2", n, set.Len())
	}
	wantState(t, set.Breaker(1), breaker.ForcedOpen)
}

func TestSetUnderChurn(t *testing.T) {
	for name, s := range map[string]breaker.Settings{
		"consecutive": {FailMax: 1000},
		"rate":        {FailMax: 1000, FailureRate: 1, MinCalls: 1 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			set := breaker.NewSet[string]("tenant", s, breaker.SetOptions{MaxKeys: 50})
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Go(func() {
					for i := range 2_000 {
						_ = set.Do(ctx, fmt.Sprintf("k%d-%d", w, i), succeed)
						_ = set.Do(ctx, fmt.Sprintf("shared%d", i%100), succeed)
						if i%20 == 0 {
							_ = set.Do(ctx, "bad", fail)
							set.Status()
						}
						if i%7 == 0 {
							runtime.Gosched()
						}
					}
				})
			}
			wg.Wait()
			if got := set.Breaker("bad").FailCount(); got != 800 {
				t.Errorf("the failing key has %d failures on record, want 800", got)
			}
			if n := len(set.Status()); n > 50+1+8 {
				t.Errorf("%d keys are remembered, want about 50", n)
			}
		})
	}
}

func TestStructKeys(t *testing.T) {
	type shard struct {
		Region string
		N      int
	}
	var m breaker.Manager
	set := breaker.SetOf[shard](&m, "shard")
	_ = set.Do(ctx, shard{"eu", 1}, fail)
	b, err := m.Lookup("shard/{eu 1}")
	if err != nil || b != set.Breaker(shard{"eu", 1}) {
		t.Errorf("Lookup gave %v, %v", b, err)
	}
}
