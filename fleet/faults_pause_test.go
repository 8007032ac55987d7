package fleet_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
)

// A process is stopped for longer than a lease, as a debugger, a snapshot of its
// machine or a long pause of its collector may do. It is named as silent in the receipts
// of an override that is given meanwhile, and has it soon after it goes on (F10). What it
// believed before opens and closes nothing then.
func TestPausedProcess(t *testing.T) {
	long(t)
	t.Parallel()
	s := startServer(t)
	p := startProcesses(t, 4, processConfig{Redis: s.addr, Every: time.Second, Settings: processSettings, Key: string(testKey)}, "a", "b")
	p.until(2*slack, "all have joined", p.together)
	client := s.client()
	defer client.Close()
	g, err := fleet.Open(client, "test", testKey)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	give := func(o fleet.Order, most time.Duration) *fleet.Receipts {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), most)
		defer cancel()
		p.given++
		o.Reason = fmt.Sprint("order ", p.given)
		r, err := g.Order(ctx, withActor(o), nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, who := range []string{"the coordinator", "another"} {
		at := p.coordinator()
		if who == "another" {
			at = (at + 1) % len(p.configs)
		}
		p.signal(at, "STOP")
		<-time.After(5 * time.Second)
		r := give(forceOpen("db", time.Hour), 5*time.Second)
		if name := p.configs[at].name(); len(r.Done) != 3 || !slices.Equal(r.Silent, []string{name}) {
			t.Errorf("%s is stopped: %s, want 3 done and %s silent", who, r, name)
		}
		p.signal(at, "CONT")
		p.until(2*slack, who+" has the override, too", func() bool {
			for i := range p.configs {
				if p.open[i] != breaker.ForcedOpen {
					return false
				}
			}
			return true
		})
		p.until(2*slack, "all are together", p.together)
		release := fleet.Order{}
		release.ID, release.Verb = "db", breaker.VerbRelease
		if r := give(release, slack); len(r.Done) != 4 {
			t.Errorf("after %s went on: %s, want 4 done", who, r)
		}
		p.until(2*slack, "all are closed", p.allClosed)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	done := map[string]int{}
	for _, r := range p.records {
		switch {
		case r.Order != "":
			done[fmt.Sprintf("%s by process %d", r.Order, r.Process)]++
		case r.Transition.Cause != breaker.CauseOrder:
			t.Errorf("process %d: %s", r.Process, r.Transition.Summary())
		}
	}
	for what, n := range done {
		if n > 1 {
			t.Errorf("F10: %s %d times", what, n)
		}
	}
	if len(done) != 4*len(p.configs) {
		t.Errorf("%d orders were carried out, want %d", len(done), 4*len(p.configs))
	}
}

// name is the process's in receipts.
func (c *processConfig) name() string { return string(rune('0' + c.ID)) }
