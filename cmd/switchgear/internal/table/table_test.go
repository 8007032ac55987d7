package table_test

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
)

func sample() table.Table {
	row := func(texts ...string) (cells []table.Cell) {
		for _, x := range texts {
			cells = append(cells, table.Plain(x))
		}
		return cells
	}
	return table.Table{
		Columns: []table.Column{
			{Title: "ID", Min: 6},
			{Title: "STATE"},
			{Title: "OVERRIDE", Optional: true},
			{Title: "FAILS", Right: true, Drop: 2},
			{Title: "SINCE", Drop: 1},
			{Title: "WHY", Min: 8},
		},
		Rows: [][]table.Cell{
			row("payments", "open", "", "5", "2m10s", "5 failures in a row"),
			row("inventory/日本", "closed", "", "0", "", ""),
			row("bad\x1b[31mkey", "half-open", "", "12", "4s", "the open time is over\n"),
		},
	}
}

func TestLinesFitEveryWidth(t *testing.T) {
	for _, tt := range []struct {
		name  string
		width int
		want  string
	}{
		{"no limit", 0, `
ID              STATE      FAILS  SINCE  WHY
payments        open           5  2m10s  5 failures in a row
inventory/日本  closed         0
bad\x1b[31mkey  half-open     12  4s     the open time is over\n
`},
		{"the last column is cut first", 60, `
ID              STATE      FAILS  SINCE  WHY
payments        open           5  2m10s  5 failures in a row
inventory/日本  closed         0
bad\x1b[31mkey  half-open     12  4s     the open time is o…
`},
		{"then one is left out, and the others have its room", 45, `
ID              STATE      SINCE  WHY
payments        open       2m10s  5 failures…
inventory/日本  closed
bad\x1b[31mkey  half-open  4s     the open t…
`},
		{"then the next", 41, `
ID              STATE      WHY
payments        open       5 failures in…
inventory/日本  closed
bad\x1b[31mkey  half-open  the open time…
`},
		{"then the columns before are cut", 30, `
ID         STATE      WHY
payments   open       5 failu…
inventor…  closed
bad\x1b[…  half-open  the ope…
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := sample()
			got := ansi.Strip(s.String(tt.width))
			if got != tt.want[1:] {
				t.Errorf("got\n%swant\n%s", got, tt.want[1:])
			}
			for line := range strings.Lines(got) {
				if w := ansi.StringWidth(strings.TrimSuffix(line, "\n")); tt.width > 0 && w > tt.width {
					t.Errorf("a line of %d columns, want at most %d: %q", w, tt.width, line)
				}
			}
		})
	}
}
