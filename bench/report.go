package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// A printer writes tables with headers: aligned for a terminal, or as
// Markdown.
type printer struct {
	w        io.Writer
	markdown bool
}

func (p printer) heading(text string) {
	if p.markdown {
		fmt.Fprintf(p.w, "\n## %s\n\n", text)
		return
	}
	fmt.Fprintf(p.w, "\n%s\n%s\n", text, strings.Repeat("-", utf8.RuneCountInString(text)))
}

func (p printer) text(lines ...string) {
	for _, l := range lines {
		fmt.Fprintln(p.w, l)
	}
}

// table aligns the first column to the left and the others to the right,
// except for a last one of words.
func (p printer) table(head []string, body [][]string) {
	if p.markdown {
		fmt.Fprintf(p.w, "| %s |\n|---%s|\n", strings.Join(head, " | "), strings.Repeat("|--:", len(head)-1))
		for _, line := range body {
			fmt.Fprintf(p.w, "| %s |\n", strings.Join(line, " | "))
		}
		return
	}
	width := 0
	for _, line := range body {
		width = max(width, utf8.RuneCountInString(line[0]))
	}
	tw := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, line := range append([][]string{head}, body...) {
		last := len(line) - 1
		fmt.Fprintf(tw, "%-*s\t%s\t  %s\n", width, line[0], strings.Join(line[1:last], "\t"), line[last])
	}
	tw.Flush()
}

// rows writes every group as a separate table, in the order of the rows.
func (p printer) rows(rows []*Row) {
	all := tableOf(rows)
	for _, group := range groupsOf(rows) {
		var in []*Row
		for _, r := range rows {
			if r.Group == group {
				in = append(in, r)
			}
		}
		p.heading(group)
		if in[0].isLoop() {
			p.loops(in, all)
		} else {
			p.figures(in)
		}
		p.notes(in)
	}
}

func groupsOf(rows []*Row) (groups []string) {
	for _, r := range rows {
		if !slices.Contains(groups, r.Group) {
			groups = append(groups, r.Group)
		}
	}
	return groups
}

// isLoop reports whether r was measured in rounds beside the other cases.
func (r *Row) isLoop() bool { return r.Build != nil }

// name is what the table calls r, whatever its number of procs.
func (r *Row) name() string { return join(r.Who, r.How) }

// loops writes one line for each way of guarding, with its numbers of procs
// side by side.
func (p printer) loops(rows []*Row, all table) {
	var procs []int
	lines := map[string]map[int]*Row{}
	var order []string
	for _, r := range rows {
		if lines[r.name()] == nil {
			lines[r.name()] = map[int]*Row{}
			order = append(order, r.name())
		}
		lines[r.name()][r.Procs] = r
		if !slices.Contains(procs, r.Procs) {
			procs = append(procs, r.Procs)
		}
	}
	slices.Sort(procs)
	head := []string{""}
	for _, n := range procs {
		if n == 0 {
			head = append(head, "serial, ns", "cycles", "x bare call")
		} else {
			head = append(head, procsName(n)+", ns")
		}
	}
	head = append(head, "allocs/op")
	var body [][]string
	for _, name := range order {
		line := []string{name}
		for _, n := range procs {
			r := lines[name][n]
			line = append(line, r.cell())
			if n == 0 {
				line = append(line, r.over(all[limit+"/"+cycleRow], "%.0f"), r.over(all[bareID], "%.2f"))
			}
		}
		body = append(body, append(line, lines[name][0].allocs()))
	}
	p.table(head, body)
}

// cell returns the median and the spread, or what went wrong.
func (r *Row) cell() string {
	switch {
	case r == nil || len(r.Samples) == 0:
		return ""
	case r.Err != nil:
		return "DID NOT DO ITS WORK"
	}
	if r.Median() == 0 {
		return "0"
	}
	return fmt.Sprintf("%s ± %.0f %%", figure(r.Median()), 100*r.Spread())
}

// over returns r as a multiple of another row of the same rounds.
func (r *Row) over(by *Row, format string) string {
	if r == nil || by == nil || r.Err != nil {
		return ""
	}
	if len(r.Samples) != len(by.Samples) { // measured in another stage
		return fmt.Sprintf(format, r.Median()/by.Median())
	}
	return fmt.Sprintf(format, ratio(r, by))
}

