package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
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
	asker     asker
}

func (g *globals) define(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringArrayVarP(&g.processes, "process", "p", nil, "a `process`: number, service, socket, URL or pipe\n(default: all on this host; see help processes)")
	f.BoolVar(&g.json, "json", false, "answer in JSON, for programs")
	f.DurationVar(&g.timeout, "timeout", 3*time.Second, "how long a process may take to answer")
	_ = root.RegisterFlagCompletionFunc("process", completeProcesses)
}

// check refuses invalid flags.
func (g *globals) check() error {
	switch {
	case g.timeout <= 0:
		return usage("--timeout %s, want a time above 0, such as 3s", g.timeout)
	case slices.Contains(g.processes, ""):
		return usage("-p without a process, want its number, service, socket, URL or pipe")
	}
	return nil
}

// bound returns a context for one round of questions.
func (g *globals) bound(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), g.timeout)
}

// findPatience is how long a process may take to say who it is.
const findPatience = 2 * time.Second

// found is the processes that a command applies to.
type found struct {
	targets []target
	// named means that they were selected by -p, so that each of them has to
	// do its part.
	named bool
	// trouble holds errors about processes that were meant but did not answer,
	// maybe those about processes that did not say whether they were meant.
	// dead holds notes about processes that were not named and have ended
	// without removing their socket.
	trouble, maybe, dead []error
}

const processesHelp = `A command applies to every process of this host that has opened its socket
(Plane.Listen in its program), unless -p names others:

  -p 1234                      the process with this number, by its socket or,
                               if it has none, by the pipe /tmp/breaker/1234.in
  -p shop                      every process of the service shop
  -p /run/switchgear/7.sock    the socket at this path
  -p https://host/ops/         the operations handler mounted at this URL
  -p pipe:/tmp/breaker/7.in    the named pipe at this path, with its reply in
                               7.out beside it; or pipe:IN,OUT. It has neither
                               events nor a timeline, nor the settings of the
                               program. PyBreaker's pipe only has states, and
                               plain orders for one breaker; everything else
                               is refused.

-p may be repeated. For a URL, SWITCHGEAR_AUTHORIZATION is sent as the header
Authorization. A process that has a socket but does not answer is reported on
standard error: a stopped one at once, others after two seconds. It does not
delay the others. A command is carried out in the processes that know its id,
unless -p names the processes.

A socket counts only if its folder has mode 0700 and belongs to you, and the
socket and its process are yours as well. Root also sees those of other users,
with the name of the user after that of the process; what such a process says
about itself cannot be verified. Root gives orders to it only if -p names the
path of its socket or pipe.`

// find returns the processes that the command line selects. The error matches
// ops.ErrUnreachable if none of them answers.
func (g *globals) find(ctx context.Context) (found, error) {
	ctx, cancel := context.WithTimeout(ctx, findPatience)
	defer cancel()
	f := found{named: len(g.processes) > 0}
	var sockets []ops.Found
	if !f.named || slices.ContainsFunc(g.processes, func(spec string) bool { return !explicit(spec) }) {
		sockets = ops.Sockets()
	}
	if !f.named {
		f.take(g.asker.ask(ctx, sockets))
		switch {
		case len(f.targets) > 0:
			return f, nil
		case len(f.dead)+len(f.trouble) > 0:
			return f, unreachable("no process of this host answers")
		}
		return f, unreachable("no process of this host has a switchgear socket; -p names a URL or a pipe")
	}
	ask := g.asker.once(ctx)
	for _, spec := range g.processes {
		if err := f.add(spec, sockets, ask); err != nil {
			return f, err
		}
	}
	if len(f.targets) == 0 {
		return f, f.takeTrouble()
	}
	return f, nil
}

// explicit reports whether spec alone says where the process is.
func explicit(spec string) bool { return strings.ContainsAny(spec, "/") }

// asking asks the processes behind sockets who they are.
type asking func([]ops.Found) []ops.Found

// add adds the processes that one -p selects. It asks only those that it may
// select.
func (f *found) add(spec string, sockets []ops.Found, ask asking) error {
	if paths, ok := strings.CutPrefix(spec, "pipe:"); ok {
		p, err := newPipe(paths)
		f.targets = append(f.targets, p)
		return err
	}
	if explicit(spec) {
		if isPipe(spec) {
			return f.add("pipe:"+spec, sockets, ask)
		}
		return f.addAddress(spec)
	}
	pid, err := strconv.Atoi(spec)
	if err == nil {
		return f.addNumber(spec, pid, sockets, ask)
	}
	if i := slices.IndexFunc(sockets, func(x ops.Found) bool { return stem(&x) == spec }); i >= 0 {
		f.take(ask(sockets[i : i+1]))
		return nil
	}
	return f.addService(spec, sockets, ask)
}

