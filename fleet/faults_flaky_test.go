package fleet_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// seven of ten calls fail, whichever process makes them.
func sevenOfTen(processConfig) bool { return rand.IntN(10) < 7 }

// What eight processes call fails seven calls of ten. A probe that succeeds by chance
// closes the breaker of its own process only, and when the dependency is back, all
// close. Eight others, which call the same without a fleet, are there to compare with.
func TestProcessesOfAFlakyDependency(t *testing.T) {
	long(t)
	t.Parallel()
	lasts := 30 * time.Second
	if stressed {
		lasts = 4 * time.Minute
	}
	s := startServer(t)
	p := startEight(t, s.addr, processSettings)
	lone := startProcesses(t, 8, processConfig{NoFleet: true, Every: time.Second, Settings: processSettings})
	t.Cleanup(func() { lone.check(t) })
	lone.until(3*slack, "all call", func() bool { return len(lone.callers()) == 8 })

	began, loneBegan := p.mark(), lone.mark()
	p.behave(sevenOfTen)
	lone.behave(sevenOfTen)
	t.Logf("a verdict after %s", p.until(2*slack, "a verdict has opened a process", func() bool {
		return p.opened(began, breaker.CauseFleet) > 0
	}))
	<-time.After(lasts - time.Since(began.at))
	t.Log("fleet: ", p.story(t, began))
	t.Log("alone: ", lone.story(t, loneBegan))
	p.behave(none)
	lone.behave(none)
	t.Logf("all eight of the fleet are closed after %s", p.until(3*slack, "all are closed", p.allClosed))
	t.Logf("all eight without one after another %s", lone.until(3*slack, "all are closed", lone.allClosed))
	p.closedByOwnSuccess(t)
	lone.closedByOwnSuccess(t)
}

// callers are the processes that have made a call. The lock is held.
func (p *processes) callers() map[int]bool {
	out := map[int]bool{}
	for _, c := range p.calls {
		out[c.process] = true
	}
	return out
}

// opened is how many processes were opened by this since. The lock is held.
func (p *processes) opened(m mark, by breaker.Cause) int {
	out := map[int]bool{}
	for _, r := range p.records[m.records:] {
		if x := r.Transition; x != nil && x.From == breaker.Closed && x.To == breaker.Open && x.Cause == by {
			out[r.Process] = true
		}
	}
	return len(out)
}

// story is what has happened since, in figures.
func (p *processes) story(t *testing.T, m mark) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	took := time.Since(m.at)
	failed := 0
	for _, c := range p.calls[m.ran:] {
		failed += btoi(c.failed)
	}
	opened, closed, probes := 0, 0, 0
	var all time.Duration // since when none was ever closed at once, summed
	shut := map[int]time.Time{}
	firsts := map[int]bool{}
	var protected time.Duration
	for _, r := range p.records[m.records:] {
		x := r.Transition
		switch {
		case x == nil:
		case x.To == breaker.HalfOpen:
			probes++
		case x.From == breaker.Closed:
			opened++
			shut[r.Process] = x.At
			if firsts[r.Process] = true; len(firsts) == len(p.configs) && protected == 0 {
				protected = x.At.Sub(m.at)
			}
		case x.To == breaker.Closed:
			closed++
			all += x.At.Sub(shut[r.Process])
			delete(shut, r.Process)
		}
	}
	for _, at := range shut {
		all += time.Since(at)
	}
	causes := map[string]int{}
	for _, r := range p.records[m.records:] {
		if r.Transition != nil {
			causes[fmt.Sprintf("%s %s", r.Transition.To, r.Transition.Cause)]++
		}
	}
	ran := len(p.calls) - m.ran
	return fmt.Sprintf("in %.0fs each of %d opened after %.1fs; %d calls ran, %d failed (%.2f a second); %d probes (%.2f a second); opened %d times, closed %d times; not closed for %.0f%% of the time; %v",
		took.Seconds(), len(p.configs), protected.Seconds(), ran, failed, float64(failed)/took.Seconds(), probes, float64(probes)/took.Seconds(),
		opened, closed, 100*all.Seconds()/took.Seconds()/float64(len(p.configs)), causes)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// closedByOwnSuccess checks F5 on what the dependency saw: a breaker closes after a call
// of its own process that succeeded there, whatever those of the others did.
func (p *processes) closedByOwnSuccess(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, r := range p.records {
		if r.Transition == nil || r.Transition.To != breaker.Closed {
			continue
		}
		n++
		var last *call
		for i := range p.calls {
			if c := &p.calls[i]; c.process == r.Process && c.at.Before(r.Transition.At) {
				last = c
			}
		}
		if last == nil || last.failed {
			t.Errorf("F5: process %d closed, and its last call was %+v: %s", r.Process, last, r.Transition.Summary())
		}
	}
	if n == 0 {
		t.Error("no breaker has closed")
	}
}
