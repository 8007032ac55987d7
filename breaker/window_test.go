package breaker

import (
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A cell holds the ten steps that end with the given one, and those just ahead
// of it, whatever the number of the step.
func TestCellHoldsTenSteps(t *testing.T) {
	for _, at := range []uint64{100, 1<<31 - 5, 1 << 31, 1<<32 - 3, 1 << 32, 1<<32 + 4} {
		for _, c := range []struct {
			later int64 // steps from the success to the sum
			want  int
		}{
			{0, 1}, {1, 1}, {9, 1}, {10, 0}, {1000, 0}, {-1, 1}, {-10, 1}, {-11, 0}, {1<<31 - 1, 0}, {1<<31 + 5, 0}, {1<<32 - 11, 0},
		} {
			now := uint64(int64(at) + c.later)
			if int64(now) < 0 {
				continue
			}
			var x cell
			if !x.countStep(at) {
				t.Fatalf("step %d: not counted", at)
			}
			if got := x.sumSteps(now, windowSteps); got != c.want {
				t.Errorf("a success of step %d is %d at step %d (%+d), want %d", at, got, now, c.later, c.want)
			}
		}
	}
}

// What has left the window is cleared when it is summed, and a late step does
// not overwrite a newer one in its slot.
func TestCellForgets(t *testing.T) {
	var x cell
	x.countStep(5)
	x.sumSteps(5+1<<31+5, windowSteps) // far later
	if got := x.sumSteps(1<<32+5, windowSteps); got != 0 {
		t.Errorf("2^32 steps later %d successes are held, want none", got)
	}
	x.countStep(25)
	if !x.countStep(15) || x.sumSteps(25, windowSteps) != 1 {
		t.Errorf("a late success of step 15 makes %d of step 25, want 1", x.sumSteps(25, windowSteps))
	}
	x.countStep(35)
	if got := x.sumSteps(35, windowSteps); got != 1 {
		t.Errorf("%d in step 35, want 1", got)
	}
}

// A full count stays full: it does not overflow into the step.
func TestFullCount(t *testing.T) {
	var x cell
	x[5].Store(15<<32 | math.MaxUint32 - 1)
	for range 3 {
		if !x.countStep(15) {
			t.Fatal("not counted")
		}
	}
	b := New("db", Settings{FailureRate: 1, Window: time.Hour})
	w := &b.win.Load().time
	step := w.clock.step()
	slot := &w.good.first[step%windowSteps]
	slot.Store(step<<32 | math.MaxUint32 - 1)
	play(b, "sss")
	for name, c := range map[string][2]uint64{"cell": {x[5].Load(), 15}, "window": {slot.Load(), step}} {
		if got, want := c[0], c[1]<<32|math.MaxUint32; got != want {
			t.Errorf("%s: a full count became %x, want %x", name, got, want)
		}
	}
}

// A success counts in the step in which it occurs, even if another breaker has
// just read the shared clock and the slot still holds an older step.
func TestSuccessBesideAnotherReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(Settings{FailureRate: 1})
		a, b := m.Breaker("a"), m.Breaker("b")
		for i := range 5 {
			play(a, "s")
			play(b, "s")
			if got := b.Status().Window.Calls; got != 1 {
				t.Errorf("round %d: %d calls in the window, want 1", i+1, got)
			}
			time.Sleep(10 * time.Second) // the same slot
			synctest.Wait()
		}
	})
}

// plainWindow is the slow, obvious window that the real ones are compared
// with: it remembers every call and looks at all of them for every answer.
type plainWindow struct {
	base  time.Time
	span  time.Duration
	size  int // over the last N calls; 0: over span
	calls []plainCall
}

type plainCall struct {
	at           time.Time
	failed, slow bool
}

func (w *plainWindow) add(failed, slow bool) {
	w.calls = append(w.calls, plainCall{time.Now(), failed, slow})
}