func (r *Row) allocs() string {
	if r == nil || r.Allocs < 0 {
		return ""
	}
	return figure(math.Round(100*r.Allocs) / 100)
}

// figures writes rows that are one number each.
func (p printer) figures(rows []*Row) {
	var body [][]string
	for _, r := range rows {
		unit := r.Unit
		if unit == "" {
			unit = "ns"
		}
		body = append(body, []string{r.name(), r.cell(), unit})
	}
	p.table([]string{"", "", "unit"}, body)
}

// notes writes what the reader of a group should know, once for each library.
func (p printer) notes(rows []*Row) {
	seen := map[string]bool{}
	for _, r := range rows {
		if r.Err != nil {
			p.text("", fmt.Sprintf("%s DID NOT DO ITS WORK: %v.", r.ID(), r.Err))
		}
		text := r.Who + " " + r.note
		if !r.isLoop() {
			text = r.name() + ": " + r.note
		}
		if r.note != "" && !seen[text] {
			seen[text] = true
			p.text("", text+".")
		}
	}
}

// figure writes x with three figures that count.
func figure(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x >= 99.95:
		return thousands(int(math.Round(x)))
	case x >= 9.995:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// targets writes each target with what it came to, and returns how many of
// those that were measured were missed.
func (p printer) targets(rows []*Row) (missed int) {
	all := tableOf(rows)
	var body [][]string
	measured, skipped, starved := 0, 0, 0
	for _, t := range targets() {
		v := t.value(all)
		if math.IsNaN(v) {
			skipped++
			continue
		}
		verdict := "reached"
		switch {
		case t.starved(all):
			verdict = "not judged"
			starved++
		case !t.reached(v):
			verdict = "NOT REACHED"
			missed++
			fallthrough
		default:
			measured++
		}
		body = append(body, []string{t.Path, t.bound(), fmt.Sprintf("%.3g", v), verdict, t.what()})
	}
	if free, guilty := freeOfAllocations(rows); len(free) > 0 {
		verdict := "reached"
		if len(guilty) > 0 {
			verdict = "NOT REACHED"
			missed++
		}
		measured++
		body = append(body, []string{"allocations", "<= 0", fmt.Sprint(len(guilty)), verdict, fmt.Sprintf("rows that allocate, of our %d closed and open ones", len(free))})
	}
	if len(body) == 0 {
		return 0
	}
	p.heading("Targets")
	p.table([]string{"path", "target", "measured", "", "what is measured"}, body)
	p.text("", fmt.Sprintf("%d of %d reached.", measured-missed, measured))
	if starved > 0 {
		p.text(fmt.Sprintf("%d are not judged: the machine was busy and did not give the process its processors.", starved))
	}
	if skipped > 0 {
		p.text(fmt.Sprintf("%d were not measured in this run.", skipped))
	}
	return missed
}

// writeJSON writes every row with all of its samples.
func writeJSON(file string, rows []*Row) error {
	type entry struct {
		ID      string    `json:"id"`
		Unit    string    `json:"unit"`
		Median  float64   `json:"median"`
		Spread  float64   `json:"spread"`
		Allocs  *float64  `json:"allocs_per_op,omitempty"`
		Bytes   float64   `json:"bytes_per_op,omitempty"`
		Calls   int       `json:"calls_that_ran"`
		Error   string    `json:"error,omitempty"`
		Samples []float64 `json:"samples"`
	}
	var out []entry
	for _, r := range rows {
		e := entry{ID: r.ID(), Unit: r.Unit, Median: r.Median(), Spread: r.Spread(), Bytes: r.Bytes, Calls: r.Calls, Samples: r.Samples}
		if e.Unit == "" {
			e.Unit = "ns"
		}
		if r.Allocs >= 0 {
			e.Allocs = &r.Allocs
		}
		if r.Err != nil {
			e.Error = r.Err.Error()
		}
		if math.IsNaN(e.Spread) {
			e.Spread = 0
		}
		out = append(out, e)
	}
	data, err := json.MarshalIndent(out, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}
