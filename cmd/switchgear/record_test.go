//go:build linux

package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A recording of a real process, which is then verified; and one of a process
// that is killed meanwhile.
func TestRecord(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := startShop(t, h.dir, "shop", "SHOP_CALLS=1")
	file := filepath.Join(t.TempDir(), "shop.sgr")
	out := h.ok("record", "--for", "2s", "-o", file, "--json")
	var r struct {
		Calls, Lost uint64
		Bytes       int64
		Complete    bool
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Calls < 100 || r.Lost != 0 || !r.Complete {
		t.Fatalf("%s, %v", out, err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != r.Bytes {
		t.Errorf("mode %v and %d bytes, %v, want 0600 and %d", info.Mode(), info.Size(), err, r.Bytes)
	}
	if out := h.ok("replay", file, "--verify"); !strings.Contains(out, "transitions reproduced") {
		t.Error(out)
	}
	h.fails(1, args("record", "--for", "1s", "-o", file), "file exists")
	h.fails(1, args("record", "-o", file+"2"), "keeps no recording", "for=10m")
	if _, err := os.Stat(file + "2"); err == nil {
		t.Error("a refused recording leaves a file")
	}
	h.fails(1, args("record", "-p", s.URL, "--for", "1s", "-o", file+"2"), "socket of the process only")
	audit, err := os.ReadFile(s.Audit)
	if err != nil || strings.Count(string(audit), "a recording of calls begins, for 2s") != 1 || strings.Count(string(audit), "a recording of calls has ended") != 1 {
		t.Errorf("the audit log, %v:\n%s", err, audit)
	}
	if out := h.ok("audit", "verify", s.Audit); !strings.Contains(out, "0 orders verified") {
		t.Error(out)
	}

	cut := file + ".cut"
	done := make(chan result, 1)
	go func() { done <- h.run("record", "--for", "1m", "-o", cut) }()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if info, err := os.Stat(cut); err == nil && info.Size() > 500 || time.Now().After(deadline) {
			break
		}
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.code != 3 || !strings.Contains(r.out, "calls and") {
		t.Errorf("the process was killed: exit %d, want 3\n%s%s", r.code, r.out, r.errOut)
	}
	if out := h.ok("replay", cut, "--verify"); !strings.Contains(out, "transitions reproduced") {
		t.Error(out)
	}
}

func TestRecordErrors(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.fails(2, args("record", "--for", "-1s"), "want a time above 0")
	h.fails(2, args("record", "--from", "x", "--for", "1s"), "--from converts a file")
	h.fails(1, args("record", "--from", "none.log"), "no such file")
	h.fails(3, args("record", "--for", "1s"), "no process")
	h.shop("one")
	h.shop("two")
	h.fails(2, args("record", "--for", "1s"), "2 processes, want one", "-p")
}

func TestRecordConverts(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	dir := t.TempDir()
	from, to := filepath.Join(dir, "access.log"), filepath.Join(dir, "access.sgr")
	if err := os.WriteFile(from, []byte("1772359202.123 0.010 200 10.0.0.1:80\n1772359203.000 0.100 502 10.0.0.1:80\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := h.run("record", "--from", from, "--format", "nginx", "--name", "shop")
	if r.code != 0 || !strings.Contains(r.out, to+": shop/10.0.0.1:80, ") || !strings.Contains(r.errOut, "Note: the times have steps of") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.errOut)
	}
	if out := h.ok("replay", to, "--recommended"); !strings.Contains(out, "2 calls") {
		t.Error(out)
	}
}
