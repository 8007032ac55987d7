package ops_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
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
	r, err := p.Do(ops.Order{ID: id, Verb: breaker.VerbOpen, Actor: "ana", Reason: "drill"}, program)
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

func TestAuditRecordsWhoDidWhat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	p := audited(t, path)
	uid := 1000
	if _, err := p.Do(ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana", Reason: "drill"}, ops.Peer{Transport: "socket", UID: &uid, PID: 77}); err != nil {
		t.Fatal(err)
	}
	_, refused := p.Do(ops.Order{ID: "paymnets", Verb: breaker.VerbOpen, Actor: "bob"}, program)
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
	if len(got) != 3 {
		t.Fatalf("%d entries, want 3:\n%s", len(got), text)
	}
	if e := got[0]; e.N != 1 || !e.Start || e.PID != os.Getpid() || e.Service != "shop" || e.Prev != "" || e.Time.IsZero() || bytes.Contains(bytes.SplitN(text, []byte("\n"), 2)[0], []byte(`"order"`)) {
		t.Errorf("first entry = %+v, want the start of the process, without an order", e)
	}
	got = got[1:]
	if e := got[0]; e.N != 2 || e.Order.Actor != "ana" || *e.Peer.UID != 1000 || e.Peer.PID != 77 || e.PID != os.Getpid() || e.Service != "shop" ||
		e.Receipt.Results[0].Before != breaker.Closed || e.Receipt.Results[0].After != breaker.Open || e.Prev == "" || e.Time.IsZero() {
		t.Errorf("second entry = %+v", e)
	}
	if e := got[1]; e.Order.Actor != "bob" || e.Receipt != nil || e.Error != refused.Error() || e.Prev != got[0].Hash {
		t.Errorf("third entry = %+v", e)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("the log has mode %v, want 0600", info.Mode())
	}
}

// auditLines makes a log of n orders and returns its lines: the first one is
// the start.
func auditLines(t *testing.T, orders int) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	p := audited(t, path)
	for range orders {
		order(t, p, "payments")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(string(text), "\n")[:orders+1]
}

