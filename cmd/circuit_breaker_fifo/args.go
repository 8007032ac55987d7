package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/cmd/internal/version"
)

// arguments holds the parsed command line.
type arguments struct {
	input, output, config string
	pid                   int // 0: not given
	command, ident        string
	reason                string
	forTime               time.Duration // 0: not given
}

// usageError is an error in the command line.
type usageError struct{ usage, prog, text string }

func (e *usageError) Error() string { return e.text }

// helpWanted is returned for a command line that asks for help.
type helpWanted struct{ text string }

func (*helpWanted) Error() string { return "help wanted" }

func usagef(format string, args ...any) error {
	return &usageError{usage(), program, fmt.Sprintf(format, args...)}
}

func (c *command) usagef(format string, args ...any) error {
	return &usageError{c.usage(), c.prog(), fmt.Sprintf(format, args...)}
}

// parser parses a command line by the rules of Python's argparse, as
// PyBreaker's program does: a long option may be abbreviated to a unique
// prefix; a value follows =, or is the next argument, or directly follows a
// short option; options of the program must come before the subcommand; and
// anything that looks like a negative number or contains a blank is not an
// option.
type parser struct {
	args    []string
	options []*option
	rest    bool // after --: no more options
	errorf  func(format string, args ...any) error
	unknown []string // unexpected arguments, reported together at the end
}

type option struct {
	short, long string // "-i", "--input-path"; short may be ""
	set         func(value string) error
	help        string // the text to show; such an option takes no value
}

func (o *option) String() string {
	if o.short == "" {
		return o.long
	}
	return o.short + "/" + o.long
}

func text(to *string) func(string) error {
	return func(v string) error {
		*to = v
		return nil
	}
}

// parse parses the whole command line. The error is a *usageError or a
// *helpWanted.
func parse(argv []string) (*arguments, error) {
	a := &arguments{}
	p := &parser{args: argv, errorf: usagef, options: []*option{
		{short: "-h", long: "--help", help: help()},
		{long: "--version", help: program + " " + version.Text() + "\n"},
		{short: "-i", long: "--input-path", set: text(&a.input)},
		{short: "-o", long: "--output-path", set: text(&a.output)},
		{short: "-p", long: "--pid", set: a.setPID},
		{short: "-c", long: "--config", set: text(&a.config)},
	}}
	name, ok, err := p.next()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, usagef("too few arguments")
	}
	c := find(name)
	if c == nil {
		return nil, usagef("invalid choice: '%s' (choose from %s)", name, names("'", ", "))
	}
	a.command = name
	unknown := p.unknown
	if p, err = a.parseCommand(c, p.args); err != nil {
		return nil, err
	}
	if unknown = append(unknown, p.unknown...); len(unknown) > 0 {
		return nil, usagef("unrecognized arguments: %s", strings.Join(unknown, " "))
	}
	return a, nil
}

func (a *arguments) setPID(v string) error {
	pid, err := strconv.Atoi(v)
	if err != nil || pid <= 0 {
		return usagef("argument -p/--pid: invalid process id: '%s'", v)
	}
	a.pid = pid
	return nil
}

// parseCommand parses what follows the subcommand.
func (a *arguments) parseCommand(c *command, args []string) (*parser, error) {
	p := &parser{args: args, errorf: c.usagef, options: []*option{{short: "-h", long: "--help", help: c.helpText()}}}
	if c.why {
		p.options = append(p.options, &option{long: "--reason", set: text(&a.reason)})
	}
	if c.ends {
		p.options = append(p.options, &option{long: "--for", set: func(v string) (err error) {
			if a.forTime, err = time.ParseDuration(v); err != nil || a.forTime <= 0 {
				return c.usagef("argument --for: invalid time: '%s', want one such as 30m", v)
			}
			return nil
		}})
	}
	for found := false; ; {
		v, ok, err := p.next()
		switch {
		case err != nil:
			return nil, err
		case !ok && !found && !c.open:
			return nil, c.usagef("too few arguments")
		case !ok:
			return p, nil
		case found:
			p.unknown = append(p.unknown, v)
		case strings.Contains(v, "\n"):
			return nil, c.usagef("argument ident: %q contains a line end, which would begin another command", v)
		default:
			a.ident, found = v, true
		}
	}
}

// next returns the next argument that is not an option, after applying the
// options before it.
func (p *parser) next() (arg string, ok bool, err error) {
	for len(p.args) > 0 {
		arg, p.args = p.args[0], p.args[1:]
		switch {
		case p.rest || !isOption(arg):
			return arg, true, nil
		case arg == "--":
			p.rest = true
		default:
			if err := p.obey(arg); err != nil {
				return "", false, err
			}
		}
	}
	return "", false, nil
}

var negative = regexp.MustCompile(`^-\d+$|^-\d*\.\d+$`)

func isOption(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && !negative.MatchString(arg) &&
		(!strings.Contains(arg, " ") || strings.Contains(arg, "="))
}

func (p *parser) obey(arg string) error {
	o, value, has, err := p.match(arg)
	switch {
	case err != nil:
		return err
	case o == nil:
		p.unknown = append(p.unknown, arg)
		return nil
	case o.set == nil && has && strings.HasPrefix(arg, "--"):
		return p.errorf("argument %s: ignored explicit argument '%s'", o, value)
	case o.set == nil:
		return &helpWanted{o.help}
	case has:
		return o.set(value)
	case len(p.args) == 0 || p.args[0] != "-" && isOption(p.args[0]):
		return p.errorf("argument %s: expected one argument", o)
	}
	value, p.args = p.args[0], p.args[1:]
	return o.set(value)
}

// match returns the option that arg is, and the value that arg contains, if
// any.
func (p *parser) match(arg string) (o *option, value string, has bool, err error) {
	if !strings.HasPrefix(arg, "--") {
		for _, o := range p.options {
			if o.short != "" && strings.HasPrefix(arg, o.short) {
				value = strings.TrimPrefix(arg[2:], "=")
				return o, value, len(arg) > 2, nil
			}
		}
		return nil, "", false, nil
	}
	name, value, has := strings.Cut(arg, "=")
	var near []string
	for _, candidate := range p.options {
		if candidate.long == name {
			return candidate, value, has, nil
		}
		if strings.HasPrefix(candidate.long, name) {
			o = candidate
			near = append(near, candidate.long)
		}
	}
	if len(near) > 1 {
		return nil, "", false, p.errorf("ambiguous option: %s could match %s", name, strings.Join(near, ", "))
	}
	return o, value, has, nil
}
