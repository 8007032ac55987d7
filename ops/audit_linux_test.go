package ops_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAuditOnAFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16k,mode=0700"); err != nil {
		if os.Getenv("SWITCHGEAR_REQUIRE_ALL") == "1" && os.Getuid() == 0 {
			t.Fatal(err)
		}
		t.Skipf("SKIP: needs root, to mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(disk, "audit.jsonl")
	p := audited(t, path)
	full := 0
	for range 100 {
		r := order(t, p, "payments")
		if r.Touched != 1 {
			t.Fatalf("receipt = %+v, want the order done", r)
		}
		if strings.Contains(r.AuditError, "no space left") {
			full++
		}
	}
	if full == 0 {
		t.Fatal("the disk never was full")
	}
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT, "size=64k"); err != nil {
		t.Fatal(err)
	}
	if r := order(t, p, "payments"); r.AuditError != "" {
		t.Errorf("with room again: %s", r.AuditError)
	}
	report, err := verify(t, path)
	if err != nil || report.Missed != uint64(full) || report.Entries != 101-full || report.Torn != nil {
		t.Errorf("VerifyAudit = %+v, %v, want %d missed and %d entries", report, err, full, 101-full)
	}
}
