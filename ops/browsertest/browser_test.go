package browsertest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

var errDown = errors.New("dial tcp 10.2.0.7:443: connect: connection refused")

// Ten minutes of an operator: a breaker trips, they see why, force it closed
// for a while, see the override expire, and release another.
func TestAnOperatorsWay(t *testing.T) {
	t.Parallel()
	m := breaker.NewManager(breaker.Settings{FailMax: 3, ResetTimeout: 20 * time.Second, SlowCall: time.Minute, SlowRate: 1})
	payments, search := m.Breaker("payments"), m.Breaker("search")
	m.Breaker("mail")
	audit := filepath.Join(t.TempDir(), "audit.jsonl")
	s := serve(t, m, ops.Options{Audit: audit, Authorize: anybody})
	p := open(t, s.url(), 1280, 800, "light")
	p.says("shop", "live", "3", "all", "0", "open", "mail", "payments", "search")

	succeed(payments, 10)
	fail(payments, 3, errDown)
	p.says("1", "open", "payments", "3 failures in a row; last error: dial tcp 10.2.0.7:443", "probe in")
	if first := eval[string](p, `document.querySelector('#list .row[aria-posinset="1"]').dataset.id`); first != "payments" {
		t.Errorf("the first row is %s, want payments: worst first", first)
	}

	p.click(row("payments", ".name"))
	p.says("payments has been open for", "3 failures in a row; last error: "+errDown.Error(), "Every call is rejected; a probe may run in", "Half of the calls took up to", "History, newest first", "3 × dial tcp")

	p.click("#detail button.main")
	p.click(`#order input[value=force-closed]`)
	p.choose(`#order input[name=actor]`, "ana")
	p.write(`#order textarea[name=reason]`, "INC-42: false alarm, the vendor is up")
	p.choose(`#order select[name=for]`, "other")
	p.write(`#order input[name=other]`, "6s")
	p.click(`#order button.main`)
	p.says("Done.", "payments: Open → Forced closed, version")
	if got := payments.State(); got != breaker.ForcedClosed {
		t.Fatalf("state is %s, want forced-closed", got)
	}
	p.click(`#order button.quiet`)
	p.click("#detail .close")
	p.says("Forced closed", "“INC-42: false alarm", "open behind it", "forced closed by ana", "ends in")
	p.until("the override expires", `document.querySelector('#list .row[data-id=payments] .state b').textContent === "Half-open"`)
	if got := payments.State(); got != breaker.HalfOpen {
		t.Errorf("state is %s, want half-open after the override", got)
	}

	search.ForceOpen(breaker.Order{Actor: "bob", Reason: "reindexing"})
	p.says("Forced open", "“reindexing”", "forced open by bob", "until released")
	p.click(row("search", ".order"))
	p.click(`#order input[value=release]`)
	p.click(`#order button.main`)
	p.says("Done.", "search: Forced open → Closed")
	p.click(`#order button.quiet`)
	p.click("#log")
	p.says("ana", "release", "search", "ana", "force closed", "payments", "for 6s", "INC-42")

	f, err := os.Open(audit)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if report, err := ops.VerifyAudit(f); err != nil || report.Entries != 2 {
		t.Errorf("audit = %+v, %v, want both orders", report, err)
	}
}

func TestOrderFromAnOldLookIsRefused(t *testing.T) {
	t.Parallel()
	m := breaker.NewManager(breaker.Settings{})
	payments := m.Breaker("payments")
	p := open(t, serve(t, m, ops.Options{Authorize: anybody}).url(), 1280, 800, "light")
	p.click(row("payments", ".order"))
	p.click(`#order input[value=open]`)
	p.choose(`#order input[name=actor]`, "ana")
	fail(payments, 5, errDown)
	p.click(`#order button.main`)
	p.says("breaker has changed", "look again")
	if why := payments.Status().Transition; why.Cause == breaker.CauseOrder {
		t.Error("the order was carried out on a breaker that had moved")
	}
}

// The end chosen for an override does not apply to an order to open: that has
// its reset timeout.
func TestOrderToOpenEndsByItself(t *testing.T) {
	long(t)
	t.Parallel()
	m := breaker.NewManager(breaker.Settings{})
	payments := m.Breaker("payments")
	p := open(t, serve(t, m, ops.Options{Authorize: anybody}).url(), 1280, 800, "light")
	p.click(row("payments", ".order"))
	p.click(`#order input[value=force-open]`)
	if end := eval[string](p, `document.querySelector('#order select[name=for]').value`); end != "10m" {
		t.Errorf("an override is offered %q for its end, want 10m", end)
	}
	p.choose(`#order select[name=for]`, "never")
	p.click(`#order input[value=open]`)
	p.choose(`#order input[name=actor]`, "ana")
	p.click(`#order button.main`)
	p.says("Done.", "Closed → Open")
	if s := payments.Status(); s.Override != nil || s.UntilHalfOpen > time.Minute || s.UntilHalfOpen == 0 {
		t.Errorf("it is %+v, want open for its reset timeout", s)
	}
}

