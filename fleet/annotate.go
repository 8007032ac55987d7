package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/verdict"
	"github.com/switchgear-go/switchgear/ops"
)

// This file is what a member's own screens say of its breakers. A breaker does not
// know of the fleet: the time until its own probe is only how long it is held,
// and goes up again with each beat.

// Explain says why this process's own breaker is as it is, and what happens
// next, the fleet's part included. The error is that of Manager.Lookup.
func (f *Fleet) Explain(id string) (string, error) {
	b, err := f.m.Lookup(id)
	if err != nil {
		return "", err
	}
	own := b.Status()
	s := ops.Status{Status: own, Next: own.Next(), Explain: own.Explain()}
	f.annotate(&s)
	return s.Explain, nil
}

// Annotate has the plane's own screens say what the fleet does next.
func (h *groupHandler) Annotate(s *ops.Status) {
	if h.member != nil {
		h.member.annotate(s)
	}
}

// annotate says in s what the fleet does next, if a verdict concerns the breaker,
// and that the process is alone.
func (f *Fleet) annotate(s *ops.Status) {
	f.annotateNext(s)
	if s.Explain != "" {
		s.Explain += f.alone()
	}
}

// alone is a sentence about this process, if it is alone.
func (f *Fleet) alone() string {
	s := f.State()
	if !s.Alone {
		return ""
	}
	why := cut(s.LastError, maxText)
	if why == "" {
		why = "it hears no coordinator"
		if s.LastDrop != "" {
			why += ", and has dropped messages: " + cut(s.LastDrop, maxText)
		}
	}
	return fmt.Sprintf(" This process has acted alone, without its fleet, for %s: %s.", human(time.Since(s.AloneSince)), why)
}

func (f *Fleet) annotateNext(s *ops.Status) {
	f.mu.Lock()
	h, now := f.heard, f.now()
	deaf := f.failures >= f.params.Silence
	f.mu.Unlock()
	if h.digest == nil || h.At == 0 || now-h.At > f.params.Patience() || deaf {
		return // it acts by itself
	}
	v := verdict.View{Zone: f.o.Zone, Heard: true, Subject: h.digest.Subjects[s.ID]}
	x, zone := v.Scope()
	if x == nil {
		return
	}
	switch s.State {
	case breaker.Open:
		if f.o.Advise {
			return
		}
		wait := x.Wait - (now - h.At)
		if wait > 0 {
			s.UntilHalfOpen = wait
		}
		say(s, f.next(x, wait))
	case breaker.Closed:
		if why := f.whyClosed(s.ID); why != "" {
			made := (&view{names: map[uint64]string{}}).verdict(zone, x)
			say(s, fmt.Sprintf("%s The verdict of %s is open: %s; %s.", s.Next, made.Scope, made.Why(), why))
		}
	}
}

// next says when the fleet probes next, as a member knows it: it has no names of the
// others.
func (f *Fleet) next(x *verdict.Scope, wait time.Duration) string {
	text := "The fleet's next probe is in " + human(wait)
	switch {
	case slices.ContainsFunc(x.Arms, func(a verdict.Arm) bool { return a.Member == f.boot && a.Active }):
		text = "Its next call is the fleet's probe"
	case x.Probe.Member != 0:
		text = "Another process makes the fleet's probe now"
	case wait <= 0:
		text = "The fleet's probe is the next call of another process"
	}
	return text + failedProbes(x.Attempt) + "."
}

// whyClosed is why a breaker stays closed although a verdict says open; "" if it
// is on its way.
func (f *Fleet) whyClosed(id string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.summary.claims, func(c verdict.Claim) bool { return c.ID == id })
	switch {
	case i < 0:
		return ""
	case f.summary.claims[i].Overruled:
		return "its own calls count for more"
	case f.summary.claims[i].Advised:
		return "this process only advises, and would be open"
	}
	return ""
}

// say puts what happens next in the place of what the breaker itself says of that.
func say(s *ops.Status, next string) {
	if s.Next == "" {
		return // it is shown without
	}
	s.Explain = strings.TrimSuffix(s.Explain, s.Next)
	if s.Explain != "" {
		s.Explain += next
	}
	s.Next = next
}
