package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

// globals are the flags that every command has.
type globals struct {
	processes []string
	json      bool
	timeout   time.Duration
}

func (g *globals) define(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringArrayVarP(&g.processes, "process", "p", nil, "a `process`: number, service, socket, URL or pipe\n(default: all of this host; see help processes)")
	f.BoolVar(&g.json, "json", false, "answer in JSON, for programs")
	f.DurationVar(&g.timeout, "timeout", 3*time.Second, "how long a process has to answer")
	_ = root.RegisterFlagCompletionFunc("process", completeProcesses)
}

// bound is a context for one round of questions.
func (g *globals) bound(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), g.timeout)
}

// found is the processes that a command is for.
type found struct {
	targets []target
	// named: they were chosen by -p, so that each of them has to do its part.
	named bool
	// trouble is what stands in the way of others that were found; dead is
	// those that are gone and left a socket.
	trouble []error
	dead    []error
}

const processesHelp = `A command is for every process of this host that has opened its socket (see
ops.Listen), unless -p names others:

  -p 1234                      the process with this number, by its socket or,
                               if it has none, by the pipe /tmp/breaker/1234.in
  -p shop                      every process of the service shop
  -p /run/switchgear/7.sock    the socket at this path
  -p https://host/ops/         the operations handler mounted at this URL
  -p pipe:/tmp/breaker/7.in    the named pipe at this path, with its reply in
                               7.out beside it; or pipe:IN,OUT. All but watch
                               works through it. Behind a pipe of PyBreaker's
                               there are states and plain orders for one
                               breaker, and what it cannot do is refused.

-p may be repeated. For a URL, SWITCHGEAR_AUTHORIZATION is sent as the header
Authorization. A process whose socket is there but that does not answer is named
on the standard error; it never holds a command up beyond --timeout. What one
process knows, the others need not: a command is done where its id is known,
unless -p names the processes.`

// find is the processes that the command line means. Its error matches
// ops.ErrUnreachable when there is none.
func (g *globals) find(ctx context.Context) (found, error) {
	f := found{named: len(g.processes) > 0}
	if !f.named {
		f.take(ops.Processes(ctx))
		switch {
		case len(f.targets) > 0:
			return f, nil
		case len(f.dead)+len(f.trouble) > 0:
			return f, unreachable("no process of this host answers")
		}
		return f, unreachable("no process of this host has a switchgear socket; -p names a URL or a pipe")
	}
	var host []ops.Found
	for _, spec := range g.processes {
		if host == nil && !explicit(spec) {
			host = ops.Processes(ctx)
		}
		if err := f.add(spec, host); err != nil {
			return f, err
		}
	}
	return f, nil
}

// explicit reports whether spec says by itself where the process is.
func explicit(spec string) bool { return strings.ContainsAny(spec, "/") }

// add adds the processes that one -p means.
func (f *found) add(spec string, host []ops.Found) error {
	if paths, ok := strings.CutPrefix(spec, "pipe:"); ok {
		p, err := newPipe(paths)
		f.targets = append(f.targets, p)
		return err
	}
	if explicit(spec) {
		if isPipe(spec) {
			return f.add("pipe:"+spec, host)
		}
		return f.addAddress(spec)
	}
	before := len(f.targets) + len(f.trouble) + len(f.dead)
	pid, err := strconv.Atoi(spec)
	isPID := err == nil
	f.take(slices.DeleteFunc(slices.Clone(host), func(x ops.Found) bool {
		if isPID {
			return x.PID != pid
		}
		return x.Process == nil || x.Process.Service != spec
	}))
	if len(f.targets)+len(f.trouble)+len(f.dead) > before {
		return f.allThere()
	}
	if path := strings.ReplaceAll(fifo.DefaultInput, "{pid}", spec); isPID && isPipe(path) {
		return f.add("pipe:"+path, host)
	}
	return noSuchProcess(spec, isPID, host)
}

func isPipe(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Type() == os.ModeNamedPipe
}

// allThere is an error if a process that was named is not there for what is
// asked: a part of it would be missing.
func (f *found) allThere() error {
	absent := append(f.dead, f.trouble...)
	if len(absent) == 0 {
		return nil
	}
	f.dead, f.trouble = nil, nil // they are told by the error
	return &codeError{exitUnreachable, errors.Join(absent...)}
}

func noSuchProcess(spec string, isPID bool, host []ops.Found) error {
	var there []string
	for _, x := range host {
		if x.Process != nil {
			there = append(there, labelOf(&x))
		}
	}
	what := "no service called " + spec
	if isPID {
		what = "no socket of process " + spec
	}
	if len(there) == 0 {
		return unreachable("%s, nor any other on this host", what)
	}
	return unreachable("%s on this host, there are: %s", what, strings.Join(there, ", "))
}

// addAddress adds the process at a URL or at the path of a socket.
func (f *found) addAddress(address string) error {
	c, err := ops.NewClient(address)
	if err != nil {
		return usage("-p %s: %w", address, err)
	}
	label := address
	if strings.Contains(address, "://") {
		if auth := os.Getenv("SWITCHGEAR_AUTHORIZATION"); auth != "" {
			c.Header.Set("Authorization", auth)
		}
	}
	f.targets = append(f.targets, plane{c, label})
	return nil
}

// take sorts what was found on this host into what answers and what does not.
func (f *found) take(host []ops.Found) {
	for _, x := range host {
		switch {
		case x.Process != nil:
			c, err := ops.NewClient(x.Path)
			if err != nil {
				f.trouble = append(f.trouble, err)
				continue
			}
			f.targets = append(f.targets, plane{c, labelOf(&x)})
		case x.Dead:
			f.dead = append(f.dead, fmt.Errorf("process %d is gone and left its socket %s", x.PID, x.Path))
		default:
			f.trouble = append(f.trouble, unreachable("process %d does not answer at %s: %s", x.PID, x.Path, x.Problem))
		}
	}
}

func labelOf(x *ops.Found) string {
	return fmt.Sprintf("%s/%d", x.Process.Service, x.Process.PID)
}

// short is how a target is called on the screen: nothing when it is the only
// one.
func (f *found) short(t target) string {
	if len(f.targets) == 1 {
		return ""
	}
	return t.name()
}

// warn tells of what could not be asked.
func (f *found) warn(cmd *cobra.Command) {
	for _, err := range append(f.dead, f.trouble...) {
		fmt.Fprintf(cmd.ErrOrStderr(), "switchgear: %s\n", oneLine(err.Error()))
	}
}
