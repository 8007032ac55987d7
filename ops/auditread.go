package ops

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// ErrAudit is matched by the error for an audit log that was tampered with.
var ErrAudit = errors.New("audit log does not hold together")

// AuditReport is what VerifyAudit found.
type AuditReport struct {
	Entries int       `json:"entries"`
	From    time.Time `json:"from,omitzero"` // the time of the first
	To      time.Time `json:"to,omitzero"`   // the time of the last
	// Missed is the number of orders that could not be written when they were
	// given, because the disk was full, say. The chain tells.
	Missed uint64 `json:"missed,omitempty"`
	// Torn are the numbers of lines that a crash left unfinished. The chain
	// shows that no whole line stood there, but for one at the very end.
	Torn []int `json:"torn,omitempty"`
	// Begins is the hash that the first line follows: the last of the file
	// before it, or "" when the log began with this file.
	Begins string `json:"begins"`
	// Ends is the hash of the last line. Who keeps it elsewhere can tell later
	// whether lines were cut off at the end, which the file alone cannot.
	Ends string `json:"ends"`
}

// VerifyAudit reads an audit log and checks its chain. An error that matches
// ErrAudit names the first line that was edited, or before which lines were
// taken out or put in; the report then covers the lines before it.
//
// The chain has no secret: it shows an edit, not one by somebody who computes
// all later hashes anew. Against that, keep AuditReport.Ends elsewhere.
func VerifyAudit(r io.Reader) (AuditReport, error) {
	var report AuditReport
	last := AuditEntry{}
	for line, err := range auditLines(r) {
		switch {
		case errors.Is(err, errTorn):
			report.Torn = append(report.Torn, line.at)
			continue
		case errors.Is(err, errEdited):
			return report, fmt.Errorf("%w: line %d %w", ErrAudit, line.at, err)
		case err != nil:
			return report, err
		}
		e := line.entry
		switch {
		case report.Entries == 0:
			report.From, report.Begins = e.Time, e.Prev
			if e.Prev == "" && e.N > 1 { // the log began here, with orders that were missed
				report.Missed = e.N - 1
			}
		case e.Prev != last.Hash:
			return report, fmt.Errorf("%w: line %d does not follow the one before it: lines were taken out, put in or moved", ErrAudit, line.at)
		case e.N <= last.N:
			return report, fmt.Errorf("%w: line %d has number %d after %d", ErrAudit, line.at, e.N, last.N)
		default:
			report.Missed += e.N - last.N - 1
		}
		report.Entries++
		report.To, report.Ends = e.Time, e.Hash
		last = e
	}
	if report.Entries == 0 && len(report.Torn) > 0 {
		return report, fmt.Errorf("%w: none of its %d lines is that of an audit log", ErrAudit, len(report.Torn))
	}
	return report, nil
}

// ReadAudit yields the entries of an audit log, oldest first, unfinished lines
// left out. An error ends it; one that matches ErrAudit comes with the line
// that was edited, and does not.
func ReadAudit(r io.Reader) iter.Seq2[AuditEntry, error] {
	return func(yield func(AuditEntry, error) bool) {
		for line, err := range auditLines(r) {
			switch {
			case errors.Is(err, errTorn):
				continue
			case errors.Is(err, errEdited):
				err = fmt.Errorf("%w: line %d %w", ErrAudit, line.at, err)
			}
			if !yield(line.entry, err) {
				return
			}
		}
	}
}

type auditLine struct {
	at    int
	entry AuditEntry
}

func auditLines(r io.Reader) iter.Seq2[auditLine, error] {
	return func(yield func(auditLine, error) bool) {
		scan := bufio.NewScanner(r)
		scan.Buffer(nil, maxAuditLine)
		line := auditLine{}
		for scan.Scan() {
			line.at++
			if len(bytes.TrimSpace(scan.Bytes())) == 0 {
				continue
			}
			var err error
			if line.entry, err = unseal(scan.Bytes()); !yield(line, err) {
				return
			}
		}
		if err := scan.Err(); err != nil {
			yield(line, fmt.Errorf("read audit log after line %d: %w", line.at, err))
		}
	}
}
