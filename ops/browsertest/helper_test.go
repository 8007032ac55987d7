package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	devtools "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// page is what a window of a headless Chromium shows to a test.
type page struct {
	*testing.T
	ctx           context.Context
	width, height int64
	scheme        string // its colours
}

// scratch is a folder for all tests.
var scratch string

// TestMain lets more tests run at once than there are processors, because most of
// them wait, and ends the browser that they share.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "6") // a flag of the command line replaces it
	dir, err := os.MkdirTemp("", "browsertest-")
	if err != nil {
		panic(err)
	}
	scratch = dir
	code := m.Run()
	stopBrowser()
	os.RemoveAll(dir)
	os.Exit(code)
}

var stopBrowser = func() {}

// browser starts Chromium once for all tests. It returns the context in which
// they open their pages, or why there is none.
var browser = sync.OnceValues(func() (context.Context, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, err
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(path),
		chromedp.Flag("headless", true), chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("no-first-run", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true))
	ctx, cancel := chromedp.NewContext(alloc)
	stopBrowser = func() { cancel(); stop() }
	_, err = chromedp.Run(ctx, chromedp.Navigate("about:blank"))
	return ctx, err
})

// window is a window with a profile of its own.
type window struct {
	ctx   context.Context
	close context.CancelFunc
}

// free are the windows that no test uses now. They are kept for the next test, as
// opening one takes a second of processor time.
var free struct {
	sync.Mutex
	windows []*window
}

// takeWindow returns a window that shows an empty page.
func takeWindow(root context.Context) (*window, error) {
	free.Lock()
	if n := len(free.windows); n > 0 {
		w := free.windows[n-1]
		free.windows = free.windows[:n-1]
		free.Unlock()
		return w, nil
	}
	free.Unlock()
	ctx, closeIt := chromedp.NewContext(root, chromedp.WithNewBrowserContext())
	_, err := chromedp.Run(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, runtime.Enable, cdp.Empty{}); err != nil {
			return err
		}
		if _, err := cdp.Call(ctx, t, log.Enable, cdp.Empty{}); err != nil {
			return err
		}
		// Each window behaves as if it had the keyboard, which only one of them has.
		_, err := cdp.Call(ctx, t, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return err
	}))
	if err != nil {
		closeIt()
		return nil, err
	}
	return &window{ctx, closeIt}, nil
}

// giveBack empties a window for the next test, or closes it if that fails.
func (w *window) giveBack() {
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(localStorage.clear(), sessionStorage.clear(), true)`))
	if err == nil {
		_, err = chromedp.Run(ctx, chromedp.Navigate("about:blank"))
	}
	if err == nil {
		_, err = chromedp.Run(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, devtools.ResetNavigationHistory, cdp.Empty{})
			return err
		}))
	}
	if err != nil {
		w.close()
		return
	}
	free.Lock()
	defer free.Unlock()
	free.windows = append(free.windows, w)
}

// open goes to url in a window with a profile of its own, or skips the test.
// Anything that the page throws or logs as an error, including a violation of its
// security policy, fails the test.
func open(t *testing.T, url string, width, height int64, scheme string) *page {
	t.Helper()
	root, err := browser()
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("SWITCHGEAR_REQUIRE_ALL") != "1" {
		t.Skip("SKIP: needs chromium")
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := takeWindow(root)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	p := &page{T: t, ctx: ctx}
	listening := p.watch()
	t.Cleanup(func() {
		cancel()
		listening.Wait()
		if t.Failed() {
			w.close()
			return
		}
		w.giveBack()
	})
	p.screen(width, height, scheme)
	p.visit(url)
	return p
}

// visit goes to another page in the same tab.
func (p *page) visit(url string) {
	p.Helper()
	p.do("open "+url, chromedp.Navigate(url))
}

// watch listens to the window until the test ends.
func (p *page) watch() (listening *sync.WaitGroup) {
	thrown, logged := chromedp.Events(p.ctx, runtime.ExceptionThrown), chromedp.Events(p.ctx, log.EntryAdded)
	listening = new(sync.WaitGroup)
	listening.Go(func() {
		for e, err := range thrown {
			if err != nil {
				return
			}
			p.Errorf("the page threw %s at %s:%d", e.ExceptionDetails.Text, e.ExceptionDetails.URL, e.ExceptionDetails.LineNumber)
		}
	})
	listening.Go(func() {
		for e, err := range logged {
			if err != nil {
				return
			}
			if e.Entry.Level == "error" && e.Entry.Source != "network" { // the tests take the server away
				p.Errorf("the page logged %s", e.Entry.Text)
			}
		}
	})
	return listening
}

// screen sets the size of the window, and light, dark or forced colours.
func (p *page) screen(width, height int64, scheme string) {
	p.Helper()
	if width != p.width || height != p.height {
		p.width, p.height = width, height
		p.do("set the size", chromedp.EmulateViewport(width, height))
	}
	if scheme == p.scheme {
		return
	}
	p.scheme = scheme
	forced := "none"
	if scheme == "forced" {
		scheme, forced = "dark", "active"
	}
	p.do("set the colours", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}, {Name: "forced-colors", Value: forced}, //nolint:misspell // its name in CSS
		}})
		return err
	}))
}

func (p *page) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	for _, step := range steps {
		ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
		_, err := chromedp.Run(ctx, step)
		cancel()
		if err != nil {
			p.give(what, err)
		}
	}
}

func (p *page) give(what string, err error) {
	p.Helper()
	text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body.innerText.slice(0, 3000)`))
	p.shot("failed")
	p.Fatalf("%s: %v; the page says:\n%s", what, err, text)
}

