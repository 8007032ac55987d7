package ops

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

// hangingAuditor returns an auditor whose file system hangs, until drain is called.
func hangingAuditor(t *testing.T) *auditor {
	a := newAuditor(filepath.Join(t.TempDir(), "audit"), "shop", nil)
	synctest.Wait()
	a.mu.Lock()
	a.writing = true
	a.mu.Unlock()
	return a
}

// While the file system hangs, orders wait a second each and memory does not
// fill; a closed log accepts nothing more.
func TestAuditBacklogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := hangingAuditor(t)
		for range auditBacklog {
			job := auditJob{done: make(chan error, 1)}
			if err := a.enqueue(&job); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.write(Order{ID: "payments"}, Peer{}, &Receipt{}, nil); err == nil || !strings.Contains(err.Error(), "256 orders are waiting to be written, this one is not recorded") {
			t.Errorf("beyond the backlog: %v", err)
		}
		if err := a.close(); err == nil || !strings.Contains(err.Error(), "not written after 1s") {
			t.Errorf("close while it hangs: %v", err)
		}
		if err := a.write(Order{ID: "payments"}, Peer{}, &Receipt{}, nil); !errors.Is(err, os.ErrClosed) {
			t.Errorf("closed: %v, want os.ErrClosed", err)
		}
		if err := a.close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
		a.drain() // it hangs no more
	})
}
