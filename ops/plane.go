package ops

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/metrics"
)

// Options say how a Plane serves. The zero value is a good one: read-only over
// HTTP, no audit log.
type Options struct {
	// Service is what the process is called on the screens of operators.
	// Default: the name of its program.
	Service string
	// Authorize decides on each order that comes over HTTP: nil lets it pass, an
	// error refuses it, and its text is the answer. It may ask the request who
	// asks (a session, a header that a proxy sets); if that is known, it may
	// write it into order.Actor. Without an Authorize the HTTP handler is
	// read-only. The socket does not ask it: who can open the socket owns the
	// process.
	Authorize func(r *http.Request, order *Order) error
	// Hosts are the names by which the HTTP handler is reached, without port. A
	// request for another name is refused, because a page elsewhere can have its
	// own name resolve to this host (DNS rebinding); localhost and addresses are
	// not names that it could have. Default: at a loopback address there are no
	// others, and elsewhere every name is taken. A proxy on the same host that
	// passes on the name it was asked for needs that name here.
	Hosts []string
	// Audit is the file of the audit log, made if there is none, in a folder
	// that exists. Default: no log. No two processes may share one.
	Audit string
	// AuditFailed is called when the audit log cannot be written, and once with
	// nil when it can be again. It must not block. Status shows it too.
	AuditFailed func(error)
	// TimelineBytes bounds the memory of Plane.Timeline. When it is full, the
	// breaker with the most events loses its oldest. Default: 4 MiB, some 8,000
	// transitions. Negative: no timeline.
	TimelineBytes int
	// Standing is the file in which overrides and settings that people order are
	// kept, made if there is none, with mode 0600 in a folder that exists. New
	// applies what it says: to the breakers and sets that there are, and to
	// others when the program makes them. What ended while the process was down
	// and what cannot be applied any more is dropped; the audit log, the events
	// and Process.LostOrders say so. Default: orders end with the process.
	//
	// An order does not depend on the file: where it cannot be written, the order
	// is carried out, and Receipt.StandingError says that it will not outlive a
	// restart. The file is written anew with each order. One that cannot be read
	// is reported, nothing of it is applied, and it is left as it is.
	//
	// No two processes may share one, except that a new process may start before
	// the old one has ended: it applies the file then, and writes it when the old
	// process is gone.
	Standing string
	// StandingFailed is called when the file of Standing cannot be read or
	// written, and once with nil when it can be again; New calls it before it
	// returns. It must not block. Process shows it too.
	StandingFailed func(error)
	// RuntimeDir is where the folder of the sockets is. Default: see Listen.
	RuntimeDir string
}

// Plane is the operations plane of one manager: it carries out orders, keeps
// the audit log and the stream of events, and serves all of it over HTTP and
// a unix socket. All methods may be called by many goroutines at once.
type Plane struct {
	m        *breaker.Manager
	o        Options
	started  time.Time
	hub      *hub
	timeline *timelineStore
	audit    *auditor
	standing *standing
	remove   func()
	watcher  *metrics.Watcher
	orders   orderTally
	notes    notes
	plots    *plots

	overview overviewCache
	web      *gate // of the HTTP handlers
	local    *gate // of the sockets

	mu       sync.Mutex // guards the fields below
	servers  []*Server  // that Listen made
	lost     []LostOrder
	attached map[string]http.Handler // by name
}

// New makes the operations plane of m. Make one, and use it for the handler
// and the socket alike, so that each shows the orders given to the other. It
// owns no goroutine; Close detaches it from m.
//
// A file of the audit log that cannot be opened is no error here, as it must
// not keep a service from starting: it is reported as Options.AuditFailed says,
// and tried again with each order.
func New(m *breaker.Manager, o Options) *Plane {
	if o.Service == "" {
		o.Service = filepath.Base(os.Args[0])
	}
	p := &Plane{m: m, o: o, started: time.Now(), web: newGate(false), local: newGate(true)}
	p.timeline = newTimelineStore(o.TimelineBytes)
	p.hub = newHub(p.timeline)
	if o.Audit != "" {
		p.audit = newAuditor(o.Audit, o.Service, p.auditFailed)
	}
	if o.Standing != "" {
		p.standing = newStanding(m, o.Standing, o.StandingFailed, p.notice)
	}
	p.remove = m.AddListener(p.listener())
	p.watcher = metrics.Watch(m)
	p.plots = newPlots(m)
	p.standing.start()
	return p
}