// click clicks where the element is, as a person does: the page may replace it with
// an equal one meanwhile. If the page has moved it away before the button goes down,
// it is clicked again.
func (p *page) click(css string) {
	p.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		p.until("see "+css, fmt.Sprintf(`!!document.querySelector(%q)?.checkVisibility()`, css))
		at := eval[[]float64](p, fmt.Sprintf(`((css) => {
			const e = document.querySelector(css);
			if (!e) return [];
			window.aimed = false;
			addEventListener("mousedown", (down) => { window.aimed = !!down.target.closest(css) || !!down.target.closest("label")?.control?.matches(css) }, { capture: true, once: true });
			e.scrollIntoViewIfNeeded();
			const r = e.getBoundingClientRect();
			return [r.x + r.width / 2, r.y + r.height / 2];
		})(%q)`, css))
		if len(at) == 0 {
			continue
		}
		p.do("click "+css, chromedp.MouseClickXY(at[0], at[1]))
		if eval[bool](p, `window.aimed !== false`) { // another page has none
			return
		}
	}
	p.give("click "+css, context.DeadlineExceeded)
}

// clickSlowly holds the button down for so long that the page has drawn again what
// it shows of an answer.
func (p *page) clickSlowly(css, answer string) {
	p.Helper()
	p.until("see "+css, fmt.Sprintf(`!!document.querySelector(%q)?.checkVisibility()`, css))
	at := eval[[]float64](p, fmt.Sprintf(`(() => { const r = document.querySelector(%q).getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()`, css))
	p.do("press "+css, chromedp.MouseEvent("mousePressed", at[0], at[1], chromedp.ButtonLeft, chromedp.ClickCount(1)))
	p.drawnAgain(answer)
	p.do("let go of "+css, chromedp.MouseEvent("mouseReleased", at[0], at[1], chromedp.ButtonLeft, chromedp.ClickCount(1)))
}

// drawnAgain waits until a page has received two more of an answer, which it then
// draws.
func (p *page) drawnAgain(answer string) {
	p.Helper()
	answers := fmt.Sprintf(`performance.getEntriesByType("resource").filter((e) => e.name.includes(%q)).length`, answer)
	p.until("it is drawn again", fmt.Sprintf(`%s >= %d`, answers, eval[int](p, answers)+2))
}

// choose sets the value of a field and notifies the page, as a person's input
// does.
func (p *page) choose(css, value string) {
	p.Helper()
	eval[bool](p, fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.value = %q; e.dispatchEvent(new Event("input", {bubbles: true})); e.dispatchEvent(new Event("change", {bubbles: true})); return true })()`, css, value))
}

func (p *page) write(css, text string) {
	p.Helper()
	p.do("write into "+css, chromedp.SendKeys(chromedp.CSS(css), text))
}

func (p *page) press(keys string) {
	p.Helper()
	p.do("press "+keys, chromedp.KeyEvent(keys))
}

func eval[T any](p *page, js string) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js))
	if err != nil {
		p.give(js, err)
	}
	return v
}

// until waits for an expression to be true.
func (p *page) until(what, js string) {
	p.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if eval[bool](p, "!!("+js+")") {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	p.give("wait until "+what, context.DeadlineExceeded)
}

// says waits until the text of the page has all words, in this order.
func (p *page) says(words ...string) {
	p.Helper()
	list, _ := json.Marshal(words)
	p.until("it says "+strings.Join(words, " … "), fmt.Sprintf(`((words) => { const t = document.body.innerText; let at = 0; for (const w of words) { at = t.indexOf(w, at); if (at < 0) return false; at += w.length; } return true })(%s)`, list))
}

// shot writes a screenshot if SWITCHGEAR_SCREENSHOTS names a folder.
func (p *page) shot(name string) {
	p.Helper()
	dir := os.Getenv("SWITCHGEAR_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
	if err != nil {
		p.Errorf("screenshot %s: %v", name, err)
	}
}

// row returns the CSS selector of something in the row of an id.
func row(id, inside string) string {
	return fmt.Sprintf(`#list .row[data-id=%q]:not([hidden]) %s`, id, inside)
}

// site is a plane on its own server.
type site struct {
	*httptest.Server
	p *ops.Plane
}

func serve(t *testing.T, m *breaker.Manager, o ops.Options) *site {
	t.Helper()
	o.Service = "shop"
	p := ops.New(m, o)
	mux := http.NewServeMux()
	mux.Handle("/ops/", p.Handler())
	s := &site{httptest.NewServer(mux), p}
	t.Cleanup(s.stop)
	return s
}

func (s *site) url() string { return s.URL + "/ops/" }

func (s *site) stop() {
	s.p.Close()
	s.CloseClientConnections()
	s.Close()
}

func anybody(*http.Request, *ops.Order) error { return nil }

func fail(b *breaker.Breaker, times int, err error) {
	for range times {
		_ = b.Do(context.Background(), func(context.Context) error { return err })
	}
}

func succeed(b *breaker.Breaker, times int) {
	for range times {
		_ = b.Do(context.Background(), func(context.Context) error { return nil })
	}
}

// long skips one of the tests that take longest, unless SWITCHGEAR_LONG is set. ./check
// sets it.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("SWITCHGEAR_LONG") == "" {
		t.Skip("takes long: set SWITCHGEAR_LONG=1")
	}
}
