package breaker

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
	"github.com/switchgear-go/switchgear/internal/vtime"
)

// taped returns a manager that records on a tape of its own.
func taped(tb testing.TB, s Settings) (*Manager, *tape.Tape) { return tapedOn(tb, s, 1<<16) }

// tapedOn is taped for a tape of this many bytes.
func tapedOn(tb testing.TB, s Settings, bytes int) (*Manager, *tape.Tape) {
	tb.Helper()
	m := NewManager(s)
	var n atomic.Uint32
	t := tape.New(bytes, tape.Hooks{
		Enroll:   func(any, time.Time) uint32 { return n.Add(1) },
		Forgot:   func(any) {},
		Moved:    func(any, any, tape.Trace) {},
		HeldBack: func(any, any) {},
		Updated:  func(any, time.Time) {},
	})
	_, detach, ok := tape.Engine.Attach(m, t)
	if !ok {
		tb.Fatal("a new manager records already")
	}
	tb.Cleanup(detach)
	return m, t
}

// If the timer of the coarse clock is dead, a failure sets the clock by the real
// time, and so does every call that is recorded.
func TestADeadClockIsFound(t *testing.T) {
	for _, tt := range []struct {
		recorded bool
		fn       func(context.Context) error
		found    bool
	}{{true, nop, true}, {true, broken, true}, {false, broken, true}, {false, nop, false}} {
		synctest.Test(t, func(t *testing.T) {
			s := Settings{FailMax: -1, FailureRate: .5, MinCalls: 100, Window: time.Second}
			b := New("x", s)
			if tt.recorded {
				m, _ := taped(t, s)
				b = m.Breaker("x")
			}
			_ = b.Do(bg, nop)
			clock := b.settings().step
			clock.mu.Lock()
			clock.serial++ // the timer that is set does nothing any more
			clock.mu.Unlock()
			time.Sleep(deadAfter + 250*time.Millisecond)
			_ = b.Do(bg, tt.fn)
			want := uint64(0)
			if tt.found {
				want = 12
			}
			if got := clock.step(); got != want {
				t.Errorf("recorded %v, found %v: after 1.25 s the clock is at step %d, want %d", tt.recorded, tt.found, got, want)
			}
		})
	}
}

// On a busy machine the timer that advances the coarse clock is late. A recorded
// call counts in the step of the time in its record nevertheless: a replay knows
// nothing else.
func TestARecordedCallCountsInTheStepOfItsTime(t *testing.T) {
	for name, end := range map[string]func(*Breaker){
		"Do":    func(b *Breaker) { _ = b.Do(bg, broken) },
		"Allow": func(b *Breaker) { p, _ := b.Allow(); p.Done(errX) },
		"slow": func(b *Breaker) {
			p, _ := b.Allow()
			time.Sleep(10 * time.Millisecond)
			p.Done(nil)
		},
		"success, failure": func(b *Breaker) {
			_ = b.Do(bg, nop)
			p, _ := b.AllowContext(bg)
			_ = p.DoneContext(bg, nil)
			p, _ = b.Allow()
			p.Done(nil)
			for range 3 {
				_ = b.Do(bg, broken)
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, _ := taped(t, Settings{
				FailMax: -1, FailureRate: .5, SlowCall: 10 * time.Millisecond, SlowRate: .5, MinCalls: 1, Window: time.Second, ResetTimeout: time.Hour,
			})
			b := m.Breaker("x")
			for range 9 {
				_ = b.Do(bg, nop)
			}
			clock := b.settings().step
			clock.mu.Lock()
			clock.serial++ // the timer that is set does nothing any more
			clock.mu.Unlock()
			time.Sleep(1050 * time.Millisecond)
			end(b)
			if b.State() != Open {
				t.Errorf("%s: the breaker is %v with %+v in its window, want open: the nine successes are more than a second old", name, b.State(), b.Status().Window)
			}
		})
	}
}

// written is what a tape was told since the last look, as text.
type written struct {
	tape   *tape.Tape
	read   tape.Cursor
	told   []string
	detach func()
}

