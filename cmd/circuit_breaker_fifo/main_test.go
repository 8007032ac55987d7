//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/switchgear-go/switchgear/adapters/breakerconf"
	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain/plaintest"
)

// conf writes a config file and returns its path.
func conf(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "breaker.conf")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const paths = "[pybreaker]\n    input_path = DIR/{pid}.in\n    output_path = DIR/{pid}.out\n"

// What PyBreaker's documentation shows, with the program and a process.
func TestRun(t *testing.T) {
	path := conf(t, paths+"reset_timout = 60\n[breaker foo]\n[breaker two words]\n")
	app, err := breakerconf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	dir, pid := filepath.Dir(path), strconv.Itoa(os.Getpid())
	in, out := dir+"/{pid}.in", dir+"/{pid}.out"
	tests := []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"-c", path, "-p", pid, "close", "foo"}, exitDone, "Changed `foo` state\n", ""},
		{[]string{"-c", path, "-p", pid, "force_open", "foo"}, exitDone, "Changed `foo` state\n", ""},
		{[]string{"-c", path, "-p", pid, "status"}, exitDone, "" +
			"       id          state    time until half_open    failure count    failures until open\n" +
			"      foo    forced_open                    None                0                   None\n" +
			"two words         closed                    None                0                      5\n", ""},
		{[]string{"-i", in, "-o", out, "-p", pid, "status", "foo"}, exitDone, "" +
			" id          state    time until half_open    failure count    failures until open\n" +
			"foo    forced_open                    None                0                   None\n", ""},
		{[]string{"-c", path, "-p", pid, "release", "foo"}, exitDone, "Changed `foo` state\n", ""},
		{[]string{"-c", path, "-p", pid, "status", "foo"}, exitDone, "" +
			" id     state    time until half_open    failure count    failures until open\n" +
			"foo    closed                    None                0                      5\n", ""},
		{[]string{"-c", path, "-p", pid, "open", "two words"}, exitDone, "Changed `two words` state\n", ""},
		{[]string{"-c", path, "-p", pid, "close", "two words "}, exitDone, "Changed `two words` state\n", ""},
		{[]string{"-c", path, "-p", pid, "status", "nosuch"}, exitFailed, "Invalid identifier: nosuch\n", ""},
		{[]string{"-c", path, "-p", pid, "open", ""}, exitFailed, "Invalid identifier: \n", ""},
		{[]string{"-c", path, "-p", "1", "status"}, exitFailed, "No input pipe/file found at " + dir + "/1.in. Are you sure you specified the correct path or config, and the correct pid?\n", ""},
		{[]string{"-c", path, "-i", dir + "/none-{pid}", "-p", "7", "status"}, exitFailed, "No input pipe/file found at " + dir + "/none-7. Are you sure you specified the correct path or config, and the correct pid?\n", ""},
		{[]string{"-c", "/no/such.conf", "status"}, exitFailed, "", "circuit_breaker_fifo: error: breakerconf: open /no/such.conf: no such file or directory: want a file with a section [pybreaker]\n"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		code := run(tt.args, &stdout, &stderr)
		if code != tt.code || stdout.String() != tt.stdout || stderr.String() != tt.stderr {
			t.Errorf("%q: exit %d\n%s%s\nwant exit %d\n%s%s", tt.args, code, &stdout, &stderr, tt.code, tt.stdout, tt.stderr)
		}
	}
}

func TestRunReason(t *testing.T) {
	path := conf(t, paths+"[breaker foo]\n")
	app, err := breakerconf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	var stdout, stderr bytes.Buffer
	code := run([]string{"-c", path, "-p", strconv.Itoa(os.Getpid()), "force_open", "foo", "--reason", "the bank is down", "--for", "30m"}, &stdout, &stderr)
	if code != exitDone {
		t.Fatalf("exit %d, %s", code, &stderr)
	}
	o := app.Manager.Breaker("foo").Status().Override
	if o == nil || o.Reason != "the bank is down" || o.Expires.Sub(o.Since).Round(time.Second) != 30*time.Minute || !strings.HasSuffix(o.Actor, fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Errorf("override is %+v", o)
	}
}

