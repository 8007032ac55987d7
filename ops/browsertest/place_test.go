package browsertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// linked is a manager whose breakers have links.
func linked() *breaker.Manager {
	return breaker.NewManager(breaker.Settings{ResetTimeout: time.Hour},
		breaker.WithLinks(breaker.Links{Owner: "https://chat.example/payments", Runbook: "https://wiki.example/payments", Dashboard: "javascript:document.title='owned'", Traces: "https://traces.example/{trace_id}"}),
		breaker.WithTraceID(func(context.Context) string { return "4bf92f/<b>" }))
}

// What is shown is in the URL: another tab shows the same, and so do reload,
// Back and Forward.
func TestPermalinks(t *testing.T) {
	long(t)
	t.Parallel()
	m := linked()
	fail(m.Breaker("payments"), 5, errors.New("timeout"))
	m.Breaker("search")
	s := serve(t, m, ops.Options{Authorize: anybody})
	p := open(t, s.url(), 1280, 800, "light")
	p.says("payments", "search")
	shows := func(what, js string) { t.Helper(); p.until(what, js) }
	const (
		openOnly = `document.querySelector(".chip.s-open").getAttribute("aria-pressed") === "true" && location.search.includes("state=open")`
		all      = `document.querySelector(".chip.s-all").getAttribute("aria-pressed") === "true" && !location.search.includes("state=")`
		detail   = `document.querySelector("#detail").open && document.querySelector("#detail h2")?.textContent === "payments" && location.search.includes("breaker=payments")`
		noDetail = `!document.querySelector("#detail").open && !location.search.includes("breaker=")`
		timeline = `!document.querySelector("#timeline").hidden && document.querySelector("#main").hidden && location.search.includes("tab=timeline")`
		hour     = `document.querySelector("#span").value === "3600" && location.search.includes("span=3600")`
		found    = `document.querySelector("#search").value === "pay" && location.search.includes("q=pay")`
	)
	p.click(".chip.s-open")
	shows("the filter", openOnly)
	p.choose("#span", "3600")
	shows("the span", hour)
	p.write("#search", "pay")
	shows("the search", found)
	p.click(row("payments", ".name"))
	shows("the detail", detail)
	p.do("reload", chromedp.Reload())
	shows("the detail after a reload", detail+" && "+openOnly+" && "+hour+" && "+found)
	p.click("#detail .close")
	shows("no detail", noDetail)
	p.click("#tab-timeline")
	shows("the timeline", timeline)

	back := func(times int) {
		t.Helper()
		eval[bool](p, fmt.Sprintf(`(history.go(%d), true)`, -times))
	}
	back(1)
	shows("the breakers again", noDetail+` && document.querySelector("#timeline").hidden`)
	back(1)
	shows("the detail again", detail)
	back(1)
	shows("the list again", noDetail+" && "+openOnly)
	back(2)
	shows("where it began", all+` && document.querySelector("#span").value === "900"`)
	eval[bool](p, `(history.go(5), true)`)
	shows("the timeline again", timeline)

	p2 := open(t, s.url()+"?tab=timeline&state=open&q=pay&span=86400&breaker=payments", 360, 760, "dark")
	p2.until("all of it", detail+" && "+timeline+` && document.querySelector("#span").value === "86400"`)
	p3 := open(t, s.url()+"?tab=x&state=shut&span=17&breaker=paymnets", 1280, 800, "light")
	p3.says("paymnets") // there is no such breaker, and nothing breaks
	p3.click("#detail .close")
	p3.until("the list", noDetail+` && document.querySelector("#span").value === "900"`)
}