// watchTape records the calls of m.
func watchTape(m *Manager) *written {
	w := &written{}
	tell := func(format string, args ...any) { w.told = append(w.told, fmt.Sprintf(format, args...)) }
	numbers := map[any]uint32{}
	w.tape = tape.New(1<<16, tape.Hooks{
		Enroll: func(b any, _ time.Time) uint32 {
			if numbers[b] == 0 {
				numbers[b] = uint32(len(numbers) + 1)
			}
			return numbers[b]
		},
		Forgot: func(b any) { tell("forgot %s", b.(*Breaker).ID()); delete(numbers, b) },
		Moved: func(_, t any, how tape.Trace) {
			tell("%s to %s, gen %d, units %d, attempt %d", t.(*Transition).From, t.(*Transition).To, how.Gen, how.Units, how.Attempt)
		},
		HeldBack: func(_, t any) { tell("held back: %s", t.(*Transition).Cause) },
		Updated:  func(any, time.Time) { tell("updated") },
	})
	w.read = w.tape.Now()
	_, w.detach, _ = tape.Engine.Attach(m, w.tape)
	return w
}

// take returns the calls in the order in which they ended, one a line, and what
// else was told.
func (w *written) take() string {
	calls, lost := w.tape.Read(w.read, nil)
	var lines []string
	for _, c := range calls {
		if c.What.Kind() == tape.Rejected {
			lines = append(lines, fmt.Sprintf("#%d %d rejected %s-%s", c.What.Number(), c.What.Count(), c.Began, c.Ended))
			continue
		}
		text := Outcome(c.What.Outcome()).String()
		for _, f := range []struct {
			flag tape.What
			name string
		}{{tape.Late, "late"}, {tape.Slow, "slow"}, {tape.Beside, "beside"}, {tape.Unjudged, "unjudged"}} {
			if c.What.Has(f.flag) {
				text += " " + f.name
			}
		}
		text += []string{"", " answered", " tail"}[c.What.Kind()]
		lines = append(lines, fmt.Sprintf("#%d %s gen %d units %d %s-%s", c.What.Number(), text, c.What.Gen(), c.What.Units(), c.Began, c.Ended))
	}
	// By the time of the end, which is last in a line.
	slices.SortFunc(lines, func(a, b string) int {
		ended := func(line string) time.Duration {
			d, err := time.ParseDuration(line[strings.LastIndexByte(line, '-')+1:])
			if err != nil {
				panic(err)
			}
			return d
		}
		return cmp.Or(cmp.Compare(ended(a), ended(b)), strings.Compare(a, b))
	})
	if lost > 0 {
		lines = append(lines, fmt.Sprintf("%d lost", lost))
	}
	lines = append(lines, w.told...)
	w.told = nil
	return strings.Join(lines, "\n")
}

