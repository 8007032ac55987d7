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

// step is the current step of a dialog.
type step int

const (
	askReason step = iota
	askFor         // for overrides only
	waiting        // waits for the dry run
	confirming
)

const never = "never" // an override without an expiry must be requested explicitly

// dialog collects an order: reason, expiry, dry run, confirmation.
type dialog struct {
	refs    []Ref     // the order, complete except for its id
	order   ops.Order // without an id
	step    step
	input   textinput.Model
	offered bool     // the input holds a default value: any character replaces it
	tried   []result // what the dry run found
	matched int      // the number of breakers in it
	changes []string // which of several breakers would change their state
	would   string   // what the order would do
	note    string   // what the order leaves out
	err     string   // what was wrong with the last answer
}

// begin asks for the details of the order.
func (m *model) begin(verb breaker.Verb) tea.Cmd {
	refs := m.chosen()
	if len(refs) == 0 {
		return nil
	}
	d := &dialog{refs: refs, order: ops.Order{Verb: verb, Actor: m.c.Actor}, input: newInput()}
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

// several reports whether the order may apply to more than one breaker, so
// that their number must be confirmed.
func (d *dialog) several() bool {
	return len(d.refs) > 1 || (&ops.Order{ID: d.refs[0].ID}).Wildcard()
}

func (d *dialog) overrides() bool {
	return d.order.Verb == breaker.VerbForceOpen || d.order.Verb == breaker.VerbForceClosed
}

// askKey handles a key while an order is being given. Esc always cancels.
func (m *model) askKey(name string, k tea.KeyPressMsg) tea.Cmd {
	d := m.ask
	switch {
	case name == "esc":
		m.ask = nil
		m.say(false, "nothing was changed")
	case d.step == confirming && !d.several():
		return m.confirm(name == "y" || name == "Y")
	case name == "enter":
		return m.answer(strings.TrimSpace(d.input.Value()))
	case d.step != waiting:
		return m.typed(k)
	}
	return nil
}

// touched handles a key or a paste before the input does. Text replaces a
// default value; any other key edits it.
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

// answer takes what was typed for the current step.
func (m *model) answer(text string) tea.Cmd {
	d := m.ask
	d.err = ""
	switch d.step {
	case askReason:
		if text == "" && d.overrides() {
			d.err = "an override needs a reason: other people will find it"
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
		return fmt.Sprintf("%q is not a time, want one such as 30m or 2h, or %q", text, never)
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
	return func() tea.Msg { return previewed{d, m.do(m.ctx, d.refs, dry, nil)} }
}

// preview shows what the order would do, for confirmation.
func (d *dialog) preview(all []result) {
	r, err := sum(all)
	if err != nil {
		d.would, d.err = "", err.Error()
		d.ask(askReason)
		return
	}
	d.tried, d.matched = all, r.Matched
	d.changes, d.would, d.note = view.Changes(r), effect(r), r.Note
	d.ask(confirming)
}

func (m *model) confirm(yes bool) tea.Cmd {
	d := m.ask
	m.ask = nil
	if !yes {
		m.say(false, "nothing was changed")
		return nil
	}
	return func() tea.Msg { return ordered(m.do(m.ctx, d.refs, d.order, d.tried)) }
}

// lines returns the dialog as it appears at the foot of the screen.
func (d *dialog) lines() []string {
	out := []string{plain.Text(d.title())}
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
		if d.several() {
			out = append(out, fmt.Sprintf("type %d and enter to do it, esc to cancel: %s", d.matched, d.input.View()))
		} else {
			out = append(out, "y to do it, any other key to cancel")
		}
	default:
		view := d.input.View()
		if d.offered { // looks like a selection, which the first key replaces
			view = d.input.Prompt + cursorStyle.Render(d.input.Value())
		}
		out = append(out, view)
	}
	if d.err != "" {
		out = append(out, warnStyle.Render(plain.Text(d.err)))
	}
	return out
}

// title returns a title such as "open payments in shop/7", or "open 2 marked:
// payments, search".
func (d *dialog) title() string {
	if len(d.refs) == 1 {
		return string(d.order.Verb) + " " + d.refs[0].ID + " in " + d.refs[0].Process
	}
	var ids []string
	for _, ref := range d.refs {
		ids = append(ids, ref.ID)
	}
	return fmt.Sprintf("%s %d marked: %s", string(d.order.Verb), len(ids), strings.Join(ids, ", "))
}

// terms describes the details of the order.
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

// effect summarises a receipt in one line.
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
	if r.StandingError != "" {
		text += " (but it will not survive a restart: " + r.StandingError + ")"
	}
	return text
}

// newInput returns a line to type into. Its cursor does not blink: what changes
// on the screen is news.
func newInput() textinput.Model {
	in := textinput.New()
	styles := in.Styles()
	styles.Cursor.Blink = false
	in.SetStyles(styles)
	return in
}
