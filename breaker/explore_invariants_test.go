package breaker

import (
	"fmt"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/internal/spec"
)

// oneBreaker checks that the key has no other breaker than the one that is
// held (I8).
func (w *world) oneBreaker() error {
	if w.set == nil {
		return nil
	}
	b := w.peek()
	switch {
	case b == w.b:
		kept := w.set.shard("a").by.m["a"] == b
		if word := b.load(); kept == (word&flagEvicted != 0) || !kept && word&evidenceMask != 0 {
			return fmt.Errorf("I8: the breaker is kept: %t, its word is %x", kept, word)
		}
		if in, _ := listed(w.set, "a"); kept && in != b || !kept && in != nil {
			return fmt.Errorf("I8: the breaker is kept: %t, and its list has %p", kept, in)
		}
	case w.collected && b != nil:
		w.b, w.collected = b, false // created again
	case !w.collected:
		return fmt.Errorf("I8: the key has %p, and %p is held", b, w.b)
	}
	return nil
}

// agree compares the real breaker with the specification.
func (w *world) agree(got aside) error {
	want := aside{
		state: State(w.sp.Auto), override: State(w.sp.Override), due: w.sp.Due, armed: w.sp.Armed, ramp: got.ramp, gen: got.gen,
		units: w.sp.Units, oks: w.sp.OKs, attempt: w.sp.Attempt, version: uint64(w.sp.Version),
		window: Counts{Calls: len(w.sp.Recent), Failures: w.sp.Failures(), Bad: w.sp.Failures()},
	}
	if w.sp.Auto == spec.HalfOpen {
		want.live = w.sp.ProbesOut(w.now())
	}
	if w.sp.Ramping && w.now()-w.sp.RampFrom < w.sp.Set.Ramp != got.ramp && !got.ramp {
		return fmt.Errorf("the ramp is over before its time")
	}
	if got.ramp && !w.sp.Ramping || w.sp.Set.Ramp > 0 && got.state == Closed {
		got.attempt, want.attempt = 0, 0 // reset when the end of the ramp is noticed
	}
	if w.cfg.keyed { // versions grow over all keys
		got.version, want.version = 0, 0
	}
	if got != want {
		return fmt.Errorf("the breaker is    %+v,\nspecified is      %+v", got, want)
	}
	return nil
}

// allowed checks the invariants that need no specification.
func (w *world) allowed(s step, before, after aside, received []Transition) error {
	moved := after.gen != before.gen
	switch s.kind {
	case stepTick, stepStale:
		before.live, after.live = 0, 0
		if after != before {
			return fmt.Errorf("I9, I1: %s alone changed %+v to %+v", s, before, after)
		}
		return nil
	case stepOther, stepForget, stepCollect:
		return nil
	case stepStart, stepFinish, stepPeers, stepHold:
		if after.override != before.override {
			return fmt.Errorf("I5: %s changed the override from %s to %s", s, before.override, after.override)
		}
	}
	if s.kind == stepHold && moved || s.kind == stepPeers && after.attempt != before.attempt {
		return fmt.Errorf("I6: %s moved it, or counts as an attempt", s)
	}
	byFailure := s.kind == stepFinish && s.end.outcome() == spec.Failure
	byOrder := s.kind == stepOrder && s.verb == VerbOpen
	if after.state == Open && moved && !byFailure && !byOrder && s.kind != stepPeers {
		return fmt.Errorf("I6: %s opened it", s)
	}
	if s.kind == stepFinish && s.end == endIgnored && (moved || after.units != before.units || after.oks != before.oks) {
		return fmt.Errorf("I4: no evidence changed %+v to %+v", before, after)
	}
	if after.live > max(w.probes(), before.live) {
		return fmt.Errorf("I3: %d probes are out, the limit is %d", after.live, w.probes())
	}
	return w.recorded(s, before, after, received)
}

// recorded checks that each change has one record, delivered once (I7).
func (w *world) recorded(s step, before, after aside, received []Transition) error {
	changes := 0
	if after.gen != before.gen || after.override != before.override || s.kind == stepOrder && s.verb != VerbRelease {
		changes = 1
	}
	if len(received) != changes && (!w.cfg.keyed || changes == 0) {
		return fmt.Errorf("I7: %d transitions delivered, want %d", len(received), changes)
	}
	if changes == 0 {
		return nil
	}
	last := received[len(received)-1]
	past := w.b.History()
	if got := past[len(past)-1]; got.Version != last.Version || got.To != last.To {
		return fmt.Errorf("I7: delivered %+v, the record's newest is %+v", last, got)
	}
	if !last.Shadow && last.To != effective(w.b.load()) || last.Shadow && last.To != after.state {
		return fmt.Errorf("I7: delivered a move to %s, the state is %s", last.To, effective(w.b.load()))
	}
	return nil
}

// live checks that time alone leads to an admission, even if every call in
// flight hangs forever and no operator acts (I2). Only an override without an
// end may prevent that.
func (w *world) live() error {
	for range 8 {
		if w.sp.Override == spec.ForcedOpen && !w.sp.Timed {
			return nil
		}
		if _, admits := w.wouldAdmit(); admits {
			return w.admits()
		}
		if err := w.take(step{kind: stepTick}); err != nil {
			return err
		}
		for i := w.ripe(); i >= 0; i = w.ripe() {
			if err := w.take(step{kind: stepFire, n: uint8(i)}); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("nothing was admitted in 8 ticks")
}

// ripe returns a timer that is due, or -1.
func (w *world) ripe() int {
	return slices.IndexFunc(w.timers, func(t stolen) bool { return w.valid(&t) && !time.Now().Before(t.at) })
}

// wouldAdmit asks the specification's copy.
func (w *world) wouldAdmit() (spec.Permit, bool) {
	sp := w.sp
	return sp.Admit(w.now())
}

// admits asks the real breaker, with one additional caller.
func (w *world) admits() error {
	w.callers = append(w.callers, caller{})
	for i := range w.callers {
		if !w.callers[i].busy {
			return w.take(step{kind: stepStart})
		}
	}
	return nil
}
