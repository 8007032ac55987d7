package notify

import (
	"context"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

var notClosed = []breaker.State{breaker.Open, breaker.HalfOpen, breaker.ForcedOpen, breaker.ForcedClosed}

// look checks for what no event reports: that something lasts, or was lost.
func (w *watcher) look(ctx context.Context) (ok bool) {
	p, err := w.src.Process(ctx)
	if err != nil {
		return false // the process does not answer; what it lost is noticed when it does
	}
	all, err := w.src.Status(ctx, ops.StatusQuery{States: notClosed, Limit: maxEpisodes})
	if err != nil || !w.meet(p) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.auditLocked(p.AuditError)
	w.overridesLocked(all)
	failing := make(map[string]bool)
	for i := range all {
		if s := &all[i]; s.Auto != breaker.Closed {
			failing[s.ID] = true
			w.failingLocked(s)
		}
	}
	w.settleLocked(failing, len(all) < maxEpisodes)
	return true
}

func (w *watcher) auditLocked(problem string) {
	before := w.audit
	w.audit = problem
	switch {
	case problem != "" && before == "":
		w.sendLocked(Notice{Kind: AuditFailing}, "the audit log cannot be written: %s", problem)
	case problem == "" && before != "":
		w.sendLocked(Notice{Kind: AuditWorks}, "the audit log can be written again")
	}
}

// overridesLocked compares the overrides with those of the last look.
func (w *watcher) overridesLocked(all []ops.Status) {
	there := make(map[string]breaker.Override)
	for i := range all {
		if s := &all[i]; s.Override != nil {
			there[s.ID] = *s.Override
			w.endingLocked(s)
		}
	}
	for id := range w.ending {
		if _, is := there[id]; !is {
			delete(w.ending, id)
		}
	}
	for id, o := range w.missing {
		if _, is := there[id]; !is {
			w.lostLocked(id, &o, "the process started again")
		}
	}
	w.overrides, w.missing = there, nil
}

// endingLocked reports once that an override ends soon.
func (w *watcher) endingLocked(s *ops.Status) {
	o := s.Override
	left := o.Expires.Sub(w.process.Now)
	if o.Expires.IsZero() || left > min(w.n.o.EndingWithin, o.Expires.Sub(o.Since)/2) || w.ending[s.ID].Equal(o.Since) {
		return
	}
	w.ending[s.ID] = o.Since
	x := Notice{Kind: OverrideEnding, ID: s.ID, Since: o.Since, Until: o.Expires}
	x.addLinks(s.Links, tripOf(s))
	w.sendLocked(x, "the override of %s (%s by %s: %q) ends in %s", s.ID, o.State, o.Actor, o.Reason, left.Round(time.Second))
}

// lostLocked reports an override that was lost with its process, unless it
// would have ended by now.
func (w *watcher) lostLocked(id string, o *breaker.Override, why string) {
	if o.Expires.IsZero() || o.Expires.After(time.Now()) {
		w.sendLocked(Notice{Kind: OverrideLost, ID: id, Since: o.Since}, "the override of %s (%s by %s: %q) is lost: %s", id, o.State, o.Actor, o.Reason, why)
	}
}

// failingLocked reports once that a breaker has been failing for a long time.
func (w *watcher) failingLocked(s *ops.Status) {
	since := s.FailingSince
	if since.IsZero() || w.process.Now.Sub(since) < w.n.o.FailingFor {
		return
	}
	e := w.episodeLocked(s.ID)
	if e.failing.Equal(since) {
		return
	}
	e.failing, e.notified = since, true
	why := "it has not closed since it tripped"
	t := tripOf(s)
	if t != nil {
		why = t.Summary()
	}
	x := Notice{Kind: Failing, ID: s.ID, Since: since}
	x.addLinks(s.Links, t)
	w.sendLocked(x, "%s has been failing for %s: %s", s.ID, w.process.Now.Sub(since).Round(time.Second), why)
}

// tripOf returns the transition that opened a breaker, or nil. A list leaves
// Opened out if it equals Transition.
func tripOf(s *ops.Status) *breaker.Transition {
	if s.Opened == nil && s.Transition != nil && s.Transition.To == breaker.Open {
		return s.Transition
	}
	return s.Opened
}

// settleLocked ends episodes whose end no event reported: those of a breaker
// that stopped flapping while it was closed, that closed behind an override,
// or that its set forgot. failing are all breakers that are not closed, unless
// there are too many.
func (w *watcher) settleLocked(failing map[string]bool, all bool) {
	now := w.process.Now
	for id, e := range w.episodes {
		flaps := e.stillFlaps(now, w.n.o.FlapsPerHour)
		if flaps || failing[id] || !all || !e.moved.Before(now) { // it changed after the look
			continue
		}
		if e.notified {
			w.sendLocked(Notice{Kind: Closed, ID: id}, "%s is closed", id)
		}
		e.notified, e.failing = false, time.Time{}
		if len(e.opened) == 0 {
			delete(w.episodes, id)
		}
	}
}

// successorWait is how long a process that ended has until another one must
// have taken its place.
const successorWait = time.Minute

// ended handles the end of a process. Its overrides are lost, unless a process
// of the same service that started later has them.
func (w *watcher) ended() {
	w.mu.Lock()
	w.endEpisodesLocked("its process has ended")
	overrides := w.overrides
	w.mu.Unlock()
	if len(overrides) == 0 {
		return
	}
	select {
	case <-w.n.watching.Done():
		return
	case <-time.After(successorWait):
	}
	for _, other := range w.n.watched() {
		other.mu.Lock()
		if p := &other.process; p.Service == w.process.Service && p.Host == w.process.Host && p.Started.After(w.process.Started) {
			for id := range other.overrides {
				delete(overrides, id)
			}
		}
		other.mu.Unlock()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, o := range overrides {
		w.lostLocked(id, &o, "its process has ended")
	}
}
