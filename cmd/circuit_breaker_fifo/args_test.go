package main

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	tests := []struct {
		line string // arguments between bars
		want arguments
	}{
		{"status", arguments{command: "status"}},
		{"status|", arguments{command: "status"}},
		{"status|a b", arguments{command: "status", ident: "a b"}},
		{"-c|breaker.conf|-p|1234|close|foo", arguments{config: "breaker.conf", pid: 1234, command: "close", ident: "foo"}},
		{"-i/a|-o=/b|open|x", arguments{input: "/a", output: "/b", command: "open", ident: "x"}},
		{"--in|/a|--output-path=/b=c|--p|7|--conf=x|half_open|x", arguments{input: "/a", output: "/b=c", pid: 7, config: "x", command: "half_open", ident: "x"}},
		{"-i|/a|-i|/b|status", arguments{input: "/b", command: "status"}},
		{"force_open|x|--reason|disk full|--for|30m", arguments{command: "force_open", ident: "x", reason: "disk full", forTime: 30 * time.Minute}},
		{"force_closed|--for=1h|--rea=|x", arguments{command: "force_closed", ident: "x", forTime: time.Hour}},
		{"release|--reason|x|t/1", arguments{command: "release", reason: "x", ident: "t/1"}},
		{"open|--|-x", arguments{command: "open", ident: "-x"}},
		{"open|-5", arguments{command: "open", ident: "-5"}},
		{"open|-", arguments{command: "open", ident: "-"}},
		{"open|- a", arguments{command: "open", ident: "- a"}},
		{"open|", arguments{command: "open"}},
		{"--|open|x", arguments{command: "open", ident: "x"}},
		{"open|('p', 'q')", arguments{command: "open", ident: "('p', 'q')"}},
	}
	for _, tt := range tests {
		got, err := parse(strings.Split(tt.line, "|"))
		if err != nil || !reflect.DeepEqual(*got, tt.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", tt.line, got, err, tt.want)
		}
	}
}

const usageOfAll = `usage: circuit_breaker_fifo [-h] [-i INPUT_PATH] [-o OUTPUT_PATH] [-p PID]
                            [-c CONFIG]
                            {status,open,close,half_open,force_open,force_closed,release}
                            ...
`

func TestUsage(t *testing.T) {
	choices := "'status', 'open', 'close', 'half_open', 'force_open', 'force_closed', 'release'"
	tests := []struct{ line, want string }{
		{"-p|1", usageOfAll + "circuit_breaker_fifo: error: too few arguments\n"},
		{"explode", usageOfAll + "circuit_breaker_fifo: error: invalid choice: 'explode' (choose from " + choices + ")\n"},
		{"status|a|b|c", usageOfAll + "circuit_breaker_fifo: error: unrecognized arguments: b c\n"},
		{"status|-i|/a", usageOfAll + "circuit_breaker_fifo: error: unrecognized arguments: -i\n"},
		{"status|--reason|x", usageOfAll + "circuit_breaker_fifo: error: unrecognized arguments: --reason\n"},
		{"--nope|status", usageOfAll + "circuit_breaker_fifo: error: unrecognized arguments: --nope\n"},
		{"-i", usageOfAll + "circuit_breaker_fifo: error: argument -i/--input-path: expected one argument\n"},
		{"-i|-o|x|status", usageOfAll + "circuit_breaker_fifo: error: argument -i/--input-path: expected one argument\n"},
		{"-p|x|status", usageOfAll + "circuit_breaker_fifo: error: argument -p/--pid: invalid process id: 'x'\n"},
		{"--help=x", usageOfAll + "circuit_breaker_fifo: error: argument -h/--help: ignored explicit argument 'x'\n"},
		{"status", usageOfAll + "circuit_breaker_fifo: error: no input path, want -i/--input-path or -c/--config\n"},
		{"-i|/a|status", usageOfAll + "circuit_breaker_fifo: error: no output path, want -o/--output-path or -c/--config\n"},
		{"-i|/{pid}|-o|/b|status", usageOfAll + "circuit_breaker_fifo: error: /{pid} and /b need the id of the process, want -p/--pid\n"},
		{"open", "usage: circuit_breaker_fifo open [-h] [--reason TEXT] [--for TIME] ident\ncircuit_breaker_fifo open: error: too few arguments\n"},
		{"close|-x", "usage: circuit_breaker_fifo close [-h] [--reason TEXT] ident\ncircuit_breaker_fifo close: error: too few arguments\n"},
		{"status|x\nopen y", "usage: circuit_breaker_fifo status [-h] [ident]\ncircuit_breaker_fifo status: error: argument ident: \"x\\nopen y\" contains a line end, which would begin another command\n"},
		{"open|x|--for|soon", "usage: circuit_breaker_fifo open [-h] [--reason TEXT] [--for TIME] ident\ncircuit_breaker_fifo open: error: argument --for: invalid time: 'soon', want one such as 30m\n"},
		{"release|x|--for|1h", usageOfAll + "circuit_breaker_fifo: error: unrecognized arguments: --for 1h\n"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		code := run(strings.Split(tt.line, "|"), &stdout, &stderr)
		if code != exitUsage || stdout.Len() > 0 || stderr.String() != tt.want {
			t.Errorf("%q: exit %d, stdout %q\nstderr %s\n  want %s", tt.line, code, &stdout, &stderr, tt.want)
		}
	}
}

func TestHelp(t *testing.T) {
	for line, want := range map[string]string{
		"-h":             usageOfAll + "\npositional arguments:\n",
		"-i|x|--he|open": usageOfAll,
		"--version":      "circuit_breaker_fifo development build (",
		"status|-h":      "usage: circuit_breaker_fifo status [-h] [ident]\n\nshow all breakers, or one\n",
		"release|--help": "usage: circuit_breaker_fifo release [-h] [--reason TEXT] ident\n",
	} {
		var stdout, stderr bytes.Buffer
		code := run(strings.Split(line, "|"), &stdout, &stderr)
		if code != exitDone || stderr.Len() > 0 || !strings.HasPrefix(stdout.String(), want) {
			t.Errorf("%s: exit %d, stderr %q, stdout\n%s", line, code, &stderr, &stdout)
		}
	}
	if _, _, _, err := (&parser{args: []string{"--a"}, errorf: usagef, options: []*option{{long: "--ab"}, {long: "--ac"}}}).match("--a"); err == nil {
		t.Error("an ambiguous beginning was accepted")
	}
}

func TestVersion(t *testing.T) {
	var help *helpWanted
	if _, err := parse([]string{"--version"}); !errors.As(err, &help) || !strings.HasPrefix(help.text, program+" ") || !strings.Contains(help.text, runtime.Version()) {
		t.Errorf("%v, want the version", err)
	}
}
