package ops

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/meter"
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
	// Audit is the file of the audit log, made if there is none, in a folder
	// that exists. Default: no log. No two processes may share one.
	Audit string
	// AuditFailed is called when the audit log cannot be written, and once with
	// nil when it can be again. It must not block. Status shows it too.
	AuditFailed func(error)
	// CountCalls counts every call by its outcome, for the dashboard's plots and
	// the metrics. It puts a listener on each call, which costs some hundreds of
	// nanoseconds; without it calls are not touched at all.
	CountCalls bool
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
	tally   *meter.Tally
	orders  orderTally
	calls   *callCounts  // nil without Options.CountCalls
	streams atomic.Int32 // readers of the events

	setting sync.Mutex // serialises orders that change settings: they read before they write
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
	p := &Plane{m: m, o: o, started: time.Now(), hub: newHub()}
	if o.Audit != "" {
		p.audit = newAuditor(o.Audit, o.Service, o.AuditFailed)
	}
	p.remove = m.AddListener(p.listener())
	p.tally = meter.Watch(m, false)
	return p
}

func (p *Plane) listener() breaker.Listener {
	l := breaker.Listener{}
	if p.o.CountCalls {
		p.calls = &callCounts{began: p.started}
		l = p.calls.listener()
	}
	l.StateChange = func(b *breaker.Breaker, t breaker.Transition) {
		p.hub.publish(Event{Kind: EventTransition, ID: b.ID(), Transition: &t})
	}
	l.Reminder = func(b *breaker.Breaker, o breaker.Override) {
		p.hub.publish(Event{Kind: EventReminder, ID: b.ID(), Override: &o})
	}
	return l
}

// Close detaches the plane from its manager, ends the streams of events and
// closes the audit log. Sockets have a Close of their own.
func (p *Plane) Close() error {
	p.remove()
	p.tally.Close()
	p.hub.close()
	return p.audit.close()
}

// ErrConfirm is matched by the error for an order with a wildcard that would
// touch more breakers than Order.Confirm says.
var ErrConfirm = errors.New("order not confirmed")

// Do carries out an order and says what it did. It never waits for calls in
// flight, and writes the order into the audit log whatever comes of it.
//
// The error matches breaker.ErrOrder for an order that makes no sense,
// breaker.ErrUnknown for an id that names nothing (with the nearest ids, and
// nothing is made), breaker.ErrVersion, breaker.ErrSettings for a bad patch, or
// ErrConfirm; then nothing was changed. With a wildcard, what cannot be done to
// one breaker stands in its Result and stops none of the others.
func (p *Plane) Do(o Order, by Peer) (Receipt, error) {
	r := Receipt{ID: o.ID, Verb: o.Verb, DryRun: o.DryRun}
	err := p.carryOut(o, &r)
	r.shorten()
	p.record(o, by, &r, err)
	if err != nil {
		return Receipt{}, err
	}
	return r, nil
}

// Apply carries out an order that came by the named pipe, and puts it on record
// as Do does:
//
//	fifo.Start(m, fifo.Config{Apply: plane.Apply})
//
// PyBreaker's orders tell neither actor nor reason, and their overrides have no
// end, so none of these is asked for here.
func (p *Plane) Apply(id string, asked breaker.Order) (breaker.Receipt, error) {
	o := Order{
		ID: id, Verb: asked.Verb, Actor: asked.Reason.Actor, Reason: asked.Reason.Text,
		For: Duration(asked.Reason.For), NoExpiry: asked.Reason.For == 0 && (asked.Verb == breaker.VerbForceOpen || asked.Verb == breaker.VerbForceClosed),
		IfVersion: asked.IfVersion, DryRun: asked.DryRun,
	}
	r := Receipt{ID: id, Verb: asked.Verb, DryRun: asked.DryRun}
	var did breaker.Receipt
	b, err := p.m.Lookup(id)
	if err == nil {
		did, err = obey(b, asked)
	}
	if err == nil {
		r.Matched = 1
		r.add(Result{Receipt: did}, nil)
	}
	p.record(o, Peer{Transport: "pipe"}, &r, err)
	return did, err
}