func (w *plainWindow) counts() (c Counts) {
	held := w.calls
	if w.size > 0 {
		held = held[max(0, len(held)-w.size):]
	}
	for _, call := range held {
		if w.size == 0 && w.steps(time.Now())-w.steps(call.at) >= windowSteps {
			continue
		}
		c.Calls++
		c.Failures += btoi(call.failed)
		c.Slow += btoi(call.slow)
		c.Bad += btoi(call.failed || call.slow)
	}
	return c
}

func (w *plainWindow) steps(t time.Time) int64 {
	return int64(t.Sub(w.base) / (w.span / windowSteps))
}

// replayWindows drives a breaker and the plain window through the same calls.
// The first two bytes choose the window, the others the calls.
func replayWindows(t *testing.T, data []byte) {
	if len(data) < 2 {
		return
	}
	s := Settings{FailMax: -1, SlowCall: time.Millisecond} // counts all, opens never
	if data[0]%2 == 0 {
		s.Window = []time.Duration{10 * time.Second, 10 * time.Millisecond, time.Hour, 1234567891}[data[1]%4]
	} else {
		s.WindowCalls = 1 + int(data[1])%40
	}
	b := New("x", s)
	plain := &plainWindow{base: time.Now(), span: s.WithDefaults().Window, size: s.WindowCalls}
	if data[0]&2 != 0 && s.WindowCalls == 0 {
		b.win.Load().time.good.more.Store(newSpread()) // as after contention
	}
	call := func(failed, slow bool) {
		p, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		if slow {
			time.Sleep(s.SlowCall)
			synctest.Wait()
		}
		if failed {
			p.Done(errX)
		} else {
			p.Done(nil)
		}
		plain.add(failed, slow)
	}
	check := func(i int) {
		if got, want := b.Status().Window, plain.counts(); got != want {
			t.Fatalf("%v, after %d bytes of %v: %+v, want %+v", s, i, data, got, want)
		}
	}
	step := plain.span / windowSteps
	for i := 2; i < len(data); i++ {
		op, n := data[i]%8, int(data[i]/8)
		switch op {
		case 0, 1, 2, 3:
			call(op&1 != 0, op&2 != 0)
		case 4:
			time.Sleep(time.Duration(n) * step / 16)
			synctest.Wait() // lets the coarse clock tick first where both wake at once
		case 5:
			time.Sleep(time.Duration(n) * step)
			synctest.Wait()
		case 6:
			for range n {
				call(false, false)
			}
		case 7:
			check(i)
		}
	}
	check(len(data))
}

func FuzzWindow(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 2, 3, 7, 8*10 + 5, 7, 0, 1, 8*9 + 5, 7, 8 + 5, 7})            // time: forgets at ten steps
	f.Add([]byte{2, 0, 8*5 + 6, 1, 8*16 + 4, 8*7 + 6, 7, 8*31 + 5, 8 + 6, 7})              // striped, the clock stops
	f.Add([]byte{0, 1, 0, 4, 0, 12, 0, 20, 1, 28, 0, 36, 3, 44, 1, 52, 7, 60, 0, 68, 7})   // the shortest window
	f.Add([]byte{1, 9, 1, 1, 8*10 + 6, 7, 0, 1, 7, 8*10 + 6, 7, 3, 2, 8*9 + 6, 7, 0, 7})   // calls: clean and back
	f.Add([]byte{1, 0, 1, 7, 0, 7, 3, 7, 2, 7})                                            // the last one call
	f.Add([]byte{1, 39, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 7, 8*25 + 6, 1, 8*31 + 6, 7, 1, 7})  // the ring grows, wraps
	f.Add([]byte{0, 3, 1, 8*3 + 5, 0, 8*3 + 5, 3, 8*3 + 5, 2, 8*3 + 5, 7, 8*31 + 5, 0, 7}) // an odd width
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) { replayWindows(t, data) })
	})
}