// What is on the tape after calls of each kind.
func TestTape(t *testing.T) {
	second := func() { time.Sleep(time.Second) }
	for name, c := range map[string]struct {
		s    Settings
		act  func(m *Manager, b *Breaker)
		want string
		opts []Option
	}{
		"successes": {act: func(_ *Manager, b *Breaker) {
			_ = b.Do(bg, func(context.Context) error { second(); return nil })
			p, _ := b.Allow()
			second()
			p.Done(nil)
			p, _ = b.AllowContext(bg)
			second()
			_ = p.DoneContext(bg, nil)
			p, _ = b.Allow()
			second()
			_ = p.Settle(bg, Success, nil)
			_, _ = DoResult(bg, b, func(context.Context) (int, error) { second(); return 1, nil }, func(int, error) Outcome { return Success })
		}, want: `
#1 success gen 0 units 0 1.01s-2.01s
#1 success gen 0 units 0 2.01s-3.01s
#1 success gen 0 units 0 3.01s-4.01s
#1 success gen 0 units 0 4.01s-5.01s
#1 success gen 0 units 0 5.01s-6.01s
`},
		"outcomes": {act: func(_ *Manager, b *Breaker) {
			play(b, "fffsi")
			p, _ := b.Allow()
			second()
			_ = p.Settle(bg, Canceled, errX)
			p, _ = b.Allow()
			second()
			p.Abandoned()
		}, want: `
#1 failure gen 0 units 1 1.01s-1.01s
#1 failure gen 0 units 2 1.01s-1.01s
#1 failure gen 0 units 3 1.01s-1.01s
#1 ignored gen 0 units 0 1.01s-1.01s
#1 success gen 0 units 0 1.01s-1.01s
#1 canceled gen 0 units 0 1.01s-2.01s
#1 failure gen 0 units 1 2.01s-3.01s
`},
		"slow calls": {s: Settings{SlowCall: time.Second, SlowRate: 1, MinCalls: 100}, act: func(_ *Manager, b *Breaker) { play(b, "sSfF"); play(b, "S") }, want: `
#1 success gen 0 units 0 1.01s-1.01s
#1 failure gen 0 units 1 3.01s-3.01s
#1 success slow gen 0 units 0 1.01s-3.01s
#1 failure slow gen 0 units 2 3.01s-5.01s
#1 success slow gen 0 units 0 5.01s-7.01s
`},
		"slow calls by permits": {s: Settings{SlowCall: 2 * time.Second}, act: func(_ *Manager, b *Breaker) {
			for _, d := range []time.Duration{time.Second, 2 * time.Second} {
				p, _ := b.Allow()
				time.Sleep(d)
				p.Done(nil)
			}
		}, want: `
#1 success gen 0 units 0 1.01s-2.01s
#1 success slow gen 0 units 0 2.01s-4.01s
`},
		"of another period": {act: func(_ *Manager, b *Breaker) {
			_ = b.Do(bg, func(context.Context) error { _ = b.Open(Order{}); second(); _ = b.Close(Order{}); return nil })
		}, want: `
#1 success late gen 0 units 0 1.01s-2.01s
closed to open, gen 1, units 0, attempt 0
open to closed, gen 2, units 0, attempt 0
`},
		"a window": {s: Settings{FailMax: -1, FailureRate: 1, MinCalls: 100}, act: func(_ *Manager, b *Breaker) { play(b, "s.f.s") }, want: `
#1 success gen 0 units 0 1.01s-1.01s
#1 failure gen 0 units 1 2.01s-2.01s
#1 success gen 0 units 0 3.01s-3.01s
`},
		"with backoff": {s: Settings{FailMax: 1, ResetTimeout: time.Second, ResetBackoff: 2}, act: func(_ *Manager, b *Breaker) { play(b, "f.f.s.s"); play(b, "s") }, want: `
#1 failure gen 0 units 1 1.01s-1.01s
#1 failure gen 2 units 2 2.01s-2.01s
#1 1 rejected 3s-3.1s
#1 success gen 4 units 0 4.01s-4.01s
#1 success gen 5 units 0 4.01s-4.01s
closed to open, gen 1, units 1, attempt 1
open to half-open, gen 2, units 1, attempt 1
half-open to open, gen 3, units 2, attempt 2
open to half-open, gen 4, units 2, attempt 2
half-open to closed, gen 5, units 0, attempt 0
`},
		"late outcomes": {s: Settings{FailMax: 2}, act: func(_ *Manager, b *Breaker) {
			var ps [3]Permit
			for i := range ps {
				ps[i], _ = b.Allow()
			}
			second()
			_ = b.Open(Order{})
			second()
			ps[0].Done(nil)
			second()
			ps[1].Done(errX)
			_ = b.Close(Order{})
			second()
			ps[2].Done(nil)
		}, want: `
#1 success late gen 0 units 0 1.01s-3.01s
#1 failure late gen 0 units 0 1.01s-4.01s
#1 success late gen 0 units 0 1.01s-5.01s
closed to open, gen 1, units 0, attempt 0
open to closed, gen 2, units 0, attempt 0
`},
		"calls inside a probe": {act: func(_ *Manager, b *Breaker) {
			_ = b.HalfOpen(Order{})
			_ = b.Do(bg, func(ctx context.Context) error { second(); return b.Do(ctx, nop) })
		}, want: `
#1 ignored beside gen 1 units 0 0s-2.01s
#1 success gen 1 units 0 1.01s-2.01s
closed to half-open, gen 1, units 0, attempt 0
half-open to closed, gen 2, units 0, attempt 0
`},
		"behind an override": {act: func(_ *Manager, b *Breaker) {
			_ = b.Open(Order{})
			_ = b.ForceClosed(Order{})
			play(b, "sf")
			_ = b.ForceOpen(Order{})
			play(b, "s")
			second()
			_ = b.Release(Order{})
		}, want: `
#1 failure unjudged gen 1 units 0 1.01s-1.01s
#1 success unjudged gen 1 units 0 1.01s-1.01s
#1 1 rejected 1s-1.1s
closed to open, gen 1, units 0, attempt 0
open to forced-closed, gen 0, units 0, attempt 0
forced-closed to forced-open, gen 0, units 0, attempt 0
forced-open to half-open, gen 2, units 0, attempt 0
`},
		"marked calls": {act: func(_ *Manager, b *Breaker) {
			_ = b.Open(Order{})
			second()
			_ = b.Do(WithBypass(bg, "x"), nop)
			_ = b.Do(WithBypassProbe(bg, "x"), nop)
		}, want: `
#1 ignored beside gen 1 units 0 0s-2.01s
#1 success gen 2 units 0 2.01s-2.01s
closed to open, gen 1, units 0, attempt 0
open to half-open, gen 2, units 0, attempt 0
half-open to closed, gen 3, units 0, attempt 0
`, opts: []Option{WithBypassAllowed()}},
		"rejected calls": {act: func(_ *Manager, b *Breaker) {
			_ = b.Open(Order{})
			play(b, "sss")
			time.Sleep(50 * time.Millisecond)
			play(b, "s")
			second()
			play(b, "ss")
			time.Sleep(30 * time.Millisecond)
			_ = b.Close(Order{})
		}, want: `
#1 4 rejected 1s-1.1s
#1 2 rejected 2s-2.089999999s
closed to open, gen 1, units 0, attempt 0
open to closed, gen 2, units 0, attempt 0
`},
		"a ramp": {s: Settings{Ramp: 10 * time.Second}, act: func(_ *Manager, b *Breaker) {
			_ = b.HalfOpen(Order{})
			play(b, "s")
			second()
			play(b, "s.s.s.s.s")
		}, want: `
#1 success gen 1 units 0 1.01s-1.01s
#1 1 rejected 2.01s-2.01s
#1 1 rejected 3.01s-3.01s
#1 1 rejected 4.01s-4.01s
#1 success gen 2 units 0 5.01s-5.01s
#1 1 rejected 6.01s-6.01s
closed to half-open, gen 1, units 0, attempt 0
half-open to closed, gen 2, units 0, attempt 0
`},
		"an answer": {s: Settings{SlowCall: 3 * time.Second}, act: func(_ *Manager, b *Breaker) {
			_ = b.HalfOpen(Order{})
			for _, err := range []error{nil, errX} {
				p, _ := b.Allow()
				second()
				p.Answered()
				time.Sleep(5 * time.Second)
				p.Done(err)
			}
		}, want: `
#1 success answered gen 1 units 0 1.01s-2.01s
#1 success tail gen 2 units 0 6.01s-7.01s
#1 failure gen 2 units 1 12.01s-13.01s
closed to half-open, gen 1, units 0, attempt 0
half-open to closed, gen 2, units 0, attempt 0
`},
		"held back": {s: Settings{FailMax: 1}, act: func(m *Manager, b *Breaker) {
			m.CapOpen(0.1)
			_ = m.Breaker("other").ForceOpen(Order{})
			play(b, "ffs")
		}, want: `
#2 failure gen 0 units 1 1.01s-1.01s
#2 failure gen 0 units 2 1.01s-1.01s
#2 success gen 0 units 0 1.01s-1.01s
closed to forced-open, gen 0, units 0, attempt 0
held back: consecutive-failures
`},
		"settings": {act: func(_ *Manager, b *Breaker) {
			play(b, "f")
			_ = b.Update(Settings{SuccessesToForgive: 3})
			play(b, "fs")
			_ = b.Update(Settings{SuccessesToForgive: 3})
		}, want: `
#1 failure gen 0 units 1 1.01s-1.01s
#1 failure gen 0 units 6 1.01s-1.01s
#1 success gen 0 units 5 1.01s-1.01s
updated
`},
		"keys": {act: func(m *Manager, _ *Breaker) {
			s := SetOf[string](m, "s")
			play(s.Breaker("k"), "fs")
			play(s.Breaker("l"), "f")
			_ = s.Update(Settings{FailMax: 2})
			_ = s.Breaker("l").Update(Settings{FailMax: 1})
			s.Remove("l")
			play(s.Breaker("l"), "f")
		}, want: `
#1 failure gen 0 units 1 1.01s-1.01s
#1 success gen 0 units 0 1.01s-1.01s
#2 failure gen 0 units 1 1.01s-1.01s
#2 failure gen 0 units 1 1.01s-1.01s
updated
updated
forgot s/l
`},
		"from the middle": {act: func(m *Manager, b *Breaker) {
			p, _ := b.Allow()
			q, _ := b.Allow()
			_ = q
			second()
			p.Done(errX)
		}, want: `
#1 failure gen 0 units 1 1.01s-2.01s
`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := NewManager(c.s, c.opts...)
				b := m.Breaker("b")
				w := watchTape(m)
				defer w.detach()
				second()
				c.act(m, b)
				if got := w.take(); got != strings.TrimSpace(c.want) {
					t.Errorf("on the tape:\n%s\nwant:\n%s", got, c.want)
				}
			})
		})
	}
}