// Links lead only to http and https URLs.
func TestLinksAndTraces(t *testing.T) {
	t.Parallel()
	m := linked()
	fail(m.Breaker("payments"), 5, errors.New("timeout"))
	s := serve(t, m, ops.Options{})
	p := open(t, s.url()+"?breaker=payments", 1280, 800, "light")
	p.says("owner:", "runbook", "timeout", "trace 4bf92f/<b>")
	for _, href := range []string{"https://chat.example/payments", "https://wiki.example/payments", "https://traces.example/4bf92f%2F%3Cb%3E"} {
		if !eval[bool](p, fmt.Sprintf(`[...document.querySelectorAll("#detail a")].some((a) => a.href === %q && a.rel.includes("noopener") && a.target === "_blank")`, href)) {
			t.Errorf("no link to %s", href)
		}
	}
	if eval[bool](p, `[...document.querySelectorAll("a")].some((a) => a.protocol === "javascript:")`) {
		t.Error("a program's data is a link that runs")
	}
	p.says("dashboard: javascript:document.title='owned'")
}

// The sheet of a breaker shows what people wrote about it.
func TestNotesAreShown(t *testing.T) {
	t.Parallel()
	m := linked()
	fail(m.Breaker("payments"), 5, errors.New("timeout"))
	s := serve(t, m, ops.Options{})
	for _, o := range []ops.Order{
		{ID: "payments", Verb: ops.VerbNote, Actor: "ana", Reason: "flaky since the deployment"},
		{ID: "payments", Verb: ops.VerbAck, Actor: "ben", Reason: "looking into it"},
	} {
		if _, err := s.p.Do(o, ops.Peer{Transport: "program"}); err != nil {
			t.Fatal(err)
		}
	}
	p := open(t, s.url()+"?breaker=payments", 1280, 800, "light")
	p.says("acknowledged by ben at", ": looking into it", "note by ana at", ": flaky since the deployment")
}

// The timeline shows the same as the command, and is updated while it is
// shown.
func TestTimelineTab(t *testing.T) {
	t.Parallel()
	m := linked()
	s := serve(t, m, ops.Options{Authorize: anybody})
	fail(m.Breaker("payments"), 5, errors.New("timeout"))
	for _, o := range []ops.Order{
		{ID: "payments", Verb: breaker.VerbForceClosed, Reason: "INC-42", For: ops.Duration(time.Hour)},
		{ID: "payments", Verb: ops.VerbSet, Reason: "too nervous", Settings: []byte(`{"fail_max": 9}`)},
	} {
		o.Actor = "ana"
		if _, err := s.p.Do(o, ops.Peer{Transport: "program"}); err != nil {
			t.Fatal(err)
		}
	}
	p := open(t, s.url()+"?tab=timeline", 1280, 800, "light")
	p.says("payments", "Change settings", "ana", "fail_max from 5 to 9, 1 changed, “too nervous”", "Forced closed", "ana", "forced closed by ana (\"INC-42\")", "Open", "5 failures in a row; last error: timeout", "trace 4bf92f")
	if n := eval[int](p, `document.querySelectorAll("#timeline li").length`); n != 3 {
		t.Errorf("%d lines, want 3: an order and what it did are one", n)
	}
	s.p.Report("", "deploying <b>1.2.3")
	p.says("Notice", "deploying <b>1.2.3")
	p.choose("#search", "inc-42")
	p.until("only what is searched for", `document.querySelectorAll("#timeline li").length === 1`)
	p.choose("#search", "no such thing")
	p.says("Nothing happened in this time that matches.")
	p.choose("#search", "")
	p.click(`#timeline li:last-child .name`)
	p.until("the sheet", `document.querySelector("#detail").open && document.querySelector("#detail h2")?.textContent === "payments"`)
	p.click("#detail .buttons .quiet")
	p.until("the timeline of one breaker", `!document.querySelector("#detail").open && document.querySelector("#search").value === "payments" && document.querySelectorAll("#timeline li").length === 3`)
}

