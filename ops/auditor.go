package ops

import (
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	auditPatience = time.Second // how long an order waits until it is written
	auditBacklog  = 256         // entries queued while the file system hangs
)

// auditor writes the audit log. A nil auditor writes nothing.
//
// The file system may hang as well as fail, so a goroutine does the writing.
// It lives as long as there are entries to write, and an order waits for it
// for at most a second.
type auditor struct {
	path    string
	service string
	report  func(error)

	mu      sync.Mutex // guards the fields below
	queue   []auditJob
	writing bool
	failing error // why the last entry could not be written
	folds   folds
	closed  bool
	ended   chan error // receives the result of closing the file, once closed is true

	file auditFile // used only by the goroutine that writes
}

type auditJob struct {
	entry AuditEntry
	done  chan error // holds one
}

func newAuditor(path, service string, report func(error)) *auditor {
	a := &auditor{path: path, service: service, report: report, ended: make(chan error, 1)}
	a.file.path = path
	a.file.start = &AuditEntry{Time: time.Now(), Service: service, PID: os.Getpid(), Start: true, Peer: Peer{Transport: "program"}}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.startLocked(auditJob{done: make(chan error, 1)}) // writes no entry: reports early what is wrong with the file
	return a
}

// write adds an order to the log. The error says why that failed, or that it
// takes too long. Refusals of peers that may give no orders are mostly only
// counted (see auditfold.go), so such peers can neither fill the log nor make
// it wait for the disk.
func (a *auditor) write(o Order, by Peer, r *Receipt, refused error) error {
	if a == nil {
		return nil
	}
	job := auditJob{done: make(chan error, 1), entry: AuditEntry{Time: time.Now(), Service: a.service, PID: os.Getpid(), Order: o, Peer: by}}
	if refused != nil {
		job.entry.Order, job.entry.Error = o.short(), cut(refused.Error(), maxShortRef)
		if !a.news(job.entry, strange(refused)) {
			return nil
		}
	} else {
		did := *r // the sender may change the order while it waits to be written
		job.entry.Receipt = &did
	}
	if err := a.enqueue(&job); err != nil || strange(refused) {
		return err
	}
	patience := time.NewTimer(auditPatience)
	defer patience.Stop()
	select {
	case err := <-job.done:
		return err
	case <-patience.C:
		return fmt.Errorf("audit log %s: not written after %s", a.path, auditPatience)
	}
}

// notice adds what happened to an order when the process started. It does not
// wait.
func (a *auditor) notice(o Order, text string) {
	if a == nil {
		return
	}
	entry := AuditEntry{Time: time.Now(), Service: a.service, PID: os.Getpid(), Notice: text, Order: o, Peer: Peer{Transport: "program"}}
	if err := a.enqueue(&auditJob{entry: entry, done: make(chan error, 1)}); err != nil {
		a.note(err)
	}
}

// news reports whether a refusal gets a line of its own.
func (a *auditor) news(e AuditEntry, strange bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.closed && a.folds.addLocked(e, strange, a.foldOver)
}

// foldOver writes how many more refusals there were in the last minute.
func (a *auditor) foldOver() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settleLocked()
}

func (a *auditor) settleLocked() {
	for _, e := range a.folds.endLocked() {
		if len(a.queue) < auditBacklog {
			a.startLocked(auditJob{entry: e, done: make(chan error, 1)})
		}
	}
}

func (a *auditor) enqueue(job *auditJob) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return fmt.Errorf("audit log %s: %w", a.path, os.ErrClosed)
	case len(a.queue) >= auditBacklog:
		return fmt.Errorf("audit log %s: %d orders are waiting to be written, this one is not recorded", a.path, len(a.queue))
	}
	a.startLocked(*job)
	return nil
}

func (a *auditor) startLocked(job auditJob) {
	a.queue = append(a.queue, job)
	if !a.writing {
		a.writing = true
		go a.drain()
	}
}

// drain writes what is queued, and returns.
func (a *auditor) drain() {
	for {
		a.mu.Lock()
		if len(a.queue) == 0 {
			a.writing = false
			if a.closed {
				a.ended <- a.file.close()
			}
			a.mu.Unlock()
			return
		}
		job := a.queue[0]
		a.queue = a.queue[1:]
		a.mu.Unlock()
		err := a.file.write(job.entry)
		if err != nil {
			err = fmt.Errorf("audit log %s: %w", a.path, err)
		}
		a.note(err)
		job.done <- err
	}
}

// note reports a change between failing and working again.
func (a *auditor) note(err error) {
	a.mu.Lock()
	before := a.failing
	a.failing = err
	a.mu.Unlock()
	if a.report != nil && (err == nil) != (before == nil) {
		a.report(err)
	}
}

// state returns why the log cannot be written at present, or nil.
func (a *auditor) state() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failing
}

// close closes the log when the queue has been written. It waits for that as
// long as an order does.
func (a *auditor) close() error {
	if a == nil || !a.closing() {
		return nil
	}
	patience := time.NewTimer(auditPatience)
	defer patience.Stop()
	select {
	case err := <-a.ended:
		return err
	case <-patience.C:
		return fmt.Errorf("audit log %s: not written after %s", a.path, auditPatience)
	}
}

// closing stops further orders from being added. It returns false if that was
// done before.
func (a *auditor) closing() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.settleLocked()
	a.closed = true
	if !a.writing {
		a.ended <- a.file.close()
	}
	return true
}