// A breaker keeps its number on the tape when the count of failures gets another
// unit, and the unit when it gets another number.
func TestNumberOnTheTape(t *testing.T) {
	b := New("b", Settings{})
	b.setNumber(7)
	_ = b.Update(Settings{SuccessesToForgive: 3})
	if n, unit := b.extra.Load()>>extraNumber, b.unit(); n != 7 || unit != 3 {
		t.Errorf("number %d and unit %d, want 7 and 3", n, unit)
	}
	b.setNumber(1 << 20)
	if n, unit := b.extra.Load()>>extraNumber, b.unit(); n != 1<<20 || unit != 3 {
		t.Errorf("number %d and unit %d, want %d and 3", n, unit, 1<<20)
	}
}

// A call that trips and its transition have the same time, so that a replay meets
// them together.
func TestTripIsDatedWithItsCall(t *testing.T) {
	m := NewManager(Settings{FailMax: 1})
	b := m.Breaker("b")
	w := watchTape(m)
	defer w.detach()
	play(b, "f")
	calls, _ := w.tape.Read(w.read, nil)
	if at := b.History()[0].At.Sub(b.settings().timer.base); len(calls) != 1 || calls[0].Ended != at {
		t.Errorf("the calls are %v, and the trip is at %s", calls, at)
	}
}

