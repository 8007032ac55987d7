package notify_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/notify"
)

func TestTripsAndRecoveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := breaker.NewManager(breaker.Settings{}), &receiver{}
		links := breaker.WithLinks(breaker.Links{Owner: "payments team", Runbook: "https://wiki/payments", Dashboard: "javascript:alert(1)", Traces: "https://traces/{trace_id}"})
		payments, err := m.Create("payments", breaker.Settings{}, links, breaker.WithTraceID(func(context.Context) string { return "4bf92f" }))
		if err != nil {
			t.Fatal(err)
		}
		start(t, m, r, notify.Options{}, ops.Options{})
		fail(payments, 5)
		time.Sleep(3 * time.Second)
		all := r.notices(t)
		if len(all) != 1 {
			t.Fatalf("%d notices, want 1", len(all))
		}
		n := all[0]
		if n.Kind != notify.Opened || n.Text != "payments opened: 5 failures in a row; last error: connection refused" || n.Service != "shop" || n.PID == 0 || n.Owner != "payments team" || n.Since.IsZero() {
			t.Errorf("the notice is %+v", n)
		}
		if len(n.Links) != 2 || n.Links[0].URL != "https://wiki/payments" || n.Links[1].URL != "https://traces/4bf92f" {
			t.Errorf("its links are %v, want the runbook and the trace, and nothing but the web", n.Links)
		}
		time.Sleep(time.Minute)
		fail(payments, 1) // a probe that fails is not news
		r.expect(t, time.Minute)
		succeed(payments)
		r.expect(t, 10*time.Second, "closed payments closed: the probe succeeded")

		fail(payments, 5)
		payments.Close(breaker.Order{Actor: "ana", Reason: "the vendor is back"})
		r.expect(t, time.Minute,
			"opened payments opened: 5 failures in a row; last error: connection refused",
			`closed payments closed: closed by ana ("the vendor is back")`)
		payments.Open(breaker.Order{Actor: "ana"}) // what people do is not news
		r.expect(t, time.Minute)
	})
}

// What happens behind an override is not news, but an episode still gets its
// end.
func TestBehindAnOverride(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := breaker.NewManager(breaker.Settings{}), &receiver{}
		b := m.Breaker("payments")
		start(t, m, r, notify.Options{}, ops.Options{})
		fail(b, 5)
		r.expect(t, 10*time.Second, "opened payments opened: 5 failures in a row; last error: connection refused")
		b.ForceClosed(breaker.Order{Actor: "ana", Reason: "test"})
		fail(b, 5)
		r.expect(t, time.Minute)
		succeed(b) // closes it behind the override
		r.expect(t, time.Minute, "closed payments is closed")
		fail(b, 5)
		r.expect(t, time.Minute)
	})
}

func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := breaker.NewManager(breaker.Settings{ResetTimeout: time.Second}), &receiver{}
		b := m.Breaker("payments")
		start(t, m, r, notify.Options{FlapsPerHour: 3}, ops.Options{})
		for range 50 {
			fail(b, 5)
			time.Sleep(10 * time.Second)
			succeed(b)
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		kinds := map[notify.Kind]int{}
		for _, n := range r.notices(t) {
			kinds[n.Kind]++
		}
		if kinds[notify.Opened] != 3 || kinds[notify.Closed] != 3 || kinds[notify.Flapping] != 1 || len(kinds) != 3 {
			t.Errorf("the notices are %v, want three trips with their ends, and that it flaps", kinds)
		}
		r.expect(t, 2*time.Hour, "closed payments is closed")
		fail(b, 5)
		r.expect(t, 10*time.Second, "opened payments opened: 5 failures in a row; last error: connection refused")
	})
}

// A breaker that stops flapping because it stays open has not recovered.
func TestFlappingThatEndsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := breaker.NewManager(breaker.Settings{ResetTimeout: time.Second}), &receiver{}
		b := m.Breaker("payments")
		start(t, m, r, notify.Options{FlapsPerHour: 2, FailingFor: 24 * time.Hour}, ops.Options{})
		for range 10 {
			succeed(b)
			fail(b, 5)
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		r.take()
		r.expect(t, 3*time.Hour)
		succeed(b)
		r.expect(t, time.Minute, "closed payments closed: the probe succeeded")
	})
}

func TestFailingForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := breaker.NewManager(breaker.Settings{}), &receiver{}
		b := m.Breaker("payments")
		start(t, m, r, notify.Options{Kinds: []notify.Kind{notify.Failing, notify.Closed}}, ops.Options{})
		fail(b, 5)
		for range 14 {
			time.Sleep(time.Minute)
			fail(b, 1)
		}
		r.expect(t, 0)
		r.expect(t, 2*time.Minute, "failing payments has been failing for 15m0s: the probe failed; last error: connection refused")
		r.expect(t, time.Hour) // once
		succeed(b)
		r.expect(t, time.Minute, "closed payments closed: the probe succeeded")
	})
}

func TestOverrideEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := breaker.NewManager(breaker.Settings{}), &receiver{}
		p := start(t, m, r, notify.Options{}, ops.Options{})
		m.Breaker("payments")
		m.Breaker("search")
		order(t, p, ops.Order{ID: "payments", Verb: breaker.VerbForceOpen, Reason: "INC-42", For: ops.Duration(time.Hour)})
		order(t, p, ops.Order{ID: "search", Verb: breaker.VerbForceOpen, Reason: "INC-42", NoExpiry: true})
		r.expect(t, 49*time.Minute)
		r.expect(t, 2*time.Minute, `override-ending the override of payments (forced-open by ana: "INC-42") ends in 10m0s`)
		r.expect(t, time.Hour)
		order(t, p, ops.Order{ID: "payments", Verb: breaker.VerbForceOpen, Reason: "again", For: ops.Duration(4 * time.Minute)})
		r.expect(t, time.Minute) // half its time is not over
		r.expect(t, 2*time.Minute, `override-ending the override of payments (forced-open by ana: "again") ends in 2m0s`)
	})
}

func TestAuditLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := breaker.NewManager(breaker.Settings{}), &receiver{}
		folder := t.TempDir() + "/later"
		p := start(t, m, r, notify.Options{}, ops.Options{Audit: folder + "/audit"})
		m.Breaker("payments")
		time.Sleep(time.Minute)
		all := r.notices(t)
		if len(all) != 1 || all[0].Kind != notify.AuditFailing || !strings.Contains(all[0].Text, "no such file") {
			t.Fatalf("the notices are %+v", all)
		}
		mkdir(t, folder)
		order(t, p, ops.Order{ID: "payments", Verb: breaker.VerbOpen})
		r.expect(t, time.Minute, "audit-works the audit log can be written again")
	})
}

func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := breaker.NewManager(breaker.Settings{}), &receiver{}
		p := ops.New(m, ops.Options{})
		defer p.Close()
		p.Report("", "before the notifier, and not before the process")
		n, err := notify.Start(p, notify.Options{URL: secretURL, Client: &http.Client{Transport: r}})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		p.Report("payments", "two\nlines \x1b[31m\u202e of \xff")
		r.expect(t, time.Minute, "report before the notifier, and not before the process", "report two lines  [31m of \ufffd")
	})
}

// address is a Source behind which processes come and go.
type address struct {
	mu    sync.Mutex // guards the field below
	plane *ops.Plane // nil: nothing answers
}

func (a *address) set(p *ops.Plane) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.plane = p
}

func (a *address) get() (*ops.Plane, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.plane == nil {
		return nil, ops.ErrUnreachable
	}
	return a.plane, nil
}

func (a *address) Process(context.Context) (x ops.Process, err error) {
	p, err := a.get()
	if err == nil {
		x = p.Process()
	}
	return x, err
}

func (a *address) Status(_ context.Context, q ops.StatusQuery) ([]ops.Status, error) {
	p, err := a.get()
	if err != nil {
		return nil, err
	}
	return p.Status(q)
}

func (a *address) Timeline(_ context.Context, from time.Time, ids ...string) (ops.Timeline, error) {
	p, err := a.get()
	if err != nil {
		return ops.Timeline{}, err
	}
	return p.Timeline(from, ids...)
}

func (a *address) Events(ctx context.Context, after string) iter.Seq2[ops.Event, error] {
	p, err := a.get()
	if err != nil {
		return func(yield func(ops.Event, error) bool) { yield(ops.Event{}, err) }
	}
	return p.Events(ctx, after)
}

// process is a process with two overrides and an open breaker.
func process(t *testing.T, service string) (*breaker.Manager, *ops.Plane) {
	t.Helper()
	m := breaker.NewManager(breaker.Settings{})
	for _, id := range []string{"payments", "search", "mail"} {
		m.Breaker(id)
	}
	p := ops.New(m, ops.Options{Service: service})
	t.Cleanup(func() { _ = p.Close() })
	return m, p
}

