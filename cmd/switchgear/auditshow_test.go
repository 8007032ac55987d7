//go:build linux

package main_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/switchgear-go/switchgear/ops"
)

func TestAuditShow(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	a, b := h.shop("shop"), h.shop("depot")
	h.ok("close", "payments", "--reason", "INC-1", "--yes", "2")
	h.ok("force-open", "ledger/*", "--for", "1h", "--reason", "INC-2", "--actor", "bo", "--yes", "6")
	h.run("close", "payments", "--if-version", "99", "-p", a.Socket)
	h.ok("set", "search", "fail_max=9", "--actor", "bo", "-p", b.Socket)
	show := func(words ...string) string {
		return h.ok(append(args("audit", "show", b.Audit, a.Audit), words...)...)
	}
	lines := strings.Split(strings.TrimSpace(show()), "\n")
	if len(lines) != 9 { // the header, two starts, six orders
		t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	for i, want := range []string{"TIME", "the process started", "the process started", "close payments", "close payments", "force-open ledger/* for 1h", "force-open ledger/* for 1h", "refused: breaker has changed", "set search {\"fail_max\":9}"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d: %s\nwant %s", i+1, lines[i], want)
		}
	}
	if !hasAll(lines[3], []string{"tess", "open -> closed", "INC-1", "socket uid "}) || !hasAll(lines[5], []string{"bo", "3 of 3 changed", "INC-2"}) {
		t.Errorf("%s\n%s", lines[3], lines[5])
	}
	for words, want := range map[string]int{
		"--actor bo": 3, "--actor tess": 3, "--id payments": 3, "--id ledger/eu-1": 2, "--id ledger/*": 2, "--id ledger": 0,
		"--id search --actor tess": 0, "--since 1h": 8, "--since 2126-01-31": 0, "--since 2025-01-31": 8,
	} {
		var got []ops.AuditEntry
		if err := json.Unmarshal([]byte(show(append(strings.Fields(words), "--json")...)), &got); err != nil || len(got) != want {
			t.Errorf("%s: %d entries, want %d, %v", words, len(got), want, err)
		}
	}
	if got := show("--actor", "eve"); got != "No entry matches.\n" {
		t.Errorf("%q", got)
	}
	h.fails(2, args("audit", "show", a.Audit, "--since", "soon"), `--since "soon", want how long ago, such as 2h`)
	h.fails(2, args("audit", "show"), "needs the files")
	h.fails(1, args("audit", "show", a.Audit, "/no/such"), "no such file")
	text, err := os.ReadFile(a.Audit)
	if err != nil {
		t.Fatal(err)
	}
	if got := show("--dry-runs"); strings.Count(got, "(dry run)  ") <= strings.Count(show(), "(dry run)  ") {
		t.Errorf("no more dry runs with --dry-runs:\n%s", got)
	}
	edited := h.dir + "/edited"
	if err := os.WriteFile(edited, []byte(strings.ReplaceAll(string(text), `"actor":"bo"`, `"actor":"eve"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := h.run("audit", "show", edited)
	if r.code != 5 || !hasAll(r.errOut, []string{edited, "was edited"}) || !strings.Contains(r.out, "eve") {
		t.Errorf("an edited line: exit %d\n%s%s", r.code, r.out, r.errOut)
	}
}
