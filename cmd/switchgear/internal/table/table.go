// Package table lays out rows of text in columns that fit a terminal.
package table

import (
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/switchgear-go/switchgear/cmd/internal/plain"
)

const (
	gap       = 2 // blanks between two columns
	narrowest = 6 // the width to which a column with a Min is cut if nothing else helps
)

// Column says how a column is narrowed if the terminal is too narrow. First
// the last column with a Min is cut, down to Min; then columns are left out,
// the highest Drop first; then the other columns with a Min are cut.
type Column struct {
	Title string
	Right bool // aligned right, for numbers
	// Min is the width down to which its cells may be cut. 0: never cut.
	Min int
	// Drop says how early the column is left out; 0: never.
	Drop int
	// Optional leaves the column out if it is empty in every row.
	Optional bool
}

// Cell is a text and its style. What is not plain in the text, such as part of
// a key or an error, is shown as package plain does.
type Cell struct {
	Text  string
	Style lipgloss.Style
}

// Plain is a cell without a style.
func Plain(text string) Cell { return Cell{Text: text} }

// Table consists of columns, and rows with as many cells.
type Table struct {
	Columns []Column
	Rows    [][]Cell
}

// Lines returns the header and a line for each row, none wider than width.
// Width 0 means no limit.
func (t *Table) Lines(width int) (head string, rows []string) {
	widths := t.fit(t.naturalWidths(), width)
	titles := make([]Cell, len(t.Columns))
	for i, c := range t.Columns {
		titles[i] = Cell{Text: c.Title, Style: lipgloss.NewStyle().Bold(true)}
	}
	head = t.line(titles, widths)
	for _, r := range t.Rows {
		rows = append(rows, t.line(r, widths))
	}
	return head, rows
}

// String is the whole table for a width, each line ended.
func (t *Table) String(width int) string {
	head, rows := t.Lines(width)
	return strings.Join(append([]string{head}, rows...), "\n") + "\n"
}

// hidden is the width of a column that is left out.
const hidden = -1

func (t *Table) naturalWidths() []int {
	widths := make([]int, len(t.Columns))
	for i, c := range t.Columns {
		for _, r := range t.Rows {
			widths[i] = max(widths[i], ansi.StringWidth(plain.Text(r[i].Text)))
		}
		if c.Optional && widths[i] == 0 {
			widths[i] = hidden
			continue
		}
		widths[i] = max(widths[i], ansi.StringWidth(c.Title))
	}
	return widths
}

// fit narrows the columns until the table is no wider than limit.
func (t *Table) fit(widths []int, limit int) []int {
	if limit <= 0 {
		return widths
	}
	for {
		over := total(widths) - limit
		drop := t.firstToDrop(widths)
		if over <= 0 || drop < 0 || t.slack(widths) >= over {
			over = t.squeeze(widths, over, func(c Column) int { return c.Min })
			t.squeeze(widths, over, func(Column) int { return narrowest })
			return widths
		}
		widths[drop] = hidden
	}
}

func total(widths []int) int {
	sum := -gap
	for _, w := range widths {
		if w != hidden {
			sum += w + gap
		}
	}
	return sum
}

// slack returns by how much the last column with a Min can be narrowed.
func (t *Table) slack(widths []int) int {
	for i, c := range slices.Backward(t.Columns) {
		if widths[i] != hidden && c.Min > 0 {
			return max(0, widths[i]-c.Min)
		}
	}
	return 0
}

func (t *Table) firstToDrop(widths []int) int {
	best := -1
	for i, c := range t.Columns {
		if widths[i] != hidden && c.Drop > 0 && (best < 0 || c.Drop > t.Columns[best].Drop) {
			best = i
		}
	}
	return best
}

// squeeze takes over off the columns that have a Min, starting with the last,
// and returns what is left of over.
func (t *Table) squeeze(widths []int, over int, floor func(Column) int) int {
	for i, c := range slices.Backward(t.Columns) {
		if widths[i] == hidden || c.Min == 0 || over <= 0 {
			continue
		}
		cut := min(over, max(0, widths[i]-floor(c)))
		widths[i] -= cut
		over -= cut
	}
	return over
}

func (t *Table) line(cells []Cell, widths []int) string {
	var b strings.Builder
	pad := 0 // blanks due before the next cell, so that no line ends with one
	for i, c := range cells {
		if widths[i] == hidden {
			continue
		}
		text := ansi.Truncate(plain.Text(c.Text), widths[i], "…")
		fill := widths[i] - ansi.StringWidth(text)
		if t.Columns[i].Right {
			pad, fill = pad+fill, 0
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", pad))
			b.WriteString(c.Style.Render(text))
			pad = 0
		}
		pad += fill + gap
	}
	return b.String()
}
