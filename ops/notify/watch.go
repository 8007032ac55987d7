package notify

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// local is a plane of this process as a Source.
type local struct{ *ops.Plane }

func (l local) Process(context.Context) (ops.Process, error) { return l.Plane.Process(), nil }

func (l local) Status(_ context.Context, q ops.StatusQuery) ([]ops.Status, error) {
	return l.Plane.Status(q)
}

func (l local) Events(ctx context.Context, after string) iter.Seq2[ops.Event, error] {
	return l.Plane.Events(ctx, after)
}

const (
	flapSpan     = time.Hour
	mostEpisodes = 10_000 // breakers of a process whose trips are remembered
	comeBack     = 2 * time.Second
)

// watcher is what is known of one process.
type watcher struct {
	n   *Notifier
	src Source

	mu        sync.Mutex // guards the fields below: events and looks run side by side
	process   ops.Process
	episodes  map[string]*episode         // by id
	overrides map[string]breaker.Override // those there were at the last look, by id
	ending    map[string]time.Time        // Since of the override that a notice was sent about, by id
	audit     string                      // Process.AuditError at the last look
	noticed   map[string]bool             // notices of the plane that were passed on
}

// episode is the recent past of one breaker.
type episode struct {
	opened   []time.Time // in the last hour, oldest first
	told     bool        // that it is open, flapping or failing
	flapping bool
	failing  time.Time // FailingSince of the episode that a notice was sent about
}

func (n *Notifier) watch(ctx context.Context, s Source) {
	w := &watcher{n: n, src: s, episodes: map[string]*episode{}, overrides: map[string]breaker.Override{}, ending: map[string]time.Time{}, noticed: map[string]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() { w.follow(ctx) })
	defer wg.Wait()
	w.look(ctx)
	tick := time.NewTicker(n.o.Look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.look(ctx)
		}
	}
}

// follow follows the events, again where it was when the connection breaks.
func (w *watcher) follow(ctx context.Context) {
	after := ""
	for ctx.Err() == nil {
		for e, err := range w.src.Events(ctx, after) {
			if err != nil {
				break
			}
			after = e.StreamID
			if e.Transition != nil {
				w.moved(e.ID, e.Transition)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(comeBack):
		}
	}
}

// send sends a notice about this process. mu is held.
func (w *watcher) sendLocked(x Notice) {
	x.At = time.Now()
	x.Process = fmt.Sprintf("%s/%d", w.process.Service, w.process.PID)
	x.Host = w.process.Host
	w.n.out.add(x)
}

func (w *watcher) episodeLocked(id string) *episode {
	e := w.episodes[id]
	if e == nil {
		if len(w.episodes) >= mostEpisodes { // any: sets may have very many keys
			for other := range w.episodes {
				delete(w.episodes, other)
				break
			}
		}
		e = new(episode)
		w.episodes[id] = e
	}
	return e
}

// moved follows a transition.
func (w *watcher) moved(id string, t *breaker.Transition) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case t.Shadow || t.Cause == breaker.CauseOrder || t.Cause == breaker.CauseExpired:
		return // a person's doing
	case t.To == breaker.Open && t.From == breaker.Closed:
		w.openedLocked(id, t)
	case t.To == breaker.Open:
		w.reopenedLocked(id, t)
	case t.To == breaker.Closed:
		w.closedLocked(id, t)
	}
}

func (w *watcher) openedLocked(id string, t *breaker.Transition) {
	e := w.episodeLocked(id)
	e.count(t.At)
	if e.flapping {
		return
	}
	e.told = true
	if len(e.opened) > w.n.o.FlapsPerHour {
		e.flapping = true
		w.sendLocked(Notice{Kind: Flapping, ID: id, Since: e.opened[0], Text: fmt.Sprintf("%s is flapping: it opened %d times in the last hour, now because of %s", id, len(e.opened), t.Summary())})
		return
	}
	w.sendLocked(Notice{Kind: Opened, ID: id, Since: t.At, Text: fmt.Sprintf("%s opened: %s", id, t.Summary())})
}

// reopenedLocked counts a failed probe: the breaker has been open all along.
func (w *watcher) reopenedLocked(id string, t *breaker.Transition) { w.episodeLocked(id).forget(t.At) }

func (w *watcher) closedLocked(id string, t *breaker.Transition) {
	e := w.episodes[id]
	if e == nil {
		return
	}
	e.forget(t.At)
	e.failing = time.Time{}
	if e.flapping && len(e.opened) > w.n.o.FlapsPerHour/2 {
		return // it may open again any moment
	}
	e.flapping = false
	if e.told {
		e.told = false
		w.sendLocked(Notice{Kind: Closed, ID: id, Text: id + " closed again: " + t.Summary()})
	}
}

