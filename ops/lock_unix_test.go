//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package ops

import (
	"path/filepath"
	"syscall"
	"testing"
)

// A child process that is being started holds a copy of every file until it
// runs its own program; a log that was closed meanwhile can be opened again.
func TestRegressionAuditLockOutlivedItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	first, again := auditFile{path: path}, auditFile{path: path}
	if err := first.ready(); err != nil {
		t.Fatal(err)
	}
	held, err := syscall.Dup(int(first.f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(held)
	if err := again.ready(); err == nil {
		t.Error("two at once have the log open")
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	if err := again.ready(); err != nil {
		t.Errorf("after it was closed: %v", err)
	}
	if err := again.close(); err != nil {
		t.Error(err)
	}
}
