package main

import (
	"bufio"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

// confirmed makes sure that the user knows how many breakers the plan applies
// to.
func confirmed(cmd *cobra.Command, plan []plannedOrder, o *orderFlags) error {
	n := countOf(plan)
	switch {
	case n <= o.yes, n == 1 && !plan[0].order.Wildcard():
		return nil
	case plan[0].order.Verb == ops.VerbShadow, plan[0].order.Verb == ops.VerbUnshadow: // calls do not notice
		return nil
	case o.yes == 0 && isTerminal(cmd.InOrStdin()):
		return confirmAtTerminal(cmd, plan, n)
	case o.yes == 0:
		return refused("this applies to %s (%s): check with --dry-run, and add --yes %d", plain.Count(n, "breaker", "breakers"), perProcess(plan), n)
	}
	return refused("this applies to %s now (%s), and --yes says %d: nothing was changed", plain.Count(n, "breaker", "breakers"), perProcess(plan), o.yes)
}

// perProcess returns a text such as "2 in shop/1, 1 in shop/2".
func perProcess(plan []plannedOrder) string {
	var names []string
	count := map[string]int{}
	for _, d := range plan {
		if count[d.name()] == 0 {
			names = append(names, d.name())
		}
		count[d.name()] += d.receipt.Matched
	}
	const shown = 5
	for i, name := range names {
		names[i] = fmt.Sprintf("%d in %s", count[name], name)
	}
	if len(names) > shown {
		names = append(names[:shown], fmt.Sprintf("and %d more processes", len(names)-shown))
	}
	return strings.Join(names, ", ")
}

// confirmAtTerminal asks the person at the terminal.
func confirmAtTerminal(cmd *cobra.Command, plan []plannedOrder, n int) error {
	for _, line := range view.Changes(receiptsOf(plan)...) {
		fmt.Fprintln(cmd.ErrOrStderr(), plain.Text(line))
	}
	for _, d := range plan {
		if d.receipt.Note != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "Note: %s.\n", plain.Text(d.receipt.Note))
			break
		}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s applies to %s (%s).\nType %d to do it, anything else to cancel: ",
		string(plan[0].order.Verb), plain.Count(n, "breaker", "breakers"), perProcess(plan), n)
	line, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n') // the end of the input is not an answer
	if strings.TrimSpace(line) != strconv.Itoa(n) {
		return refused("not confirmed, nothing was changed")
	}
	return nil
}

// report prints the results of the orders and determines the exit code. It
// only considers orders that were given: processes that did not answer have
// been reported.
func (g *globals) report(cmd *cobra.Command, f *found, done []plannedOrder) error {
	failed, code := 0, exitDone
	for _, d := range done {
		if d.err != nil || d.receipt.Failed > 0 {
			failed++
			code = max(code, exitCode(d.err), exitRefused)
		}
	}
	if 0 < failed && failed < len(done) {
		code = exitPartly
	}
	if err := g.writeReceipts(cmd, f, done); err != nil {
		return err
	}
	if code == exitDone {
		return nil
	}
	return &codeError{code, errSilent}
}

func (g *globals) writeReceipts(cmd *cobra.Command, f *found, done []plannedOrder) error {
	if g.json {
		type receipt struct {
			Process string       `json:"process"`
			Receipt *ops.Receipt `json:"receipt,omitempty"`
			Error   string       `json:"error,omitempty"`
		}
		out := []receipt{}
		for i := range done {
			r := receipt{Process: done[i].name(), Receipt: &done[i].receipt}
			if done[i].err != nil {
				r.Receipt, r.Error = nil, done[i].err.Error()
			}
			out = append(out, r)
		}
		return writeJSON(cmd, out)
	}
	for _, d := range done {
		if d.err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "switchgear: %s\n", oneLine(wrapAt(d.name(), d.err).Error()))
		}
		if d.receipt.AuditError != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "switchgear: %s: done, but not recorded: %s\n", d.name(), oneLine(d.receipt.AuditError))
		}
		if d.receipt.StandingError != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "switchgear: %s: done, but it will not survive a restart: %s\n", d.name(), oneLine(d.receipt.StandingError))
		}
	}
	return printReceipts(cmd, f, done)
}

func wrapAt(name string, err error) error { return fmt.Errorf("%s: %w", name, err) }

const receiptsShown = 50

// printReceipts prints a table of what was done to each breaker, and a summary
// if there are several.
func printReceipts(cmd *cobra.Command, f *found, done []plannedOrder) error {
	t := &table.Table{Columns: []table.Column{
		{Title: "PROCESS", Optional: true},
		{Title: "ID", Min: 12},
		{Title: "BEFORE"},
		{Title: "AFTER"},
		{Title: "VERSION", Right: true, Drop: 1},
		{Title: "ENDS", Optional: true},
		{Title: "CHANGED", Optional: true, Min: 16},
		{Title: "ERROR", Optional: true, Min: 16},
	}}
	touched, matched, dry := 0, 0, false
	for _, rank := range []func(*ops.Result) bool{fails, moves, stays} {
		for _, d := range done {
			for i := range d.receipt.Results {
				if r := &d.receipt.Results[i]; rank(r) && len(t.Rows) < receiptsShown {
					t.Rows = append(t.Rows, resultRow(f.short(d), r))
				}
			}
		}
	}
	for _, d := range done {
		touched += d.receipt.Touched
		matched += d.receipt.Matched
		dry = dry || d.receipt.DryRun
	}
	if len(t.Rows) == 0 {
		return printNothingMatched(cmd, done)
	}
	if err := printTable(cmd, t); err != nil {
		return err
	}
	if hidden := matched - len(t.Rows); hidden > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "... and %d more\n", hidden)
	}
	if moves := view.Moves(receiptsOf(done)); moves != "" {
		fmt.Fprintf(cmd.OutOrStdout(), "%s.\n", moves)
	}
	if err := summary(cmd, touched, matched, dry); err != nil {
		return err
	}
	return printNotes(cmd, done)
}

