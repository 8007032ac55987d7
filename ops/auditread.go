package ops

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
)

// ErrAudit is matched by the error for an audit log that was tampered with.
var ErrAudit = errors.New("audit log is inconsistent")

// AuditError says where an audit log is inconsistent, and why. It matches
// ErrAudit.
type AuditError struct {
	File    int // the file, of those given to VerifyAudit, counted from 1
	Line    int // the line in the file; 0: the error is not in a line
	Problem string
}

// Error returns the place and the reason.
func (e *AuditError) Error() string {
	text := ErrAudit.Error() + ": "
	if e.File > 1 {
		text += fmt.Sprintf("file %d, ", e.File)
	}
	if e.Line > 0 {
		text += fmt.Sprintf("line %d ", e.Line)
	}
	return text + e.Problem
}

// Is reports whether target is ErrAudit.
func (e *AuditError) Is(target error) bool { return target == ErrAudit }

// AuditReport is the result of VerifyAudit.
type AuditReport struct {
	Entries int       `json:"entries"`       // orders
	Starts  int       `json:"starts"`        // starts of processes
	Notices int       `json:"notices"`       // of orders that a process found when it started, and of recordings
	Repeats int       `json:"repeats"`       // refused orders without a line of their own
	Chains  int       `json:"chains"`        // 1, plus one for each file that started a new chain
	From    time.Time `json:"from,omitzero"` // the time of the first line
	To      time.Time `json:"to,omitzero"`   // the time of the last
	// Missed is the number of orders that could not be written when they were
	// given, for example because the disk was full. The numbers of the lines
	// show them.
	Missed uint64 `json:"missed,omitempty"`
	// Torn holds the numbers of the lines that a crash left unfinished,
	// counted across all files. The chain proves that no whole line stood
	// there, except at the very end.
	Torn []int `json:"torn,omitempty"`
	// Begins is the hash that the first line follows: that of the last line of
	// the previous file, or "" if the log began with this file.
	Begins string `json:"begins"`
	// Ends is the hash of the last line, and Last its number. If you keep one
	// of them elsewhere, VerifyAuditTo can show later whether lines were cut
	// off at the end. The file alone cannot show that.
	Ends string `json:"ends"`
	Last uint64 `json:"last"`
}

// lines returns the number of whole lines.
func (r *AuditReport) lines() int { return r.Entries + r.Starts + r.Notices }

// VerifyAudit reads an audit log and checks its chain. The log is one file, or
// several files made by rotation, oldest first. An error that matches ErrAudit
// names the first line that was edited, or before which lines were removed or
// inserted; the report then covers the lines before it. An unfinished line
// counts as left by a crash if it is the beginning of a line, and the log
// continues with the start of a process or ends there. Anything else is an
// error.
//
// A process that finds no log when it starts, because the file was moved away
// while it was down, starts a new chain. AuditReport.Chains counts the chains.
// Whether lines are missing at the end of the previous file cannot be detected
// then.
//
// The chain uses no secret: it reveals an edit, but not by someone who
// recomputes all later hashes. To guard against that, keep AuditReport.Ends
// elsewhere.
func VerifyAudit(files ...io.Reader) (AuditReport, error) { return VerifyAuditTo("", files...) }

// VerifyAuditTo is VerifyAudit for a log that must contain end: the hash of an
// entry or its number, from AuditReport.Ends or Last of an earlier check. The
// log may continue after it.
func VerifyAuditTo(end string, files ...io.Reader) (AuditReport, error) {
	v := verifier{}
	var err error
	if v.end, err = parseEnd(end); err != nil {
		return v.report, err
	}
	for _, r := range files {
		v.file++
		if err := v.read(r); err != nil {
			return v.report, err
		}
	}
	if v.report.lines() == 0 && len(v.report.Torn) > 0 {
		return v.report, &AuditError{Problem: fmt.Sprintf("none of its %d lines is that of an audit log", len(v.report.Torn))}
	}
	if !v.reached {
		return v.report, &AuditError{Problem: fmt.Sprintf("it ends with %s, number %d, before it reaches %s: lines were cut off at its end", cmp.Or(v.report.Ends, "nothing"), v.report.Last, end)}
	}
	return v.report, nil
}

