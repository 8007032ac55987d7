package fleet_test

import (
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
	fleet, without := p.flaps(began), lone.flaps(loneBegan)
	t.Logf("a fleet: %+v", fleet)
	t.Logf("without: %+v", without)
	// A probe each two seconds; one of each process after one that succeeded; and those of
	// breakers that are under no verdict.
	if most := int(lasts/(2*time.Second)) + 8*fleet.closed + 8*(1+int(lasts/processSettings.ResetTimeout)); fleet.probes > most {
		t.Errorf("F7: %d probes, want %d at most", fleet.probes, most)
	}
	if stressed && fleet.failed >= without.failed { // in half a minute chance may decide
		t.Errorf("%d failing calls with a fleet, and %d without", fleet.failed, without.failed)
	}
	p.behave(none)
	lone.behave(none)
	back := time.Now()
	p.until(3*slack, "all are closed", p.allClosed)
	t.Logf("all of the fleet are closed after %s", time.Since(back))
	lone.until(3*slack, "all are closed", lone.allClosed)
	t.Logf("all without one are closed after %s", time.Since(back))
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

// flaps are what processes did about a dependency that fails some of its calls.
type flaps struct {
	protected      time.Duration // until each has been open; 0: one never was
	ran, failed    int           // calls that reached the dependency
	probes         int
	opened, closed int // how often
}

func (p *processes) flaps(m mark) (f flaps) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls[m.ran:] {
		f.ran++
		if c.failed {
			f.failed++
		}
	}
	were := map[int]bool{} // open
	for _, r := range p.records[m.records:] {
		x := r.Transition
		switch {
		case x == nil:
		case x.To == breaker.HalfOpen:
			f.probes++
		case x.To == breaker.Closed:
			f.closed++
		case x.From == breaker.Closed:
			f.opened++
			if were[r.Process] = true; len(were) == len(p.configs) && f.protected == 0 {
				f.protected = x.At.Sub(m.at)
			}
		}
	}
	return f
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