// A call is held for nine steps after its own, to the nanosecond.
func TestWindowEdges(t *testing.T) {
	const ns = time.Nanosecond
	for _, c := range []struct{ at, until time.Duration }{
		{0, 10 * time.Second},
		{time.Second - ns, 10 * time.Second},
		{time.Second, 11 * time.Second},
		{9*time.Second + 500*time.Millisecond, 19 * time.Second},
		{100 * time.Second, 110 * time.Second},
	} {
		for _, script := range []string{"s", "f"} {
			synctest.Test(t, func(t *testing.T) {
				b := New("x", Settings{FailMax: -1, FailureRate: 1})
				time.Sleep(c.at)
				synctest.Wait()
				play(b, script)
				time.Sleep(c.until - c.at - ns)
				synctest.Wait()
				if got := b.Status().Window.Calls; got != 1 {
					t.Errorf("%s at %s: forgotten before %s", script, c.at, c.until)
				}
				time.Sleep(ns)
				synctest.Wait()
				if got := b.Status().Window.Calls; got != 0 {
					t.Errorf("%s at %s: held at %s", script, c.at, c.until)
				}
			})
		}
	}
}

// Nothing is lost and nothing is counted twice, however many goroutines count
// at once.
func TestWindowUnderConcurrency(t *testing.T) {
	const goroutines, each = 8, 3000
	for name, s := range map[string]Settings{
		"time":  {FailMax: -1, FailureRate: 1, Window: time.Hour, MinCalls: 1 << 30},
		"calls": {FailMax: -1, FailureRate: 1, WindowCalls: maxWindowCalls},
	} {
		t.Run(name, func(t *testing.T) {
			b := New("x", s)
			storm(b, goroutines, each)
			if got, want := b.Status().Window, (Counts{goroutines * each, goroutines * each / 10, 0, goroutines * each / 10}); got != want {
				t.Errorf("the window holds %+v, want %+v", got, want)
			}
		})
	}
}

// storm makes calls at once, every tenth of them failing.
func storm(b *Breaker, goroutines, each int) {
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range each {
				p, _ := b.Allow()
				if i%64 == 0 {
					runtime.Gosched()
				}
				if i%10 == 0 {
					p.Done(errX)
				} else {
					p.Done(nil)
				}
			}
		})
	}
	wg.Wait()
}

// A window of calls that has been clean, or became clean while other calls
// failed, is exact again once it has seen as many calls as it holds.
func TestCallWindowAfterAStorm(t *testing.T) {
	for range 50 {
		b := New("x", Settings{FailMax: -1, SlowCall: time.Hour, WindowCalls: 20})
		storm(b, 4, 200)
		for range 20 {
			play(b, "s")
		}
		if got := b.Status().Window; got != (Counts{20, 0, 0, 0}) {
			t.Fatalf("after 20 successes the window holds %+v", got)
		}
		if b.load()&flagCounted != 0 {
			t.Fatal("a clean window is still counted")
		}
		play(b, "fsssf")
		if got := b.Status().Window; got != (Counts{20, 2, 0, 2}) {
			t.Fatalf("after five more it holds %+v", got)
		}
	}
}

// Stripes that are no longer used keep their counts until those are old, and
// then none.
func TestStripesLeftAlone(t *testing.T) {
	var s striped
	s.own().countStep(7)
	s.contended()
	more := s.more.Load().cells
	all := 1
	for i := range more {
		for range i + 1 {
			more[i].countStep(7)
			all++
		}
	}
	for _, c := range []struct {
		step uint64
		want int
	}{{7, all}, {16, all}, {17, 0}, {1 << 20, 0}} {
		got := 0
		s.each(func(x *cell) { got += x.sumSteps(c.step, windowSteps) })
		if got != c.want {
			t.Errorf("at step %d: %d, want %d", c.step, got, c.want)
		}
	}
}

