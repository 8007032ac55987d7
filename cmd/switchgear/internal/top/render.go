package top

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
)

var (
	titleStyle  = lipgloss.NewStyle().Bold(true)
	warnStyle   = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
	faintStyle  = lipgloss.NewStyle().Faint(true)
	cursorStyle = lipgloss.NewStyle().Reverse(true)
)

// keysLines describe the keys in as many words as fit.
var keysLines = []string{
	"↑↓ select  space mark  enter open  s sort  / filter   o open  c close  h half-open  f force-open  F force-closed  r release   ? help  q quit",
	"↑↓ enter s sort / filter   o open c close h half f force-open F force-closed r release   ? help q quit",
	"o open c close h half f/F force r release  / filter  ? help q quit",
	"? help  q quit",
}

// Keys describes the keys.
var Keys = []string{
	"LOOK",
	"  ↑ ↓ k j PgUp PgDn Home End   select a breaker",
	"  enter                        show its explanation and history; for a set: its keys",
	"  s                            sort: worst, id, since, calls, trips",
	"  space                        mark or unmark: orders apply to all marked lines",
	"  /                            filter by process, id and state; esc ends it",
	"  t                            unfold or fold the trouble line",
	"",
	"ORDER (asks for a reason, shows what it would do, and asks for confirmation)",
	"  o   open: as if it had tripped; it continues automatically",
	"  c   close: reset all counts",
	"  h   half-open: the next calls probe",
	"  f   force-open: reject every call until it is released or expires",
	"  F   force-closed: admit every call until it is released or expires",
	"  r   release: lift the override",
}

// View draws the whole screen.
func (m *model) View() tea.View {
	v := tea.NewView(strings.Join(m.screen(time.Now()), "\n"))
	v.AltScreen = true
	v.WindowTitle = "switchgear top"
	return v
}

// screen returns the lines of the screen: exactly as many as fit.
func (m *model) screen(now time.Time) []string {
	if m.width == 0 {
		return nil // the first message contains the size
	}
	out := append([]string{m.title(now)}, m.banner(now)...)
	foot := m.foot()
	if m.help {
		out, foot = append(append(out, Keys...), "", "any key goes back"), nil
	} else {
		out = append(out, m.rows(now)...)
	}
	foot = foot[max(0, len(foot)-m.height):]
	fill := m.height - len(out) - len(foot)
	for range fill {
		out = append(out, "")
	}
	out = append(out[:max(0, m.height-len(foot))], foot...)
	for i := range out { // typed and pasted text has not been made plain so far
		out[i] = ansi.Truncate(plain.Styled(out[i]), m.width, "…")
	}
	return out
}

// title shows the most important first: a narrow terminal cuts its end.
func (m *model) title(now time.Time) string {
	text := titleStyle.Render("switchgear top") + "  " + now.Format(time.TimeOnly)
	if m.look.At.IsZero() {
		return text + "  asking…"
	}
	if f := m.filter.Value(); f != "" && !m.filter.Focused() {
		text += "  filter: " + plain.Text(f)
	}
	if n := len(m.marked); n > 0 {
		text += fmt.Sprintf("  %d marked", n)
	}
	return text + fmt.Sprintf("  %s  %s  sort: %s", plain.Count(m.look.Processes, "process", "processes"), m.look.Page.Sum(), m.sort)
}

// staleAfter is the number of intervals without an answer after which the
// screen is marked as out of date.
const staleAfter = 3

// banner shows what must not be missed: processes that do not answer, and a
// screen that is out of date. It is one line or, if unfolded, at least one
// line for each.
func (m *model) banner(now time.Time) []string {
	var all []string
	if !m.look.At.IsZero() {
		if old := now.Sub(m.look.At); old > staleAfter*max(m.c.Every, time.Second) {
			all = append(all, fmt.Sprintf("NO ANSWER for %s: what you see is old", view.Short(old)))
		}
	}
	for _, text := range m.look.Trouble {
		all = append(all, plain.Text(text))
	}
	switch line := "! " + strings.Join(all, "; "); {
	case len(all) == 0:
		return []string{""}
	case m.troubles:
		return m.unfolded(all)
	case len(all) > 1 || ansi.StringWidth(line) > m.width:
		return []string{warnStyle.Render(fmt.Sprintf("! t shows all %d: ", len(all)) + strings.Join(all, "; "))}
	default:
		return []string{warnStyle.Render(line)}
	}
}

