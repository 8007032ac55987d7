// Circuit_breaker_fifo shows and changes the breakers of a running process
// through its named pipe. It is PyBreaker's program of that name: it drives the
// pipe of ops/fifo and that of PyBreaker's manager.
//
//	$ circuit_breaker_fifo -c breaker.conf -p 1234 status
//	 id    state    time until half_open    failure count    failures until open
//	foo     open                 0:30:00                5                   None
//
//	$ circuit_breaker_fifo -c breaker.conf -p 1234 close foo
//	Changed `foo` state
//
// If the other side is Switchgear, it also accepts release, and --reason and
// --for after an order.
//
// Its exit status is 0 if the process carried out the command, 1 if it did not,
// and 2 if the command line is invalid.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakerconf"
	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// limit is the longest that the program runs, no matter how many others are
// served before it.
const limit = time.Minute

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program without its process. It prints only plain text, whatever
// the other side of the pipe answers.
func run(argv []string, stdout, stderr io.Writer) int {
	stderr = plain.Writer{W: stderr}
	out := &output{Writer: plain.Writer{W: stdout}}
	code := answer(argv, out, stderr)
	if out.err != nil {
		fmt.Fprintf(stderr, "%s: error: the output cannot be written: %s\n", program, out.err)
		return exitFailed
	}
	return code
}

// output remembers an error of writing.
type output struct {
	plain.Writer
	err error
}

func (o *output) Write(text []byte) (int, error) {
	n, err := o.Writer.Write(text)
	if err != nil {
		o.err = err
	}
	return n, err
}

func answer(argv []string, stdout, stderr io.Writer) int {
	a, err := parse(argv)
	var help *helpWanted
	var bad *usageError
	switch {
	case errors.As(err, &help):
		fmt.Fprint(stdout, help.text)
		return exitDone
	case errors.As(err, &bad):
		fmt.Fprintf(stderr, "%s%s: error: %s\n", bad.usage, bad.prog, bad.text)
		return exitUsage
	}
	c, err := client(a)
	if err == nil {
		var text string
		if text, err = ask(a, c); err == nil {
			fmt.Fprintln(stdout, text)
			return exitDone
		}
	}
	var refused *fifo.ReplyError
	switch {
	case errors.As(err, &refused):
		fmt.Fprintln(stdout, refused.Body)
	case errors.Is(err, fifo.ErrNoPipe):
		fmt.Fprintf(stdout, "No input pipe/file found at %s. Are you sure you specified the correct path or config, and the correct pid?\n", c.Input)
	case errors.As(err, &bad):
		fmt.Fprintf(stderr, "%s%s: error: %s\n", bad.usage, bad.prog, bad.text)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "%s: error: %s\n", program, err)
	}
	return exitFailed
}

// client returns a client for the process. The command line takes precedence
// over the config file.
func client(a *arguments) (fifo.Client, error) {
	var c fifo.Client
	if a.config != "" {
		conf, err := breakerconf.Read(a.config)
		if err != nil {
			return c, err
		}
		c.Input, c.Output = conf.Input, conf.Output
		c.Patience = max(fifo.DefaultPatience, conf.SleepDelay+time.Second)
	}
	if a.input != "" {
		c.Input = a.input
	}
	if a.output != "" {
		c.Output = a.output
	}
	switch {
	case c.Input == "":
		return c, usagef("no input path, want -i/--input-path or -c/--config")
	case c.Output == "":
		return c, usagef("no output path, want -o/--output-path or -c/--config")
	}
	if a.pid != 0 {
		pid := fmt.Sprint(a.pid)
		c.PID = a.pid
		c.Input, c.Output = strings.ReplaceAll(c.Input, "{pid}", pid), strings.ReplaceAll(c.Output, "{pid}", pid)
	} else if strings.Contains(c.Input+c.Output, "{pid}") {
		return c, usagef("%s and %s need the id of the process, want -p/--pid", c.Input, c.Output)
	}
	return c, nil
}

func ask(a *arguments, c fifo.Client) (string, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, fmt.Errorf("not done within %s, other programs are using %s", limit, c.Input))
	defer cancel()
	if a.command == cmdStatus {
		return c.Status(ctx, a.ident)
	}
	verb := breaker.Verb(strings.ReplaceAll(a.command, "_", "-")) // half_open is PyBreaker's spelling
	return c.Send(ctx, a.ident, breaker.Order{Verb: verb, Reason: a.reason, For: a.forTime})
}