// The sheet of a breaker shows what its shadows would have done, hatched where
// they could not see; they are promoted and dropped like other orders.
func TestShadowsInTheSheet(t *testing.T) {
	t.Parallel()
	m := breaker.NewManager(breaker.Settings{FailMax: 5})
	b, set := m.Breaker("payments"), breaker.SetOf[string](m, "tenants")
	s := serve(t, m, ops.Options{Authorize: anybody})
	for _, o := range []ops.Order{
		{ID: "payments", Shadow: "tight", Settings: []byte(`{"fail_max": 3}`)},
		{ID: "payments", Shadow: "loose", Settings: []byte(`{"fail_max": 50}`)},
		{ID: "tenants/*", Shadow: "tight", Settings: []byte(`{"fail_max": 1}`)},
	} {
		o.Verb, o.Actor = ops.VerbShadow, "ana"
		if _, err := s.p.Do(o, ops.Peer{Transport: "program"}); err != nil {
			t.Fatal(err)
		}
	}
	fail(b, 4, errors.New("timeout"))
	succeed(b, 2)
	fail(b, 7, errors.New("timeout"))
	fail(set.Breaker("acme"), 1, errors.New("timeout"))
	p := open(t, s.url()+"?breaker=payments", 1280, 800, "light")
	p.says("What other settings would have done", "tight", "fail_max=3: would have opened 1 time", "rejecting 8 calls, of which 2 succeeded; saw 84.6 % of the calls; was ahead of 1 of 1 trip.",
		"loose", "fail_max=50: would have opened never; rejecting 0 calls, of which 0 succeeded")
	p.until("a lane that is open and one that is not, both hatched",
		`document.querySelectorAll("#detail .shadow").length === 2 && document.querySelectorAll("#detail .shadow:has(rect.open):has(rect.blind)").length === 1 && document.querySelectorAll("#detail .shadow rect.blind").length === 2`)
	p.click("#detail .shadow:nth-of-type(2) .buttons button")
	p.until("promote is chosen", `document.querySelector("#order input[value=promote]").checked && document.querySelectorAll("#order .verbs input").length === 2`)
	p.choose(`#order input[name=actor]`, "ana")
	p.write(`#order textarea[name=reason]`, "noisy")
	p.click(`#order button.main`)
	p.says("Done.")
	if got := b.Settings().FailMax; got != 50 {
		t.Errorf("fail_max is %d, want that of loose, 50", got)
	}
	p.click(`#order button.quiet`)
	p.says("before", "kept from before the last change")
	p.visit(s.url() + "?breaker=tenants/acme")
	p.says("fail_max=1: would have opened 1 time")
	p.until("no order for a key", `!document.querySelector("#detail .shadow button")`)
}

// The sheet of a breaker whose process is gone says so, and ages stop.
func TestDetailOfAProcessThatIsGone(t *testing.T) {
	long(t)
	t.Parallel()
	m := linked()
	fail(m.Breaker("payments"), 5, errors.New("timeout"))
	s := serve(t, m, ops.Options{Authorize: anybody})
	p := open(t, s.url()+"?breaker=payments", 1280, 800, "light")
	p.says("payments has been open for")
	s.stop()
	p.until("the sheet says so", `document.querySelector("#detail .banner")?.textContent.includes("The process does not answer.")`)
	age := func() string {
		return eval[string](p, `document.querySelector('#list .row[data-id=payments] .state small').textContent`)
	}
	<-time.After(2 * time.Second) // it is drawn every second
	first := age()
	<-time.After(3 * time.Second) // the page's clock is real
	if last := age(); last != first {
		t.Errorf("the age went from %s to %s, want it to stop", first, last)
	}
}

// The sheet is drawn again each second. A person who presses a button for longer
// than that still clicks it.
func TestSheetKeepsClicks(t *testing.T) {
	long(t)
	t.Parallel()
	m := linked()
	fail(m.Breaker("payments"), 5, errors.New("timeout"))
	p := open(t, serve(t, m, ops.Options{Authorize: anybody}).url()+"?breaker=payments", 1280, 800, "light")
	p.says("payments has been open for")
	p.clickSlowly("#detail .close", "v1/history")
	p.until("no sheet", `!document.querySelector("#detail").open`)
}

