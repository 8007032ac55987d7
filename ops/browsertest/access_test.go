package browsertest

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// faint lists the visible texts whose contrast with their background is below
// 4.5 to 1 (WCAG 2.2, 1.4.3).
const faint = `(() => {
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const once = (f) => { const known = new Map(); return (x) => { if (!known.has(x)) known.set(x, f(x)); return known.get(x); }; };
	const rgba = once((c) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; });
	const light = ([r, g, b]) => { const f = (x) => (x /= 255) <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
	const behind = once((e) => { if (!e) return [255, 255, 255]; const c = rgba(getComputedStyle(e).backgroundColor); return c[3] > 250 ? c : behind(e.parentElement); });
	const out = new Set(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || !e.checkVisibility() || e.closest(".sr, .skip, svg, dialog:not([open])")) continue;
		const a = light(rgba(getComputedStyle(e).color)), b = light(behind(e)), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) out.add(walk.currentNode.data.trim().slice(0, 30) + " " + ratio.toFixed(2));
	}
	return [...out];
})()`

// nameless lists controls without a name for screen readers.
const nameless = `[...document.querySelectorAll("button, input, select, textarea, [role=img]")].filter((e) => e.checkVisibility() &&
	!(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML.slice(0, 80))`

func TestPageIsAccessible(t *testing.T) {
	long(t)
	t.Parallel()
	p := open(t, scene(t, 0).url(), 1440, 900, "light")
	check := func(what string) {
		t.Helper()
		for _, text := range eval[[]string](p, faint) {
			t.Errorf("%s: too faint: %s", what, text)
		}
		for _, e := range eval[[]string](p, nameless) {
			t.Errorf("%s: without a name: %s", what, e)
		}
	}
	for _, scheme := range []string{"light", "dark"} {
		p.screen(1440, 900, scheme)
		p.says("payments")
		p.says("tenants/*")
		check(scheme)
		p.click(row("payments", ".name"))
		p.says("History, newest first")
		check(scheme + ", detail")
		p.click("#detail button.main")
		p.click(`#order input[value=force-open]`)
		check(scheme + ", order")
		p.press(kb.Escape)
		p.press(kb.Escape)
		p.until("all sheets are closed", `!document.querySelector("dialog[open]")`)
		p.click("#tab-timeline")
		p.says("HTTP 502 from geo.internal")
		check(scheme + ", timeline")
		p.click("#tab-breakers")
	}
}

func TestKeyboardDoesAll(t *testing.T) {
	t.Parallel()
	m := breaker.NewManager(breaker.Settings{})
	for _, name := range []string{"a", "b", "c"} {
		m.Breaker(name)
	}
	p := open(t, serve(t, m, ops.Options{Authorize: anybody}).url(), 1280, 800, "light")
	p.until("the rows are there", `!!document.querySelector('.row[data-id="c"]')`)
	on := `document.activeElement.closest(".row")?.dataset.id`
	p.press("/")
	p.until("the search has the keyboard", `document.activeElement.id === "search"`)
	p.press(kb.ArrowDown)
	p.until("the first row has it", on+` === "a"`)
	p.press(kb.ArrowDown)
	p.press(kb.ArrowDown)
	p.until("the third row has it", on+` === "c"`)
	p.press(kb.Enter)
	p.says("c is closed and has never opened")
	p.press(kb.Escape)
	p.until("the row has it again", on+` === "c"`)
	p.press("o")
	p.until("the order is open", `document.querySelector("#order[open]") && document.activeElement.name === "verb"`)
	p.press(" ") // the first choice: force closed
	p.press(kb.Tab)
	p.press("ana")
	p.press(kb.Tab)
	p.press(kb.Tab)
	p.press("because")
	p.press(kb.Tab)
	p.press(kb.Tab)
	p.press(kb.Enter)
	p.says("Done.", "c: Closed → Forced closed")
	s := m.Breaker("c").Status()
	if s.Override == nil || s.Override.Actor != "ana" || s.Override.Reason != "because" || time.Until(s.Override.Expires) < 9*time.Minute {
		t.Errorf("override = %+v, want ana's for ten minutes", s.Override)
	}
	// The row that had the keyboard is another breaker's now.
	p.until("c is listed first", `document.querySelector('.row[aria-posinset="1"]:not([hidden])').dataset.id === "c"`)
	p.press(kb.Enter)
	p.until("the row has it in the end", on+` === "c"`)
}