func watching(t *testing.T, r *receiver) *notify.Notifier {
	t.Helper()
	n, err := notify.New(notify.Options{URL: secretURL, Client: &http.Client{Transport: r}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// A process that restarts at the same address has lost its overrides, except
// those that it has again, and its breakers are not open any more.
func TestRestartAtTheSameAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := &receiver{}, &address{}
		n := watching(t, r)
		m, p := process(t, "shop")
		a.set(p)
		n.Watch(a)
		for _, id := range []string{"payments", "search"} {
			order(t, p, ops.Order{ID: id, Verb: breaker.VerbForceOpen, Reason: "INC-42", NoExpiry: true})
		}
		fail(m.Breaker("mail"), 5)
		r.expect(t, time.Minute, "opened mail opened: 5 failures in a row; last error: connection refused")
		a.set(nil)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		r.expect(t, time.Minute) // it may come back
		m2, p2 := process(t, "shop")
		order(t, p2, ops.Order{ID: "search", Verb: breaker.VerbForceOpen, Reason: "INC-42", NoExpiry: true})
		fail(m2.Breaker("mail"), 5)
		a.set(p2)
		r.expect(t, time.Minute,
			"closed mail is not open any more: its process has started again",
			"opened mail opened: 5 failures in a row; last error: connection refused",
			`override-lost the override of payments (forced-open by ana: "INC-42") is lost: the process started again`)
	})
}

// A process that ended has lost its overrides, except those that a later
// process of its service has.
func TestProcessThatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := &receiver{}, &address{}
		n := watching(t, r)
		m, p := process(t, "shop")
		a.set(p)
		ended := n.Watch(a)
		for _, id := range []string{"payments", "search"} {
			order(t, p, ops.Order{ID: id, Verb: breaker.VerbForceOpen, Reason: "INC-42", NoExpiry: true})
		}
		order(t, p, ops.Order{ID: "mail", Verb: breaker.VerbForceClosed, Reason: "INC-42", For: ops.Duration(80 * time.Second)})
		fail(m.Breaker("other"), 5)
		time.Sleep(31 * time.Second)
		synctest.Wait()
		r.take()
		ended()
		time.Sleep(10 * time.Second)
		_, p2 := process(t, "shop")
		order(t, p2, ops.Order{ID: "search", Verb: breaker.VerbForceOpen, Reason: "INC-42", NoExpiry: true})
		_, p3 := process(t, "another service")
		order(t, p3, ops.Order{ID: "payments", Verb: breaker.VerbForceOpen, Reason: "INC-42", NoExpiry: true})
		for _, x := range []*ops.Plane{p2, p3} {
			b := &address{}
			b.set(x)
			n.Watch(b)
		}
		r.expect(t, 2*time.Minute,
			"closed other is not open any more: its process has ended",
			`override-lost the override of payments (forced-open by ana: "INC-42") is lost: its process has ended`) // mail's would have ended
	})
}

// What happens while the connection is down, or faster than it is read, is
// reported.
func TestNothingIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := &receiver{}, &address{}
		n := watching(t, r)
		m, p := process(t, "shop")
		time.Sleep(time.Hour)
		fail(m.Breaker("before"), 5) // before watching begins
		time.Sleep(time.Second)
		a.set(p)
		n.Watch(a)
		r.expect(t, time.Minute)
		fail(m.Breaker("payments"), 5)
		for i := range 3000 { // more than the stream keeps
			p.Report("flood", fmt.Sprint(i))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		seen := map[string]int{}
		for _, x := range r.notices(t) {
			seen[x.Text]++
		}
		if seen["payments opened: 5 failures in a row; last error: connection refused"] != 1 && seen["2999"] != 1 {
			t.Errorf("%d different notices", len(seen))
		}
		for text, times := range seen {
			if times != 1 {
				t.Errorf("%q came %d times", text, times)
			}
		}
	})
}

// A set may have very many keys.
func TestManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := breaker.NewManager(breaker.Settings{FailMax: 1}), &receiver{}
		start(t, m, r, notify.Options{}, ops.Options{})
		tenants := breaker.SetOf[int](m, "tenants")
		for i := range 20_000 {
			fail(tenants.Breaker(i), 1)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		var left, received int
		for _, req := range r.take() {
			n, l := countOf(t, req.body)
			received, left = received+n, left+l
		}
		if received < 1000 || received > 3000 || left == 0 {
			t.Errorf("%d notices and %d left out", received, left)
		}
	})
}