// A success that is recorded waits for the lock while a change is being recorded:
// its time must be after that of the change.
func TestRecordedSuccessWaitsForAChange(t *testing.T) {
	b := New("b", Settings{})
	p, _ := b.Allow()
	b.edit(0, flagHeld)
	if b.countedPlain(&p, new(tape.Call)) {
		t.Error("it counts without the lock")
	}
	if !b.countedPlain(&p, nil) {
		t.Error("without a recording it does not count without the lock")
	}
	b.edit(flagHeld, 0)
	if !b.countedPlain(&p, new(tape.Call)) {
		t.Error("it does not count afterwards")
	}
}

// The random number that decided an open time is on the tape.
func TestDrawIsOnTheTape(t *testing.T) {
	var draws []float64
	clock := vtime.New(time.Now(), func() float64 { return 0.25 })
	m := NewManager(Settings{FailMax: 1, ResetJitter: 0.2}, vtime.Option(clock).(Option))
	_, detach, _ := m.attach(tape.New(1<<16, tape.Hooks{
		Enroll: func(any, time.Time) uint32 { return 1 },
		Moved:  func(_, _ any, how tape.Trace) { draws = append(draws, how.Draw) },
	}))
	defer detach()
	play(m.Breaker("b"), "f")
	if len(draws) != 1 || draws[0] != 0.25 {
		t.Errorf("drawn %v, want 0.25", draws)
	}
}

