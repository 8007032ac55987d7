package top

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain/plaintest"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

// rig is a screen without a terminal, over a plane in this process.
type rig struct {
	t       *testing.T
	m       *model
	plane   *ops.Plane
	manager *breaker.Manager
	mu      sync.Mutex  // guards orders: they come from several goroutines
	orders  []ops.Order // that were carried out
	trouble []string    // of the next looks
	fail    string      // the id for which orders fail
}

func newRig(t *testing.T, width, height int) *rig {
	manager := breaker.NewManager(breaker.Settings{})
	manager.Breaker("payments").Open(breaker.Order{Actor: "ana", Reason: "a test", For: time.Hour})
	manager.Breaker("search")
	set := breaker.SetOf[string](manager, "ledger")
	for _, key := range []string{"eu-1", "eu-2", "us-1"} {
		set.Breaker(key)
	}
	r := &rig{t: t, manager: manager, plane: ops.New(manager, ops.Options{})}
	t.Cleanup(func() { r.plane.Close() })
	r.m = newModel(t.Context(), Config{Look: r.look, Detail: r.detail, Do: r.do, Actor: "tess", Every: time.Second, Sort: view.Worst})
	r.send(tea.WindowSizeMsg{Width: width, Height: height})
	r.run(r.m.Init())
	return r
}

func (r *rig) look(_ context.Context, unfold []Ref) Look {
	l := Look{At: time.Now(), Processes: 1, Trouble: r.trouble}
	var o ops.Overview
	keys := map[string][]ops.Status{}
	set := ops.Set{Name: "ledger", States: map[string]int{}}
	for _, s := range r.manager.Status() {
		if s.Name != "ledger" {
			o.Breakers = append(o.Breakers, ops.Status{Status: s})
			continue
		}
		set.Keys++
		set.States[s.State.String()]++
		if len(unfold) > 0 {
			keys["ledger"] = append(keys["ledger"], ops.Status{Status: s})
		}
	}
	o.Sets = []ops.Set{set}
	l.Page.AddOverview("shop/7", &o, nil, keys)
	return l
}

func (r *rig) detail(_ context.Context, ref Ref) (Detail, error) {
	b, err := r.manager.Lookup(ref.ID)
	if err != nil {
		return Detail{}, err
	}
	s := b.Status()
	return Detail{Text: s.Explain(), History: b.History()}, nil
}

func (r *rig) do(_ context.Context, _ string, o ops.Order) (ops.Receipt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.ID == r.fail {
		return ops.Receipt{}, errors.New("out of order")
	}
	if !o.DryRun {
		r.orders = append(r.orders, o)
	}
	return r.plane.Do(o, ops.Peer{})
}

// send gives the model a message, and handles the commands that follow.
func (r *rig) send(msg tea.Msg) {
	_, cmd := r.m.Update(msg)
	r.run(cmd)
}

// run runs a command. None but the next beat waits for the clock.
func (r *rig) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case looked:
		r.m.Update(msg) // and leave the next beat
	case tea.BatchMsg:
		for _, c := range msg {
			r.run(c)
		}
	case lookedOnce, detailed, previewed, ordered:
		r.send(msg)
	}
}

// keys types: words in <> are keys by name.
func (r *rig) keys(keys ...string) {
	special := map[string]rune{
		"<enter>": tea.KeyEnter, "<esc>": tea.KeyEscape, "<up>": tea.KeyUp, "<down>": tea.KeyDown,
		"<end>": tea.KeyEnd, "<home>": tea.KeyHome, "<backspace>": tea.KeyBackspace,
	}
	for _, k := range keys {
		if code, ok := special[k]; ok {
			r.send(tea.KeyPressMsg{Code: code})
			continue
		}
		for _, c := range k {
			r.send(tea.KeyPressMsg{Code: c, Text: string(c)})
		}
	}
}

func (r *rig) screen() string {
	return ansi.Strip(strings.Join(r.m.screen(time.Now()), "\n"))
}

func (r *rig) shows(words ...string) {
	r.t.Helper()
	got := r.screen()
	for _, w := range words {
		if !strings.Contains(got, w) {
			r.t.Errorf("the screen does not show %q:\n%s", w, got)
		}
	}
}

func (r *rig) hides(words ...string) {
	r.t.Helper()
	got := r.screen()
	for _, w := range words {
		if strings.Contains(got, w) {
			r.t.Errorf("the screen shows %q:\n%s", w, got)
		}
	}
}

func (r *rig) state(id string) breaker.State {
	r.t.Helper()
	b, err := r.manager.Lookup(id)
	if err != nil {
		r.t.Fatal(err)
	}
	return b.State()
}

