package breaker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// A recording changes nothing of a call: neither its error, nor how a panic
// counts, nor what is observed.
func TestRecordedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(Settings{FailMax: -1})
		b := m.Breaker("b")
		w := watchTape(m)
		defer w.detach()
		for way, do := range waysToCall {
			if err := do(b, bg, broken); err != errX {
				t.Errorf("%s: %v, want %v", way, err, errX)
			}
		}
		m.Observe()
		_ = b.Do(bg, func(context.Context) error { time.Sleep(time.Second); return nil })
		elsewhere(func() {
			defer func() { _ = recover() }()
			_ = b.Do(bg, func(context.Context) error { panic("call") })
		})
		if got := b.FailCount(); got != 1 {
			t.Errorf("%d failures after a panic, want 1", got)
		}
		for _, n := range m.Calls() {
			q, _ := n.Latency.Within(0.9)
			if n.Successes != 1 || n.Failures != 1 || n.Latency.Count() != 2 || q < time.Second {
				t.Errorf("observed %+v, %d latencies up to %s", n, n.Latency.Count(), q)
			}
		}
	})
}

// A key's own settings decide while its calls are recorded, also those that it had
// before.
func TestRecordedKeysOwnSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, after := range []bool{false, true} {
			m := NewManager(Settings{})
			b := SetOf[string](m, "s").Breaker("k")
			own := func() { _ = b.Update(Settings{FailMax: -1, SlowCall: time.Second, SlowRate: 1, MinCalls: 1}) }
			if !after {
				own()
			}
			w := watchTape(m)
			if after {
				own()
			}
			play(b, "S")
			is(t, b, Open)
			if calls, _ := w.tape.Read(w.read, nil); len(calls) != 1 {
				t.Errorf("%d calls are on the tape, want 1", len(calls))
			}
			w.detach()
		}
	})
}

// A manager records on one tape at a time, each breaker under a number of that
// tape, until the recording ends.
func TestRecordingsOneAfterTheOther(t *testing.T) {
	m := NewManager(Settings{})
	b, k := m.Breaker("b"), SetOf[string](m, "s").Breaker("k")
	var numbers [2]map[uint32]bool
	for i := range numbers {
		w := watchTape(m)
		if _, _, ok := m.attach(w.tape); ok {
			t.Error("a second recording begins beside the first")
		}
		if i == 1 {
			play(m.Breaker("first"), "s") // so that the others have new numbers
		}
		play(b, "s")
		play(k, "s")
		w.detach()
		play(b, "s")
		play(k, "s")
		if b.load()&flagTimed != 0 || k.load()&flagTimed != 0 {
			t.Error("after the recording calls are still timed")
		}
		calls, _ := w.tape.Read(w.read, nil)
		if len(calls) != 2+i {
			t.Errorf("%d calls are on the tape, want %d", len(calls), 2+i)
		}
		numbers[i] = map[uint32]bool{}
		for _, c := range calls {
			numbers[i][c.What.Number()] = true
		}
		if len(numbers[i]) != 2+i {
			t.Errorf("the breakers have the numbers %v", numbers[i])
		}
	}
}

// The tape is told when the steps of a breaker's window began, and calls of a
// breaker for which it has no number are lost.
func TestEnrolledWithItsWindow(t *testing.T) {
	var began []time.Time
	m := NewManager(Settings{FailMax: 1, FailureRate: 1})
	m.CapOpen(0.1)
	enroll := func(_ any, at time.Time) uint32 { began = append(began, at); return 0 }
	tp := tape.New(1<<16, tape.Hooks{
		Enroll:   enroll,
		Moved:    func(any, any, tape.Trace) {},
		HeldBack: func(any, any) {},
		Updated:  func(_ any, at time.Time) { began = append(began, at) },
	})
	_, detach, _ := m.attach(tp)
	defer detach()
	b := m.Breaker("b")
	play(b, "s")
	play(b, "f")              // it trips
	play(m.Breaker("c"), "f") // it is held back
	_ = b.Update(Settings{FailMax: 2, FailureRate: 1})
	if lost, _ := tp.Losses(); lost != 3 {
		t.Errorf("%d calls are lost, want 3", lost)
	}
	if len(began) < 5 {
		t.Errorf("the tape was told %d times, want 5 or more", len(began))
	}
	for _, at := range began {
		if at.IsZero() || time.Since(at) > time.Minute {
			t.Errorf("steps began at %s", at)
		}
	}
}

