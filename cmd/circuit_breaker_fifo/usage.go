package main

import (
	"fmt"
	"strings"
)

const (
	program   = "circuit_breaker_fifo"
	cmdStatus = "status"
)

// command is a subcommand.
type command struct {
	name string
	help string
	open bool // the ident is optional
	why  bool // takes --reason
	ends bool // takes --for
}

var commands = []command{
	{cmdStatus, "show all breakers, or one", true, false, false},
	{"open", "open the circuit, until the reset timeout has passed", false, true, true},
	{"close", "close the circuit", false, true, false},
	{"half_open", "let the next call through as a probe", false, true, false},
	{"force_open", "reject every call, until another command", false, true, true},
	{"force_closed", "admit every call, until another command", false, true, true},
	{"release", "undo force_open and force_closed (Switchgear only)", false, true, false},
}

func find(name string) *command {
	for i := range commands {
		if commands[i].name == name {
			return &commands[i]
		}
	}
	return nil
}

func names(quote, sep string) string {
	var all []string
	for _, c := range commands {
		all = append(all, quote+c.name+quote)
	}
	return strings.Join(all, sep)
}

func usage() string {
	indent := strings.Repeat(" ", len("usage: ")+len(program)+1)
	return "usage: " + program + " [-h] [-i INPUT_PATH] [-o OUTPUT_PATH] [-p PID]\n" +
		indent + "[-c CONFIG]\n" +
		indent + "{" + names("", ",") + "}\n" +
		indent + "...\n"
}

func help() string {
	var b strings.Builder
	b.WriteString(usage())
	b.WriteString("\npositional arguments:\n  {" + names("", ",") + "}\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "    %-20s%s\n", c.name, c.help)
	}
	b.WriteString(`
optional arguments:
  -h, --help            show this help message and exit
  --version             show the version of this program and exit
  -i INPUT_PATH, --input-path INPUT_PATH
                        the pipe of the process, instead of the config's;
                        {pid} stands for PID
  -o OUTPUT_PATH, --output-path OUTPUT_PATH
                        its reply file, likewise
  -p PID, --pid PID     the id of the process
  -c CONFIG, --config CONFIG
                        the config file of the process
  --version             show the version of this program and exit
`)
	return b.String()
}

func (c *command) prog() string { return program + " " + c.name }

func (c *command) usage() string {
	s := "usage: " + c.prog() + " [-h]"
	if c.why {
		s += " [--reason TEXT]"
	}
	if c.ends {
		s += " [--for TIME]"
	}
	if c.open {
		return s + " [ident]\n"
	}
	return s + " ident\n"
}

func (c *command) helpText() string {
	s := c.usage() + "\n" + c.help + "\n\npositional arguments:\n  ident          the id of the breaker, or of a key: name/key\n" +
		"\noptional arguments:\n  -h, --help     show this help message and exit\n"
	if c.why {
		s += "  --reason TEXT  why, for the record (Switchgear only)\n"
	}
	if c.ends {
		s += "  --for TIME     for how long, such as 30m (Switchgear only)\n"
	}
	return s
}
