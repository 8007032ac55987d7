package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

func psCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "ps",
		Short: "List the processes of this host that can be operated",
		Long: `List the processes of this host that have a switchgear socket, or else a named
pipe in /tmp/breaker: those that answer with a summary of their breakers, the
others with what is wrong. It takes at most two seconds, regardless of their
state. The sockets and pipes of dead processes are listed once and removed. Exit
code 4 means that some processes did not answer, 3 that none did.

  USER       for root: the owner of the process. What another user's process
             says about itself cannot be verified
  UP         time since the process opened its operations plane
  BREAKERS   number of breakers, including the keys of sets
  STATES     how many breakers are not closed
  OVERRIDES  how many breakers are forced open or closed by people
  NOTE       no answer, a dead process's socket, an audit log or a file of
             standing orders that cannot be written, an order lost in a
             restart, many breakers that opened at once`,
		Example: `  switchgear ps
  switchgear ps --json | jq -r '.[] | select(.problem) | .pid'`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(g.processes) > 0 {
				return usage("switchgear ps lists all processes of this host and takes no -p")
			}
			ctx, cancel := g.bound(cmd)
			defer cancel()
			all := host(ctx)
			if g.json {
				if all == nil {
					all = []ops.Found{}
				}
				return errors.Join(writeJSON(cmd, all), answered(all))
			}
			if len(all) == 0 {
				return unreachable("no process of this host has a switchgear socket or pipe")
			}
			return errors.Join(printTable(cmd, processTable(all, time.Now())), answered(all))
		},
	}
}

// answered returns nil if all living processes answer. The list shows which do
// not.
func answered(all []ops.Found) error {
	answer, silent := 0, 0
	for _, x := range all {
		answer += btoi(x.Process != nil)
		silent += btoi(x.Process == nil && !x.Dead)
	}
	switch {
	case answer > 0 && silent > 0:
		return &codeError{exitPartly, errSilent}
	case answer == 0 && len(all) > 0:
		return unreachable("no process of this host answers")
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func processTable(all []ops.Found, now time.Time) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Title: "PID", Right: true},
		{Title: "USER", Optional: true},
		{Title: "SERVICE", Optional: true},
		{Title: "UP", Right: true, Optional: true, Drop: 2},
		{Title: "BREAKERS", Right: true, Optional: true},
		{Title: "STATES", Optional: true},
		{Title: "OVERRIDES", Right: true, Optional: true, Drop: 3},
		{Title: "PATH", Min: 10, Drop: 4},
		{Title: "NOTE", Optional: true, Min: 20},
	}}
	for _, x := range all {
		row := []table.Cell{table.Plain(strconv.Itoa(x.PID)), {}, {}, {}, {}, {}, {}, table.Plain(x.Path), table.Plain(x.Problem)}
		if os.Geteuid() == 0 { // other users see only their own
			row[1] = table.Plain(cmp.Or(userOf(x.UID), myName()))
		}
		if p := x.Process; p != nil {
			row[2] = table.Plain(p.Service)
			row[3] = table.Plain(view.Short(now.Sub(p.Started)))
			row[4] = table.Plain(strconv.Itoa(p.Breakers))
			row[5] = table.Plain(notClosed(p.States))
			if p.Overlaid > 0 {
				row[6] = table.Plain(strconv.Itoa(p.Overlaid))
			}
			row[8] = table.Plain(processNote(p))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func notClosed(states map[string]int) string {
	var parts []string
	for _, s := range []breaker.State{breaker.Open, breaker.HalfOpen, breaker.ForcedOpen, breaker.ForcedClosed} {
		if n := states[s.String()]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if len(parts) == 0 {
		return "all closed"
	}
	return strings.Join(parts, ", ")
}

func processNote(p *ops.Process) string {
	var notes []string
	if s := p.Suspicion; s != nil {
		notes = append(notes, "many breakers opened at once: the fault may be in this process")
	}
	if p.AuditError != "" {
		notes = append(notes, p.AuditError)
	}
	if p.StandingError != "" {
		notes = append(notes, p.StandingError)
	}
	if n := len(p.LostOrders); n > 0 {
		notes = append(notes, fmt.Sprintf("the restart lost an order: %s: %s", p.LostOrders[n-1].ID, p.LostOrders[n-1].Text))
	}
	return strings.Join(notes, "; ")
}