func TestScreenFitsEveryTerminal(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{200, 50}, {80, 24}, {40, 10}, {10, 5}, {1, 1}} {
		r := newRig(t, size[0], size[1])
		for _, keys := range []string{"", "<enter>", "f", "<esc>", "?", "x", "/"} {
			r.keys(keys)
			lines := r.m.screen(time.Now())
			if len(lines) > size[1] {
				t.Errorf("%v after %q: %d lines", size, keys, len(lines))
			}
			for _, line := range lines {
				if w := ansi.StringWidth(line); w > size[0] {
					t.Errorf("%v after %q: a line of %d columns: %q", size, keys, w, line)
				}
			}
		}
	}
}

func TestSelectionStaysOnItsBreaker(t *testing.T) {
	t.Parallel()
	r := newRig(t, 100, 20)
	r.shows("> payments", "5 breakers: 1 open, 4 closed", "sort: worst")
	r.keys("<down>")
	at, _ := r.m.selected()
	r.keys("ss")
	r.shows("sort: since", "> "+at.ID)
	r.manager.Breaker("search").Open(breaker.Order{})
	r.run(r.m.lookNow())
	r.shows("> " + at.ID)
}

func TestFilter(t *testing.T) {
	t.Parallel()
	r := newRig(t, 100, 20)
	r.keys("/", "LEDG")
	r.shows("ledger/*", "filter: LEDG")
	r.hides("payments", "search")
	r.keys("<enter>")
	r.shows("filter: LEDG")
	r.keys("<esc>")
	r.shows("payments")
	r.keys("/", "nothing like it")
	r.shows("No breaker matches the filter.")
}

func TestSetOpensAndFolds(t *testing.T) {
	t.Parallel()
	r := newRig(t, 100, 20)
	r.keys("/", "ledger", "<enter>", "<enter>")
	r.shows("3 keys: 3 closed", "ledger/eu-1", "ledger/us-1")
	r.keys("<home>", "<enter>")
	r.hides("ledger/eu-1")
}

func TestStory(t *testing.T) {
	t.Parallel()
	r := newRig(t, 100, 20)
	r.keys("<enter>")
	r.shows("payments has been open for", "opened by ana", "Every call is rejected; a probe may run")
	r.keys("<esc>")
	r.hides("payments has been open for")
}

func TestOverrideAsksForReasonEndAndYes(t *testing.T) {
	t.Parallel()
	r := newRig(t, 100, 20)
	r.keys("F")
	r.shows("force-closed payments in shop/7", "reason:")
	r.keys("<enter>")
	r.shows("an override needs a reason")
	r.keys("vendor is back", "<enter>")
	r.shows("for: 30m")
	r.keys("<backspace>", "<enter>") // 30
	r.shows(`"30" is not a time`, "never")
	r.keys("m", "<enter>")
	r.shows("payments: open -> forced-closed for 30m, by tess", "vendor is back", "y to do it")
	if len(r.orders) > 0 || r.state("payments") != breaker.Open {
		t.Fatalf("something was done before the yes: %v", r.orders)
	}
	r.keys("n")
	r.shows("nothing was changed")
	if len(r.orders) > 0 {
		t.Fatalf("it was done after a no: %v", r.orders)
	}
	r.keys("F", "vendor is back", "<enter>", "<enter>", "y")
	r.shows("done: payments: open -> forced-closed", "FORCED-CLOSED")
	if s := r.manager.Breaker("payments").Status(); s.Override == nil || s.Override.Actor != "tess" || s.Override.Expires.IsZero() {
		t.Errorf("override %+v, want one by tess with an end", s.Override)
	}
}

// A default value is replaced by the first key, as selected text is; editing
// keys keep it.
func TestFirstKeyReplacesWhatIsOffered(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		keys []string
		want string
	}{
		{[]string{"2h"}, "for: 2h"},
		{[]string{"never"}, "for: never"},
		{[]string{"<backspace>", "s"}, "for: 30s"},
		{[]string{"<home>", "1h"}, "for: 1h30m"},
		{[]string{}, "for: 30m"},
	} {
		r := newRig(t, 100, 20)
		r.keys("F", "why", "<enter>")
		r.keys(c.keys...)
		if got := r.screen(); !strings.Contains(got, c.want+" ") && !strings.Contains(got, c.want+"\n") && !strings.HasSuffix(got, c.want) {
			t.Errorf("after %q the screen does not show %q:\n%s", c.keys, c.want, got)
		}
	}
	r := newRig(t, 100, 20)
	r.keys("F", "why", "<enter>")
	r.send(tea.PasteMsg{Content: "45m"})
	r.keys("<enter>")
	r.shows("payments: open -> forced-closed for 45m")
}

