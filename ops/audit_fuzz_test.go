package ops

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An audit log may contain anything when a process opens it, left by a crash
// or edited by a person. The log continues after it, an order is recorded, and
// what was valid or torn before is still valid or torn; only what had been
// edited is reported.
func FuzzAudit(f *testing.F) {
	path := filepath.Join(f.TempDir(), "audit")
	l := auditFile{path: path}
	entry := AuditEntry{Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Order: Order{ID: "payments", Actor: "ana"}}
	for range 3 {
		if err := l.write(entry); err != nil {
			f.Fatal(err)
		}
	}
	_ = l.close()
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	first := bytes.IndexByte(good, '\n') + 1
	for _, seed := range [][]byte{
		{},
		good, good[:len(good)-1], good[:len(good)-70], good[:first+20], good[first:], append([]byte("{}\n\n \n"), good...),
		bytes.Replace(good, []byte(`"ana"`), []byte(`"eve"`), 1), append(good[:first:first], good...), []byte("\x00\xff"), []byte(`,"hash":"`),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		if err := os.WriteFile(path, log, 0o600); err != nil {
			t.Fatal(err)
		}
		before, beforeErr := VerifyAudit(bytes.NewReader(log))
		l := auditFile{path: path, start: &AuditEntry{Time: entry.Time, Start: true}}
		if err := l.write(entry); err != nil {
			t.Fatal(err)
		}
		_ = l.close()
		text, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(text, log) {
			t.Fatalf("what stood there was changed: %v", err)
		}
		if before.Entries+before.Starts == 0 && len(log) > 0 {
			return // it was not an audit log, so it does not matter what it is with a line of one
		}
		after, afterErr := VerifyAudit(bytes.NewReader(text))
		if beforeErr == nil && (afterErr != nil || after.Entries != before.Entries+1 || after.Starts != before.Starts+1 || after.Missed != before.Missed) {
			t.Errorf("before %+v, with one order more %+v, %v", before, after, afterErr)
		}
		if beforeErr != nil && errors.Is(beforeErr, ErrAudit) != errors.Is(afterErr, ErrAudit) {
			t.Errorf("before %v, with one order more %v", beforeErr, afterErr)
		}
	})
}
