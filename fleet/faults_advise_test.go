package fleet_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
)

// Processes that only advise are in a fleet with others. What they report counts, and
// nothing that the fleet decides or is ordered changes what they do. In the end all of
// them only advise, as on the first day of a trial.
func TestProcessesThatAdvise(t *testing.T) {
	long(t)
	t.Parallel()
	s := startServer(t)
	// Without a verdict, none of them opens.
	p := startProcesses(t, 4, processConfig{Redis: s.addr, Every: time.Second, Key: string(testKey), Settings: breaker.Settings{FailMax: 1000, ResetTimeout: 10 * time.Second}})
	defer p.check(t)
	advise := func(which ...int) {
		for _, i := range which {
			p.mu.Lock()
			p.configs[i].Advise = true
			p.mu.Unlock()
			p.replace(i, "")
		}
		p.until(3*slack, "all are together", p.together)
	}
	client := s.client()
	defer client.Close()
	g, err := fleet.Open(client, "test", testKey)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	// until looks at db until it is as wanted.
	until := func(what string, ok func(*fleet.Breaker) bool) *fleet.Breaker {
		t.Helper()
		for began := time.Now(); ; <-time.After(100 * time.Millisecond) {
			v, err := g.View(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			b, err := v.Breaker("db")
			if err == nil && ok(b) {
				return b
			}
			if time.Since(began) > 2*slack {
				t.Fatalf("it is not so that %s: %+v, %v", what, b, err)
			}
		}
	}
	advised := func(b *fleet.Breaker) (names []string) {
		for i := range b.Processes {
			if b.Processes[i].Advised {
				names = append(names, b.Processes[i].Member)
			}
		}
		return names
	}
	allAdvised := func(n int) func(*fleet.Breaker) bool {
		return func(b *fleet.Breaker) bool { return len(b.Verdicts) == 1 && len(advised(b)) == n }
	}

	// Three fail, two of which advise: without their evidence it is that of one.
	advise(0, 1)
	<-time.After(5 * time.Second)
	p.behave(func(c processConfig) bool { return c.ID < 3 })
	began := p.mark()
	b := until("two would be open", allAdvised(2))
	if v := b.Verdicts[0]; v.Peers.Against != 3 {
		t.Errorf("%d processes are against it, want 3", v.Peers.Against)
	}
	if want := regexp.MustCompile(` 0 and 1 only advise, and would be open\.`); !want.MatchString(b.Explain()) {
		t.Error(b.Explain())
	}
	p.until(slack, "the third is open", func() bool { return p.open[2] != breaker.Closed })
	order := func(o fleet.Order, done int, refused ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), slack)
		defer cancel()
		p.given++
		o.Reason = fmt.Sprint("order ", p.given)
		r, err := g.Order(ctx, withActor(o), nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, m := range r.Refused {
			names = append(names, m.Member)
		}
		if len(r.Done) != done || !slices.Equal(names, refused) {
			t.Errorf("%s: %s, want %d done, and refused by %v", o.Verb, r, done, refused)
		}
	}
	order(forceOpen("db", time.Hour), 2, "0", "1")
	<-time.After(3 * time.Second)
	release := fleet.Order{}
	release.ID, release.Verb = "db", breaker.VerbRelease
	order(release, 2, "0", "1")
	p.behave(none)
	p.until(2*slack, "all are closed", p.allClosed)
	p.quiet(began, 0, 1)

	// All of them advise.
	advise(2, 3)
	<-time.After(5 * time.Second)
	began = p.mark()
	p.behave(all)
	b = until("all would be open", allAdvised(4))
	if b.States[breaker.Closed] != 4 {
		t.Errorf("%+v, want all closed", b.States)
	}
	t.Log(b.Explain())
	order(forceOpen("db", time.Hour), 0, "0", "1", "2", "3")
	p.behave(none)
	until("the verdict is over", func(b *fleet.Breaker) bool { return len(b.Verdicts) == 0 })
	p.quiet(began, 0, 1, 2, 3)
}

// quiet checks that these processes did nothing since, and rejected nothing: each has
// made its call each second.
func (p *processes) quiet(m mark, which ...int) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.records[m.records:] {
		if r.Transition != nil && slices.Contains(which, r.Process) {
			p.t.Errorf("process %d only advises: %s", r.Process, r.Transition.Summary())
		}
	}
	made := map[int]int{}
	for _, c := range p.calls[m.ran:] {
		made[c.process]++
	}
	for _, i := range which {
		if least := int(time.Since(m.at)/time.Second) / 2; made[i] < least { // a process may be slow
			p.t.Errorf("process %d only advises: %d of its calls ran in %s, want %d or more", i, made[i], time.Since(m.at), least)
		}
		if s := p.last[i]; s.Opened > 0 || s.Held > 0 || !s.Advise {
			p.t.Errorf("process %d only advises: %+v", i, s)
		}
	}
}