// A process whose manager only knows PyBreaker's commands.
func TestRunReference(t *testing.T) {
	path := conf(t, paths)
	dir := filepath.Dir(path)
	in, out := dir+"/9.in", dir+"/9.out"
	if err := syscall.Mkfifo(in, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(in, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(f); lines.Scan() && lines.Text() != "end"; {
			text := "ERROR\nInvalid command: " + lines.Text() + "\n"
			if lines.Text() == "close foo" {
				text = "SUCCESS\nChanged `foo` state\n"
			}
			os.WriteFile(out, []byte(text), 0o666)
		}
	}()
	defer func() {
		f.WriteString("end\n")
		<-done
		f.Close()
	}()
	tests := []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"close", "foo"}, exitDone, "Changed `foo` state\n", ""},
		{[]string{"close", "foo", "--reason", "x"}, exitFailed, "", "circuit_breaker_fifo: error: fifo: the other side does not know this order: it speaks PyBreaker's protocol, without release, reason and expiry; nothing was changed\n"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"-c", path, "-p", "9"}, tt.args...), &stdout, &stderr)
		if code != tt.code || stdout.String() != tt.stdout || stderr.String() != tt.stderr {
			t.Errorf("%q: exit %d\n%s%s\nwant exit %d\n%s%s", tt.args, code, &stdout, &stderr, tt.code, tt.stdout, tt.stderr)
		}
	}
}

// A process that has ended and left its pipe is named, not waited for.
func TestRunDead(t *testing.T) {
	path := conf(t, paths)
	in := filepath.Join(filepath.Dir(path), "999999999.in")
	if err := syscall.Mkfifo(in, 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	from := time.Now()
	code := run([]string{"-c", path, "-p", "999999999", "force_open", "foo"}, &stdout, &stderr)
	want := "circuit_breaker_fifo: error: fifo: no process reads the pipe " + in + ": its process has ended (there is no process 999999999)\n"
	if code != exitFailed || stdout.Len() > 0 || stderr.String() != want || time.Since(from) > 2*time.Second {
		t.Errorf("exit %d after %s, %s%s\nwant %s", code, time.Since(from), &stdout, &stderr, want)
	}
}

func TestCommandsAreVerbs(t *testing.T) {
	for _, v := range []breaker.Verb{breaker.VerbOpen, breaker.VerbClose, breaker.VerbHalfOpen, breaker.VerbForceOpen, breaker.VerbForceClosed, breaker.VerbRelease} {
		if find(strings.ReplaceAll(string(v), "-", "_")) == nil {
			t.Errorf("no subcommand %s", v)
		}
	}
}

// Whatever the other end of the pipe answers, nothing of it reaches the
// terminal unescaped.
func TestReplyIsPrintedPlain(t *testing.T) {
	dir := t.TempDir()
	in, out := dir+"/in", dir+"/out"
	if err := syscall.Mkfifo(in, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(in, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	hostile := strings.ReplaceAll(strings.ToValidUTF8(plaintest.Hostile, ""), "\n", " ")
	head := " id    state    time until half_open    failure count    failures until open"
	row := hostile + "    open                 0:30:00                5                   None"
	wide := max(utf8.RuneCountInString(head), utf8.RuneCountInString(row))
	pad := func(s string) string { return strings.Repeat(" ", wide-utf8.RuneCountInString(s)) + s }
	go func() {
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			reply := "ERROR\nInvalid command: " + lines.Text() + "\n"
			switch {
			case strings.HasPrefix(lines.Text(), "status"):
				reply = "SUCCESS\n" + pad(head) + "\n" + pad(row) + "\n"
			case strings.HasPrefix(lines.Text(), "switchgear-order"):
				text, _ := json.Marshal(map[string]any{"error": map[string]string{"code": "order", "message": hostile}})
				reply = "ERROR\n" + string(text) + "\n"
			}
			tmp := out + ".tmp"
			if os.WriteFile(tmp, []byte(reply), 0o600) == nil {
				_ = os.Rename(tmp, out)
			}
		}
	}()
	for _, words := range [][]string{{"status"}, {"force_open", "x", "--reason", "r"}, {"release", "x"}, {"no\x1b[2Jsuch", "x"}, {"-c", "/no/\u202e\x1b[2J", "status"}} {
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"-i", in, "-o", out}, words...), &stdout, &stderr)
		what := fmt.Sprintf("%q", words)
		plaintest.Check(t, what, stdout.String())
		plaintest.Check(t, what+" on standard error", stderr.String())
		if all := stdout.String() + stderr.String(); !strings.Contains(all, `\x1b`) {
			t.Errorf("%s: exit %d, and it does not show what is hostile:\n%s", what, code, all)
		}
	}
}

// An output that cannot be written is an error.
func TestOutputCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("SKIP: needs /dev/full")
	}
	defer full.Close()
	var stderr bytes.Buffer
	if code := run([]string{"--help"}, full, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "the output cannot be written") {
		t.Errorf("exit %d: %s", code, &stderr)
	}
}