func (e *episode) count(at time.Time) {
	e.forget(at)
	e.opened = append(e.opened, at)
}

// forget drops what is older than an hour.
func (e *episode) forget(now time.Time) {
	e.opened = slices.DeleteFunc(e.opened, func(at time.Time) bool { return now.Sub(at) > flapSpan })
}

// look looks at what events do not say: how long something lasts.
func (w *watcher) look(ctx context.Context) {
	p, err := w.src.Process(ctx)
	if err != nil {
		return // it is gone or does not answer; its overrides are looked for when it is back
	}
	all, err := w.src.Status(ctx, ops.StatusQuery{States: []breaker.State{breaker.Open, breaker.HalfOpen, breaker.ForcedOpen, breaker.ForcedClosed}, Limit: mostEpisodes})
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	restarted := !w.process.Started.IsZero() && !w.process.Started.Equal(p.Started)
	w.process = p
	w.auditLocked(p.AuditError)
	w.overridesLocked(all, restarted)
	for i := range all {
		w.failingLocked(&all[i])
	}
	w.quietLocked(p.Now)
}

func (w *watcher) auditLocked(problem string) {
	before := w.audit
	w.audit = problem
	switch {
	case problem != "" && before == "":
		w.sendLocked(Notice{Kind: AuditFailing, Text: "the audit log cannot be written: " + problem})
	case problem == "" && before != "":
		w.sendLocked(Notice{Kind: AuditWorks, Text: "the audit log can be written again"})
	}
}

// overridesLocked compares the overrides with those of the last look.
func (w *watcher) overridesLocked(all []ops.Status, restarted bool) {
	now := w.process.Now
	there := make(map[string]breaker.Override)
	for i := range all {
		s := &all[i]
		if s.Override == nil {
			continue
		}
		there[s.ID] = *s.Override
		left := s.Override.Expires.Sub(now)
		within := min(w.n.o.EndingWithin, s.Override.Expires.Sub(s.Override.Since)/2)
		if s.Override.Expires.IsZero() || left > within || w.ending[s.ID].Equal(s.Override.Since) {
			continue
		}
		w.ending[s.ID] = s.Override.Since
		w.sendLocked(Notice{Kind: OverrideEnding, ID: s.ID, Since: s.Override.Since, Links: s.Links, Text: fmt.Sprintf(
			"the override of %s (%s by %s: %q) ends in %s", s.ID, s.Override.State, s.Override.Actor, s.Override.Reason, left.Round(time.Second))})
	}
	if restarted {
		for id, o := range w.overrides {
			if _, kept := there[id]; !kept && (o.Expires.IsZero() || o.Expires.After(now)) {
				w.sendLocked(Notice{Kind: OverrideLost, ID: id, Since: o.Since, Text: fmt.Sprintf(
					"the process started again without the override of %s (%s by %s: %q)", id, o.State, o.Actor, o.Reason)})
			}
		}
	}
	for id := range w.ending {
		if _, is := there[id]; !is {
			delete(w.ending, id)
		}
	}
	w.overrides = there
}

func (w *watcher) failingLocked(s *ops.Status) {
	if s.FailingSince.IsZero() || w.process.Now.Sub(s.FailingSince) < w.n.o.FailingFor {
		return
	}
	e := w.episodeLocked(s.ID)
	if e.failing.Equal(s.FailingSince) {
		return
	}
	e.failing, e.told = s.FailingSince, true
	text := fmt.Sprintf("%s has been failing for %s", s.ID, w.process.Now.Sub(s.FailingSince).Round(time.Second))
	if s.Opened != nil {
		text += ": " + s.Opened.Summary()
	}
	w.sendLocked(Notice{Kind: Failing, ID: s.ID, Since: s.FailingSince, Links: s.Links, Text: text})
}

// quietLocked ends the flapping of breakers that have been closed for a while,
// and forgets those of which nothing is left to say.
func (w *watcher) quietLocked(now time.Time) {
	for id, e := range w.episodes {
		e.forget(now)
		if e.flapping && len(e.opened) == 0 {
			e.flapping = false
			if e.told {
				e.told = false
				w.sendLocked(Notice{Kind: Closed, ID: id, Text: id + " has not opened for an hour: it is not flapping any more"})
			}
		}
		if len(e.opened) == 0 && !e.told && e.failing.IsZero() {
			delete(w.episodes, id)
		}
	}
}
