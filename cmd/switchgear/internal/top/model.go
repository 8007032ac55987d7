package top

import (
	"context"
	"slices"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
)

// model is the state of the screen. Update changes it, on one goroutine.
type model struct {
	ctx context.Context
	c   Config

	width, height int
	look          Look
	sort          view.Order
	filter        textinput.Model
	lines         []view.Line
	at            int  // the selected line
	held          bool // the user chose it: the selection stays on its breaker
	top           int  // the first line on screen
	unfold        []Ref
	marked        []Ref   // if any are marked, orders apply to all of them
	detail        *Detail // details of detailOf; nil: none are shown
	detailOf      Ref
	ask           *dialog // the order that is being given
	help          bool
	troubles      bool   // the trouble line is unfolded
	note          string // the last receipt or error
	noteBad       bool
}

// The messages.
type (
	beat       struct{} // it is time for the next look
	looked     Look
	lookedOnce Look // an additional look
	detailed   struct {
		of Ref
		Detail
		err error
	}
	previewed struct {
		of  *dialog
		all []result
	}
	ordered []result
)

func newModel(ctx context.Context, c Config) *model {
	filter := newInput()
	filter.Prompt = "filter: "
	return &model{ctx: ctx, c: c, sort: c.Sort, filter: filter}
}

// Init starts the first look.
func (m *model) Init() tea.Cmd { return m.lookNow() }

func (m *model) lookNow() tea.Cmd {
	unfold := slices.Clone(m.unfold)
	return func() tea.Msg { return looked(m.c.Look(m.ctx, unfold)) }
}

// Update handles one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case beat:
		return m, tea.Batch(m.lookNow(), m.askDetail())
	case looked:
		m.look = Look(msg)
		m.arrange()
		return m, tea.Tick(m.c.Every, func(time.Time) tea.Msg { return beat{} })
	case lookedOnce:
		m.look = Look(msg)
		m.arrange()
	case detailed:
		m.takeDetail(msg)
	case previewed:
		if m.ask == msg.of && m.ask != nil {
			m.ask.preview(msg.all)
		}
	case ordered:
		r, err := sum(msg)
		m.say(err != nil, receiptText(r, err))
		if err == nil {
			m.marked = nil
		}
		return m, m.lookNowOnce()
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case tea.PasteMsg:
		return m, m.typed(msg)
	}
	return m, nil
}

// lookNowOnce shows the effect of an order at once, in addition to the regular
// looks.
func (m *model) lookNowOnce() tea.Cmd {
	unfold := slices.Clone(m.unfold)
	return func() tea.Msg { return lookedOnce(m.c.Look(m.ctx, unfold)) }
}

// arrange sorts and filters again, and keeps the selection on its breaker.
func (m *model) arrange() {
	was, ok := m.selected()
	m.lines = m.look.Page.Lines(m.sort, m.filter.Value())
	if ok && m.held {
		if i := slices.IndexFunc(m.lines, func(l view.Line) bool { return refOf(&l) == was }); i >= 0 {
			m.at = i
		}
	}
	m.move(0)
}

func refOf(l *view.Line) Ref { return Ref{l.Process, l.ID} }

func (m *model) selected() (Ref, bool) {
	if m.at >= len(m.lines) {
		return Ref{}, false
	}
	return refOf(&m.lines[m.at]), true
}

func (m *model) move(by int) {
	m.at = max(0, min(m.at+by, len(m.lines)-1))
	m.top = max(0, min(m.top, m.at))
	if room := m.room(); m.at >= m.top+room {
		m.top = m.at - room + 1
	}
}

func (m *model) say(bad bool, text string) { m.note, m.noteBad = text, bad }

// typed passes a key or a paste to the input that has the focus.
func (m *model) typed(msg tea.Msg) (cmd tea.Cmd) {
	switch {
	case m.ask != nil:
		m.ask.touched(msg)
		m.ask.input, cmd = m.ask.input.Update(msg)
	case m.filter.Focused():
		m.filter, cmd = m.filter.Update(msg)
		m.arrange()
	}
	return cmd
}

func (m *model) key(k tea.KeyPressMsg) tea.Cmd {
	name := k.String()
	switch {
	case name == "ctrl+c":
		return tea.Quit
	case m.ask != nil:
		return m.askKey(name, k)
	case m.filter.Focused():
		return m.filterKey(name, k)
	case m.help:
		m.help = false
		return nil
	}
	m.note, m.held = "", true
	if verb, ok := orderKeys[name]; ok {
		return m.begin(verb)
	}
	return m.lookKey(name)
}

func (m *model) filterKey(name string, k tea.KeyPressMsg) tea.Cmd {
	switch name {
	case "esc":
		m.filter.Reset()
		m.filter.Blur()
		m.arrange()
	case "enter":
		m.filter.Blur()
	default:
		return m.typed(k)
	}
	return nil
}

// lookKey handles the keys that change what is shown.
func (m *model) lookKey(name string) tea.Cmd {
	switch name {
	case "q":
		return tea.Quit
	case "?":
		m.help = true
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup":
		m.move(-m.room())
	case "pgdown":
		m.move(m.room())
	case "home", "g":
		m.move(-len(m.lines))
	case "end", "G":
		m.move(len(m.lines))
	case "s":
		next := (slices.Index(view.Orders, m.sort) + 1) % len(view.Orders)
		m.sort = view.Orders[next]
		m.arrange()
	case "/":
		return m.filter.Focus()
	case "space":
		m.mark()
	case "t":
		m.troubles = !m.troubles
		m.move(0)
	case "esc":
		m.detail, m.detailOf = nil, Ref{}
		m.troubles, m.marked = false, nil
		m.filter.Reset()
		m.arrange()
	case "enter":
		return m.enter()
	}
	return nil
}

// enter opens what is selected: the keys of a set, or the story of a breaker.
func (m *model) enter() tea.Cmd {
	ref, ok := m.selected()
	if !ok {
		return nil
	}
	if m.lines[m.at].Set != nil {
		if i := slices.Index(m.unfold, ref); i >= 0 {
			m.unfold = slices.Delete(m.unfold, i, i+1)
		} else {
			m.unfold = append(m.unfold, ref)
		}
		return m.lookNowOnce()
	}
	if m.detailOf == ref {
		m.detail, m.detailOf = nil, Ref{}
		return nil
	}
	m.detailOf = ref
	return m.askDetail()
}

func (m *model) askDetail() tea.Cmd {
	ref := m.detailOf
	if ref == (Ref{}) {
		return nil
	}
	return func() tea.Msg {
		d, err := m.c.Detail(m.ctx, ref)
		return detailed{ref, d, err}
	}
}

func (m *model) takeDetail(d detailed) {
	switch {
	case d.of != m.detailOf: // it was closed, or another one was requested
	case d.err != nil:
		m.detail = &Detail{Text: d.err.Error()}
	default:
		m.detail = &d.Detail
	}
	m.move(0)
}

// orderKeys are the keys that give orders.
var orderKeys = map[string]breaker.Verb{
	"o": breaker.VerbOpen,
	"c": breaker.VerbClose,
	"h": breaker.VerbHalfOpen,
	"f": breaker.VerbForceOpen,
	"F": breaker.VerbForceClosed,
	"r": breaker.VerbRelease,
}
