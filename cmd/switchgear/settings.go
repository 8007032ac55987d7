package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
	"github.com/switchgear-go/switchgear/ops"
)

func settingsCommand(g *globals) *cobra.Command {
	var diff bool
	cmd := &cobra.Command{
		Use:   "settings [ID...]",
		Short: "Show settings, and where they differ",
		Long: `Show the settings in effect, of every breaker, every set (name/*) and every key
with settings of its own, or only of the IDs; and next to them the program's
value, where people have changed it.

--diff shows only what differs between the processes of a service, or from the
program's value. Each value has its own line, with the processes that have it.

` + settingsHelp,
		Example: `  switchgear settings payments
  switchgear settings --diff
  switchgear settings --diff -p https://a/ops/ -p https://b/ops/`,
		ValidArgsFunction: g.completeIDs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			f, answers, err := lookAt(g, cmd, func(ctx context.Context, t target) (ops.SettingsList, error) { return t.settings(ctx, ids...) })
			if len(answers) == 0 {
				return err
			}
			if diff {
				return errors.Join(err, printDifferences(g, cmd, &f, answers))
			}
			return errors.Join(err, printSettings(g, cmd, &f, answers))
		},
	}
	cmd.Flags().BoolVar(&diff, "diff", false, "show only what differs between processes or from the program")
	return cmd
}

func printSettings(g *globals, cmd *cobra.Command, f *found, answers []answer[ops.SettingsList]) error {
	type process struct {
		Process string `json:"process"`
		ops.SettingsList
	}
	var out []process
	t := &table.Table{Columns: []table.Column{
		{Title: "PROCESS", Optional: true}, {Title: "ID", Min: 12}, {Title: "SETTING"}, {Title: "VALUE"}, {Title: "PROGRAM SAYS", Optional: true},
	}}
	for _, a := range answers {
		out = append(out, process{a.name(), a.value})
		for i := range a.value.Settings {
			s := &a.value.Settings[i]
			program := valuesOf(&s.Program)
			for key, value := range s.Settings.All() {
				says := ""
				if program[key] != value {
					says = orOff(program[key])
				}
				t.Rows = append(t.Rows, []table.Cell{
					table.Plain(f.short(a)), table.Plain(s.ID), table.Plain(key), table.Plain(orOff(value)), table.Plain(says),
				})
			}
		}
	}
	if g.json {
		return writeJSON(cmd, out)
	}
	return errors.Join(printTable(cmd, t), sayOmitted(cmd, answers))
}

// difference is a setting that does not have the same value everywhere.
type difference struct {
	Service string       `json:"service"`
	ID      string       `json:"id"`
	Key     string       `json:"key"`
	Values  []valueThere `json:"values"`
}

// valueThere is a value, and the processes that have it.
type valueThere struct {
	Value     string   `json:"value"`
	Program   string   `json:"program"` // what their programs say
	Processes []string `json:"processes"`
}

func printDifferences(g *globals, cmd *cobra.Command, f *found, answers []answer[ops.SettingsList]) error {
	all := differences(answers)
	if g.json {
		return writeJSON(cmd, all)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "No difference: %s, with the settings of their program.\n", plain.Count(len(answers), "process", "processes"))
		return errors.Join(err, sayOmitted(cmd, answers))
	}
	services := map[string]bool{}
	for _, a := range answers {
		services[a.value.Service] = true
	}
	t := &table.Table{Columns: []table.Column{
		{Title: "SERVICE", Optional: true},
		{Title: "ID", Min: 12},
		{Title: "SETTING"},
		{Title: "VALUE"},
		{Title: "PROGRAM SAYS", Optional: true},
		{Title: "PROCESSES", Optional: true, Min: 16},
	}}
	for i := range all {
		d := &all[i]
		for _, v := range d.Values {
			service, says, where := "", "", ""
			if len(services) > 1 {
				service = d.Service
			}
			if v.Program != v.Value {
				says = v.Program
			}
			if len(answers) > 1 {
				where = strings.Join(v.Processes, ", ")
			}
			t.Rows = append(t.Rows, []table.Cell{
				table.Plain(service), table.Plain(d.ID), table.Plain(d.Key), table.Plain(v.Value), table.Plain(says), table.Plain(where),
			})
		}
	}
	return errors.Join(printTable(cmd, t), sayOmitted(cmd, answers))
}

// differences compares the processes of each service. A breaker that only some
// of them have is not a difference: programs create breakers when they need
// them.
func differences(answers []answer[ops.SettingsList]) []difference {
	type place struct{ service, id string }
	var places []place
	settings := map[place][]*ops.SettingsOf{}
	names := map[place][]string{}
	for i := range answers {
		a := &answers[i]
		for j := range a.value.Settings {
			s := &a.value.Settings[j]
			at := place{a.value.Service, s.ID}
			if settings[at] == nil {
				places = append(places, at)
			}
			settings[at] = append(settings[at], s)
			names[at] = append(names[at], a.name())
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.id, b.id))
	})
	out := []difference{}
	for _, at := range places {
		for key := range (breaker.Settings{}).All() {
			d := difference{at.service, at.id, key, nil}
			for i, s := range settings[at] {
				d.add(orOff(valuesOf(&s.Settings)[key]), orOff(valuesOf(&s.Program)[key]), names[at][i])
			}
			if len(d.Values) > 1 || d.Values[0].Value != d.Values[0].Program {
				out = append(out, d)
			}
		}
	}
	return out
}

func (d *difference) add(value, program, process string) {
	for i := range d.Values {
		if v := &d.Values[i]; v.Value == value && v.Program == program {
			v.Processes = append(v.Processes, process)
			return
		}
	}
	d.Values = append(d.Values, valueThere{value, program, []string{process}})
}

func valuesOf(s *breaker.Settings) map[string]string {
	values := map[string]string{}
	for key, value := range s.All() {
		values[key] = value
	}
	return values
}

// orOff returns a value in effect. 0 means that the rule is off.
func orOff(value string) string { return cmp.Or(value, "off") }

func sayOmitted(cmd *cobra.Command, answers []answer[ops.SettingsList]) error {
	for _, a := range answers {
		if a.value.Omitted > 0 {
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "... and %d more in %s\n", a.value.Omitted, a.name()); err != nil {
				return err
			}
		}
	}
	return nil
}
