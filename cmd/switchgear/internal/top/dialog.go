package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

// step is where a dialog is.
type step int

const (
	askReason step = iota
	askFor         // overrides only
	waiting        // for the dry run
	confirming
)

const never = "never" // an override without an expiry has to be asked for by name

// dialog is an order on its way: reason, expiry, dry run, confirmation.
type dialog struct {
	process string
	order   ops.Order
	step    step
	input   textinput.Model
	offered bool     // the input has a value that nobody typed: a key replaces it
	matched int      // breakers that the dry run found
	changes []string // what would change its state, of several breakers
	would   string   // what it would do
	note    string   // what it leaves out
	err     string   // what was wrong with the last answer
}

// begin asks for the order's particulars.
func (m *model) begin(verb breaker.Verb) tea.Cmd {
	ref, ok := m.selected()
	if !ok {
		return nil
	}
	d := &dialog{process: ref.Process, order: ops.Order{ID: ref.ID, Verb: verb, Actor: m.c.Actor}, input: textinput.New()}
	d.input.CharLimit = 500
	m.ask = d
	return d.ask(askReason)
}

func (d *dialog) ask(s step) tea.Cmd {
	d.step = s
	d.input.Reset()
	d.offered = false
	d.input.Prompt = "reason: "
	if !d.overrides() {
		d.input.Prompt = "reason, if any: "
	}
	switch s {
	case askFor:
		d.input.Prompt = "for: "
		d.input.SetValue("30m")
		d.input.CursorEnd()
		d.offered = true
	case confirming:
		d.input.Prompt = ""
	}
	return d.input.Focus()
}

func (d *dialog) overrides() bool {
	return d.order.Verb == breaker.VerbForceOpen || d.order.Verb == breaker.VerbForceClosed
}

// askKey is a key while an order is being given. Esc is always the way out.
func (m *model) askKey(name string, k tea.KeyPressMsg) tea.Cmd {
	d := m.ask
	switch {
	case name == "esc":
		m.ask = nil
		m.say(false, "nothing was changed")
	case d.step == confirming && !d.order.Wildcard():
		return m.confirm(name == "y" || name == "Y")
	case name == "enter":
		return m.answer(strings.TrimSpace(d.input.Value()))
	case d.step != waiting:
		return m.typed(k)
	}
	return nil
}

// touched is told of a key or a paste before the input has it. Text replaces a
// value that was only offered; any other key edits it.
func (d *dialog) touched(msg tea.Msg) {
	if !d.offered {
		return
	}
	d.offered = false
	switch msg := msg.(type) {
	case tea.PasteMsg:
		d.input.Reset()
	case tea.KeyPressMsg:
		if msg.Text != "" {
			d.input.Reset()
		}
	}
}

// answer takes what was typed for the present step.
func (m *model) answer(text string) tea.Cmd {
	d := m.ask
	d.err = ""
	switch d.step {
	case askReason:
		if text == "" && d.overrides() {
			d.err = "an override needs a reason: somebody else will find it"
			return nil
		}
		d.order.Reason = text
		if d.overrides() {
			return d.ask(askFor)
		}
		return m.tryOut()
	case askFor:
		if err := d.setFor(text); err != "" {
			d.err = err
			return nil
		}
		return m.tryOut()
	case confirming:
		if text == "" {
			return nil
		}
		return m.confirm(text == strconv.Itoa(d.matched))
	}
	return nil
}

func (d *dialog) setFor(text string) (wrong string) {
	d.order.For, d.order.NoExpiry = 0, text == never
	if d.order.NoExpiry {
		return ""
	}
	t, err := time.ParseDuration(text)
	if err != nil || t <= 0 {
		return fmt.Sprintf("%q is no time, want one such as 30m or 2h, or %q", text, never)
	}
	d.order.For = ops.Duration(t)
	return ""
}

// tryOut asks what the order would do.
func (m *model) tryOut() tea.Cmd {
	d := m.ask
	d.step = waiting
	dry := d.order
	dry.DryRun = true
	return func() tea.Msg {
		r, err := m.c.Do(m.ctx, d.process, dry)
		return previewed{d, r, err}
	}
}

