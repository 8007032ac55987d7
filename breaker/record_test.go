package breaker

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// The record keeps the last three distinct errors, newest first, with their
// counts and latencies, and cuts long texts.
func TestErrorsAreRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{FailMax: 6, SlowCall: 10 * time.Millisecond})
		for i, text := range []string{"a", "b", "c", "b", "d", "x" + strings.Repeat("ä", 500)} {
			p, _ := b.Allow()
			time.Sleep(time.Duration(i) * time.Second)
			p.Done(errors.New(text))
		}
		got := b.History()[0].Errors
		if len(got) != 3 || got[1] != (ErrorSample{Error: "d", Latency: 4 * time.Second, Count: 1}) || got[2] != (ErrorSample{Error: "b", Latency: 3 * time.Second, Count: 2}) {
			t.Fatalf("errors %+v", got)
		}
		if n := len(got[0].Error); n > maxErrorText+3 || !strings.HasSuffix(got[0].Error, "...") || !utf8.ValidString(got[0].Error) || !strings.HasPrefix(got[0].Error, "xää") {
			t.Errorf("a long text became %q", got[0].Error)
		}
	})
}

func TestHistoryKeepsThirtyTwo(t *testing.T) {
	b := New("db", Settings{FailMax: 1})
	for i := 1; i <= 100; i++ {
		b.Open(Order{})
		h := b.History()
		if len(h) != min(i, 32) {
			t.Fatalf("%d transitions, %d kept", i, len(h))
		}
		for j, tr := range h {
			if want := uint64(i - len(h) + j + 2); tr.Version != want {
				t.Fatalf("after %d, record %d is of version %d, want %d", i, j, tr.Version, want)
			}
		}
		if why := b.Status().Transition; why.Version != h[len(h)-1].Version {
			t.Fatalf("Status tells why of version %d, the newest is %d", why.Version, h[len(h)-1].Version)
		}
	}
	h := b.History()
	h[0].Actor = "mallory"
	if b.History()[0].Actor != "" {
		t.Error("a reader can change the record")
	}
	if got := New("db", Settings{}).History(); len(got) != 0 {
		t.Errorf("a new breaker has the history %+v", got)
	}
	lean := New("db", Settings{}, WithoutHistory())
	for range 5 {
		lean.Open(Order{Actor: "ana"})
	}
	if h := lean.History(); len(h) != 1 || h[0].Version != 6 {
		t.Errorf("without a history: %+v", h)
	}
}

// Transitions behind an override do not remove its order from the status.
func TestWhyOutlastsShadows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, opts := range map[string][]Option{"history": nil, "no history": {WithoutHistory()}} {
			b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second}, opts...)
			b.ForceClosed(Order{Actor: "ann"})
			for range 20 { // opens and probes, each time
				_ = b.Do(t.Context(), broken)
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if why := b.Status().Transition; why == nil || why.Actor != "ann" {
				t.Errorf("%s: Why = %+v, want ann's order", name, why)
			}
		}
	})
}

// A record names the errors that led to it, not those from before the breaker
// last closed.
func TestRecordForgetsEarlierErrors(t *testing.T) {
	b := New("x", Settings{FailMax: 2})
	failWith := func(text string) {
		_ = b.Do(t.Context(), func(context.Context) error { return errors.New(text) })
	}
	failWith("old")
	b.Close(Order{})
	failWith("new")
	failWith("new")
	if kept := b.Status().Transition.Errors; len(kept) != 1 || kept[0].Error != "new" {
		t.Errorf("the record names %+v, want \"new\" alone", kept)
	}
}