// A key with its own settings is enrolled with its own window, whichever event
// comes first.
func TestEnrolledWithItsOwnWindow(t *testing.T) {
	for name, first := range map[string]func(b *Breaker){
		"a call":              func(b *Breaker) { play(b, "s") },
		"a move":              func(b *Breaker) { _ = b.Open(Order{}) },
		"a trip that is held": func(b *Breaker) { play(b, "f") },
	} {
		m := NewManager(Settings{})
		s := SetOf[string](m, "s")
		b := s.Breaker("k")
		must(t, b.Update(Settings{FailMax: 1, FailureRate: 1}))
		if name == "a trip that is held" {
			m.CapOpen(0.1)
			_ = m.Breaker("a").Open(Order{})
		}
		var began []time.Time
		_, detach, _ := m.attach(tape.New(1<<16, tape.Hooks{
			Enroll:   func(_ any, at time.Time) uint32 { began = append(began, at); return 1 },
			Moved:    func(any, any, tape.Trace) {},
			HeldBack: func(any, any) {},
		}))
		first(b)
		detach()
		if len(began) == 0 {
			t.Errorf("%s: it has not enrolled", name)
		}
		for _, at := range began {
			if own := b.settings().step.base; !at.Equal(own) {
				t.Errorf("%s: steps began at %s, want %s", name, at, own)
			}
		}
	}
}

// While an outcome is being recorded, the word says so, and no longer.
func TestWordIsHeldWhileAnOutcomeIsRecorded(t *testing.T) {
	b := New("b", Settings{})
	p, _ := b.Allow()
	var rec tape.Call
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recordCountsLocked(&rec, &p)
	if b.load()&flagHeld == 0 {
		t.Error("it is not held")
	}
	b.recordCountedLocked(&rec)
	if b.load()&flagHeld != 0 {
		t.Error("it is still held")
	}
	// Only successes of a closed breaker are counted without the lock.
	b.edit(stateMask, withState(HalfOpen))
	if b.recordCountsLocked(&rec, &p); b.load()&flagHeld != 0 {
		t.Error("the word of a half-open breaker is held")
	}
}

// Listeners hear of a move that a replay imposes.
func TestImposedMoveIsHeard(t *testing.T) {
	var heard []Transition
	b := New("b", Settings{FailMax: 9}, WithListener(Listener{StateChange: func(_ *Breaker, x Transition) { heard = append(heard, x) }}))
	play(b, "ff")
	tape.Engine.Impose(b, &Transition{To: Open, Cause: CauseConsecutive, OpenFor: time.Hour}, tape.Trace{Units: 2, Attempt: 3})
	if len(heard) != 1 || heard[0].From != Closed || b.FailCount() != 2 || b.cold.Load().attempt != 3 {
		t.Errorf("heard %+v", heard)
	}
}

// What a tape has counted but not written is written when it is asked for.
func TestFlushOfRejections(t *testing.T) {
	m := NewManager(Settings{})
	b := m.Breaker("b")
	w := watchTape(m)
	defer w.detach()
	_ = b.Open(Order{})
	play(b, "sss")
	for _, want := range []int{3, 0} {
		tape.Engine.Flush(b)
		n := 0
		calls, _ := w.tape.Read(w.read, nil)
		for _, c := range calls {
			n += c.What.Count()
		}
		if n != want {
			t.Errorf("%d rejected calls, want %d", n, want)
		}
	}
}