func TestBulkOrderShowsWhatItWouldDo(t *testing.T) {
	long(t)
	t.Parallel()
	m := breaker.NewManager(breaker.Settings{})
	set := breaker.SetOf[string](m, "tenants")
	for i := range 12 {
		set.Breaker(fmt.Sprintf("t%02d", i))
	}
	fail(set.Breaker("t03"), 5, errDown)
	p := open(t, serve(t, m, ops.Options{Authorize: anybody}).url(), 1280, 800, "light")
	p.says("tenants/*", "1 open, 11 closed")
	p.click(row("tenants/*", ".name"))
	p.says("tenants/t03", "5 failures in a row")
	p.click(row("tenants/*", ".order"))
	p.click(`#order input[value=force-open]`)
	p.choose(`#order input[name=actor]`, "ana")
	p.write(`#order textarea[name=reason]`, "drill")
	p.click(`#order button.main`)
	p.says("It would change 12 breakers of 12.", "Keys that tenants creates later are not affected")
	p.click(`#order input[value=close]`)
	p.click(`#order button.main`)
	p.says("It would change 12 breakers of 12.", "1 × Open → Closed", "Nothing is changed yet.", "Close 12 breakers")
	if set.Breaker("t03").State() != breaker.Open {
		t.Fatal("the look changed something")
	}
	p.click(`#order button.main`)
	p.says("Done.", "12 breakers of 12 changed")
	if set.Breaker("t03").State() != breaker.Closed {
		t.Error("the order was not carried out")
	}
}

func TestSearchFindsKeysThatAreFolded(t *testing.T) {
	long(t)
	t.Parallel()
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("payments")
	set := breaker.SetOf[string](m, "tenants")
	for i := range 100 {
		set.Breaker(fmt.Sprintf("t%02d", i))
	}
	p := open(t, serve(t, m, ops.Options{}).url(), 1280, 800, "light")
	p.says("payments", "100 keys", "tenants/*")
	p.press("/")
	p.write("#search", "t42")
	p.says("tenants/t42")
	if n := eval[int](p, `document.querySelectorAll("#list .row:not([hidden])").length`); n != 2 {
		t.Errorf("%d rows, want the set and its key", n)
	}
}

func TestPageShowsThatTheProcessIsGone(t *testing.T) {
	long(t)
	t.Parallel()
	m := breaker.NewManager(breaker.Settings{})
	s := serve(t, m, ops.Options{Authorize: anybody})
	p := open(t, s.url(), 1280, 800, "light")
	p.says("live", "This process has no breakers yet")
	m.Breaker("first")
	p.says("first")
	s.stop()
	p.says("gone", "The process does not answer.", "The data is from")
}

// stopped is a process that stops once hang is closed: its connections stay
// open, and nothing comes through them.
type stopped struct {
	http.ResponseWriter
	r    *http.Request
	hang <-chan struct{}
}

func (w stopped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w stopped) Write(b []byte) (int, error) {
	select {
	case <-w.hang:
		<-w.r.Context().Done()
		return 0, w.r.Context().Err()
	default:
		return w.ResponseWriter.Write(b)
	}
}

func TestPageShowsThatItIsStale(t *testing.T) {
	long(t)
	t.Parallel()
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("payments")
	plane := ops.New(m, ops.Options{})
	hang := make(chan struct{})
	inner := plane.Handler()
	s := &site{httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(stopped{w, r, hang}, r)
	})), plane}
	t.Cleanup(s.stop)
	p := open(t, s.URL, 1280, 800, "light")
	p.says("live", "payments")
	close(hang)
	p.says("stale", "This page is out of date.", "Nothing has arrived for", "The data may be old.")
}

func TestReadOnlyPageOffersNoOrders(t *testing.T) {
	t.Parallel()
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("payments")
	p := open(t, serve(t, m, ops.Options{}).url(), 1280, 800, "light")
	p.says("read-only", "payments")
	if eval[bool](p, `[...document.querySelectorAll(".order, #bulk")].some((e) => e.checkVisibility())`) {
		t.Error("a read-only page offers orders")
	}
}