func TestAuditShowsEdits(t *testing.T) {
	lines := auditLines(t, 4)
	good, err := ops.VerifyAudit(strings.NewReader(strings.Join(lines, "")))
	if err != nil || good.Entries != 4 || good.Starts != 1 || good.Chains != 1 || good.Missed != 0 || good.Begins != "" || good.Ends == "" || good.Last != 5 || good.Torn != nil {
		t.Fatalf("VerifyAudit = %+v, %v", good, err)
	}
	for name, c := range map[string]struct {
		lines []string
		says  string
	}{
		"actor changed": {[]string{lines[1], strings.Replace(lines[2], `"ana"`, `"eve"`, 1), lines[3], lines[4]}, "line 2 was edited"},
		"line taken":    {[]string{lines[1], lines[3], lines[4]}, "line 2 does not follow"},
		"start taken":   {[]string{lines[1], lines[2], lines[0], lines[3]}, "line 3 does not follow"},
		"lines swapped": {[]string{lines[1], lines[3], lines[2], lines[4]}, "line 2 does not follow"},
		"line doubled":  {[]string{lines[1], lines[2], lines[2], lines[3]}, "line 3 does not follow"},
		"line ruined":   {[]string{lines[1], "{}\n", lines[3], lines[4]}, "line 2 is not a line of an audit log"},
		"hash changed":  {[]string{lines[1], lines[2][:len(lines[2])-10] + "0000000\"}\n", lines[3], lines[4]}, "line 2 was edited"},
		"line blanked":  {[]string{lines[1], lines[2], "\n", lines[3], lines[4]}, "line 3 is not a line of an audit log"},
		"line cut":      {[]string{lines[1], lines[2][:80] + "\n", lines[2], lines[3]}, "line 2 is unfinished, but its process went on"},
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

// The end of a log shows whether it was cut off by a crash or edited: a crash
// leaves the beginning of a line.
func TestAuditEndsWithJunk(t *testing.T) {
	lines := auditLines(t, 4)
	whole, last := strings.Join(lines[:4], ""), lines[4]
	for name, c := range map[string]struct {
		end  string
		torn int
	}{
		"nothing":               {"", 0},
		"the beginning":         {last[:1], 1},
		"half a number":         {last[:6], 1},
		"most of it":            {last[:len(last)-3], 1},
		"up to the hash":        {last[:len(last)-70], 1},
		"in a character":        {last[:strings.Index(last, "ana")+1] + "\xc3", 1},
		"zeros":                 {"\x00\x00\x00\x00", 1},
		"the beginning, zeros":  {last[:50] + "\x00\x00\x00", 1},
		"restarted, crashed":    {last[:50] + "\n", 1},
		"restarted twice":       {last[:50] + "\n" + last[:30] + "\n" + last[:7], 3},
		"junk":                  {"junk", -1},
		"junk, ended":           {"junk\n", -1},
		"five lines of junk":    {strings.Repeat("junk\n", 5), -1},
		"a blank line":          {"\n", -1},
		"blanks":                {"   \n", -1},
		"other JSON":            {"{}\n", -1},
		"half of other JSON":    {`{"a": `, -1},
		"no more than a number": {`{"n":6}` + "\n", -1},
		"broken in the middle":  {last[:20] + "\x01" + last[21:60], -1},
		"binary":                {"\xff\xfe\x01", -1},
		"junk behind a torn":    {last[:50] + "\njunk\n", -1},
		"zeros, then something": {"\x00\x00junk", -1},
	} {
		report, err := ops.VerifyAudit(strings.NewReader(whole + c.end))
		switch {
		case c.torn < 0 && !errors.Is(err, ops.ErrAudit):
			t.Errorf("%s: %+v, %v, want an error", name, report, err)
		case c.torn >= 0 && (err != nil || len(report.Torn) != c.torn):
			t.Errorf("%s: %+v, %v, want %d lines that a crash left", name, report, err, c.torn)
		}
	}
}

// Several files are one log, oldest first.
func TestAuditOfSeveralFiles(t *testing.T) {
	lines := auditLines(t, 6)
	file := func(from, to int) io.Reader { return strings.NewReader(strings.Join(lines[from:to], "")) }
	report, err := ops.VerifyAudit(file(0, 3), file(3, 3), file(3, 5), file(5, 7))
	if err != nil || report.Entries != 6 || report.Starts != 1 || report.Chains != 1 || report.Last != 7 {
		t.Errorf("in order: %+v, %v", report, err)
	}
	for name, files := range map[string][]io.Reader{
		"newest first":   {file(3, 7), file(0, 3)},
		"one is missing": {file(0, 2), file(4, 7)},
		"twice":          {file(0, 4), file(0, 4)},
	} {
		if report, err := ops.VerifyAudit(files...); !errors.Is(err, ops.ErrAudit) || !strings.Contains(err.Error(), "file 2, line 1 does not follow") {
			t.Errorf("%s: %+v, %v, want that file 2 does not follow", name, report, err)
		}
	}
	var where *ops.AuditError
	if _, err := ops.VerifyAudit(file(0, 3), strings.NewReader(lines[3]+"junk\n")); !errors.As(err, &where) || where.File != 2 || where.Line != 2 {
		t.Errorf("junk in the second file: %v", err)
	}
	// The file was moved away while the process was down.
	again := auditLines(t, 2)
	report, err = ops.VerifyAudit(file(0, 7), strings.NewReader(strings.Join(again, "")))
	if err != nil || report.Chains != 2 || report.Entries != 8 || report.Starts != 2 {
		t.Errorf("a log that began anew: %+v, %v, want two chains", report, err)
	}
	if report, err := ops.VerifyAudit(file(0, 7), strings.NewReader(again[1]+again[2])); !errors.Is(err, ops.ErrAudit) {
		t.Errorf("without its start: %+v, %v, want an error", report, err)
	}
	if report, err := ops.VerifyAudit(strings.NewReader(strings.Join(lines, "") + strings.Join(again, ""))); !errors.Is(err, ops.ErrAudit) {
		t.Errorf("in the middle of a file: %+v, %v, want an error", report, err)
	}
}

// A kept end shows that the log still reaches it.
func TestAuditReachesItsEnd(t *testing.T) {
	lines := auditLines(t, 4)
	log := func(n int) io.Reader { return strings.NewReader(strings.Join(lines[:n], "")) }
	full, err := ops.VerifyAudit(log(5))
	if err != nil {
		t.Fatal(err)
	}
	early, _ := ops.VerifyAudit(log(3))
	for _, c := range []struct {
		end   string
		lines int
		ok    bool
	}{
		{full.Ends, 5, true},
		{strings.ToUpper(full.Ends), 5, true},
		{"5", 5, true},
		{early.Ends, 5, true}, // it may go on
		{"3", 5, true},
		{"", 0, true},
		{full.Ends, 4, false},
		{"5", 4, false},
		{"6", 5, false},
		{full.Ends, 0, false},
		{"1", 0, false},
		{strings.Repeat("0", 64), 5, false},
	} {
		if report, err := ops.VerifyAuditTo(c.end, log(c.lines)); (err == nil) != c.ok || err != nil && !errors.Is(err, ops.ErrAudit) {
			t.Errorf("%d lines to %q: %+v, %v, want ok %t", c.lines, c.end, report, err, c.ok)
		}
	}
	// The file begins after the end that was kept, or contains it in an
	// earlier file.
	if _, err := ops.VerifyAuditTo(early.Ends, strings.NewReader(lines[3]+lines[4])); err != nil {
		t.Errorf("a file that begins behind the end: %v", err)
	}
	if _, err := ops.VerifyAuditTo(early.Ends, log(3), strings.NewReader(lines[3]+lines[4])); err != nil {
		t.Errorf("the end of the first file: %v", err)
	}
	for _, bad := range []string{"x", "-1", "abc123", strings.Repeat("g", 64), "1.5"} {
		if _, err := ops.VerifyAuditTo(bad, log(5)); err == nil || errors.Is(err, ops.ErrAudit) {
			t.Errorf("the end %q: %v, want that it makes no sense", bad, err)
		}
	}
}

func TestAuditContinuesAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	p := audited(t, path)
	order(t, p, "payments")
	if r, err := audited(t, path).Do(ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana"}, program); err != nil || !strings.Contains(r.AuditError, "another process") {
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
	if err != nil || report.Entries != 2 || report.Starts != 2 || !slices.Equal(report.Torn, []int{3}) || report.Missed != 0 {
		t.Errorf("VerifyAudit = %+v, %v, want 2 orders and 2 starts around an unfinished line", report, err)
	}
}

func TestFileThatIsNotAnAuditLog(t *testing.T) {
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
	r, err := p.Do(ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: `a","hash":"` + strings.Repeat("0", 64), Reason: "<&>"}, program)
	if err != nil || r.AuditError != "" {
		t.Fatal(r, err)
	}
	text, _ := os.ReadFile(path)
	for line := range bytes.Lines(text) {
		var any map[string]any
		if err := json.Unmarshal(line, &any); err != nil {
			t.Error(err)
		}
	}
	if _, err := verify(t, path); err != nil {
		t.Error(err)
	}
}