// A recorded success counts in the window, however often a call of this step has
// counted before, and a window that is full of successes is clean.
func TestRecordedSuccessesCountInTheWindow(t *testing.T) {
	steps := []string{"first", "second", "third, half a second later", "fourth, as they leave", "fifth"}
	for name, c := range map[string]struct {
		s     Settings
		calls []int // in the window after each step
	}{
		"time":  {Settings{FailMax: -1, FailureRate: .5, MinCalls: 100, Window: time.Second}, []int{1, 2, 3, 2, 3}},
		"slow":  {Settings{FailMax: -1, SlowCall: time.Minute, SlowRate: .5, MinCalls: 100, Window: time.Second}, []int{1, 2, 3, 2, 3}},
		"calls": {Settings{FailMax: -1, FailureRate: .5, MinCalls: 5, WindowCalls: 5}, []int{1, 2, 3, 4, 5}},
	} {
		for way, do := range map[string]func(b *Breaker){
			"Do":    func(b *Breaker) { _ = b.Do(bg, nop) },
			"Allow": func(b *Breaker) { p, _ := b.Allow(); p.Done(nil) },
		} {
			synctest.Test(t, func(t *testing.T) {
				m, tp := taped(t, c.s)
				b := m.Breaker("b")
				read := tp.Now()
				for i, step := range steps {
					switch i {
					case 2:
						time.Sleep(500 * time.Millisecond)
					case 3:
						time.Sleep(550 * time.Millisecond)
					}
					b.Status() // reads the clock: the step is known before its first call
					do(b)
					got := b.Status().Window.Calls
					if name == "calls" && i == 4 {
						// It is clean, so nothing is counted in it any more.
						if b.load()&flagCounted != 0 || !b.win.Load().clean() {
							t.Errorf("%s, %s: the window is not clean", name, way)
						}
						continue
					}
					if got != c.calls[i] {
						t.Errorf("%s, %s, %s call: %d calls in the window, want %d", name, way, step, got, c.calls[i])
					}
				}
				if calls, _ := tp.Read(read, nil); len(calls) != len(steps) {
					t.Errorf("%s, %s: %d calls are on the tape, want %d", name, way, len(calls), len(steps))
				}
			})
		}
	}
}

// A recorded success that changes nothing is observed, with the time that it took,
// and its record has the period in which it counts.
func TestRecordedSuccessesAreObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, own := range []bool{false, true} { // the breaker's calls are observed, or those of all
			m, tp := taped(t, Settings{})
			b := m.Breaker("b")
			for range 3 {
				_ = b.Close(Order{}) // so that the period is not the first one
				_ = b.Open(Order{})
			}
			_ = b.Close(Order{})
			read := tp.Now()
			_ = b.Do(bg, nop) // nothing observes calls
			if own {
				b.Peer().Watch(true)
			} else {
				defer m.Observe()()
			}
			for range 2 {
				_ = b.Do(bg, func(context.Context) error { time.Sleep(time.Second); return nil })
			}
			n := callsOf(m, "b")
			if own {
				n = b.Peer().Calls()
			}
			if q, _ := n.Latency.Within(.9); n.Successes != 2 || n.Latency.Count() != 2 || q < 900*time.Millisecond || q > 2*time.Second {
				t.Errorf("own %v: %d successes, %d latencies up to %s, want 2 of a second", own, n.Successes, n.Latency.Count(), q)
			}
			calls, _ := tp.Read(read, nil)
			if len(calls) != 3 {
				t.Fatalf("own %v: %d calls are on the tape, want 3", own, len(calls))
			}
			for _, x := range calls {
				if gen := genOf(b.load()); gen == 0 || uint32(x.What.Gen()) != gen || Outcome(x.What.Outcome()) != Success {
					t.Errorf("own %v: generation %d and %s on the tape, want %d and a success", own, x.What.Gen(), Outcome(x.What.Outcome()), gen)
				}
			}
		}
	})
}

// A success is counted the quick way only in the step in which it ended, and in the
// window that belongs to the word and the settings that admitted it.
func TestCountedAgainAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := taped(t, Settings{FailMax: -1, FailureRate: .5, MinCalls: 100, Window: time.Second})
		b := m.Breaker("b")
		const width = 100 * time.Millisecond
		time.Sleep(3*width + width/2)
		_ = b.Do(bg, nop) // the step has begun
		r, w := b.settings(), b.load()
		began := 3*width - r.stepsBegan // of the step, on the clock of the record
		count := func() int { return b.Status().Window.Calls }
		for _, c := range []struct {
			ended time.Duration
			want  bool
		}{{began - 1, false}, {began, true}, {began + width/2, true}, {began + width - 1, true}, {began + width, false}} {
			before := count()
			if got := b.countedAgainAt(r, w, c.ended); got != c.want || count() != before+btoi(got) {
				t.Errorf("%s after the step began: counted is %v, and %d more calls, want %v", c.ended-began, got, count()-before, c.want)
			}
		}
		other := m.Breaker("other").cfg.compile(b.Settings(), 1) // with another clock
		other.step.read()
		if before := count(); b.countedAgainAt(other, w, other.timer.real()) || b.countedAgainAt(r, w&^withGen(genMask)|withGen(genOf(w)+1), began) || count() != before {
			t.Error("it counts under other settings, or in another period")
		}
		r.step.word.And(^clockUsed)
		if b.countedAgainAt(r, w, began) {
			t.Error("it counts in a step that has not been read: the clock would stop")
		}
	})
}

