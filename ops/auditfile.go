package ops

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	hashField    = `,"hash":"`
	hashTail     = len(hashField) + 2*sha256.Size + len(`"}`)
	maxAuditLine = 16 << 20 // a receipt has up to a thousand results, each with an id and settings
)

// auditFile is the file of the log, with the end of its chain.
type auditFile struct {
	path   string
	start  *AuditEntry // the entry for the start of this process, until it is in the log
	f      *os.File
	size   int64
	n      uint64 // AuditEntry.N of the last line
	missed uint64 // orders since then that could not be written
	prev   string // hash of the last line
}

// write appends a whole line, or leaves the file as it was. The first line of
// a process follows a line for its start; an entry without a time writes only
// that.
func (l *auditFile) write(e AuditEntry) error {
	err := l.ready()
	if err == nil && l.start != nil {
		if err = l.append(*l.start); err == nil {
			l.start = nil
		}
	}
	if e.Time.IsZero() {
		return err
	}
	if err == nil {
		err = l.append(e)
	}
	if err != nil {
		l.missed++
	}
	return err
}

func (l *auditFile) append(e AuditEntry) error {
	e.N, e.Prev = l.n+l.missed+1, l.prev
	line, hash, err := seal(e)
	if err != nil {
		return err
	}
	if _, err = l.f.WriteAt(line, l.size); err == nil {
		err = l.f.Sync()
	}
	if err != nil {
		err = errors.Join(err, l.f.Truncate(l.size))
		l.close() // checked again when the file is opened again
		return err
	}
	l.size += int64(len(line))
	l.n, l.missed, l.prev = e.N, 0, hash
	return nil
}

// seal returns an entry's line and its hash.
func seal(e AuditEntry) (line []byte, hash string, err error) {
	e.Hash = ""
	body, err := json.Marshal(e)
	if err != nil {
		return nil, "", err
	}
	body = bytes.TrimSuffix(body, []byte(hashField+`"}`))
	hash = hashOf(body)
	return append(body, hashField+hash+"\"}\n"...), hash, nil
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

var (
	errTorn    = errors.New("not a whole line")
	errForeign = errors.New("is not a line of an audit log, nor the beginning of one, as a crash leaves it")
	errEdited  = errors.New("was edited: its hash does not fit")
)

// unseal parses a line written by seal, without its line end.
func unseal(line []byte) (e AuditEntry, err error) {
	body := len(line) - hashTail
	if body < 0 || !bytes.HasPrefix(line[body:], []byte(hashField)) || json.Unmarshal(line, &e) != nil {
		if cutOff(line) {
			return AuditEntry{}, errTorn
		}
		return AuditEntry{}, errForeign
	}
	if hashOf(line[:body]) != e.Hash {
		return e, errEdited
	}
	return e, nil
}

// cutOff reports whether line is an incomplete line written by seal. Zeros may
// follow, if the file system had allocated space for the line and the machine
// crashed before it was written.
func cutOff(line []byte) bool {
	const head = `{"n":`
	begun := bytes.TrimRight(line, "\x00")
	if n := min(len(begun), len(head)); len(line) == 0 || string(begun[:n]) != head[:n] {
		return false
	}
	var object json.RawMessage
	err := json.NewDecoder(bytes.NewReader(begun)).Decode(&object)
	return len(begun) == 0 || errors.Is(err, io.ErrUnexpectedEOF)
}

// ready opens the file. It opens it again if path now names another file,
// because the old one was removed, rotated away or emptied.
func (l *auditFile) ready() error {
	if l.f != nil {
		there, err := os.Stat(l.path)
		old, oldErr := l.f.Stat()
		if err == nil && oldErr == nil && os.SameFile(there, old) && old.Size() == l.size {
			return nil
		}
		l.close()
	}
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := l.continueAt(f); err != nil {
		f.Close()
		return err
	}
	return nil
}

// continueAt continues the log at the end of f. The chain continues from what
// this process wrote last, or else from the last whole line.
func (l *auditFile) continueAt(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("is not a regular file (%s)", info.Mode())
	}
	if err := lockFile(f); err != nil {
		return fmt.Errorf("in use by another process: %w", err)
	}
	size := info.Size()
	last, torn, err := lastLine(f, size)
	if err != nil {
		return err
	}
	if torn { // left by a crash: ended here, so that VerifyAudit can distinguish it from an edit
		if _, err := f.WriteAt([]byte("\n"), size); err != nil {
			return err
		}
		size++
	}
	l.f, l.size = f, size
	if l.prev == "" {
		l.prev, l.n = last.Hash, last.N
	}
	return nil
}

func (l *auditFile) close() error {
	if l.f == nil {
		return nil
	}
	err := errors.Join(unlockFile(l.f), l.f.Close())
	l.f = nil
	return err
}

// lastLine returns the last whole line of a log, or the zero entry, and
// reports whether the log ends without a line end.
func lastLine(f *os.File, size int64) (e AuditEntry, torn bool, err error) {
	tail := make([]byte, min(size, maxAuditLine))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return e, false, err
	}
	torn = len(tail) > 0 && tail[len(tail)-1] != '\n'
	for len(tail) > 0 {
		tail = bytes.TrimSuffix(tail, []byte("\n"))
		at := bytes.LastIndexByte(tail, '\n') + 1
		if e, err := unseal(tail[at:]); err == nil {
			return e, torn, nil
		}
		tail = tail[:at]
	}
	return AuditEntry{}, torn, nil
}
