package notify

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

const (
	flapSpan      = time.Hour
	maxEpisodes   = 10_000 // breakers of a process whose past is remembered
	comeBack      = 2 * time.Second
	lastLook      = time.Second // time that Close gives a process to answer
	young         = time.Minute // a process this young is watched from its start
	deliverySlack = time.Minute // how long after a transition it may be published
)

// watcher is what is known about one process. One goroutine follows its
// events, and another checks for what no event reports.
type watcher struct {
	n   *Notifier
	src Source

	// The place in the events. It is used only by the goroutine that follows
	// them.
	followed time.Time // Process.Started of the process that the place is in
	seq      uint64    // the newest event that was handled
	at       time.Time // and its time

	mu       sync.Mutex          // guards the fields below
	process  ops.Process         // Started is zero until the process has answered
	episodes map[string]*episode // by id
	// overrides are those at the last look. missing are those that the process
	// had before it started again, until the next look.
	overrides, missing map[string]breaker.Override
	ending             map[string]time.Time // Since of the override that a notice was sent about, by id
	audit              string               // Process.AuditError at the last look
}

// episode is the recent past of one breaker.
type episode struct {
	opened   []time.Time // in the last hour, oldest first
	moved    time.Time   // when it last tripped
	notified bool        // a notice was sent whose end must be reported, too
	flapping bool
	failing  time.Time // FailingSince of the failure that a notice was sent about
}

func newWatcher(n *Notifier, s Source) *watcher {
	return &watcher{n: n, src: s, episodes: make(map[string]*episode), ending: make(map[string]time.Time)}
}

func (w *watcher) run(ctx context.Context) {
	var events sync.WaitGroup
	events.Go(func() {
		for ctx.Err() == nil {
			w.follow(ctx)
			pause(ctx, comeBack)
		}
	})
	for ctx.Err() == nil {
		wait := comeBack
		if w.look(ctx) {
			wait = w.n.o.Look
		}
		pause(ctx, wait)
	}
	events.Wait()
	if w.n.watching.Err() != nil { // the Notifier is closed; the process may still exist
		last, cancel := context.WithTimeout(context.Background(), lastLook)
		defer cancel()
		w.catchUp(last)
	}
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// follow handles events until the connection breaks or events are missed.
func (w *watcher) follow(ctx context.Context) {
	p, ok := w.catchUp(ctx)
	if !ok {
		return
	}
	for e, err := range w.src.Events(ctx, p.Event) {
		if err != nil || e.Kind == ops.EventGap {
			return
		}
		if e.Seq > w.seq {
			w.handle(ctx, &e)
			w.seq, w.at = e.Seq, e.At
		}
	}
}

// catchUp handles what has happened since the last event that was handled,
// from the timeline.
func (w *watcher) catchUp(ctx context.Context) (p ops.Process, ok bool) {
	p, err := w.src.Process(ctx)
	if err != nil || !w.meet(p) {
		return p, false
	}
	from, news := w.at.Add(-deliverySlack), true
	if !w.followed.Equal(p.Started) {
		from = time.Time{}
		if w.followed.IsZero() && p.Now.Sub(p.Started) > young {
			from, news = p.Now.Add(-deliverySlack), false
		}
		w.followed, w.seq, w.at = p.Started, 0, p.Now
	}
	past, err := w.src.Timeline(ctx, from)
	if err != nil {
		return p, false
	}
	seen := w.seq
	for i := range past.Events { // in order of time, not of Seq
		if e := &past.Events[i]; e.Seq > seen {
			if news {
				w.handle(ctx, e)
			}
			w.seq, w.at = max(w.seq, e.Seq), e.At
		}
	}
	return p, true
}

// meet notes which process answers now. It returns false for an answer of a
// process that has been replaced.
func (w *watcher) meet(p ops.Process) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch was := w.process.Started; {
	case p.Started.Before(was):
		return false
	case p.Started.After(was) && !was.IsZero():
		w.endEpisodesLocked("its process has started again")
		w.missing, w.overrides, w.audit = w.overrides, nil, ""
		clear(w.ending)
	}
	w.process = p
	return true
}