func TestCell(t *testing.T) {
	t.Run("a straggler does not wipe out a later step", func(t *testing.T) {
		var c cell
		c.countStep(25)
		c.countStep(15) // ten steps late, the same slot
		if got := c.sumSteps(25, windowSteps); got != 1 {
			t.Errorf("%d, want 1", got)
		}
	})
	t.Run("a reader at the edge sees the next step", func(t *testing.T) {
		var c cell
		c.countStep(26)
		if got := c.sumSteps(25, windowSteps); got != 1 {
			t.Errorf("%d, want 1", got)
		}
	})
	t.Run("a slot that was not used for 2^31 steps takes new ones", func(t *testing.T) {
		var c cell
		c.countStep(5)
		late := uint64(5 + 10*(1<<31/10+7)) // the same slot, its tag long gone by
		c.countStep(late)
		if got := c.sumSteps(late, windowSteps); got != 1 {
			t.Errorf("%d, want 1", got)
		}
	})
	t.Run("steps go on past 32 bits", func(t *testing.T) {
		var c cell
		for step := uint64(1<<32) - 25; step < 1<<32+25; step++ {
			for range 3 {
				c.countStep(step)
			}
			if got, want := c.sumSteps(step, windowSteps), 3*min(10, int(step-(1<<32-25))+1); got != want {
				t.Fatalf("at step 2^32%+d: %d, want %d", int64(step-1<<32), got, want)
			}
		}
	})
	t.Run("an old count does not come back when its tag does", func(t *testing.T) {
		var c cell
		c.countStep(3)
		if got := c.sumSteps(100, windowSteps); got != 0 {
			t.Fatalf("at step 100: %d", got)
		}
		if got := c.sumSteps(1<<32+5, windowSteps); got != 0 {
			t.Errorf("2^32 steps on: %d, want 0", got)
		}
	})
	t.Run("a full count stays full", func(t *testing.T) {
		var c cell
		c[4].Store(4<<32 | math.MaxUint32)
		if !c.countStep(4) || c[4].Load() != 4<<32|math.MaxUint32 {
			t.Errorf("it became %x", c[4].Load())
		}
	})
	t.Run("a lost race counts nothing", func(t *testing.T) {
		var c cell
		lost, wg := make([]int, 8), sync.WaitGroup{}
		for g := range 8 {
			wg.Go(func() {
				for range 5000 {
					if !c.countStep(1) {
						lost[g]++
					}
				}
			})
		}
		wg.Wait()
		n := 0
		for _, l := range lost {
			n += l
		}
		if got := c.sumSteps(1, windowSteps); got != 8*5000-n {
			t.Errorf("%d counted, %d of %d were refused", got, n, 8*5000)
		}
	})
}

// A clock that is late dates failures and successes alike: the calls of one
// moment leave the window together, so that a few failures are never judged
// without the successes that came with them.
func TestWindowDatesAllCallsByOneClock(t *testing.T) {
	b := New("x", Settings{FailMax: -1, FailureRate: 0.9, Window: 10 * time.Second})
	clock := b.settings().step
	clock.base = time.Now().Add(-6500 * time.Millisecond) // step 6, by the exact time
	clock.word.Store(5<<clockBits | clockUsed | clockRuns)
	play(b, "sssssf")
	w := &b.win.Load().time
	if got := w.counts(5, windowSteps); got.Calls != 6 {
		t.Errorf("the window holds %+v, want 6 calls", got)
	}
	for step := uint64(5); step < 30; step++ { // reading a later step drops what has left the window
		if got := w.counts(step, windowSteps); got.Calls != 6 && got.Calls != 0 || got.Failures > 0 != (got.Calls > 0) {
			t.Fatalf("in step %d the window holds %+v, want all of 6 calls or none", step, got)
		}
	}
}

// Successes that contend for one slot are all counted, whether the step is new or
// the slot still holds one that has left the window and is being cleared.
func TestSuccessesContendForASlot(t *testing.T) {
	const n, old, now = 10_000, 5, 25
	count := func(x *cell) {
		for !x.countStep(now) {
			runtime.Gosched()
		}
	}
	first, left := make([]cell, n), make([]cell, n)
	for i := range left {
		left[i].countStep(old)
	}
	abreast(n, func(i int) { count(&first[i]); count(&left[i]) }, func(i int) { count(&first[i]); left[i].sumSteps(now, windowSteps) })
	for i := range first {
		if got := first[i].sumSteps(now, 1); got != 2 {
			t.Fatalf("slot %d holds %d successes, want 2", i, got)
		}
		if got := left[i].sumSteps(now, 1); got != 1 {
			t.Fatalf("slot %d, which was cleared, holds %d successes, want 1", i, got)
		}
	}
}

