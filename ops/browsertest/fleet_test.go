package browsertest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
	"github.com/switchgear-go/switchgear/ops"
)

// pods are processes of a fleet in two zones, each with its own plane; the first
// takes orders.
type pods struct {
	store    *fleettest.Store
	managers []*breaker.Manager
	sites    []*site
	fleets   []*fleet.Fleet
}

func startPods(t *testing.T, n int, advisers ...int) *pods {
	t.Helper()
	p := &pods{store: fleettest.NewStore()}
	for i := range n {
		m := breaker.NewManager(breaker.Settings{FailMax: 3, ResetTimeout: 20 * time.Second})
		m.Breaker("payments")
		m.Breaker("mail")
		o := ops.Options{}
		if i == 0 {
			o.Authorize = anybody
		}
		s := serve(t, m, o)
		f, err := fleet.Join(t.Context(), m, fleet.Options{
			Store: p.store, Group: "checkout", Zone: string(rune('a' + i%2)), Member: fmt.Sprint("pod-", i), Plane: s.p, Key: []byte("a key of the browser tests"),
			Advise: slices.Contains(advisers, i),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		p.managers, p.sites, p.fleets = append(p.managers, m), append(p.sites, s), append(p.fleets, f)
	}
	return p
}

// An operator's minutes with a fleet: a zone goes bad, they see which and why,
// force it closed everywhere after a dry run, see the receipts, and find the same
// at a link that someone sent.
func TestFleetPage(t *testing.T) {
	long(t)
	t.Parallel()
	pods := startPods(t, 6)
	p := open(t, pods.sites[0].url(), 1280, 800, "light")
	p.until("the link", `document.querySelector("#attached a")`)
	p.visit(eval[string](p, `document.querySelector("#attached a").href`))
	p.says("Fleet checkout", "6 processes, coordinator pod-", "live", "mail", "6 closed", "payments", "6 closed", "a: 3 closed", "b: 3 closed")

	stop := make(chan struct{})
	defer close(stop)
	for i, m := range pods.managers {
		go func() {
			for tick := time.NewTicker(200 * time.Millisecond); ; {
				select {
				case <-tick.C:
				case <-stop:
					tick.Stop()
					return
				}
				if i%2 == 1 {
					fail(m.Breaker("payments"), 1, errDown)
				} else {
					succeed(m.Breaker("payments"), 1)
				}
			}
		}()
	}
	p.says("payments", "3 open, 3 closed", "a: 3 closed", "b: 3 open", "A verdict has held zone b open for", "processes of zone b")
	if first := eval[string](p, `document.querySelector("main .row").dataset.id`); first != "payments" {
		t.Errorf("the first row is %s, want payments: worst first", first)
	}

	p.click(`.row[data-id="payments"] .name`)
	p.says("payments", "A verdict has held zone b open", "order for all processes", "Processes that are not simply closed", "pod-1", "zone b", "History", "pod-1 (b)")
	p.choose(`#detail select[name=verb]`, "force-closed")
	p.write(`#detail input[name=actor]`, "ana")
	p.write(`#detail input[name=reason]`, "INC-42: the probe is wrong")
	p.click(`#detail form button`)
	p.says("Dry run: 6 of 6 done.", "3 × ")
	for i, m := range pods.managers {
		if s := m.Breaker("payments").Status(); s.Override != nil {
			t.Errorf("a dry run changed pod-%d", i)
		}
	}
	// Processes may move between the dry run and the order, which they refuse then.
	p.click(`#detail form button`)
	p.says("Sent: order")
	p.click("#detail .close")
	p.click(`nav [data-tab="orders"]`)
	p.until("the receipts are in", `/[0-9] of 6 done/.test(document.querySelector("main .order")?.textContent) && document.querySelector("main .order").textContent.includes("INC-42")`)
	p.shot("fleet-orders")
	p.click(`nav [data-tab="history"]`)
	p.says("payments", "forced-closed", "pod-", "ana")
	p.click(`nav [data-tab="members"]`)
	p.says("coordinator", "reports", "pod-5", "zone b", "2 breakers")

	// The link shows the same in another browser, and on a small dark screen, and
	// a process that takes no orders offers none.
	p2 := open(t, pods.sites[3].url()+"fleet/?breaker=payments&tab=history", 360, 760, "dark")
	p2.until("the detail", `document.querySelector("#detail").open && document.querySelector("#detail h2").textContent === "payments" && !document.querySelector("#detail form")`)
	p2.says("read-only")
	if eval[int](p2, `document.documentElement.scrollWidth`) > 360 {
		t.Error("the page is wider than the screen")
	}
	p2.click("#detail .close")
	eval[bool](p2, `(history.back(), true)`)
	p2.until("the detail again", `document.querySelector("#detail").open && location.search.includes("breaker=payments")`)

	// A process is silent, and then the store is gone.
	pods.store.Down(true)
	p.says("The store does not answer.", "This process has been alone since", "Its breakers act by themselves.")
	p.shot("fleet-alone")
	pods.store.Down(false)
	p.until("it is back", `!document.querySelector("#banners").textContent.includes("alone")`)
}

// An order for all is for what its dry run saw: a process that has changed since
// refuses it.
func TestFleetOrderFromAnOldLookIsRefused(t *testing.T) {
	long(t)
	t.Parallel()
	pods := startPods(t, 2)
	p := open(t, pods.sites[0].url()+"fleet/?breaker=payments", 1280, 800, "light")
	p.until("the form", `!!document.querySelector("#detail form")`)
	p.choose(`#detail select[name=verb]`, "open")
	p.write(`#detail input[name=actor]`, "ana")
	p.click(`#detail form button`)
	p.says("Dry run: 2 of 2 done.")
	if _, err := pods.managers[1].Breaker("payments").Apply(breaker.Order{Verb: breaker.VerbForceClosed, Actor: "ben", Reason: "INC-43"}); err != nil {
		t.Fatal(err)
	}
	p.click(`#detail form button`)
	p.says("Sent: order")
	p.click("#detail .close")
	p.click(`nav [data-tab="orders"]`)
	p.says("1 of 2 done, 1 refused: pod-1:")
	if got := pods.managers[1].Breaker("payments").State(); got != breaker.ForcedClosed {
		t.Errorf("the process that had changed is %s, want %s", got, breaker.ForcedClosed)
	}
}

// A process that only advises says so, on every screen, and refuses orders for all. The
// others still carry them out only if they have not changed since the dry run.
func TestFleetPageOfAdvisers(t *testing.T) {
	long(t)
	t.Parallel()
	pods := startPods(t, 5, 4)
	for range 3 { // four open by themselves, and a verdict follows
		for _, m := range pods.managers[:4] {
			_ = m.Breaker("payments").Do(t.Context(), func(context.Context) error { return errDown })
		}
	}
	for _, screen := range []struct {
		width, height int64
		theme         string
	}{{1280, 800, "light"}, {1280, 800, "dark"}, {360, 760, "light"}, {360, 760, "dark"}} {
		p := open(t, pods.sites[0].url()+"fleet/", screen.width, screen.height, screen.theme)
		p.says("5 processes", "1 process only advises:", "pod-4. It takes part in verdicts, but follows neither them nor orders for all.", "payments", "4 open, 1 closed")
		if eval[int64](p, `document.documentElement.scrollWidth`) > screen.width {
			t.Errorf("the page is wider than %d", screen.width)
		}
		p.shot(fmt.Sprintf("fleet-advisers-%d-%s", screen.width, screen.theme))
		p.click(`.row[data-id="payments"] .name`)
		p.says("A verdict has held", "pod-4 only advises, and would be open.", "Processes that are not simply closed", "pod-4", "only advises, and would be open")
		p.shot(fmt.Sprintf("fleet-advisers-detail-%d-%s", screen.width, screen.theme))
	}
	p := open(t, pods.sites[0].url()+"fleet/?breaker=mail", 1280, 800, "light")
	p.until("the form", `!!document.querySelector("#detail form")`)
	p.choose(`#detail select[name=verb]`, "open")
	p.write(`#detail input[name=actor]`, "ana")
	p.click(`#detail form button`)
	p.says("Do it in 4 processes", "Dry run: 4 of 5 done, 1 refused: it only advises, and does not carry out the fleet's orders.")
	if _, err := pods.managers[1].Breaker("mail").Apply(breaker.Order{Verb: breaker.VerbForceClosed, Actor: "ben", Reason: "INC-43"}); err != nil {
		t.Fatal(err)
	}
	p.click(`#detail form button`)
	p.says("Sent: order")
	p.click("#detail .close")
	p.click(`nav [data-tab="orders"]`)
	p.says("3 of 5 done, 2 refused: pod-1:")
	if got := pods.managers[1].Breaker("mail").State(); got != breaker.ForcedClosed {
		t.Errorf("the process that had changed is %s, want %s", got, breaker.ForcedClosed)
	}
	p.click(`nav [data-tab="members"]`)
	p.says("pod-4", "only advises · takes no orders")
}

// The page is drawn again each second. A person who presses a button for longer
// than that still clicks it, and the keyboard stays where it is.
func TestFleetPageKeepsClicksAndFocus(t *testing.T) {
	long(t)
	t.Parallel()
	p := open(t, startPods(t, 1).sites[0].url()+"fleet/", 1280, 800, "light")
	p.clickSlowly(`.row[data-id="payments"] .name`, "v1/fleet")
	p.until("the detail", `document.querySelector("#detail").open`)
	p.clickSlowly("#detail .close", "v1/fleet")
	p.until("no detail", `!document.querySelector("#detail").open`)

	eval[bool](p, `(document.querySelector('.row[data-id="mail"] .name').focus(), true)`)
	p.drawnAgain("v1/fleet")
	if at := eval[string](p, `document.activeElement.closest(".row")?.dataset.id || document.activeElement.tagName`); at != "mail" {
		t.Errorf("the keyboard is at %s, want mail", at)
	}
	p.press(kb.Enter)
	p.until("the detail", `document.querySelector("#detail").open && document.querySelector("#detail h2").textContent === "mail"`)
	for _, css := range []string{"#detail form button", "#detail .close"} {
		eval[bool](p, fmt.Sprintf(`(document.querySelector(%q).focus(), true)`, css))
		p.drawnAgain("v1/fleet")
		if !eval[bool](p, fmt.Sprintf(`document.activeElement === document.querySelector(%q)`, css)) {
			t.Errorf("the keyboard has left %s", css)
		}
	}
}

// Names that others chose are shown, and are never markup.
func TestFleetPageShowsNamesAsTheyAre(t *testing.T) {
	long(t)
	t.Parallel()
	store := fleettest.NewStore()
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker(`<img src=x onerror="document.title='owned'">`)
	s := serve(t, m, ops.Options{})
	f, err := fleet.Join(t.Context(), m, fleet.Options{Store: store, Group: "<b>shop</b>", Zone: "<i>", Member: "pod\u202e-1", Plane: s.p})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := open(t, s.url()+"fleet/", 1280, 800, "light")
	p.says("Fleet <b>shop</b>", "pod\\u{202e}-1", `<img src=x onerror=`)
	if eval[bool](p, `!!document.querySelector("main img, h1 b")`) {
		t.Error("a name is markup")
	}
}
