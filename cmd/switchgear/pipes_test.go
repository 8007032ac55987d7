//go:build linux

package main_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/switchgear-go/switchgear/ops"
)

// A process that has only a pipe is listed. What it leaves when it is killed
// is listed once and removed; a pipe of a living process stays.
func TestPSListsPipes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	only := "SHOP_PIPE_ONLY=" + h.dir + "/breaker"
	h.shop("with-socket")
	dead := startShop(t, h.dir, "dead", only)
	living := startShop(t, h.dir, "living", only)
	if err := syscall.Mkfifo(h.dir+"/breaker/1.in", 0o600); err != nil { // of a process that lives and does not read it
		t.Fatal(err)
	}
	_ = os.WriteFile(h.dir+"/breaker/notes.txt", nil, 0o600)
	var all []ops.Found
	list := func() map[string]ops.Found {
		r := h.run("ps", "--json")
		if err := json.Unmarshal([]byte(r.out), &all); err != nil {
			t.Fatal(err, r)
		}
		byPath := map[string]ops.Found{}
		for _, x := range all {
			byPath[x.Path] = x
		}
		return byPath
	}
	got := list()
	if len(got) != 4 {
		t.Errorf("%d are listed, want 4: %+v", len(got), got)
	}
	for _, s := range []*shop{dead, living} {
		if x := got[s.In]; x.Process == nil || x.PID != s.PID || x.Process.Breakers != 5 || x.Process.States["open"] != 1 {
			t.Errorf("%s: %+v", s.In, x)
		}
	}
	if x := got[h.dir+"/breaker/1.in"]; x.Dead || x.Problem != "the process does not read its pipe" {
		t.Errorf("%+v", x)
	}
	if err := dead.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.cmd.Wait()
	if r := h.run("ps"); r.code != 4 || !strings.Contains(r.out, "the process is gone and left its pipe, which was removed") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.errOut)
	}
	for _, path := range []string{dead.In, dead.Out} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
	if got := list(); len(got) != 3 || got[living.In].Process == nil {
		t.Errorf("afterwards: %+v", got)
	}
}