// sendLocked sends a notice about this process.
func (w *watcher) sendLocked(x Notice, format string, args ...any) {
	x.At = time.Now()
	x.Service, x.PID, x.Host = w.process.Service, w.process.PID, w.process.Host
	x.Text = oneLine(fmt.Sprintf(format, args...), maxText)
	w.n.send(x)
}

// handle handles one event.
func (w *watcher) handle(ctx context.Context, e *ops.Event) {
	switch e.Kind {
	case ops.EventTransition:
		var links *breaker.Links
		if trip(e.Transition) {
			links = w.links(ctx, e.ID)
		}
		w.moved(e.ID, e.Transition, links)
	case ops.EventNotice:
		w.mu.Lock()
		defer w.mu.Unlock()
		w.sendLocked(Notice{Kind: Report, ID: e.ID}, "%s", e.Notice)
	}
}

// trip reports whether a breaker opened by itself. After a probe, or behind an
// override, that is not news.
func trip(t *breaker.Transition) bool {
	return t.To == breaker.Open && t.From == breaker.Closed && t.Cause != breaker.CauseOrder && !t.Shadow
}

// links requests what the program says about a breaker. No lock is held.
func (w *watcher) links(ctx context.Context, id string) *breaker.Links {
	found, err := w.src.Status(ctx, ops.StatusQuery{IDs: []string{id}})
	if err != nil || len(found) != 1 {
		return nil
	}
	return found[0].Links
}

func (w *watcher) moved(id string, t *breaker.Transition, links *breaker.Links) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.episodes[id]; e != nil {
		e.moved = t.At
	}
	switch {
	case trip(t):
		w.openedLocked(id, t, links)
	case t.To == breaker.Closed && !t.Shadow:
		w.closedLocked(id, t)
	}
}

func (w *watcher) openedLocked(id string, t *breaker.Transition, links *breaker.Links) {
	e := w.episodeLocked(id)
	e.moved, e.opened = t.At, append(e.opened, t.At)
	e.forget(t.At)
	if e.flapping {
		return
	}
	x := Notice{Kind: Opened, ID: id, Since: t.At}
	x.addLinks(links, t)
	e.notified = true
	if len(e.opened) > w.n.o.FlapsPerHour {
		e.flapping = true
		x.Kind, x.Since = Flapping, e.opened[0]
		w.sendLocked(x, "%s is flapping: it opened %d times in the last hour, most recently because of %s", id, len(e.opened), t.Summary())
		return
	}
	w.sendLocked(x, "%s opened: %s", id, t.Summary())
}

// closedLocked ends the episode of a breaker, unless it may soon open again.
func (w *watcher) closedLocked(id string, t *breaker.Transition) {
	e := w.episodes[id]
	if e == nil {
		return
	}
	e.failing = time.Time{}
	if e.notified && !e.stillFlaps(t.At, w.n.o.FlapsPerHour) {
		e.notified = false
		w.sendLocked(Notice{Kind: Closed, ID: id}, "%s closed: %s", id, t.Summary())
	}
}

// episodeLocked returns the episode of a breaker. If there are too many, as a
// set may have very many keys, a new one replaces any other.
func (w *watcher) episodeLocked(id string) *episode {
	if e := w.episodes[id]; e != nil {
		return e
	}
	if len(w.episodes) >= maxEpisodes {
		for other := range w.episodes {
			delete(w.episodes, other)
			break
		}
	}
	e := new(episode)
	w.episodes[id] = e
	return e
}

// endEpisodesLocked ends all episodes, because their breakers no longer exist.
func (w *watcher) endEpisodesLocked(why string) {
	for id, e := range w.episodes {
		if e.notified {
			w.sendLocked(Notice{Kind: Closed, ID: id}, "%s is not open any more: %s", id, why)
		}
	}
	clear(w.episodes)
}

// forget drops the trips that are more than an hour old.
func (e *episode) forget(now time.Time) {
	e.opened = slices.DeleteFunc(e.opened, func(at time.Time) bool { return now.Sub(at) > flapSpan })
}

// stillFlaps reports whether a breaker that was flapping still is. It stops
// flapping when it has opened half as often in an hour as it takes to start.
func (e *episode) stillFlaps(now time.Time, most int) bool {
	e.forget(now)
	e.flapping = e.flapping && len(e.opened) > most/2
	return e.flapping
}