// Successes of one step that contend are all counted, on the fast path and on the
// other.
func TestSuccessesOfOneStepContend(t *testing.T) {
	const rounds, each = 3000, 100
	b := New("b", Settings{FailureRate: 1, Window: 24 * time.Hour})
	w := b.win.Load()
	w.success(w.step()) // the fast path needs a step that has a success
	step := w.time.clock.step()
	for name, count := range map[string]func() bool{
		"quick": func() bool { return b.countedFast(b.load()) },
		"other": func() bool { return w.time.good.first.countStep(step) },
	} {
		want := w.counts().Calls
		var counted [2]int
		abreast(rounds, func(int) {
			for range each {
				counted[0] += btoi(count())
			}
		}, func(int) {
			for range each {
				counted[1] += btoi(count())
			}
		})
		if want += counted[0] + counted[1]; w.counts().Calls != want {
			t.Errorf("%s: %d are held, want %d", name, w.counts().Calls, want)
		}
	}
}

// Confidence looks at the whole window in the end, not only at its newest parts.
func TestConfidenceOverTheWholeWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: -1, FailureRate: 0.5, Confidence: 0.95, Window: 10 * time.Second})
		play(b, "ffff")
		time.Sleep(9 * time.Second)
		play(b, "fff")
		is(t, b, Closed)
		play(b, "f")
		is(t, b, Open)
		if got := b.Status().Transition; got.Window != 10*time.Second || got.Counts.Failures != 8 {
			t.Errorf("the record is %+v", got)
		}
	})
}

// A failure finds out that the clock of its window is dead.
func TestFailureCorrectsADeadClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: -1, FailureRate: 0.5})
		play(b, "s")
		clock := b.settings().step
		clock.base = clock.base.Add(-time.Hour) // as if its timer had not fired since
		play(b, "f")
		if got := clock.step(); got != 3600 {
			t.Errorf("it is at step %d, want 3600", got)
		}
	})
}

// The ring of bad calls is as long as the window, rounded up: what has left the
// window makes room first.
func TestRingOfBadCallsStaysSmall(t *testing.T) {
	w := newCallWindow(8)
	for range 100 {
		w.bad(true, false)
	}
	if got := len(w.list); got != 8 {
		t.Errorf("the ring has room for %d calls, want 8", got)
	}
}

// The step of a recorded call follows from the time in its record, whatever the
// coarse clock says, and the clock is read: otherwise it would stop.
func TestStepAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fine := newClock(nil, fineStep)
		time.Sleep(250 * time.Millisecond)
		const width = 100 * time.Millisecond
		c := New("x", Settings{FailMax: -1, FailureRate: .5, Window: windowSteps * width}).settings()
		w := newWindow(0, c)
		time.Sleep(3*width + width/2)
		base := 250 * time.Millisecond // of the coarse clock, on the fine one
		for _, x := range []struct {
			since time.Duration
			want  uint64
		}{
			{3 * width, 3}, {4*width - 1, 3}, // the step of now
			{3*width - 1, 2}, {width, 1}, // a call that ended before it, and is late
			{4 * width, 4}, {9*width + 1, 9}, // the coarse clock is late
			{-1, 0}, // it ended before the window began
		} {
			if got := w.stepAt(fine, base+x.since); got != x.want {
				t.Errorf("%s after the base: step %d, want %d", x.since, got, x.want)
			}
		}
		if step, ok := c.step.cached(); !ok || step != 3 {
			t.Errorf("the clock is at step %d, read is %v, want 3 and read", step, ok)
		}
		last := newWindow(0, New("x", Settings{FailMax: -1, FailureRate: .5, WindowCalls: 20}).settings())
		if got := last.stepAt(fine, time.Hour); got != 0 {
			t.Errorf("a window of calls has the step %d, want 0", got)
		}
	})
}
