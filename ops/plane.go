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
	// RuntimeDir is where the folder of the sockets is. Default: see Listen.
	RuntimeDir string
}

// Plane is the operations plane of one manager: it carries out orders, keeps
// the audit log and the stream of events, and serves all of it over HTTP and
// a unix socket. All methods may be called by many goroutines at once.
type Plane struct {
	m       *breaker.Manager
	o       Options
	started time.Time
	hub     *hub
	audit   *auditor
	remove  func()
	watcher *metrics.Watcher
	orders  orderTally
	plots   *plots

	overview overviewCache
	web      *gate // of the HTTP handlers
	local    *gate // of the sockets

	mu      sync.Mutex // guards the field below
	servers []*Server  // that Listen made
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
	p := &Plane{m: m, o: o, started: time.Now(), hub: newHub(), web: newGate(false), local: newGate(true)}
	if o.Audit != "" {
		p.audit = newAuditor(o.Audit, o.Service, o.AuditFailed)
	}
	p.remove = m.AddListener(p.listener())
	p.watcher = metrics.Watch(m)
	p.plots = newPlots(m)
	return p
}

func (p *Plane) listener() breaker.Listener {
	return breaker.Listener{
		StateChange: func(b *breaker.Breaker, t breaker.Transition) {
			p.hub.publish(Event{Kind: EventTransition, ID: b.ID(), Transition: &t})
		},
		Reminder: func(b *breaker.Breaker, o breaker.Override) {
			p.hub.publish(Event{Kind: EventReminder, ID: b.ID(), Override: &o})
		},
	}
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
	r, err := carryOut(p.m, o)
	p.record(o, by, &r, err)
	if err != nil {
		return Receipt{}, err
	}
	return r, nil
}

// record counts an order, writes it to the audit log, and publishes it.
func (p *Plane) record(o Order, by Peer, r *Receipt, refused error) {
	p.orders.add(&o, refused)
	if refused == nil && !o.DryRun {
		p.overview.forget()
	}
	if err := p.audit.write(o, by, r, refused); err != nil {
		r.AuditError = err.Error()
	}
	if refused == nil && !o.DryRun {
		p.hub.publish(Event{Kind: EventOrder, ID: o.ID, Order: &OrderEvent{
			Verb: o.Verb, Actor: o.Actor, Reason: o.Reason, For: o.For, Touched: r.Touched, Failed: r.Failed,
		}})
	}
}
