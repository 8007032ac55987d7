//go:build linux

package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// still removes from a text what differs from run to run.
func still(text string) string {
	for _, r := range [][2]string{
		{`\b\d+(\.\d+)?(ms|µs)\b`, "0ms"},
		{`\b\d\d:\d\d:\d\d\.\d\d\d`, "hh:mm:ss.mmm"},
		{`\b(59m5\ds|1h0m0s|1h\b)`, "59m59s"},
		{`\b\d(\.\d+)?s\b`, "0ms"},
	} {
		text = regexp.MustCompile(r[0]).ReplaceAllString(text, r[1])
	}
	text = regexp.MustCompile(`(?m)^ +`).ReplaceAllString(text, "")
	return regexp.MustCompile(` {2,}`).ReplaceAllString(text, "  ") // widths follow the times
}

func compare(t *testing.T, what, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

func TestStatusExplainHistory(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.shop("shop")
	compare(t, "status", still(h.ok("status")), `
ID  STATE  AUTO  SINCE  NEXT  TRIPS/24h  WHY
payments  OPEN  0ms  probe in 59m59s  1  5 failures in a row; last error: connection refused
ledger/*  3 keys: 1 forced-open, 2 closed
ledger/eu-2  FORCED-OPEN  closed  0ms  until released  by ana: "INC-42 vendor maintenance"
search  closed  2 failed in a row, opens at 5
`)
	compare(t, "status of a set by id", still(h.ok("status", "ledger/*", "--sort", "id")), `
ID  STATE  AUTO  SINCE  NEXT  WHY
ledger/eu-1  closed
ledger/eu-2  FORCED-OPEN  closed  0ms  until released  by ana: "INC-42 vendor maintenance"
ledger/us-1  closed
`)
	compare(t, "explain", still(h.ok("explain", "payments")), `
payments has been open for 0ms: 5 failures in a row; last error: connection refused. Every call is rejected; a probe may run in 59m59s.
error: connection refused (3 times), trace https://traces.example/4bf9%202f
owner: team payments
runbook: https://runbooks.example/payments
`)
	compare(t, "history", still(h.ok("history", "payments")), `
TIME  FROM  TO  WHY
hh:mm:ss.mmm  closed  OPEN  5 failures in a row; last error: connection refused; open for 59m59s
`)
	compare(t, "history of a quiet one", h.ok("history", "search"), "search has always been closed.\n")
	ps := fmt.Sprintf(`
PID  SERVICE  UP  BREAKERS  STATES  OVERRIDES  PATH
%d  shop  0ms  5  1 open, 1 forced-open  1  %s
`, s.PID, s.Socket)
	if os.Geteuid() == 0 {
		ps = strings.NewReplacer("PID  ", "PID  USER  ", "  shop", "  root  shop").Replace(ps)
	}
	compare(t, "ps", still(h.ok("ps")), ps)
}

func TestOrdersSayWhatTheyChanged(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	compare(t, "force-closed", h.ok("force-closed", "payments", "--for", "30m", "--reason", "vendor says it is back"), `
ID        BEFORE  AFTER          VERSION
payments  OPEN    FORCED-CLOSED        3
`)
	if got := h.ok("status", "payments"); !hasAll(got, []string{"FORCED-CLOSED", "by tess", "ends in 29m", `"vendor says it is back"`}) {
		t.Errorf("status after force-closed:\n%s", got)
	}
	compare(t, "release", h.ok("release", "payments"), `
ID        BEFORE         AFTER      VERSION
payments  FORCED-CLOSED  HALF-OPEN        4
`)
	compare(t, "release again", h.ok("release", "payments"), `
ID        BEFORE     AFTER      VERSION
payments  HALF-OPEN  HALF-OPEN        4
No change: it was so already.
`)
	h.fails(1, args("close", "payments", "--if-version", "3"), "is at version 4", "was for 3")
	h.ok("close", "payments", "--if-version", "4")

	compare(t, "set", h.ok("set", "search", "fail_max=10", "failure_rate=0.5"), `
ID      BEFORE  AFTER   VERSION  CHANGED
search  closed  closed        2  fail_max 5 -> 10, failure_rate off -> 0.5
`)
	if got := h.ok("status", "search"); !strings.Contains(got, "opens at 10") {
		t.Errorf("status after set:\n%s", got)
	}
	compare(t, "set back", h.ok("set", "search", "failure_rate=0", "fail_max=off", "--dry-run"), `
ID      BEFORE  AFTER   VERSION  CHANGED
search  closed  closed        2  fail_max 10 -> off, failure_rate 0.5 -> off
Nothing was changed: 1 of 1 would be.
`)
}

func TestOrdersForManyNeedTheirNumber(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	force := args("force-open", "ledger/*", "--no-expiry", "--reason", "INC-43")
	h.fails(1, force, "this applies to 3 breakers (3 in shop/", "--yes 3")
	h.fails(1, append(force, "--yes", "2"), "this applies to 3 breakers now", "nothing was changed")
	if got := h.ok("status", "ledger/eu-1"); !strings.Contains(got, "closed") {
		t.Errorf("an order that was refused changed something:\n%s", got)
	}
	compare(t, "dry run", h.ok(append(force, "--dry-run")...), `
ID           BEFORE       AFTER        VERSION
ledger/eu-1  closed       FORCED-OPEN        1
ledger/us-1  closed       FORCED-OPEN        1
ledger/eu-2  FORCED-OPEN  FORCED-OPEN        2
2 closed -> forced-open, 1 stays forced-open.
Nothing was changed: 3 of 3 would be.
Note: keys that ledger creates later are not affected: they begin closed, without an override.
`)
	if got := h.ok(append(force, "--yes", "3")...); !strings.Contains(got, "Changed 3 of 3.") {
		t.Errorf("force-open ledger/*:\n%s", got)
	}
}

func TestSeveralProcesses(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	a, b := h.shop("shop"), h.shop("desk")
	if got := h.ok("status"); !hasAll(got, []string{fmt.Sprintf("shop/%d", a.PID), fmt.Sprintf("desk/%d", b.PID), "PROCESS"}) {
		t.Errorf("status:\n%s", got)
	}
	h.fails(2, args("close", "payments", "--if-version", "2", "-p", strconv.Itoa(a.PID), "-p", strconv.Itoa(b.PID)), "--if-version is for one breaker")
	// The same id in two processes is two breakers.
	h.fails(1, args("close", "payments"), "2 breakers", "1 in shop/", "1 in desk/", "--yes 2")
	h.ok("close", "payments", "-p", "shop")
	if got := h.ok("explain", "payments"); !hasAll(got, []string{
		fmt.Sprintf("shop/%d: payments has been closed", a.PID), fmt.Sprintf("desk/%d: payments has been open", b.PID),
	}) {
		t.Errorf("explain:\n%s", got)
	}
	if got := h.ok("open", "payments", "--yes", "2"); !strings.Contains(got, "Changed 2 of 2.") {
		t.Errorf("open in both:\n%s", got)
	}
}

func TestEveryEndpointWorks(t *testing.T) {
	t.Parallel()
	s := startShop(t, shortTemp(t), "shop")
	h := newHost(t) // where it is not found
	for _, endpoint := range []string{s.Socket, s.URL, "pipe:" + s.In, s.In, "pipe:" + s.In + "," + s.Out} {
		if got := h.ok("status", "-p", endpoint); !hasAll(got, []string{"payments", "OPEN", "eu-2", "FORCED-OPEN"}) {
			t.Errorf("status -p %s:\n%s", endpoint, got)
		}
		if got := h.ok("half-open", "payments", "-p", endpoint, "--reason", "a look"); !strings.Contains(got, "HALF-OPEN") {
			t.Errorf("half-open -p %s:\n%s", endpoint, got)
		}
		if got := h.ok("open", "payments", "-p", endpoint); !strings.Contains(got, "OPEN") {
			t.Errorf("open -p %s:\n%s", endpoint, got)
		}
		if got := h.ok("explain", "payments", "-p", endpoint); !strings.Contains(got, "opened by") {
			t.Errorf("explain -p %s:\n%s", endpoint, got)
		}
		if got := h.ok("history", "payments", "-p", endpoint); !strings.Contains(got, "a look") {
			t.Errorf("history -p %s:\n%s", endpoint, got)
		}
		h.fails(1, args("force-closed", "ledger/*", "-p", endpoint, "--for", "1m", "--reason", "drill"), "this applies to 3 breakers")
		if got := h.ok("force-closed", "ledger/*", "-p", endpoint, "--for", "1m", "--reason", "drill", "--yes", "3"); !strings.Contains(got, "of 3.") {
			t.Errorf("force-closed ledger/* -p %s:\n%s", endpoint, got)
		}
		if got := h.ok("set", "search", "-p", endpoint, "fail_max=7", "--dry-run"); !hasAll(got, []string{"fail_max 5 -> 7", "1 of 1 would be"}) {
			t.Errorf("set -p %s:\n%s", endpoint, got)
		}
		h.fails(1, args("close", "search", "-p", endpoint, "--if-version", "99"), "the order was for 99")
		h.fails(1, args("close", "serch", "-p", endpoint), `did you mean`)
		h.ok("force-open", "ledger/eu-2", "-p", endpoint, "--no-expiry", "--reason", "INC-42 vendor maintenance")
	}
	h.fails(1, args("close", "payments", "-p", s.Locked), "read-only")
	h.fails(1, args("watch", "-p", s.In), "a pipe has no events")
	h.fails(3, args("status", "-p", "pipe:"+s.In+"x,"+s.Out), "no input pipe")
	h.fails(3, args("status", "-p", s.Socket+"x"), "there is no such socket")
	h.fails(3, args("status", "-p", "http://127.0.0.1:1/"), "connection refused")
}

func TestExitCodesOfErrors(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.fails(3, args("status"), "no process of this host has a switchgear socket")
	h.fails(3, args("ps"), "no process of this host")
	h.shop("shop")
	for _, tt := range []struct {
		code  int
		args  []string
		words []string
	}{
		{1, args("explain", "paymets"), args(`unknown breaker "paymets"`, "payments")},
		{1, args("explain", "ledger"), args(`"ledger"`, "ledger/*")},
		{1, args("close", "ledger/eu-9"), args("ledger/eu-9", "ledger/eu-1")},
		{1, args("set", "nosuch", "fail_max=1"), args("nosuch")},
		{1, args("set", "search", "reset_max=1s"), args("ResetMax", "at least ResetTimeout")},
		{2, args("nosuch"), args(`unknown command "nosuch"`, "switchgear --help")},
		{2, args("stauts"), args(`unknown command "stauts"`, "did you mean status")},
		{2, args("audit", "verfy"), args(`unknown command "verfy"`, "verify")},
		{2, args("status", "--nosuch"), args("unknown flag: --nosuch", "switchgear status --help")},
		{2, args("status", "--sort", "colour"), args("--sort colour", "worst")},
		{2, args("explain"), args("needs the id of a breaker")},
		{2, args("explain", "a", "b"), args("no more", `"b"`)},
		{2, args("close"), args("needs the id of a breaker", "name/*")},
		{2, args("force-open", "payments", "--reason", "x"), args("--for 30m", "--no-expiry")},
		{2, args("force-open", "payments", "--reason", "x", "--for", "1m", "--no-expiry"), args("one of them")},
		{2, args("force-closed", "payments", "--for", "1m"), args("--reason")},
		{2, args("force-closed", "payments", "--for", "5"), args("--for", "missing unit")},
		{2, args("force-closed", "payments", "--for", "-5m", "--reason", "x"), args("--for -5m", "above 0")},
		{2, args("close", "payments", "--for", "1m"), args("unknown flag: --for")},
		{2, args("set", "payments"), args("KEY=VALUE")},
		{2, args("set", "payments", "fail_max"), args("KEY=VALUE")},
		{2, args("set", "payments", "fail_mux=1"), args("fail_mux", `did you mean "fail_max"`)},
		{2, args("set", "payments", "window=10"), args("window", "10s")},
		{2, args("set", "payments", "fail_max=1", "fail_max=2"), args("fail_max appears twice")},
		{2, args("close", "ledger/*", "--if-version", "1", "--yes", "9"), args("wildcard")},
		{2, args("history", "payments", "-n", "0"), args("-n 0", "1 or more")},
		{2, args("history", "payments", "-n", "-1"), args("-n -1", "1 or more")},
		{2, args("history", "payments", "--lines=-9223372036854775808"), args("1 or more")},
		{2, args("status", "--timeout", "0"), args("--timeout", "above 0")},
		{2, args("status", "--timeout", "-3s"), args("--timeout -3s", "above 0")},
		{2, args("status", "-p", ""), args("-p without a process")},
		{2, args("close", "ledger/*", "--yes", "-1"), args("--yes -1", "the number")},
		{2, args("open", "payments", "--for", "0s"), args("--for 0s", "above 0")},
		{2, args("open", "payments", "--for", "-1m"), args("--for -1m", "above 0")},
		{2, args("close", "payments", "--if-version", "0"), args("--if-version 0", "at least 1")},
		{2, args("demo", "--for", "-1s"), args("--for -1s", "above 0")},
		{2, args("top", "--json"), args("watch --json")},
		{2, args("top"), args("needs a terminal")},
		{2, args("demo", "now"), args("now")},
		{3, args("status", "-p", "1"), args("no socket of process 1", "shop/")},
		{3, args("status", "-p", "desk"), args("no service called desk", "shop/")},
		{2, args("status", "-p", "pipe:/x/y"), args("pipe:/x/y,REPLY")},
		{1, args("audit", "verify", "/nosuch"), args("/nosuch", "no such file")},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			t.Parallel()
			(&host{t: t, dir: h.dir}).fails(tt.code, tt.args, tt.words...)
		})
	}
}