// isMark reports whether the orders are marks of processes, which concern no
// breaker.
func isMark(plan []plannedOrder) bool { return len(plan) > 0 && plan[0].order.Verb == ops.VerbMark }

// isOfSets reports whether the orders change the settings of sets, which keys of
// later follow, too.
func isOfSets(plan []plannedOrder) bool {
	return slices.ContainsFunc(plan, func(d plannedOrder) bool { return d.receipt.SetBefore != nil })
}

// printNothingMatched prints the result of orders that applied to no breaker.
// Those that failed have been reported.
func printNothingMatched(cmd *cobra.Command, done []plannedOrder) error {
	var names []string
	for _, d := range done {
		if d.err == nil {
			names = append(names, d.name())
		}
	}
	out := cmd.OutOrStdout()
	switch {
	case len(names) == 0:
		return nil
	case isMark(done) && done[0].receipt.DryRun:
		_, err := fmt.Fprintf(out, "Nothing was changed: %s would be marked.\n", strings.Join(names, ", "))
		return err
	case isMark(done):
		_, err := fmt.Fprintf(out, "Marked %s.\n", strings.Join(names, ", "))
		return err
	case isOfSets(done):
		return printOfSets(cmd, done)
	}
	if _, err := fmt.Fprintln(out, "The order applies to no breaker: nothing was changed."); err != nil {
		return err
	}
	return printNotes(cmd, done)
}

// printOfSets prints what was changed in the settings of sets without keys.
func printOfSets(cmd *cobra.Command, done []plannedOrder) (err error) {
	for _, d := range done {
		r := &d.receipt
		if d.err != nil || r.SetBefore == nil {
			continue
		}
		text := "No change: it was so already."
		if changes := settingsChanged(r.SetBefore, r.SetAfter); changes != "" {
			text = fmt.Sprintf("%s has no keys now; for later ones, %s.", r.ID, changes)
			if r.DryRun {
				text = "Nothing was changed: " + text
			}
		}
		if len(done) > 1 {
			text = d.name() + ": " + text
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), plain.Text(text))
	}
	return err
}

// Sorts what a reader looks for first to the top: what failed, then what
// changes its state.
func fails(r *ops.Result) bool { return r.Error != "" }
func moves(r *ops.Result) bool { return r.Error == "" && r.Before != r.After }
func stays(r *ops.Result) bool { return r.Error == "" && r.Before == r.After }

func receiptsOf(done []plannedOrder) (all []ops.Receipt) {
	for _, d := range done {
		all = append(all, d.receipt)
	}
	return all
}

// printNotes prints once what the orders leave out.
func printNotes(cmd *cobra.Command, done []plannedOrder) (err error) {
	printed := map[string]bool{"": true}
	for _, d := range done {
		if note := d.receipt.Note; !printed[note] {
			printed[note] = true
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Note: %s.\n", plain.Text(note))
		}
	}
	return err
}

func summary(cmd *cobra.Command, touched, matched int, dry bool) (err error) {
	out := cmd.OutOrStdout()
	switch {
	case dry:
		_, err = fmt.Fprintf(out, "Nothing was changed: %d of %d would be.\n", touched, matched)
	case matched > 1:
		_, err = fmt.Fprintf(out, "Changed %d of %d.\n", touched, matched)
	case touched == 0:
		_, err = fmt.Fprintln(out, "No change: it was so already.")
	}
	return err
}

func resultRow(process string, r *ops.Result) []table.Cell {
	version := ""
	if r.Version != 0 {
		version = strconv.FormatUint(r.Version, 10)
	}
	ends := ""
	if !r.Expires.IsZero() {
		ends = view.Clock(r.Expires)
	}
	return []table.Cell{
		table.Plain(process), table.Plain(r.ID), view.State(r.Before), view.State(r.After),
		table.Plain(version), table.Plain(ends), table.Plain(changedSettings(r)), table.Plain(r.Error),
	}
}

// changedSettings returns what an order changes in settings.
func changedSettings(r *ops.Result) string {
	if len(r.Tries) > 0 {
		var out []string
		for _, c := range r.Tries {
			out = append(out, fmt.Sprintf("tries %s=%s, not %s", c.Key, c.To, c.From))
		}
		return strings.Join(out, ", ")
	}
	if r.SettingsBefore == nil || r.SettingsAfter == nil {
		return ""
	}
	return settingsChanged(r.SettingsBefore, r.SettingsAfter)
}

// settingsChanged returns a text such as "fail_max 5 -> 10".
func settingsChanged(before, after *breaker.Settings) string {
	var out []string
	for _, c := range before.Diff(*after) {
		out = append(out, fmt.Sprintf("%s %s -> %s", c.Key, c.From, c.To))
	}
	return strings.Join(out, ", ")
}