// preview shows what the order would do, for somebody to confirm.
func (d *dialog) preview(r ops.Receipt, err error) {
	if err != nil {
		d.would, d.err = "", err.Error()
		d.ask(askReason)
		return
	}
	d.matched = r.Matched
	d.changes, d.would, d.note = changes(&r), effect(r), r.Note
	d.ask(confirming)
}

func (m *model) confirm(yes bool) tea.Cmd {
	d := m.ask
	m.ask = nil
	if !yes {
		m.say(false, "nothing was changed")
		return nil
	}
	o := d.order
	if o.Wildcard() {
		o.Confirm = d.matched
	}
	return func() tea.Msg {
		r, err := m.c.Do(m.ctx, d.process, o)
		return ordered{r, err}
	}
}

// lines is the dialog as it stands at the foot of the screen.
func (d *dialog) lines() []string {
	out := []string{plain.Text(string(d.order.Verb) + " " + d.order.ID + " in " + d.process)}
	switch d.step {
	case waiting:
		out = append(out, "asking what it would do…")
	case confirming:
		for _, line := range d.changes {
			out = append(out, plain.Text(line))
		}
		out = append(out, plain.Text(d.would+d.terms()))
		if d.note != "" {
			out = append(out, plain.Text(d.note))
		}
		if d.order.Wildcard() {
			out = append(out, fmt.Sprintf("type %d and enter to do it, esc to leave it: %s", d.matched, d.input.View()))
		} else {
			out = append(out, "y to do it, any other key to leave it")
		}
	default:
		view := d.input.View()
		if d.offered { // as a selection looks, which the first key replaces
			view = d.input.Prompt + cursorStyle.Render(d.input.Value())
		}
		out = append(out, view)
	}
	if d.err != "" {
		out = append(out, warnStyle.Render(plain.Text(d.err)))
	}
	return out
}

// terms is what the order will carry.
func (d *dialog) terms() string {
	text := ", by " + d.order.Actor
	switch {
	case d.order.NoExpiry:
		text = " until the override is released" + text
	case d.order.For > 0:
		text = " for " + view.Short(time.Duration(d.order.For)) + text
	}
	if d.order.Reason != "" {
		text += fmt.Sprintf(": %q", d.order.Reason)
	}
	return text
}

// What of several breakers is shown before an order is given.
const (
	changesShown = 3 // kinds of changes
	idsShown     = 5 // of each
)

// changes is which breakers change their state, of an order for several.
func changes(r *ops.Receipt) (lines []string) {
	for _, m := range r.Moves {
		if m.From == m.To || len(lines) == changesShown {
			break // those that stay come last
		}
		var ids []string
		for i := range r.Results {
			if x := &r.Results[i]; x.Error == "" && x.Before == m.From && x.After == m.To && len(ids) < idsShown {
				ids = append(ids, x.ID)
			}
		}
		line := fmt.Sprintf("%d %s -> %s: %s", m.Count, m.From, m.To, strings.Join(ids, ", "))
		if m.Count > len(ids) {
			line += ", …"
		}
		lines = append(lines, line)
	}
	return lines
}

// effect is what a receipt says in one line.
func effect(r ops.Receipt) string {
	if len(r.Results) == 1 {
		x := &r.Results[0]
		return fmt.Sprintf("%s: %s -> %s", x.ID, x.Before, x.After)
	}
	text := fmt.Sprintf("%s: %d breakers, %d of them change", r.ID, r.Matched, r.Touched)
	if r.Failed > 0 {
		text += fmt.Sprintf(", %d failed", r.Failed)
	}
	return text
}

func receiptText(r ops.Receipt, err error) string {
	if err != nil {
		return err.Error()
	}
	text := "done: " + effect(r)
	if r.Note != "" {
		text += "; " + r.Note
	}
	if r.AuditError != "" {
		text += " (but the audit log: " + r.AuditError + ")"
	}
	return text
}
