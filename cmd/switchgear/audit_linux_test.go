package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