// A transition is recorded under the lock, and before the word shows it: a call
// that is rejected by the new word must find that the rejection prepared for the
// old one is gone.
func TestRecordComesBeforeTheWord(t *testing.T) {
	var moves atomic.Int64
	moved := func(of, record any, _ tape.Trace) {
		b, x := of.(*Breaker), record.(*Transition)
		moves.Add(1)
		if b.mu.TryLock() {
			b.mu.Unlock()
			t.Errorf("%s to %s: recorded without the lock", x.From, x.To)
		}
		// An outcome that is counted while an order moves a closed breaker would be
		// lost with the old word.
		if x.From == Closed && x.Order == VerbOpen && b.load()&flagHeld == 0 {
			t.Error("the word is not held while an order is recorded")
		}
		if got := b.State(); got != x.From && !x.Shadow {
			t.Errorf("%s to %s: calls see %s before it is recorded", x.From, x.To, got)
		}
	}
	m := NewManager(Settings{FailMax: 2, ResetTimeout: time.Minute}, WithBypassAllowed())
	_, detach, _ := m.attach(tape.New(1<<16, tape.Hooks{
		Enroll: func(any, time.Time) uint32 { return 1 },
		Forgot: func(any) {},
		Moved:  moved,
	}))
	defer detach()
	set := SetOf[string](m, "s")
	trip := func(b *Breaker) { play(b, "ff") }
	probe := func(b *Breaker) { wait(time.Minute); play(b, "s") }
	force := func(b *Breaker) { _ = b.ForceOpen(Order{For: time.Second}) }
	release := func(b *Breaker) { _ = b.Release(Order{}) }
	none := func(*Breaker) {}
	for name, c := range map[string]struct {
		before, act func(b *Breaker)
		moves       int64
	}{
		"orders":                  {none, func(b *Breaker) { _ = b.Open(Order{}); _ = b.HalfOpen(Order{}); _ = b.Close(Order{}) }, 3},
		"overrides":               {none, func(b *Breaker) { force(b); _ = b.ForceClosed(Order{}); release(b) }, 3},
		"a release while open":    {func(b *Breaker) { trip(b); force(b) }, release, 1},
		"an override's end":       {force, func(*Breaker) { wait(time.Second) }, 1},
		"its end while open":      {func(b *Breaker) { trip(b); force(b) }, func(*Breaker) { wait(time.Second) }, 1},
		"a trip":                  {none, trip, 1},
		"a trip behind an order":  {func(b *Breaker) { _ = b.ForceClosed(Order{}) }, trip, 1},
		"a probe":                 {trip, probe, 2},
		"a probe that fails":      {trip, func(b *Breaker) { wait(time.Minute); play(b, "f") }, 2},
		"a probe before its time": {trip, func(b *Breaker) { _ = b.Do(WithBypassProbe(bg, "x"), nop) }, 2},
		"a verdict":               {none, func(b *Breaker) { _, _ = b.Peer().Open(b.Status().Version, 1, Peers{}, Counts{}) }, 1},
		"what is imposed":         {none, func(b *Breaker) { b.impose(Transition{To: Open}, tape.Trace{}) }, 1},
		"what is forgotten":       {trip, func(b *Breaker) { set.Remove(b.Key()) }, 1},
		"what is lifted by that":  {force, func(b *Breaker) { set.Remove(b.Key()) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := set.Breaker(name)
				c.before(b)
				moves.Store(0)
				c.act(b)
				if moves.Load() != c.moves {
					t.Errorf("%d transitions, want %d", moves.Load(), c.moves)
				}
			})
		})
	}
}

// Flaps are changes within the last hour.
func TestFlapsOfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{})
		_ = b.Open(Order{})
		time.Sleep(time.Hour - 1)
		if got := b.Status().Flaps; got != 1 {
			t.Errorf("just before an hour: %d flaps, want 1", got)
		}
		time.Sleep(time.Nanosecond)
		if got := b.Status().Flaps; got != 0 {
			t.Errorf("after an hour: %d flaps, want none", got)
		}
	})
}

// The history of a key stays in order when the budget is used up and has room
// again, and takes no more of the budget than it has records.
func TestHistoryAndTheBudget(t *testing.T) {
	s := NewSet[string]("s", Settings{}, SetOptions{MaxHistory: 40})
	b := s.Breaker("k")
	ordered := func() {
		t.Helper()
		h := b.History()
		for i := range h[1:] {
			if h[i].Version+1 != h[i+1].Version {
				t.Fatalf("version %d comes before %d", h[i].Version, h[i+1].Version)
			}
		}
		if got, want := s.records.Load(), int64(len(h)-1); got != want {
			t.Errorf("%d records of the budget are used, want %d", got, want)
		}
	}
	for range 50 {
		_ = b.Open(Order{})
	}
	ordered()
	s.Remove("k")
	s.records.Store(37)
	b = s.Breaker("k")
	for range 6 {
		_ = b.Open(Order{})
	}
	s.records.Add(-37) // others have given theirs back
	ordered()
	for range 6 {
		_ = b.Open(Order{})
	}
	ordered()
}