func TestDeadAndStoppedProcessesAreNamedInBoundedTime(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	dead, stopped := h.shop("dead"), h.shop("stopped")
	if err := dead.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.cmd.Wait()
	stop(t, stopped)
	isGone, isStopped := fmt.Sprintf("process %d is gone", dead.PID), fmt.Sprintf("process %d does not answer: the process is stopped", stopped.PID)
	// Some did not answer: the exit code is the same for all queries.
	for _, words := range [][]string{args("status"), args("explain", "payments"), args("history", "payments"), args("status", "--json"), args("status", "payments")} {
		began := time.Now()
		r := h.run(words...)
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("%q took %s beside a stopped process", words, took)
		}
		if r.code != 4 || r.out == "" || !hasAll(r.errOut, []string{isGone, isStopped}) {
			t.Errorf("%q: exit %d, want 4, the breakers that answer, and the names of the two that do not\n%s%s", words, r.code, r.out, r.errOut)
		}
	}
	if r := h.run("explain", "nosuch"); r.code != 4 || !hasAll(r.errOut, []string{`unknown breaker "nosuch"`, isStopped}) {
		t.Errorf("an id that none of those that answer knows: exit %d, want 4\n%s%s", r.code, r.out, r.errOut)
	}
	// The order was carried out in all processes that have the id, as far as
	// they answer.
	if r := h.run("close", "payments"); r.code != 0 || !strings.Contains(r.out, "closed") || !strings.Contains(r.errOut, isStopped) {
		t.Errorf("close: exit %d, want 0, and the name of the one that was not asked\n%s%s", r.code, r.out, r.errOut)
	}
	h.fails(3, args("close", "payments", "-p", strconv.Itoa(dead.PID)), isGone+" and left its socket")
	h.fails(3, args("close", "payments", "-p", strconv.Itoa(stopped.PID)), isStopped)
	h.fails(3, args("status", "-p", strconv.Itoa(stopped.PID)), isStopped)
	// Of two processes that are named, one is there: a query shows its answer,
	// but an order is not given to only one of them.
	both := args("-p", "shop", "-p", strconv.Itoa(stopped.PID))
	if r := h.run(append(args("status"), both...)...); r.code != 4 || !strings.Contains(r.out, "payments") || !strings.Contains(r.errOut, isStopped) {
		t.Errorf("status of two: exit %d, want 4\n%s%s", r.code, r.out, r.errOut)
	}
	if r := h.run(append(args("open", "payments"), both...)...); r.code != 3 || r.out != "" || !strings.Contains(r.errOut, isStopped) {
		t.Errorf("open in two: exit %d, want 3\n%s%s", r.code, r.out, r.errOut)
	}
	if got := h.run("status", "payments", "-p", "shop").out; !strings.Contains(got, "closed") {
		t.Errorf("an order that was refused changed something:\n%s", got)
	}
	if r := h.run("ps"); r.code != 4 || !hasAll(r.out, []string{"the process is stopped", "the process is gone and left its socket, which was removed"}) || r.errOut != "" {
		t.Errorf("ps: exit %d, want 4\n%s%s", r.code, r.out, r.errOut)
	}
	if r := h.run("ps"); strings.Contains(r.out, "is gone") {
		t.Errorf("what was removed is still listed:\n%s", r.out)
	}
}

