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
	"github.com/switchgear-go/switchgear/replay"
)

// Options configure a Plane. The zero value is a sensible default: read-only
// over HTTP, without an audit log.
type Options struct {
	// Service is the name of the process on operators' screens. Default: the
	// name of its program.
	Service string
	// Authorize decides on each order that comes over HTTP: nil admits it, and
	// an error refuses it with the error's text as the answer. It may find out
	// from the request who is asking (from a session, or a header that a proxy
	// sets), and may then write that into order.Actor. Without Authorize the
	// HTTP handler is read-only. Authorize is not called for orders on the
	// socket: a user who can open the socket owns the process.
	Authorize func(r *http.Request, order *Order) error
	// Hosts are the names under which the HTTP handler is reached, without
	// port. A request for another name is refused, because a foreign page can
	// make its own name resolve to this host (DNS rebinding); localhost and IP
	// addresses cannot be such names and are always accepted. Default: no
	// names at a loopback address, and any name elsewhere. If a proxy on the
	// same host passes on the name that it was asked for, that name must be
	// listed here.
	Hosts []string
	// Audit is the file of the audit log. It is created if necessary, in a
	// folder that exists. Default: no log. Two processes must not share one.
	Audit string
	// AuditFailed is called when the audit log cannot be written, and once
	// with nil when it can be again. It must not block. Status also shows
	// this.
	AuditFailed func(error)
	// TimelineBytes bounds the memory of Plane.Timeline. When it is full, the
	// breaker with the most events loses its oldest one. Default: 4 MiB, about
	// 8,000 transitions. Negative: no timeline.
	TimelineBytes int
	// Standing is the file in which overrides and settings that people order
	// are kept. It is created if necessary, with mode 0600, in a folder that
	// exists. New applies its contents: to the breakers and sets that exist,
	// and to others when the program creates them. What has expired while the
	// process was down, and what can no longer be applied, is dropped; the
	// audit log, the events and Process.LostOrders report it. Default: orders
	// end with the process.
	//
	// An order does not depend on the file: if the file cannot be written, the
	// order is carried out, and Receipt.StandingError says that it will not
	// outlive a restart. The file is rewritten with each order. A file that
	// cannot be read is reported and left as it is, and nothing of it is
	// applied.
	//
	// Two processes must not share one, except that a new process may start
	// before the old one has ended: it applies the file then, and writes it
	// when the old process has ended.
	Standing string
	// StandingFailed is called when the file of Standing cannot be read or
	// written, and once with nil when it can be again; New calls it before it
	// returns. It must not block. Process also shows this.
	StandingFailed func(error)
	// Recorder, if set, is the recorder of the manager's calls, from which
	// "switchgear record" gets what it holds. Default: that command can record
	// later calls only.
	Recorder *replay.Recorder
	// RuntimeDir is the directory in which the folder of the sockets is
	// created. Default: see Listen.
	RuntimeDir string
}

// Plane is the operations plane of one manager: it carries out orders, keeps
// the audit log and the stream of events, and serves them over HTTP and a unix
// socket. All methods may be called by many goroutines at once.
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
	web      *gate // for the HTTP handlers
	local    *gate // for the sockets

	mu       sync.Mutex // guards the fields below
	servers  []*Server  // created by Listen
	lost     []LostOrder
	attached map[string]http.Handler // by name
}

// New returns the operations plane of m. Create one plane, and use it for both
// the handler and the socket, so that each shows the orders given to the
// other. It has no permanent goroutine. Close detaches it from m.
//
// It is not an error if the audit log cannot be opened, because that must not
// keep a service from starting: it is reported as Options.AuditFailed
// describes, and tried again with each order.
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
		ShadowChange: func(b *breaker.Breaker, shadow string, t breaker.Transition) {
			p.hub.publish(Event{Kind: EventShadow, ID: b.ID(), Shadow: &ShadowEvent{Name: shadow, Transition: t}})
		},
		HeldBack: func(b *breaker.Breaker, t breaker.Transition) {
			p.hub.publish(Event{Kind: EventHeldBack, ID: b.ID(), Transition: &t})
		},
		Reminder: func(b *breaker.Breaker, o breaker.Override) {
			p.hub.publish(Event{Kind: EventReminder, ID: b.ID(), Override: &o})
		},
	}
}

// auditFailed reports that the audit log fails, or with nil that it works
// again.
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

// Report adds a notice to the timeline and to the stream of events, for
// example that a new version is being deployed. id is that of a breaker, or ""
// for the process. text is cut to 2,000 bytes.
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

// Do carries out an order on the breakers of the manager and returns what it
// did. It waits neither for calls in flight nor for listeners. The order is
// written to the audit log whether or not it is carried out.
//
// The error matches breaker.ErrOrder for an invalid order, breaker.ErrUnknown
// for an unknown id (with the nearest ids; no breaker is created),
// breaker.ErrVersion, breaker.ErrSettings for an invalid patch, or ErrConfirm.
// After an error nothing has changed. With a wildcard, an error that concerns
// one breaker is in its Result and does not stop the others.
func (p *Plane) Do(o Order, by Peer) (Receipt, error) {
	given := time.Now()
	o.normalize()
	r, err := p.carryOut(o, by.Transport == TransportFleet)
	p.record(given, o, by, &r, err)
	if err != nil {
		return Receipt{}, err
	}
	return r, nil
}

// record counts an order, writes it to the audit log, and publishes it. Its
// time is when it was given, so that it comes before its effects in a
// timeline.
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
			Verb: o.Verb, Actor: o.Actor, Reason: o.Reason, For: o.For, Shadow: o.Shadow, Changes: r.changes(), Touched: r.Touched, Failed: r.Failed,
		}})
	}
}