// No control is cut off, at any width.
func TestNothingIsCutOff(t *testing.T) {
	long(t)
	t.Parallel()
	m := breaker.NewManager(breaker.Settings{})
	fail(m.Breaker("payments"), 5, errors.New("timeout"))
	m.Breaker("recommendations").ForceOpen(breaker.Order{Actor: "a-deployment-robot", Reason: "vendor maintenance", For: 50 * time.Minute})
	s := serve(t, m, ops.Options{Authorize: anybody})
	p := open(t, s.url(), 1280, 800, "light")
	p.says("payments", "recommendations")
	for width := int64(320); width <= 1500; width += 10 {
		p.screen(width, 800, "light")
		cut := eval[string](p, `(() => {
			const list = document.querySelector("#list").getBoundingClientRect();
			const out = [];
			for (const b of document.querySelectorAll("#list .row:not([hidden]) button, nav button:not(.chip), nav input, nav select, .tabs button")) {
				const r = b.getBoundingClientRect(), edge = b.closest("#list") ? list.right : innerWidth;
				if (r.width && (r.right > edge + 0.5 || r.left < -0.5)) out.push(b.textContent || b.id);
			}
			return out.join(", ");
		})()`)
		if over := eval[int](p, `document.documentElement.scrollWidth - innerWidth`); cut != "" || over > 0 {
			t.Errorf("at %d pixels: %q is cut off; the page is %d wider than the screen", width, cut, over)
		}
	}
}

// Invisible characters are shown, and keys that look alike can be
// distinguished.
func TestInvisibleAndConfusableCharacters(t *testing.T) {
	long(t)
	t.Parallel()
	m := breaker.NewManager(breaker.Settings{})
	tenants := breaker.SetOf[string](m, "tenants")
	hostile := "pay\u202eme\u200b\u2028\x1b[31m\u3000x\ufeff"
	for _, key := range []string{"acme", "\u0430cme", "ac\u200bme", "cafe\u0301", "\uff41cme", hostile} {
		fail(tenants.Breaker(key), 5, errors.New("error "+hostile))
	}
	tenants.Breaker(hostile).ForceOpen(breaker.Order{Actor: "ana " + hostile, Reason: "because " + hostile})
	s := serve(t, m, ops.Options{Authorize: anybody})
	s.p.Report("", "report "+hostile)
	p := open(t, s.url()+"?q=tenants", 1280, 800, "light")
	const raw = `/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u3000]/.test`
	check := func(what string) {
		t.Helper()
		if text := eval[string](p, `[...document.querySelectorAll("body *")].flatMap((e) => [e.title || "", e.getAttribute("aria-label") || "", ...[...e.childNodes].filter((n) => n.nodeType === 3 && !["SCRIPT", "STYLE"].includes(e.tagName)).map((n) => n.data)]).filter((x) => `+raw+`(x)).join(" | ")`); text != "" {
			t.Errorf("%s has what cannot be seen: %q", what, text)
		}
	}
	p.says(`tenants/pay\u{202e}me\u{200b}\u{2028}\u{1b}[31m\u{3000}x\u{feff}`)
	p.until("all keys are there", `document.querySelectorAll("#list .row.child:not([hidden])").length >= 6`)
	check("the list")
	if alike := eval[int](p, `(() => { const looks = [...document.querySelectorAll("#list .row.child:not([hidden]) .name")].map((e) => e.innerHTML); return looks.length - new Set(looks).size })()`); alike != 0 {
		t.Errorf("%d keys look like others", alike)
	}
	if odd := eval[[]string](p, `[...document.querySelectorAll("#list .odd")].map((e) => e.title).sort()`); fmt.Sprint(odd) != "[U+0301 U+0430 U+FF41]" {
		t.Errorf("marked are %v", odd)
	}
	p.click(`#list .row.child:not([hidden]) .state.s-forced-open ~ .what .name`)
	p.says("History, newest first")
	check("the sheet")
	p.click("#detail button.main")
	check("the order")
	p.click("#order button.quiet")
	p.click("#detail .close")
	p.choose("#search", "")
	p.click("#tab-timeline")
	p.says("report pay")
	check("the timeline")
}