// If nothing answers, the exit code says so.
func TestNothingAnswers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.shop("shop")
	stop(t, s)
	for _, words := range [][]string{args("status"), args("explain", "payments"), args("history", "payments"), args("close", "payments")} {
		r := h.run(words...)
		if r.code != 3 || r.out != "" || !hasAll(r.errOut, args("the process is stopped", "no process of this host answers")) {
			t.Errorf("%q: exit %d, want 3\n%s%s", words, r.code, r.out, r.errOut)
		}
	}
	if r := h.run("ps"); r.code != 3 || !strings.Contains(r.out, "the process is stopped") || !strings.Contains(r.errOut, "no process of this host answers") {
		t.Errorf("ps: exit %d, want 3\n%s%s", r.code, r.out, r.errOut)
	}
}

// stop stops a shop, as Ctrl-Z does, and waits until it has stopped.
func stop(t *testing.T, s *shop) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	limit := time.After(10 * time.Second)
	for {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.PID))
		if err == nil && strings.Contains(string(text), ") T ") {
			return
		}
		select {
		case <-limit:
			t.Fatalf("it does not stop: %s, %v", text, err)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestJSONForPrograms(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	for _, tt := range []struct {
		args []string
		want string // a piece of it
	}{
		{args("ps", "--json"), `"service": "shop"`},
		{args("status", "--json"), `"id": "ledger/eu-1"`},
		{args("status", "payments", "--json"), `"state": "open"`},
		{args("explain", "payments", "--json"), `"explain": "payments has been open`},
		{args("explain", "payments", "--json"), `"why": "5 failures in a row`},
		{args("explain", "payments", "--json"), `"next": "Every call is rejected; a probe may run`},
		{args("history", "payments", "--json"), `"cause": "consecutive-failures"`},
		{args("release", "ledger/*", "--yes", "3", "--json"), `"after": "closed"`},
		{args("set", "search", "fail_max=7", "--json"), `"fail_max": 7`},
	} {
		got := h.ok(tt.args...)
		if !json.Valid([]byte(got)) || !strings.Contains(got, tt.want) {
			t.Errorf("switchgear %q:\n%swant JSON with %s", tt.args, got, tt.want)
		}
	}
}

func TestWatchPrintsEachChange(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	for _, extra := range [][]string{nil, {"--json"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		cmd := h.command(ctx, append([]string{"watch", "search"}, extra...)...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		errs, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		remarks := linesOf(t, errs)
		remarks.await("watching 1 process")
		events := linesOf(t, out)
		for !events.has("search") { // the stream may begin a little later
			h.ok("close", "payments") // not asked for
			h.ok("open", "search", "--reason", "a test")
		}
		line := events.await("search", "open", "tess", "a test")
		if extra != nil && !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
		if events.saw("payments") {
			t.Errorf("it showed payments, which was not requested")
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("Ctrl-C: %v, want exit 0", err)
		}
	}
}

func TestAuditVerify(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.shop("shop")
	h.ok("close", "payments", "--reason", "one")
	h.ok("open", "payments", "--reason", "two")
	h.ok("close", "payments", "--reason", "three")
	if got := h.ok("audit", "verify", s.Audit); !hasAll(got, []string{"6 orders verified", "Starts of the process: 1.", "The last hash is "}) { // dry runs are recorded, too
		t.Errorf("audit verify:\n%s", got)
	}
	text, err := os.ReadFile(s.Audit)
	if err != nil {
		t.Fatal(err)
	}
	forged := filepath.Join(shortTemp(t), "forged")
	if err := os.WriteFile(forged, []byte(strings.Replace(string(text), "two", "2wo", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := h.run("audit", "verify", forged); r.code != 5 || !hasAll(r.errOut, []string{forged, "line 4"}) {
		t.Errorf("audit verify of a forged log: exit %d, want 5 and the line\n%s%s", r.code, r.out, r.errOut)
	}
	// A rotated log is several files, and must reach the end that was kept.
	lines := strings.SplitAfter(string(text), "\n")
	var files []string
	for i, part := range [][]string{lines[:3], lines[3:5], lines[5:]} {
		files = append(files, filepath.Join(filepath.Dir(forged), fmt.Sprint("audit.", i)))
		if err := os.WriteFile(files[i], []byte(strings.Join(part, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := args("audit", "verify")
	if got := h.ok(append(verify, append(files, "--end", "7")...)...); !hasAll(got, []string{"6 orders verified", "its number 7."}) {
		t.Errorf("audit verify of three files:\n%s", got)
	}
	for _, tt := range []struct {
		args []string
		code int
		says []string
	}{
		{args(files[1], files[0], files[2]), 5, args(files[0], "line 1 does not follow")},
		{args(files[0], files[2]), 5, args(files[2], "line 1 does not follow")},
		{args(files[0], files[1], "--end", "7"), 5, args(files[1], "before it reaches 7", "lines were cut off")},
		{args(files[0], "--end", "the last one"), 2, args("--end", "the hash of an entry or its number")},
		{nil, 2, args("needs the files of an audit log")},
	} {
		if r := h.run(append(verify, tt.args...)...); r.code != tt.code || !hasAll(r.errOut, tt.says) {
			t.Errorf("audit verify %q: exit %d, want %d and %q\n%s%s", tt.args, r.code, tt.code, tt.says, r.out, r.errOut)
		}
	}
}

func TestCompletionKnowsTheBreakers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{args("__complete", "explain", "pay"), args("payments\topen")},
		{args("__complete", "force-open", "led"), args("ledger/*\tall keys", "ledger/eu-2\tforced-open")},
		{args("__complete", "set", "payments", "fail"), args("fail_max=\tdefault 5", "failure_rate=\tdefault off")},
		{args("__complete", "set", "payments", "reset_"), args("reset_timeout=\tdefault 1m0s", "reset_jitter=\tdefault 0")},
		{args("__complete", "status", "--sort", ""), args("worst", "trips")},
	} {
		if r := h.run(tt.args...); !hasAll(r.out, tt.want) {
			t.Errorf("switchgear %q:\n%swant %q", tt.args, r.out, tt.want)
		}
	}
}

func TestHelpIsThere(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, page := range []string{"processes", "orders", "exit-codes", "status", "force-open", "set", "audit verify", "completion"} {
		got := h.ok(append([]string{"help"}, strings.Fields(page)...)...)
		for line := range strings.Lines(got) {
			if len(line) > 81 && !strings.Contains(line, "--") {
				t.Errorf("help %s has a line of %d columns: %s", page, len(line)-1, line)
			}
		}
	}
}
