package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

// pipe is a process behind a named pipe: Switchgear's, or PyBreaker's, which
// has only states and five orders.
type pipe struct {
	client fifo.Client
	owner  string // the owner if it is another user and the pipe was not named by its path
}

// newPipe parses "IN" or "IN,OUT". Without OUT the reply file is beside IN,
// with out in place of in.
func newPipe(paths string) (pipe, error) {
	in, out, two := strings.Cut(paths, ",")
	if !two {
		dir, base := filepath.Split(in)
		switch {
		case base == "in":
			out = dir + "out"
		case strings.HasSuffix(base, ".in"):
			out = strings.TrimSuffix(in, ".in") + ".out"
		default:
			return pipe{}, usage("-p pipe:%s does not say where the reply comes, want pipe:%s,REPLY", in, in)
		}
	}
	pid, _, _ := strings.Cut(filepath.Base(in), ".") // if it is a process id, errors can say more about the process
	return pipe{client: fifo.Client{Input: in, Output: out, PID: number(pid)}}, nil
}

func (p pipe) name() string { return nameOf("pipe:"+p.client.Input, p.owner) }
func (p pipe) user() string { return p.owner }

func (p pipe) overview(ctx context.Context) (overview, error) {
	o, err := p.client.Overview(ctx)
	if !errors.Is(err, fifo.ErrNotKnown) {
		return overview{Overview: o}, p.fault(err)
	}
	all, err := p.table(ctx, "")
	return overview{Overview: ops.Overview{Breakers: all}}, err
}

// status falls back on the table, which is all that PyBreaker's manager has.
func (p pipe) status(ctx context.Context, id string) ([]ops.Status, error) {
	all, err := p.client.Look(ctx, id)
	if errors.Is(err, fifo.ErrNotKnown) {
		return p.table(ctx, id)
	}
	return all, p.fault(err)
}

func (p pipe) matching(ctx context.Context, _ string) ([]ops.Status, error) { return p.status(ctx, "") }

func (p pipe) table(ctx context.Context, id string) ([]ops.Status, error) {
	set, wild := strings.CutSuffix(id, "/*")
	if wild {
		id = ""
	}
	text, err := p.client.Status(ctx, id)
	if err != nil {
		return nil, p.fault(err)
	}
	all, err := parsePipeTable(text)
	if err != nil {
		return nil, refused("%s: %w", p.name(), err)
	}
	if wild {
		all = slices.DeleteFunc(all, func(s ops.Status) bool { return s.Name != set })
	}
	return all, nil
}

func (p pipe) history(ctx context.Context, id string) (ops.History, error) {
	h, err := p.client.History(ctx, id)
	return h, p.fault(err)
}

func (p pipe) explain(ctx context.Context, id string) (ops.Explanation, error) {
	e, err := p.client.Explain(ctx, id)
	return e, p.fault(err)
}

func (p pipe) events(context.Context, func(ops.Event)) error { return p.noEvents() }

func (p pipe) noEvents() error {
	return refused("%s: a pipe has no events, want the process's socket or URL", p.name())
}

func (p pipe) settings(context.Context, ...string) (ops.SettingsList, error) {
	return ops.SettingsList{}, refused("%s: a pipe has no settings of the program, want the process's socket or URL", p.name())
}

func (p pipe) shadows(context.Context) ([]ops.ShadowsOf, error) {
	return nil, refused("%s: a pipe does not show what shadows would have done, want the process's socket or URL", p.name())
}

func (p pipe) do(ctx context.Context, o ops.Order) (ops.Receipt, error) {
	r, err := p.client.Do(ctx, o)
	if errors.Is(err, fifo.ErrNotKnown) && inPyBreakersWords(o) {
		return p.doPlain(ctx, o)
	}
	return r, p.fault(err)
}