// unfolded returns each trouble in full, as far as there is room.
func (m *model) unfolded(all []string) (out []string) {
	most := max(1, m.height/2)
	wrap := lipgloss.NewStyle().Width(max(1, m.width-2))
	for i, text := range all {
		lines := strings.Split(wrap.Render(text), "\n")
		if len(out)+len(lines) > most {
			return append(out, warnStyle.Render(fmt.Sprintf("! and %d more", len(all)-i)))
		}
		for j, line := range lines {
			mark := "! "
			if j > 0 {
				mark = "  "
			}
			out = append(out, warnStyle.Render(mark+strings.TrimRight(line, " ")))
		}
	}
	return out
}

func (m *model) rows(now time.Time) []string {
	if len(m.lines) == 0 {
		switch {
		case m.look.At.IsZero():
			return nil
		case m.look.Processes == 0:
			return []string{"No process answers."}
		case m.filter.Value() != "":
			return []string{"No breaker matches the filter."}
		}
		return []string{"No breakers."}
	}
	head, rows := view.Table(m.lines, m.look.Several, now).Lines(m.width - 2)
	out := []string{"  " + head}
	for i := m.top; i < min(len(rows), m.top+m.room()); i++ {
		if i == m.at {
			plain := ansi.Strip(rows[i])
			plain += strings.Repeat(" ", max(0, m.width-2-ansi.StringWidth(plain)))
			out = append(out, cursorStyle.Render(">"+m.markOf(i)+plain))
			continue
		}
		out = append(out, " "+m.markOf(i)+rows[i])
	}
	return out
}

// markOf returns what precedes the text of a line: "*" if it is marked.
func (m *model) markOf(line int) string {
	if slices.Contains(m.marked, refOf(&m.lines[line])) {
		return "*"
	}
	return " "
}

// room returns how many rows of the table fit between title, banner, header
// and foot.
func (m *model) room() int { return max(1, m.height-2-len(m.banner(time.Now()))-len(m.foot())) }

// foot returns the end of the screen: the story of a breaker, and the dialog,
// the filter, the last receipt or the keys.
func (m *model) foot() []string {
	var out []string
	if m.detail != nil {
		out = append(out, m.story()...)
	}
	switch {
	case m.ask != nil:
		out = append(out, faintStyle.Render(strings.Repeat("─", m.width)))
		out = append(out, m.ask.lines()...)
	case m.filter.Focused():
		out = append(out, m.filter.View())
	case m.note != "" && m.noteBad:
		out = append(out, warnStyle.Render(plain.Text(m.note)))
	case m.note != "":
		out = append(out, plain.Text(m.note))
	default:
		out = append(out, faintStyle.Render(m.keys()))
	}
	return out
}

func (m *model) keys() string {
	for _, line := range keysLines {
		if ansi.StringWidth(line) <= m.width {
			return line
		}
	}
	return ""
}

const storyShown = 8 // transitions

// story returns the selected breaker's explanation and its newest transitions.
func (m *model) story() []string {
	out := []string{faintStyle.Render(strings.Repeat("─", m.width))}
	text := lipgloss.NewStyle().Width(m.width).Render(plain.Text(m.detail.Text))
	out = append(out, strings.Split(text, "\n")...)
	for _, fact := range m.detail.Facts {
		out = append(out, plain.Text(fact))
	}
	out = append(out, view.Spark(&m.detail.Plot, m.width)...)
	limit := max(3, m.height/2)
	out = out[:min(len(out), limit)]
	h := m.detail.History
	if room := min(storyShown, limit-len(out), len(h)); room > 0 {
		_, rows := view.History(h[len(h)-room:]).Lines(m.width)
		out = append(out, rows...)
	}
	return out
}