func (p *Plane) listener() breaker.Listener {
	return breaker.Listener{
		StateChange: func(b *breaker.Breaker, t breaker.Transition) {
			p.standing.stateChanged(b, &t)
			if t.To == breaker.Closed && !t.Shadow {
				p.notes.closed(b)
			}
			p.hub.publish(Event{Kind: EventTransition, ID: b.ID(), Transition: &t})
		},
		HeldBack: func(b *breaker.Breaker, t breaker.Transition) {
			p.hub.publish(Event{Kind: EventHeldBack, ID: b.ID(), Transition: &t})
		},
		Reminder: func(b *breaker.Breaker, o breaker.Override) {
			p.hub.publish(Event{Kind: EventReminder, ID: b.ID(), Override: &o})
		},
	}
}

// auditFailed reports that the audit log fails, or with nil that it works again.
func (p *Plane) auditFailed(err error) {
	text := "the audit log can be written again"
	if err != nil {
		text = "the audit log cannot be written: " + err.Error()
	}
	p.hub.publish(Event{Kind: EventAudit, Notice: text})
	if p.o.AuditFailed != nil {
		p.o.AuditFailed(err)
	}
}

// Report puts a notice on the timeline and the stream of events: that a new
// version is being deployed, say. The id is that of a breaker, or "" for the
// process. Text is cut at 2,000 bytes.
func (p *Plane) Report(id, text string) {
	p.hub.publish(Event{Kind: EventNotice, ID: id, Notice: cut(text, maxReason)})
}

// Close closes the sockets that Listen opened, detaches the plane from its
// manager, ends the streams of events and closes the audit log.
func (p *Plane) Close() error {
	p.mu.Lock()
	servers := p.servers
	p.servers = nil
	p.mu.Unlock()
	var err error
	for _, s := range servers {
		err = errors.Join(err, s.Close())
	}
	err = errors.Join(err, p.standing.close())
	p.remove()
	p.watcher.Close()
	p.plots.close()
	p.hub.close()
	return errors.Join(err, p.audit.close())
}

// Do carries out an order on the breakers of the manager and says what it did.
// It never waits for calls in flight, nor for listeners. The order is written
// to the audit log whether it is carried out or not.
//
// The error matches breaker.ErrOrder for an order that makes no sense,
// breaker.ErrUnknown for an id that names nothing (with the nearest ids; no
// breaker is made), breaker.ErrVersion, breaker.ErrSettings for a bad patch, or
// ErrConfirm; then nothing was changed. With a wildcard, what cannot be done to
// one breaker is in its Result and does not stop the others.
func (p *Plane) Do(o Order, by Peer) (Receipt, error) {
	given := time.Now()
	o = o.normal()
	r, err := p.carryOut(o, by.Transport == TransportFleet)
	p.record(given, o, by, &r, err)
	if err != nil {
		return Receipt{}, err
	}
	return r, nil
}

// record counts an order, writes it to the audit log, and publishes it. It is
// dated when it was given, so that it comes before its effects in a timeline.
func (p *Plane) record(given time.Time, o Order, by Peer, r *Receipt, refused error) {
	p.orders.add(&o, refused)
	if refused == nil && !o.DryRun {
		p.overview.forget()
	}
	if err := p.audit.write(o, by, r, refused); err != nil {
		r.AuditError = err.Error()
	}
	if refused == nil && !o.DryRun {
		p.hub.publish(Event{Kind: EventOrder, At: given, ID: o.ID, Order: &OrderEvent{
			Verb: o.Verb, Actor: o.Actor, Reason: o.Reason, For: o.For, Changes: r.changes(), Touched: r.Touched, Failed: r.Failed,
		}})
	}
}
