package fleet_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/ops"
)

// take takes in what a process says.
func (p *processes) take(r record) {
	r.At = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.State != nil:
		p.last[r.Process], p.seen[r.Process] = *r.State, r.At
		p.oneCoordinator(r.At)
		return
	case r.Order != "":
		p.records = append(p.records, r)
		return
	case r.Transition.Cause == breaker.CauseFleet && p.last[r.Process].Alone && time.Since(p.last[r.Process].AloneSince) > slack:
		p.wrong = append(p.wrong, fmt.Sprintf("F6: process %d opened by a verdict, alone since %s", r.Process, p.last[r.Process].AloneSince))
	}
	p.open[r.Process] = r.Transition.To
	p.records = append(p.records, r)
}

// oneCoordinator notices when two processes take themselves for the coordinator for
// longer than a lease lasts (F8). The lock is held.
func (p *processes) oneCoordinator(now time.Time) {
	n := 0
	for i, s := range p.last {
		if s.Coordinator && now.Sub(p.seen[i]) < time.Second { // else it is stopped
			n++
		}
	}
	switch {
	case n < 2:
		p.both = time.Time{}
	case p.both.IsZero():
		p.both = now
	case now.Sub(p.both) > slack:
		p.wrong = append(p.wrong, fmt.Sprintf("F8: %d coordinators for %s", n, now.Sub(p.both)))
		p.both = time.Time{}
	}
}

// probed is how many processes have let a call probe since. The lock is held.
func (p *processes) probed(m mark) int {
	by := map[int]bool{}
	for _, r := range p.records[m.records:] {
		if r.Transition != nil && r.Transition.To == breaker.HalfOpen {
			by[r.Process] = true
		}
	}
	return len(by)
}

// coordinator is the process that says that it is the one.
func (p *processes) coordinator() (at int) {
	p.until(slack, "there is a coordinator", func() bool {
		at = slices.IndexFunc(p.configs, func(c processConfig) bool { return p.last[c.ID].Coordinator })
		return at >= 0
	})
	return at
}

// order gives one to all, and wants a receipt from each (F10).
func (p *processes) order(s *server) {
	p.t.Helper()
	client := s.client()
	defer client.Close()
	g, err := fleet.Open(client, "test", []byte(p.configs[0].Key))
	if err != nil {
		p.t.Fatal(err)
	}
	defer g.Close()
	ctx, cancel := context.WithTimeout(p.t.Context(), slack)
	defer cancel()
	p.given++
	o := fleet.Order{Order: ops.Order{ID: "db", Verb: ops.VerbNote, Actor: "test", Reason: fmt.Sprint("order ", p.given)}}
	r, err := g.Order(ctx, o, nil)
	if err != nil || len(r.Done) != len(p.configs) || len(r.Silent) > p.killed { // who was killed is named for a minute
		p.t.Errorf("F10: %s: %s, %v", o.Reason, r, err)
	}
}

// behave says whose calls fail from now on.
func (p *processes) behave(fails func(processConfig) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fails = fails
}

func all(processConfig) bool { return true }

func none(processConfig) bool { return false }

// mark is a point in what was recorded.
type mark struct {
	records, ran int
	at           time.Time
}

func (p *processes) mark() mark {
	p.mu.Lock()
	defer p.mu.Unlock()
	return mark{len(p.records), len(p.calls), time.Now()}
}

// since is what was recorded since.
func (p *processes) since(m mark) (records []record, ran int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.records[m.records:], len(p.calls) - m.ran
}

// until waits, and returns how long that took.
func (p *processes) until(most time.Duration, what string, ok func() bool) time.Duration {
	p.t.Helper()
	began := time.Now()
	for {
		p.mu.Lock()
		done := ok()
		p.mu.Unlock()
		if done {
			return time.Since(began)
		}
		if time.Since(began) > most {
			p.mu.Lock()
			defer p.mu.Unlock()
			for i := range p.configs {
				p.t.Logf("process %d: %s, %+v", i, p.open[i], p.last[i])
			}
			p.t.Fatalf("after %s it is not so that %s", most, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// count is how many breakers are not closed. The lock is held.
func (p *processes) count() (open int) {
	for i := range p.configs {
		if p.open[i] != breaker.Closed {
			open++
		}
	}
	return open
}

func (p *processes) allOpen() bool { return p.count() == len(p.configs) }

func (p *processes) allClosed() bool { return p.count() == 0 }

// together reports whether all hear the coordinator, and count each other.
func (p *processes) together() bool {
	for i := range p.configs {
		s, ok := p.last[i]
		if !ok || s.Alone || s.Members != len(p.configs) || time.Duration(s.DigestAge) > 2*time.Second {
			return false
		}
	}
	return true
}

func (p *processes) allAlone() bool {
	for i := range p.configs {
		if !p.last[i].Alone {
			return false
		}
	}
	return true
}

// check checks the invariants on everything that was recorded.
func (p *processes) check(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, wrong := range p.wrong {
		t.Error(wrong)
	}
	type done struct {
		process int
		order   string
	}
	orders := map[done]int{}
	for _, r := range p.records {
		if r.Order != "" {
			if d := (done{r.Process, r.Order}); orders[d] > 0 {
				t.Errorf("F10: process %d carried out %s twice", r.Process, r.Order)
			} else {
				orders[d]++
			}
			continue
		}
		x := r.Transition
		switch {
		case x.Cause == breaker.CauseFleet && x.Peers.Against < 2:
			t.Errorf("F3: process %d opened by the evidence of %d", r.Process, x.Peers.Against)
		case x.Cause == breaker.CauseFleet && x.Peers.Own.Calls >= 10 && x.Peers.Own.Failures == 0:
			t.Errorf("F4: process %d opened against its own evidence: %s", r.Process, x.Summary())
		case x.To == breaker.Closed && x.Cause != breaker.CauseProbesPassed && x.Cause != breaker.CauseOrder:
			t.Errorf("F5: process %d was closed by %s", r.Process, x.Cause)
		}
	}
}

func (p *processes) causes(m mark) map[string]int {
	out := map[string]int{}
	records, _ := p.since(m)
	for _, r := range records {
		if r.Transition == nil {
			continue
		}
		out[fmt.Sprintf("%s %s", r.Transition.To, r.Transition.Cause)]++
	}
	return out
}