// An order for several shows what changes its state first, and then the
// counts.
func TestOrderForSeveralShowsWhatChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t, 120, 24)
	r.manager.Breaker("mail").ForceOpen(breaker.Order{})
	set := breaker.SetOf[string](r.manager, "ledger")
	for i := range 10 {
		set.Breaker(fmt.Sprint("more-", i))
	}
	set.Breaker("us-1").ForceOpen(breaker.Order{})
	r.run(r.m.lookNow())
	r.keys("/", "ledger", "<enter>", "f", "INC-42", "<enter>", "<enter>")
	r.shows("12 closed -> forced-open: ledger/eu-1, ledger/eu-2, ledger/more-0, ledger/more-1, ledger/more-2, …", "ledger/*: 13 breakers, 13 of them change for 30m, by tess")
	got := r.screen()
	if strings.Index(got, "12 closed -> forced-open") > strings.Index(got, "13 breakers") {
		t.Errorf("the counts come first:\n%s", got)
	}
}

// An order goes to all marked lines, shows what changes first, and requires
// the number of breakers; a marked set counts with all its keys.
func TestOrderForAllMarked(t *testing.T) {
	t.Parallel()
	r := newRig(t, 120, 24)
	r.keys("<home>", " ")
	r.shows("1 marked", " *payments")
	r.keys("<home>", " ")
	r.hides("marked")
	r.keys("<home>", "   ") // all three lines
	r.shows("3 marked")
	r.keys("f")
	r.shows("force-open 3 marked: payments, ", "ledger/*", "search")
	r.keys("INC-42", "<enter>", "<enter>")
	r.shows("closed -> forced-open: ", "1 open -> forced-open: payments", "3 marked: 5 breakers, 5 of them change for 30m, by tess", "type 5 and enter")
	r.keys("y", "<enter>")
	if len(r.orders) > 0 {
		t.Fatalf("done without the number: %v", r.orders)
	}
	r.shows("nothing was changed", "3 marked")
	r.keys("f", "INC-42", "<enter>", "<enter>", "5", "<enter>")
	r.shows("done: 3 marked: 5 breakers, 5 of them change")
	r.keys("s") // the note is gone, and the title mentions no marks
	r.hides("marked")
	for _, id := range []string{"payments", "search", "ledger/eu-1", "ledger/us-1"} {
		if r.state(id) != breaker.ForcedOpen {
			t.Errorf("%s is %s", id, r.state(id))
		}
	}
	r.keys("<home>", " ", "<esc>")
	r.hides("marked")
}

// Of several orders, the one that fails is named, and the marks stay.
func TestOrderForAllMarkedThatFailsInPart(t *testing.T) {
	t.Parallel()
	r := newRig(t, 120, 24)
	r.keys("<home>", "   ", "r", "<enter>")
	r.shows("type 5 and enter")
	r.fail = "search"
	r.keys("5", "<enter>")
	r.shows("search in shop/7: out of order", "3 marked")
	r.hides("payments in shop/7: ")
}

func TestReasonThatMayBeLeftOutSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t, 100, 20)
	r.keys("o")
	r.shows("open payments in shop/7")
	if got := r.screen(); !slices.ContainsFunc(strings.Split(got, "\n"), func(l string) bool { return strings.TrimSpace(l) == "reason, if any:" }) {
		t.Errorf("the screen does not ask for a reason, or has one already:\n%s", got)
	}
}

func TestOrderForASetNeedsItsNumber(t *testing.T) {
	t.Parallel()
	r := newRig(t, 100, 20)
	r.keys("/", "ledger", "<enter>", "f", "INC-42", "<enter>")
	r.keys("never", "<enter>")
	r.shows("3 closed -> forced-open: ledger/eu-1", "ledger/*: 3 breakers, 3 of them change until the override is released", "keys that ledger creates later are not affected", "type 3 and enter")
	r.keys("y", "<enter>")
	if r.state("ledger/eu-1") != breaker.Closed {
		t.Fatal("done without its number")
	}
	r.keys("f", "INC-42", "<enter>", "<enter>", "3", "<enter>")
	r.shows("done: ledger/*: 3 breakers, 3 of them change")
	if r.state("ledger/eu-1") != breaker.ForcedOpen {
		t.Error("not done with its number")
	}
}

func TestEscLeavesEveryStep(t *testing.T) {
	t.Parallel()
	for _, steps := range [][]string{{"f"}, {"f", "why", "<enter>"}, {"f", "why", "<enter>", "<enter>"}, {"c"}, {"c", "<enter>"}} {
		r := newRig(t, 100, 20)
		r.keys(append(steps, "<esc>")...)
		r.shows("nothing was changed")
		if len(r.orders) > 0 {
			t.Errorf("%q and esc gave %v", steps, r.orders)
		}
	}
}