// inPyBreakersWords reports whether PyBreaker's manager can do what o asks
// for. What it cannot guarantee is refused: an order must not look conditional
// or temporary if it is not. It keeps no reason.
func inPyBreakersWords(o ops.Order) bool {
	switch o.Verb {
	case breaker.VerbOpen, breaker.VerbClose, breaker.VerbHalfOpen, breaker.VerbForceOpen, breaker.VerbForceClosed:
		return !o.Wildcard() && len(o.States) == 0 && o.IfVersion == 0 && o.For == 0
	}
	return false
}

// doPlain gives an order in PyBreaker's words.
func (p pipe) doPlain(ctx context.Context, o ops.Order) (ops.Receipt, error) {
	before, err := p.table(ctx, o.ID)
	if err != nil {
		return ops.Receipt{}, err
	}
	r := ops.Receipt{ID: o.ID, Verb: o.Verb, DryRun: o.DryRun, Matched: 1, Touched: 1, Note: "this is PyBreaker's pipe, which keeps no record of who gave the order and why"}
	res := ops.Result{Receipt: breaker.Receipt{ID: o.ID, Before: before[0].State, After: before[0].State, DryRun: o.DryRun}}
	if !o.DryRun {
		if _, err := p.client.Send(ctx, o.ID, breaker.Order{Verb: o.Verb}); err != nil {
			return ops.Receipt{}, p.fault(err)
		}
		after, err := p.table(ctx, o.ID)
		if err != nil {
			return ops.Receipt{}, err
		}
		res.After = after[0].State
	}
	r.Results = []ops.Result{res}
	return r, nil
}

// fault gives an error of the pipe its exit code. A refusal comes from the
// process itself, as on other endpoints.
func (p pipe) fault(err error) error {
	var reply *ops.Error
	if err == nil || errors.As(err, &reply) {
		return err
	}
	err = fmt.Errorf("%s: %w", p.name(), err)
	for _, away := range []error{fifo.ErrNoPipe, fifo.ErrNoReader, fifo.ErrNoAnswer} {
		if errors.Is(err, away) {
			return &codeError{exitUnreachable, err}
		}
	}
	return &codeError{exitRefused, err}
}

// pipeRow matches a row of the status table. Cells are separated by four
// blanks, and an id may contain blanks.
var pipeRow = regexp.MustCompile(`^ *(.+?) {4,}(\S+) {4,}(None|(?:(\d+) days?, )?(\d+):(\d\d):(\d\d)(\.\d+)?) {4,}(-?\d+) {4,}(None|-?\d+) *$`)

// parsePipeTable parses the table that status prints.
func parsePipeTable(text string) ([]ops.Status, error) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	var all []ops.Status
	for _, line := range lines[1:] {
		m := pipeRow.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("no row of a status table: %q", line)
		}
		s := breaker.Status{ID: m[1], Admitted: 1, FailuresUntilOpen: -1}
		s.Name, s.Key, _ = strings.Cut(s.ID, "/")
		if err := s.State.UnmarshalText([]byte(strings.ReplaceAll(m[2], "_", "-"))); err != nil {
			return nil, err
		}
		s.Auto = s.State
		if s.State >= breaker.ForcedOpen { // PyBreaker also calls this forced_open
			s.Auto = breaker.Closed
			s.Override = &breaker.Override{State: s.State}
		}
		s.UntilHalfOpen = pipeDuration(m[4:9])
		s.FailCount = number(m[9])
		if m[10] != "None" {
			s.FailuresUntilOpen = number(m[10])
		}
		all = append(all, ops.Status{Status: s})
	}
	return all, nil
}

// pipeDuration parses days, hours, minutes, seconds and ".micros".
func pipeDuration(parts []string) time.Duration {
	d := time.Duration(number(parts[0]))*24*time.Hour + time.Duration(number(parts[1]))*time.Hour +
		time.Duration(number(parts[2]))*time.Minute + time.Duration(number(parts[3]))*time.Second
	micros := strings.TrimPrefix(parts[4], ".")
	return d + time.Duration(number((micros + "000000")[:6]))*time.Microsecond
}

// number returns 0 for None.
func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}