func (f *found) addNumber(spec string, pid int, sockets []ops.Found, ask asking) error {
	ofPID := slices.DeleteFunc(slices.Clone(sockets), func(x ops.Found) bool { return x.PID != pid })
	if len(ofPID) > 0 {
		f.take(ask(ofPID))
		return nil
	}
	path := strings.ReplaceAll(fifo.DefaultInput, "{pid}", spec)
	if !isPipe(path) {
		return noSuchProcess("socket of process "+spec, ask(sockets))
	}
	p, err := newPipe(path)
	if uid, ok := ownerOf(path); ok {
		p.owner = userOf(uid)
	}
	f.targets = append(f.targets, p)
	return err
}

// addService adds the processes of a service. A process that does not answer
// may belong to it as well.
func (f *found) addService(service string, sockets []ops.Found, ask asking) error {
	host := ask(sockets)
	n := len(f.targets)
	for _, x := range host {
		switch {
		case x.Process != nil && x.Process.Service == service:
			f.take([]ops.Found{x})
		case x.Process == nil && !x.Dead:
			f.maybe = append(f.maybe, fmt.Errorf("process %d does not answer, and may belong to the service %s: %s", x.PID, service, x.Problem))
		}
	}
	if len(f.targets) == n {
		return noSuchProcess("service called "+service, host)
	}
	return nil
}

func isPipe(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Type() == os.ModeNamedPipe
}

// takeTrouble combines all trouble into one error, so that it need not be
// printed again.
func (f *found) takeTrouble() error {
	err := &codeError{exitUnreachable, errors.Join(f.trouble...)}
	f.trouble = nil
	return err
}

func noSuchProcess(what string, host []ops.Found) error {
	var there []string
	for _, x := range host {
		if x.Process != nil {
			there = append(there, labelOf(&x))
		}
	}
	if len(there) == 0 {
		return unreachable("no %s, and no other process on this host", what)
	}
	return unreachable("no %s on this host, there are: %s", what, strings.Join(there, ", "))
}

// addAddress adds the process at a URL or at the path of a socket.
func (f *found) addAddress(address string) error {
	c, err := ops.NewClient(address)
	if err != nil {
		return usage("-p %s: %w", address, err)
	}
	if strings.Contains(address, "://") {
		if auth := os.Getenv("SWITCHGEAR_AUTHORIZATION"); auth != "" {
			c.Header.Set("Authorization", auth)
		}
	}
	f.targets = append(f.targets, plane{client: c, label: address})
	return nil
}

// take sorts the processes into those that answered and those that did not. A
// process that is named twice is added once.
func (f *found) take(asked []ops.Found) {
	for _, x := range asked {
		switch {
		case x.Process != nil:
			p := plane{client: x.Client(), label: labelOf(&x), path: x.Path, owner: userOf(x.UID)}
			if !slices.ContainsFunc(f.targets, func(t target) bool { return t.name() == p.name() }) {
				f.targets = append(f.targets, p)
			}
		case x.Dead && f.named:
			f.trouble = append(f.trouble, fmt.Errorf("process %d is gone and left its socket %s", x.PID, x.Path))
		case x.Dead:
			f.dead = append(f.dead, fmt.Errorf("process %d is gone and left its socket %s", x.PID, x.Path))
		default:
			f.trouble = append(f.trouble, fmt.Errorf("process %d does not answer: %s", x.PID, x.Problem))
		}
	}
}

// stem returns the name of a socket without its extension: the process id, and
// what distinguishes several sockets of one process.
func stem(x *ops.Found) string { return strings.TrimSuffix(filepath.Base(x.Path), ".sock") }

func labelOf(x *ops.Found) string { return x.Process.Service + "/" + stem(x) }

// userOf returns the name of another user, or "" for the user who runs this
// program.
func userOf(uid int) string {
	if uid == os.Geteuid() {
		return ""
	}
	number := strconv.Itoa(uid)
	if u, err := user.LookupId(number); err == nil {
		return cmp.Or(u.Username, number)
	}
	return number
}

// short returns the name of a target on the screen: "" if it is the only one
// and belongs to the user.
func (f *found) short(t target) string {
	if len(f.targets) == 1 && t.user() == "" {
		return ""
	}
	return t.name()
}

// warn reports which processes could not be asked.
func (f *found) warn(cmd *cobra.Command) {
	for _, err := range slices.Concat(f.dead, f.trouble, f.maybe) {
		fmt.Fprintf(cmd.ErrOrStderr(), "switchgear: %s\n", oneLine(err.Error()))
	}
}
