//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package breakerconf_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakerconf"
	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

func write(t testing.TB, text string) (path, dir string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, "breaker.conf")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, dir
}

func TestOpen(t *testing.T) {
	path, dir := write(t, `[pybreaker]
input_path = DIR/{pid}.in
output_path = DIR/{pid}.out
fail_max = 3
[breaker payments]
fail_max = 1
reset_timeout = 5m
`)
	app, err := breakerconf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := app.Manager.Breaker("other").Settings().FailMax; got != 3 {
		t.Errorf("a breaker without a section has FailMax %d, want 3", got)
	}
	b, err := app.Manager.Lookup("payments")
	if err != nil {
		t.Fatal(err)
	}
	if s := b.Settings(); s.FailMax != 1 || s.ResetTimeout != 5*time.Minute {
		t.Errorf("payments has %+v", s)
	}
	input := fmt.Sprintf("%s/%d.in", dir, os.Getpid())
	c := fifo.Client{Input: input, Output: dir + "/{pid}.out", PID: os.Getpid()}
	if _, err := c.Open(context.Background(), "payments", breaker.Order{}); err != nil || b.State() != breaker.Open {
		t.Errorf("an order through its pipe: %v, state %s", err, b.State())
	}
	if _, err := breakerconf.Open(path); !errors.Is(err, fifo.ErrInUse) {
		t.Errorf("a second one: %v, want ErrInUse", err)
	}
	if err := app.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(input); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the pipe is left: %v", err)
	}
	if _, err := (breakerconf.Config{Settings: breaker.Settings{FailureRate: 2}}).Open(nil); !errors.Is(err, breaker.ErrSettings) {
		t.Errorf("a Config with bad settings: %v", err)
	}
}

// The orders of the pipe are in the audit log that the file names.
func TestOpenWithAudit(t *testing.T) {
	path, dir := write(t, `[pybreaker]
input_path = DIR/in
output_path = DIR/out
audit_path = DIR/{pid}.audit
[breaker payments]
fail_max = 1
`)
	app, err := breakerconf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	c := fifo.Client{Input: dir + "/in", Output: dir + "/out"}
	if _, err := c.Open(t.Context(), "payments", breaker.Order{Actor: "ann"}); err != nil {
		t.Error(err)
	}
	if err := app.Close(); err != nil {
		t.Error(err)
	}
	log, err := os.Open(fmt.Sprintf("%s/%d.audit", dir, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if r, err := ops.VerifyAudit(log); err != nil || r.Entries != 1 {
		t.Errorf("the log: %+v, %v, want one order", r, err)
	}
}

// The orders of the pipe outlive the program if the file asks for that.
func TestOpenWithStandingOrders(t *testing.T) {
	path, dir := write(t, `[pybreaker]
input_path = DIR/in
output_path = DIR/out
standing_path = DIR/orders
[breaker payments]
fail_max = 1
`)
	for round := range 2 {
		app, err := breakerconf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			c := fifo.Client{Input: dir + "/in", Output: dir + "/out"}
			if _, err := c.ForceOpen(t.Context(), "payments", breaker.Order{Actor: "ann"}); err != nil {
				t.Error(err)
			}
		}
		if s := app.Manager.Breaker("payments").State(); s != breaker.ForcedOpen {
			t.Errorf("round %d: %s", round, s)
		}
		if err := app.Close(); err != nil {
			t.Error(err)
		}
	}
}

func Example() {
	dir, err := os.MkdirTemp("", "breaker")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "breaker.conf")
	text := "[pybreaker]\n" +
		"    input_path = " + dir + "/{pid}.in\n" +
		"    output_path = " + dir + "/{pid}.out\n" +
		"    reset_timeout = 30s\n" +
		"[breaker payments]\n" +
		"    fail_max = 3\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	app, err := breakerconf.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer app.Close()
	payments := app.Manager.Breaker("payments")
	fmt.Println(payments.Settings().FailMax, payments.Settings().ResetTimeout)
	// Output:
	// 3 30s
}
