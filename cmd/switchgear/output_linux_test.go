package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchgear-go/switchgear/cmd/internal/plain/plaintest"
	"github.com/switchgear-go/switchgear/ops"
)

// hostilePlane answers like an operations plane, with something hostile in
// every string of its answers.
func hostilePlane(refuses bool) http.Handler {
	var answers struct {
		Process      ops.Process
		Overview     ops.Overview
		Total        int          `json:"total"`
		Breakers     []ops.Status `json:"breakers"`
		Settings     ops.SettingsList
		Explanations []ops.Explanation `json:"explanations"`
		Histories    []ops.History     `json:"histories"`
		Plots        []ops.Plot        `json:"plots"`
		Receipt      ops.Receipt
		Error        *ops.Error `json:"error"`
		Events       [4]ops.Event
	}
	plaintest.Fill(&answers)
	answers.Receipt.Matched, answers.Receipt.Touched, answers.Receipt.Failed, answers.Receipt.Omitted = 2, 2, 0, 0
	answers.Receipt.Results[1].Error = "" // one fails, one does not
	answers.Receipt.Moves[0].To = 1
	answers.Events[0].Order, answers.Events[0].Override = nil, nil
	answers.Events[1].Transition, answers.Events[1].Override = nil, nil
	answers.Events[2].Transition, answers.Events[2].Order = nil, nil
	answers.Events[3].Transition, answers.Events[3].Override, answers.Events[3].Order = nil, nil, nil
	for i := range answers.Events {
		answers.Events[i].Seq = uint64(i + 1)
	}
	answers.Process.Breakers = 2
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v any = answers
		switch _, path, _ := strings.Cut(r.URL.Path, "/v1/"); path {
		case "process":
			v = answers.Process
		case "overview":
			v = answers.Overview
		case "settings":
			v = answers.Settings
		case "orders":
			v = answers.Receipt
		case "events":
			for _, e := range answers.Events {
				text, _ := json.Marshal(e)
				fmt.Fprintf(w, "id: 1\nevent: x\ndata: %s\n\n", text)
			}
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		if refuses && r.URL.Path != "/v1/process" {
			w.WriteHeader(http.StatusNotFound)
			v = map[string]any{"error": answers.Error}
		}
		_ = json.NewEncoder(w).Encode(v)
	})
}

// serveHostile makes a hostile process the only one on this host.
func serveHostile(t *testing.T, refuses bool) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sg") //nolint:usetesting // T.TempDir has the test's name in it, which is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("SWITCHGEAR_RUNTIME_DIR", dir)
	folder := filepath.Join(dir, "switchgear")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(folder, "4242.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: hostilePlane(refuses)}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close() })
	return socket
}

// commands are all commands that print something about other processes.
func commands(t *testing.T) [][]string {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	entry := ops.AuditEntry{}
	plaintest.Fill(&entry)
	text, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	return [][]string{
		{"ps"},
		{"ps", "--json"},
		{"status"},
		{"status", "--keys"},
		{"status", "--sort", "trips", "x"},
		{"status", "--json"},
		{"explain", "x"},
		{"explain", "x", "--json"},
		{"history", "x"},
		{"history", "x", "--json"},
		{"timeline"},
		{"timeline", "--json", "--id", "x"},
		{"timeline", "--html", "-"},
		{"notify", "--format", "\x1b[31m\u202e"},
		{"settings"},
		{"settings", "--diff"},
		{"settings", "x", "--json"},
		{"watch"},
		{"watch", "--json"},
		{"close", "x"},
		{"open", "x", "--json", "--yes", "2"},
		{"open", "x/*", "--yes", "1"},
		{"half-open", "x/*", "--yes", "2"},
		{"force-open", "*", "--no-expiry", "--reason", "r", "--dry-run"},
		{"force-closed", "x", "y", "--for", "1m", "--reason", "r", "--yes", "4"},
		{"release", "x", "--yes", "2", "--json"},
		{"set", "x", "fail_max=1", "--yes", "2"},
		{"close", "x/*", "--state", "open", "--yes", "2"},
		{"extend", "x", "30m", "--yes", "2"},
		{"note", "x", "\x1b[31m\u202e", "--yes", "2"},
		{"ack", "x", "--yes", "2"},
		{"mark", "\x1b[31m\u202e", "--yes", "2"},
		{"audit", "show", log},
		{"audit", "show", log, "--json"},
		{"audit", "verify", log},
		{"audit", "verify", log, "--json"},
		{"__complete", "explain", ""},
		{"__complete", "status", "-p", ""},
		{"status", "-p", "\x1b[31m\u202e"},
		{"status", "-p", "/no/\x1b[31m\u202e"},
		{"\x1b[31m\u202e"},
		{"set", "x", "\x1b[31m\u202e=1"},
		{"help"},
	}
}

// Whatever a process says, in whichever of its answers, nothing of it reaches
// the terminal unescaped: neither in tables nor in errors, remarks, prompts
// and JSON.
func TestEveryCommandPrintsPlainText(t *testing.T) {
	for _, refuses := range []bool{false, true} {
		serveHostile(t, refuses)
		shown := 0
		for _, words := range commands(t) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if words[0] == "watch" {
				time.AfterFunc(500*time.Millisecond, cancel)
			}
			var out, errs strings.Builder
			run(ctx, words, strings.NewReader(""), &out, &errs)
			cancel()
			what := fmt.Sprintf("%q, refused %t,", words, refuses)
			plaintest.Check(t, what, out.String())
			plaintest.Check(t, what+" on standard error", errs.String())
			if out.Len()+errs.Len() == 0 {
				t.Errorf("%s prints nothing", what)
			}
			if strings.Contains(out.String()+errs.String(), `\u202e`) {
				shown++
			}
			if words[len(words)-1] == "--json" && out.Len() > 0 && words[0] != "watch" && !json.Valid([]byte(out.String())) {
				t.Errorf("%s prints no JSON: %s", what, &out)
			}
		}
		if shown < 20 {
			t.Errorf("refused %t: %d commands show what is hostile as it is, want most of them", refuses, shown)
		}
	}
}

// The question for the person at a terminal is plain, too.
func TestPromptIsPlain(t *testing.T) {
	serveHostile(t, false)
	terminal, keys := openTerminal(t)
	go func() { _, _ = io.WriteString(keys, "2\n") }()
	var out, errs strings.Builder
	code := run(t.Context(), []string{"open", "x/*"}, terminal, &out, &errs)
	plaintest.Check(t, "the prompt", errs.String())
	plaintest.Check(t, "the receipt", out.String())
	if code != exitDone && code != exitRefused || !strings.Contains(errs.String(), "Type 2 to do it") || !strings.Contains(errs.String(), `\u202e`) {
		t.Errorf("exit %d, it asks:\n%s", code, &errs)
	}
}

// openTerminal returns a terminal, and where its keys are pressed.
func openTerminal(t *testing.T) (terminal, keys *os.File) {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("SKIP: needs a pseudoterminal: %v", err)
	}
	t.Cleanup(func() { keys.Close() })
	n, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		terminal, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return terminal, keys
}