// The times of a recording count from the moment that Attach returns.
func TestBaseOfARecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(Settings{})
		time.Sleep(time.Hour)
		tp := tape.New(1<<16, tape.Hooks{Enroll: func(any, time.Time) uint32 { return 1 }})
		read := tp.Now()
		base, detach, _ := tape.Engine.Attach(m, tp)
		defer detach()
		time.Sleep(time.Minute)
		_ = m.Breaker("b").Do(bg, nop)
		if calls, _ := tp.Read(read, nil); len(calls) != 1 || !base.Add(calls[0].Ended).Equal(time.Now()) {
			t.Errorf("%v after %s, want one that ended at %s", calls, base, time.Now())
		}
	})
}

// A replay passes over successes of a breaker that is quiet, and counts them in its
// window.
func TestQuietAndSucceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Settings{FailMax: 3, FailureRate: .5, MinCalls: 100, Window: time.Minute, ResetTimeout: time.Second}
		b := New("b", s)
		quiet := func(when string, want bool) {
			t.Helper()
			if got := tape.Engine.Quiet(b); got != want {
				t.Errorf("%s: quiet is %v, want %v", when, got, want)
			}
		}
		quiet("new", true)
		tape.Engine.Succeed(b, 7)
		if n := b.Status().Window.Calls; n != 7 {
			t.Errorf("%d calls in the window, want 7", n)
		}
		play(b, "f")
		quiet("after a failure", false)
		play(b, "s")
		quiet("after a success", true)
		_ = b.ForceClosed(Order{})
		quiet("forced closed", false)
		_ = b.Release(Order{})
		play(b, "fff")
		quiet("open", false)
		plain := New("plain", Settings{})
		tape.Engine.Succeed(plain, math.MaxInt) // without a window there is nothing to count
	})
}

// A breaker whose trip is held back has a number on the tape before it is told of.
func TestHeldBackAfterEnrolling(t *testing.T) {
	m := NewManager(Settings{FailMax: 1})
	m.CapOpen(0.1)
	enrolled, held := map[any]bool{}, 0
	_, detach, _ := m.attach(tape.New(1<<16, tape.Hooks{
		Enroll: func(b any, _ time.Time) uint32 { enrolled[b] = true; return uint32(len(enrolled)) },
		Moved:  func(any, any, tape.Trace) {},
		HeldBack: func(b, _ any) {
			if held++; !enrolled[b] {
				t.Errorf("%s has no number yet", b.(*Breaker).ID())
			}
		},
	}))
	defer detach()
	play(m.Breaker("a"), "f")
	b := m.Breaker("b")
	p, _ := b.Allow()
	p.Done(errX)
	if held != 1 {
		t.Errorf("%d trips are held back, want 1", held)
	}
}

// A key that was forgotten is another breaker on the tape.
func TestForgottenKeyGetsAnotherNumber(t *testing.T) {
	m := NewManager(Settings{FailMax: 9})
	b := SetOf[string](m, "s").Breaker("k")
	w := watchTape(m)
	defer w.detach()
	number := func() uint32 { return b.extra.Load() >> extraNumber }
	for range 2 {
		if play(b, "f"); number() == 0 {
			t.Error("it gets no number")
		}
		if b.forget(lapseAll); number() != 0 {
			t.Errorf("it keeps the number %d", number())
		}
	}
}
