package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

// The table is PyBreaker's, because a pipe may belong to it.
func TestParsePipeTable(t *testing.T) {
	const text = "" +
		"             id          state    time until half_open    failure count    failures until open\n" +
		"       payments           open                 0:29:59                5                   None\n" +
		"   the big shop           open    1 day, 0:00:01.500000               12                   None\n" +
		"    ledger/eu-1         closed                    None                0                      5\n" +
		"ledger/a key: 1      half_open                    None                5                   None\n" +
		"         search    forced_open                    None                0                   None\n"
	all, err := parsePipeTable(text)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		id, key string
		state   breaker.State
		until   time.Duration
		fails   int
		left    int
	}{
		{"payments", "", breaker.Open, 29*time.Minute + 59*time.Second, 5, -1},
		{"the big shop", "", breaker.Open, 24*time.Hour + 1500*time.Millisecond, 12, -1},
		{"ledger/eu-1", "eu-1", breaker.Closed, 0, 0, 5},
		{"ledger/a key: 1", "a key: 1", breaker.HalfOpen, 0, 5, -1},
		{"search", "", breaker.ForcedOpen, 0, 0, -1},
	} {
		got := all[i]
		if got.ID != want.id || got.Key != want.key || got.State != want.state || got.UntilHalfOpen != want.until ||
			got.FailCount != want.fails || got.FailuresUntilOpen != want.left {
			t.Errorf("row %d: %+v, want %+v", i, got.Status, want)
		}
	}
	if got, err := parsePipeTable("head\nno row"); err == nil {
		t.Errorf("%q made %v, want an error", "no row", got)
	}
	if got, err := parsePipeTable("head"); err != nil || len(got) != 0 {
		t.Errorf("a table without breakers: %v, %v", got, err)
	}
}

// A process that has no socket but has its pipe in PyBreaker's place is found
// by its number.
func TestProcessWithNothingButAPipe(t *testing.T) {
	t.Setenv("SWITCHGEAR_RUNTIME_DIR", t.TempDir())
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("payments").Open(breaker.Order{Actor: "ana", Reason: "a drill"})
	p := ops.New(m, ops.Options{})
	defer p.Close()
	s, err := fifo.Start(p, fifo.Config{})
	if os.Getenv("SWITCHGEAR_REQUIRE_ALL") != "1" && (errors.Is(err, fifo.ErrUnsafe) || errors.Is(err, errors.ErrUnsupported)) {
		t.Skipf("SKIP: needs a folder %s of this user: %v", filepath.Dir(fifo.DefaultInput), err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"explain", "payments", "-p", strconv.Itoa(os.Getpid())}, nil, &out, &errs); code != exitDone || !strings.Contains(out.String(), `opened by ana ("a drill")`) {
		t.Errorf("exit code %d, %q, %q", code, &out, &errs)
	}
	if p, err := newPipe("/x/17.in"); err != nil || p.client.PID != 17 || p.client.Output != "/x/17.out" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestPatchOf(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string // "": an error
	}{
		{[]string{"fail_max=10", "window=30s"}, `{"fail_max":10,"window":"30s"}`},
		{[]string{"failure_rate=off"}, `{"failure_rate":"off"}`},
		{[]string{"fail_max=0", "reset_timeout=0s"}, `{"fail_max":0,"reset_timeout":"0s"}`},
		{[]string{"fail_max"}, ""},
		{[]string{"fail_max=ten"}, ""},
		{[]string{"reset_timeout=off"}, ""},
		{[]string{"=1"}, ""},
		{[]string{"fail_max=1", "fail_max=1"}, ""},
	} {
		got, err := patchOf(tt.args)
		if string(got) != tt.want || (err == nil) != (tt.want != "") || err != nil && exitCode(err) != exitUsage {
			t.Errorf("%q makes %s, %v, want %q", tt.args, got, err, tt.want)
		}
	}
}