// auditEnd is a hash or a number that a log must reach. Every log reaches the
// zero value.
type auditEnd struct {
	hash string
	n    uint64
}

func parseEnd(text string) (auditEnd, error) {
	if text == "" {
		return auditEnd{}, nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && len(text) < 2*sha256.Size {
		return auditEnd{n: n}, nil
	}
	if b, err := hex.DecodeString(text); err != nil || len(b) != sha256.Size {
		return auditEnd{}, fmt.Errorf("ops: the end %q of an audit log, want the hash of an entry or its number", text)
	}
	return auditEnd{hash: strings.ToLower(text)}, nil
}

// verifier checks a chain line by line.
type verifier struct {
	report  AuditReport
	end     auditEnd
	reached bool
	file    int
	before  int  // lines of the files before this one
	begun   bool // a whole line of this file has been read
	torn    int  // the line of this file that is unfinished, if it is the last so far
	last    AuditEntry
}

func (v *verifier) read(r io.Reader) error {
	v.torn, v.begun = 0, false
	lines := 0
	for line, err := range auditLines(r) {
		lines = line.at
		switch {
		case errors.Is(err, errTorn):
			v.report.Torn = append(v.report.Torn, v.before+line.at)
			v.torn = line.at
			continue
		case errors.Is(err, errEdited), errors.Is(err, errForeign):
			return v.wrong(line.at, "%w", err)
		case err != nil:
			return err
		}
		if err := v.take(line); err != nil {
			return err
		}
	}
	v.before += lines
	if v.end == (auditEnd{}) || v.end.n > 0 && v.report.Last >= v.end.n {
		v.reached = true
	}
	return nil
}

func (v *verifier) wrong(line int, format string, args ...any) error {
	return &AuditError{v.file, line, fmt.Errorf(format, args...).Error()}
}

func (v *verifier) take(line auditLine) error {
	e, first, firstInFile := &line.entry, v.report.lines() == 0, !v.begun
	v.begun = true
	switch {
	case first, firstInFile && e.Start && e.Prev == "" && !e.Time.Before(v.last.Time):
		v.report.Chains++
		if e.Prev == "" { // the log began with this file, perhaps with orders that were missed
			v.report.Missed += e.N - 1
		}
		if first {
			v.report.From, v.report.Begins = e.Time, e.Prev
		}
	case e.Prev != v.last.Hash:
		return v.wrong(line.at, "does not follow the one before it: lines were taken out, put in or moved")
	case e.N <= v.last.N:
		return v.wrong(line.at, "has number %d after %d", e.N, v.last.N)
	case v.torn > 0 && !e.Start && e.N == v.last.N+1:
		// A crash is followed by the start of a process. And if a process
		// could neither write a line nor remove its beginning, a number is
		// missing.
		return v.wrong(v.torn, "is unfinished, but its process went on: it was edited")
	default:
		v.report.Missed += e.N - v.last.N - 1
	}
	v.torn = 0
	switch {
	case e.Start:
		v.report.Starts++
	case e.Notice != "":
		v.report.Notices++
	default:
		v.report.Entries++
	}
	v.report.Repeats += e.Repeats
	v.report.To, v.report.Ends, v.report.Last = e.Time, e.Hash, e.N
	if v.end.hash != "" && (v.end.hash == e.Hash || first && v.end.hash == e.Prev) {
		v.reached = true
	}
	v.last = *e
	return nil
}

// ReadAudit yields the entries of an audit log, oldest first, without
// unfinished lines. An error ends the iteration, except one that matches
// ErrAudit, which comes with the edited line.
func ReadAudit(r io.Reader) iter.Seq2[AuditEntry, error] {
	return func(yield func(AuditEntry, error) bool) {
		for line, err := range auditLines(r) {
			switch {
			case errors.Is(err, errTorn):
				continue
			case errors.Is(err, errEdited), errors.Is(err, errForeign):
				err = &AuditError{1, line.at, err.Error()}
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