// countedAt leaves to the lock what is not a plain success of this period.
func TestCountedAt(t *testing.T) {
	m, _ := taped(t, Settings{FailMax: 9, FailureRate: 1, MinCalls: 100})
	b := m.Breaker("b")
	_ = b.Do(bg, nop)
	w, now := b.load(), b.settings().timer.real()
	before := b.Status().Window.Calls
	for what, word := range map[string]uint64{
		"after a failure":   w | withUnits(1),
		"in another period": w&^withGen(genMask) | withGen(genOf(w)+1),
	} {
		if b.countedAt(word, now) {
			t.Errorf("it counts %s", what)
		}
	}
	if n := b.Status().Window.Calls; n != before {
		t.Errorf("%d calls in the window, want %d", n, before)
	}
	if !b.countedAt(w, now) || b.Status().Window.Calls != before+1 {
		t.Errorf("a plain success does not count: %d calls in the window", b.Status().Window.Calls)
	}
	if !b.countedAt(w&^flagCounted, now) || b.Status().Window.Calls != before+1 {
		t.Error("without a window, there is nothing to count, and nothing is counted")
	}
}

// A call that an override rejects in a ramp is one of many, and none of the ramp's.
func TestRejectedByAnOverrideInARamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(Settings{FailMax: 1, ResetTimeout: time.Second, Ramp: time.Minute})
		b := m.Breaker("b")
		w := watchTape(m)
		defer w.detach()
		play(b, "f..s")
		if b.load()&flagRamp == 0 {
			t.Fatal("there is no ramp")
		}
		_ = b.ForceOpen(Order{})
		w.take()
		play(b, "sss")
		tape.Engine.Flush(b)
		n := 0
		calls, _ := w.tape.Read(w.read, nil)
		for _, c := range calls {
			n += c.What.Count()
		}
		if n != 3 {
			t.Errorf("%d rejected calls are on the tape, want 3", n)
		}
	})
}

// What was rejected before the recording ended is asked for afterwards.
func TestFlushAfterTheRecording(t *testing.T) {
	m := NewManager(Settings{})
	b := m.Breaker("b")
	w := watchTape(m)
	_ = b.Open(Order{})
	play(b, "sss")
	w.detach()
	tape.Engine.Flush(b)
	if calls, _ := w.tape.Read(w.read, nil); len(calls) != 0 {
		t.Errorf("%v are on the tape of a recording that is over", calls)
	}
}

// Rejected calls are recorded as before the moment until which they came, even if
// that is the beginning of their span.
func TestRejectionsBeginBeforeTheyEnd(t *testing.T) {
	m, tp := taped(t, Settings{})
	b := m.Breaker("b")
	read := tp.Now()
	b.recordRejections(b.settings(), 7<<rejectedBits|5, 7*rejectSpan)
	calls, _ := tp.Read(read, nil)
	if len(calls) != 1 || calls[0].What.Count() != 5 || calls[0].Ended != 7*rejectSpan || calls[0].Began != 7*rejectSpan-1 {
		t.Errorf("on the tape: %+v", calls)
	}
}

// A call may begin while a failure is being counted that has been timed already.
// Its success must wait: it would be recorded as after a failure that it does not
// take back.
func TestSuccessWaitsForACountedFailure(t *testing.T) {
	m, _ := tapedOn(t, Settings{}, 1<<16)
	b := m.Breaker("x")
	b.mu.Lock()
	b.recordCountsLocked(new(tape.Call), &Permit{b: b, word: b.load()})
	b.mu.Unlock()
	p, _ := b.Allow()
	if p.recordedPlain() {
		t.Error("recorded without the lock")
	}
	p.tag = 0 // not by the exact clock
	if p.countedPlain() {
		t.Error("counted without the lock")
	}
	b.mu.Lock()
	b.recordCountedLocked(new(tape.Call))
	b.mu.Unlock()
	if p, _ = b.Allow(); !p.recordedPlain() {
		t.Error("a success that nothing happens beside takes the lock")
	}
}