// record tells of an order: the counts, the audit log, and those who listen.
func (p *Plane) record(o Order, by Peer, r *Receipt, refused error) {
	p.orders.add(&o, refused)
	if err := p.audit.write(o, by, r, refused); err != nil {
		r.AuditError = err.Error()
	}
	if refused == nil && !o.DryRun {
		p.hub.publish(Event{Kind: EventOrder, ID: o.ID, Order: &OrderEvent{
			Verb: o.Verb, Actor: o.Actor, Reason: o.Reason, For: o.For, Touched: r.Touched, Failed: r.Failed,
		}})
	}
}

func (p *Plane) carryOut(o Order, r *Receipt) error {
	if err := o.Check(); err != nil {
		return err
	}
	if o.Verb == VerbSet {
		p.setting.Lock()
		defer p.setting.Unlock()
		if o.Wildcard() {
			return p.setAll(o, r)
		}
	}
	if !o.Wildcard() {
		return p.one(o, r)
	}
	found, err := p.match(o)
	if err != nil {
		return err
	}
	r.Matched = len(found)
	for _, b := range found {
		r.add(p.apply(b, o))
	}
	return nil
}

func (p *Plane) one(o Order, r *Receipt) error {
	b, err := p.m.Lookup(o.ID)
	if err != nil {
		return p.notASet(o.ID, err)
	}
	res, err := p.apply(b, o)
	if err != nil {
		return err
	}
	r.Matched = 1
	r.add(res, nil)
	return nil
}

// notASet helps who gives a set's name for an id.
func (p *Plane) notASet(id string, err error) error {
	if s, setErr := p.m.LookupSet(id); setErr == nil {
		return &breaker.UnknownError{ID: id, Near: []string{s.Name() + "/*"}}
	}
	return err
}

// match finds the breakers of a wildcard, if no more than are confirmed.
func (p *Plane) match(o Order) ([]*breaker.Breaker, error) {
	var found []*breaker.Breaker
	if o.ID == "*" {
		found = p.m.Breakers()
	} else {
		s, err := p.m.LookupSet(strings.TrimSuffix(o.ID, "/*"))
		if err != nil {
			return nil, err
		}
		found = s.Breakers()
	}
	if _, err := o.confirmed(len(found)); err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b *breaker.Breaker) int { return strings.Compare(a.ID(), b.ID()) })
	return found, nil
}

// ConfirmError is the answer to an order that would touch more breakers than
// it says. It matches ErrConfirm.
type ConfirmError struct {
	ID      string // the order's
	Matched int    // what Order.Confirm must reach
	Confirm int    // what it was
}

// Error tells the number to confirm.
func (e *ConfirmError) Error() string {
	if e.Confirm == 0 {
		return fmt.Sprintf("%s is for %d breakers: confirm that number", e.ID, e.Matched)
	}
	return fmt.Sprintf("%s is for %d breakers by now, and %d were confirmed: nothing was changed", e.ID, e.Matched, e.Confirm)
}

// Is reports whether target is ErrConfirm.
func (e *ConfirmError) Is(target error) bool { return target == ErrConfirm }

// confirmed is n, or an error when the order may not touch so many.
func (o *Order) confirmed(n int) (int, error) {
	if o.DryRun || n <= o.Confirm {
		return n, nil
	}
	return n, &ConfirmError{ID: o.ID, Matched: n, Confirm: o.Confirm}
}

func (p *Plane) apply(b *breaker.Breaker, o Order) (Result, error) {
	if o.Verb == VerbSet {
		return set(b, o)
	}
	r, err := obey(b, o.core())
	r.ID = b.ID()
	return Result{Receipt: r}, err
}
