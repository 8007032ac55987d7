package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/ops"
)

const fleetTestKey = "a key for the tests of the command"

// fleetOf starts a redis-server, and members of a fleet. It returns the URL.
func fleetOf(t *testing.T, ms ...*breaker.Manager) (url string) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("SWITCHGEAR_REQUIRE_ALL") == "1" {
			t.Fatal("needs redis-server, and SWITCHGEAR_REQUIRE_ALL=1 allows no skip")
		}
		t.Skip("SKIP: needs redis-server")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--appendonly", "no")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for i, m := range ms {
		client := redis.NewClient(&redis.Options{Addr: addr})
		t.Cleanup(func() { client.Close() })
		plane := ops.New(m, ops.Options{Service: "shop"})
		t.Cleanup(func() { plane.Close() })
		f, err := fleet.Join(t.Context(), m, fleet.Options{
			Redis: client, Group: "shop", Zone: string(rune('a' + i%2)), Member: "pod-" + string(rune('0'+i)),
			Plane: plane, Key: []byte(fleetTestKey),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		deadline := time.Now().Add(20 * time.Second)
		for s := f.State(); s.Alone || i == len(ms)-1 && s.Members < len(ms); s = f.State() {
			if time.Now().After(deadline) {
				t.Fatalf("%+v", s)
			}
			<-time.After(20 * time.Millisecond)
		}
	}
	return "redis://" + addr
}

// switchgear runs the command, and returns what it printed.
func fleetRun(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	code = run(ctx, append([]string{"fleet"}, args...), strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func TestFleet(t *testing.T) {
	var a, b breaker.Manager
	for _, m := range []*breaker.Manager{&a, &b} {
		m.Breaker("payments")
		m.Breaker("cache")
	}
	url := fleetOf(t, &a, &b)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(fleetTestKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SWITCHGEAR_REDIS", url)
	t.Setenv("SWITCHGEAR_GROUP", "shop")
	t.Setenv("SWITCHGEAR_FLEET_KEY_FILE", key)

	step := func(want int, args string, text ...string) string {
		t.Helper()
		code, out, errs := fleetRun(t, strings.Fields(args)...)
		if code != want || !hasEach(out+errs, text) {
			t.Errorf("fleet %s: exit code %d, want %d and %q\n%s%s", args, code, want, text, out, errs)
		}
		return out
	}
	step(exitDone, "status", "fleet shop: 2 processes, pod-", " adds up", "PROCESSES")
	step(exitUsage, "force-open payments --reason INC-42", "needs an end")
	step(exitUsage, "force-open payments --for 1h --reason INC-42 --if-version 3", "each process has its own version")
	step(exitDone, "force-open payments --for 1h --reason INC-42 --dry-run", "dry run: 2 of 2 done", "pod-0: closed -> forced-open")
	if a.Breaker("payments").State() != breaker.Closed {
		t.Error("a dry run changed something")
	}
	step(exitDone, "force-open payments --for 1h --reason INC-42 --actor ana", "2 of 2 done", "pod-1: closed -> forced-open, version 2")
	for _, m := range []*breaker.Manager{&a, &b} {
		if s := m.Breaker("payments").Status(); s.State != breaker.ForcedOpen || s.Override.Actor != "ana" {
			t.Error(s.Explain())
		}
	}
	step(exitDone, "status", "force-open payments by ana (\"INC-42\"), for another 59m")
	<-time.After(1500 * time.Millisecond)
	step(exitDone, "explain payments", "payments is forced-open in 2 of 2 processes.")
	step(exitDone, "release payments", "2 of 2 done")
	step(exitDone, "set cache fail_max=9 --reason nervous", "2 of 2 done")
	if n := b.Breaker("cache").Settings().FailMax; n != 9 {
		t.Errorf("fail_max is %d", n)
	}
	step(exitRefused, "force-open * --for 1h --reason INC-42", "this is for 4 breakers in 2 processes", "--yes 4")
	step(exitDone, "force-open * --for 1h --reason INC-42 --yes 4", "2 of 2 done")
	step(exitRefused, "close nope", "2 refused: unknown breaker")
	step(exitRefused, "explain nope", "unknown breaker")
	var v fleet.View
	if err := json.Unmarshal([]byte(step(exitDone, "status --json")), &v); err != nil || len(v.Members) != 2 || len(v.Breakers) != 2 {
		t.Errorf("%v: %+v", err, v)
	}
	// Without a key, and with another one.
	t.Setenv("SWITCHGEAR_FLEET_KEY_FILE", "")
	step(exitDone, "status", "2 processes")
	step(exitUsage, "close payments", "orders are signed, want --key-file")
	if err := os.WriteFile(key, []byte("another key, long enough to be one"), 0o600); err != nil {
		t.Fatal(err)
	}
	step(exitDone, "status --key-file "+key, "0 processes", "not signed with this key")
	step(exitUsage, "status --key-file "+key+".none", "--key-file")
	t.Setenv("SWITCHGEAR_REDIS", "redis://127.0.0.1:1")
	step(exitUnreachable, "status", "the store does not answer")
	t.Setenv("SWITCHGEAR_REDIS", "nonsense")
	step(exitUsage, "status", "--redis")
	t.Setenv("SWITCHGEAR_REDIS", "")
	step(exitUsage, "status", "no store, want --redis URL")
}