func TestRefusalIsShown(t *testing.T) {
	t.Parallel()
	r := newRig(t, 100, 20)
	r.m.c.Do = func(context.Context, string, ops.Order) (ops.Receipt, error) {
		return ops.Receipt{}, errors.New("read-only: this handler was given no Authorize")
	}
	r.keys("c", "<enter>")
	r.shows("read-only")
}

func TestTroubleAndAgeAreBanners(t *testing.T) {
	t.Parallel()
	r := newRig(t, 100, 20)
	r.trouble = []string{"process 7 does not answer"}
	r.run(r.m.lookNow())
	r.shows("! process 7 does not answer")
	late := ansi.Strip(strings.Join(r.m.screen(time.Now().Add(10*time.Second)), "\n"))
	if !strings.Contains(late, "NO ANSWER for 10s: what you see is old") {
		t.Errorf("a screen of 10s ago:\n%s", late)
	}
}

// More trouble than fits on a line can be unfolded.
func TestTroubleUnfolds(t *testing.T) {
	t.Parallel()
	r := newRig(t, 60, 20)
	for i := range 8 {
		r.trouble = append(r.trouble, fmt.Sprintf("process %d does not answer: no answer in time, and a word more than fits", i))
	}
	r.run(r.m.lookNow())
	r.shows("! t shows all 8: process 0 does not answer")
	r.hides("process 3")
	r.keys("t")
	r.shows("! process 0 does not answer: no answer in time, and a word", "  more than fits", "! process 3", "! and 3 more", "> payments")
	if lines := r.m.screen(time.Now()); len(lines) > 20 {
		t.Errorf("%d lines", len(lines))
	}
	r.keys("t")
	r.hides("process 3")
	r.keys("t", "<esc>")
	r.hides("process 3")
	r.trouble = []string{"process 7 does not answer, and there is something else to be said of it"}
	r.run(r.m.lookNow())
	r.shows("! t shows all 1: process 7")
	r.keys("t")
	r.shows("! process 7 does not answer", "  be said of it")
	r.trouble = nil
	r.run(r.m.lookNow())
	r.hides("!")
}

// Whatever processes say, in whichever of the answers that the screen shows,
// nothing of it reaches the terminal unescaped.
func TestScreenIsPlainText(t *testing.T) {
	t.Parallel()
	var o ops.Overview
	var keys []ops.Status
	var detail Detail
	var receipt ops.Receipt
	var trouble []string
	for _, p := range []any{&o, &keys, &detail, &receipt, &trouble} {
		plaintest.Fill(p)
	}
	name := trouble[0]
	receipt.Matched = 2
	receipt.Moves[0].To = breaker.Closed
	hostile := errors.New(trouble[1])
	for _, fails := range []error{nil, hostile} {
		r := newRig(t, 200, 60)
		r.m.c.Look = func(_ context.Context, unfold []Ref) Look {
			l := Look{At: time.Now(), Processes: 2, Several: true, Trouble: trouble}
			l.Page.AddOverview(name, &o, map[string]ops.Plot{o.Breakers[0].Name: detail.Plot}, map[string][]ops.Status{o.Sets[0].Name: keys})
			l.Page.Add(name, keys)
			l.Page.Owned(name, name)
			return l
		}
		r.m.c.Detail = func(context.Context, Ref) (Detail, error) { return detail, fails }
		r.m.c.Do = func(context.Context, string, ops.Order) (ops.Receipt, error) { return receipt, fails }
		r.run(r.m.lookNow())
		for _, keys := range []string{"", "t", "t", "<enter>", "<down>", "<enter>", "<esc>", "/", name, "<esc>", "f", name, "<enter>", "<enter>", "2", "<enter>", "<end>", "o", "<enter>", "y", "c", "<esc>", "?", "x"} {
			if keys == name { // a paste, which may contain anything
				r.send(tea.PasteMsg{Content: name})
			} else {
				r.keys(keys)
			}
			raw := strings.Join(r.m.screen(time.Now()), "\n")
			plaintest.Check(t, fmt.Sprintf("after %q, failing %t, the screen", keys, fails != nil), raw)
			if keys == "t" && !strings.Contains(raw, `\u202e`) {
				t.Errorf("the screen does not show what is hostile as it is:\n%s", raw)
			}
		}
	}
}

func TestManyBreakersScroll(t *testing.T) {
	t.Parallel()
	r := newRig(t, 80, 12)
	for i := range 100 {
		r.manager.Breaker(fmt.Sprintf("b%03d", i))
	}
	r.run(r.m.lookNow())
	r.keys("<end>")
	r.shows("> search", "b099")
	r.keys("<home>")
	r.shows("> payments")
}
