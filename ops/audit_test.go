package ops_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

func audited(t *testing.T, path string) *ops.Plane {
	t.Helper()
	p := ops.New(shop(t), ops.Options{Audit: path, Service: "shop"})
	t.Cleanup(func() { p.Close() })
	return p
}

func order(t *testing.T, p *ops.Plane, id string) ops.Receipt {
	t.Helper()
	r, err := p.Do(ops.Order{ID: id, Verb: breaker.VerbOpen, Actor: "ana", Reason: "drill"}, here)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func verify(t *testing.T, path string) (ops.AuditReport, error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return ops.VerifyAudit(f)
}

func TestAuditTellsWhoDidWhat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	p := audited(t, path)
	uid := 1000
	if _, err := p.Do(ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana", Reason: "drill"}, ops.Peer{Transport: "socket", UID: &uid, PID: 77}); err != nil {
		t.Fatal(err)
	}
	_, refused := p.Do(ops.Order{ID: "paymnets", Verb: breaker.VerbOpen, Actor: "bob"}, here)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []ops.AuditEntry
	for e, err := range ops.ReadAudit(bytes.NewReader(text)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if len(got) != 2 {
		t.Fatalf("%d entries, want 2:\n%s", len(got), text)
	}
	if e := got[0]; e.N != 1 || e.Order.Actor != "ana" || *e.Peer.UID != 1000 || e.Peer.PID != 77 || e.PID != os.Getpid() || e.Service != "shop" ||
		e.Receipt.Results[0].Before != breaker.Closed || e.Receipt.Results[0].After != breaker.Open || e.Prev != "" || e.Time.IsZero() {
		t.Errorf("first entry = %+v", e)
	}
	if e := got[1]; e.Order.Actor != "bob" || e.Receipt != nil || e.Error != refused.Error() || e.Prev != got[0].Hash {
		t.Errorf("second entry = %+v", e)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("the log has mode %v, want 0600", info.Mode())
	}
}

func TestAuditShowsEdits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	p := audited(t, path)
	for range 4 {
		order(t, p, "payments")
	}
	text, _ := os.ReadFile(path)
	lines := strings.SplitAfter(string(text), "\n")[:4]
	good, err := ops.VerifyAudit(strings.NewReader(string(text)))
	if err != nil || good.Entries != 4 || good.Missed != 0 || good.Begins != "" || good.Ends == "" || good.Torn != nil {
		t.Fatalf("VerifyAudit = %+v, %v", good, err)
	}
	for name, c := range map[string]struct {
		lines []string
		says  string
	}{
		"actor changed": {[]string{lines[0], strings.Replace(lines[1], `"ana"`, `"eve"`, 1), lines[2], lines[3]}, "line 2 was edited"},
		"line taken":    {[]string{lines[0], lines[2], lines[3]}, "line 2 does not follow"},
		"lines swapped": {[]string{lines[0], lines[2], lines[1], lines[3]}, "line 2 does not follow"},
		"line doubled":  {[]string{lines[0], lines[1], lines[1], lines[2]}, "line 3 does not follow"},
		"line ruined":   {[]string{lines[0], "{}\n", lines[2], lines[3]}, "line 3 does not follow"},
		"hash changed":  {[]string{lines[0], lines[1][:len(lines[1])-10] + "0000000\"}\n", lines[2], lines[3]}, "line 2 was edited"},
	} {
		report, err := ops.VerifyAudit(strings.NewReader(strings.Join(c.lines, "")))
		if !errors.Is(err, ops.ErrAudit) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %+v, %v, want %q", name, report, err, c.says)
		}
	}
	cut, err := ops.VerifyAudit(strings.NewReader(lines[0] + lines[1]))
	if err != nil || cut.Ends == good.Ends {
		t.Errorf("cut off: %+v, %v: Ends must tell", cut, err)
	}
}

func TestAuditGoesOnAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	p := audited(t, path)
	order(t, p, "payments")
	if r, err := audited(t, path).Do(ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana"}, here); err != nil || !strings.Contains(r.AuditError, "another process") {
		t.Errorf("a second writer got %+v, %v, want an audit error", r, err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	crash, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := crash.WriteString(`{"n":2,"time":"20`); err != nil {
		t.Fatal(err)
	}
	crash.Close()
	p = audited(t, path)
	if r := order(t, p, "payments"); r.AuditError != "" {
		t.Fatal(r.AuditError)
	}
	report, err := verify(t, path)
	if err != nil || report.Entries != 2 || !slices.Equal(report.Torn, []int{2}) || report.Missed != 0 {
		t.Errorf("VerifyAudit = %+v, %v, want 2 entries around an unfinished line", report, err)
	}
}

func TestAuditThatIsNone(t *testing.T) {
	for _, text := range []string{"root:x:0:0\nbin:x:1:1\n", "{}\n", "\x00"} {
		if r, err := ops.VerifyAudit(strings.NewReader(text)); !errors.Is(err, ops.ErrAudit) {
			t.Errorf("%q is taken for an audit log: %+v, %v", text, r, err)
		}
	}
	if r, err := ops.VerifyAudit(strings.NewReader("")); err != nil || r.Entries != 0 {
		t.Errorf("a log without orders: %+v, %v", r, err)
	}
}

func TestAuditThatCannotBeWrittenStopsNoOrder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logs")
	path := filepath.Join(folder, "audit.jsonl")
	var mu sync.Mutex
	var reports []error
	m := shop(t)
	p := ops.New(m, ops.Options{Audit: path, AuditFailed: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		reports = append(reports, err)
	}})
	defer p.Close()
	if r := order(t, p, "payments"); r.AuditError == "" || r.Touched != 1 {
		t.Errorf("without a folder: %+v, want it done and an audit error", r)
	}
	if got := m.Breaker("payments").State(); got != breaker.Open {
		t.Errorf("state is %s, want open", got)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r := order(t, p, "payments"); r.AuditError != "" {
			t.Errorf("with the folder: %s", r.AuditError)
		}
	}
	first, _ := os.ReadFile(path)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	order(t, p, "payments")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	order(t, p, "payments")
	second, _ := os.ReadFile(path)
	report, err := ops.VerifyAudit(bytes.NewReader(slices.Concat(first, second)))
	if err != nil || report.Entries != 3 || report.Missed != 2 {
		t.Errorf("VerifyAudit of both files = %+v, %v, want 3 entries, 1 missed before them and 1 between", report, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(reports) != 4 || reports[0] == nil || reports[1] != nil || reports[2] == nil || reports[3] != nil {
		t.Errorf("reported %v, want failing and working in turn", reports)
	}
}

func TestAuditLineIsPlainJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	p := audited(t, path)
	r, err := p.Do(ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: `a","hash":"` + strings.Repeat("0", 64), Reason: "<&>"}, here)
	if err != nil || r.AuditError != "" {
		t.Fatal(r, err)
	}
	text, _ := os.ReadFile(path)
	var any map[string]any
	if err := json.Unmarshal(text, &any); err != nil {
		t.Error(err)
	}
	if _, err := verify(t, path); err != nil {
		t.Error(err)
	}
}
