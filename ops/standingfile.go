package ops

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

const (
	standingVersion = 1
	maxStandingFile = 64 << 20
)

// standingDoc is the contents of the file.
type standingDoc struct {
	Version   int                 `json:"version"`
	Overrides []*standingOverride `json:"overrides"`
	Settings  []standingSetting   `json:"settings"`
}

// standingOverride is an override of one or more breakers by one order.
type standingOverride struct {
	IDs []string `json:"ids,omitempty"`
	// Raw are the ids that are not valid UTF-8, which JSON can contain only as
	// bytes.
	Raw     [][]byte      `json:"raw_ids,omitempty"`
	State   breaker.State `json:"state"`
	Actor   string        `json:"actor"`
	Reason  string        `json:"reason,omitempty"`
	Since   time.Time     `json:"since"`
	Expires time.Time     `json:"expires,omitzero"` // zero: never
}

// standingSetting is one setting of a breaker, or with "name/*" of a set.
type standingSetting struct {
	ID     string          `json:"id,omitempty"`
	Raw    []byte          `json:"raw_id,omitempty"` // the id, if it is not valid UTF-8
	Key    string          `json:"key"`
	Value  json.RawMessage `json:"value"`
	Actor  string          `json:"actor"`
	Reason string          `json:"reason,omitempty"`
	Since  time.Time       `json:"since"`
}

// parseStanding parses the text of the file, completely or not at all.
func parseStanding(text []byte) (d standingDoc, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return d, fmt.Errorf("ends after %d bytes, want a whole JSON object", len(text))
		}
		return d, fmt.Errorf("%w, want the JSON that this package writes", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return d, fmt.Errorf("has more after its JSON object, at byte %d", dec.InputOffset())
	}
	if d.Version != standingVersion {
		return d, fmt.Errorf("has version %d, want %d", d.Version, standingVersion)
	}
	for i, o := range d.Overrides {
		switch {
		case o == nil || len(o.IDs)+len(o.Raw) == 0:
			return d, fmt.Errorf("override %d has no ids", i+1)
		case o.State != breaker.ForcedOpen && o.State != breaker.ForcedClosed:
			return d, fmt.Errorf("override %d has state %s, want forced-open or forced-closed", i+1, o.State)
		}
	}
	for i, s := range d.Settings {
		switch {
		case s.ID == "" && len(s.Raw) == 0:
			return d, fmt.Errorf("setting %d has no id", i+1)
		case s.Key == "" || len(s.Value) == 0:
			return d, fmt.Errorf("setting %d has no key and value", i+1)
		}
	}
	return d, nil
}

// standingFile is the file in which orders are kept. It is always complete:
// each write replaces it by a new file.
type standingFile struct {
	path string
	lock *os.File // held from the first write on
}

// read returns the contents of the file. Reading takes no lock, because the
// process that is about to end may still hold it.
func (f *standingFile) read() (d standingDoc, err error) {
	file, err := os.Open(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return standingDoc{}, nil
	}
	if err != nil {
		return d, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return d, err
	case !info.Mode().IsRegular():
		return d, fmt.Errorf("is not a regular file (%s)", info.Mode())
	case info.Mode().Perm()&0o022 != 0 && runtime.GOOS != "windows":
		return d, fmt.Errorf("has mode %04o, want 0600: other users could give orders with it", info.Mode().Perm())
	case info.Size() > maxStandingFile:
		return d, fmt.Errorf("has %d bytes, want at most %d", info.Size(), maxStandingFile)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxStandingFile))
	if err != nil {
		return d, err
	}
	return parseStanding(text)
}

// write replaces the file. After an error the old file is unchanged.
func (f *standingFile) write(d *standingDoc) error {
	if err := f.own(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return err
	}
	fresh := f.path + ".new" // always the same name: the lock excludes other writers, and a crash leaves at most one such file
	if err := writeSynced(fresh, append(text, '\n')); err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(fresh)))
	}
	if err := os.Rename(fresh, f.path); err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(fresh)))
	}
	return syncFolder(filepath.Dir(f.path))
}

func writeSynced(path string, text []byte) error {
	if err := ignoreMissing(os.Remove(path)); err != nil { // a file left by a crash may have another mode
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// syncFolder makes a rename durable. If a folder cannot be opened or synced,
// the rename is as durable as the system makes it.
func syncFolder(path string) error {
	dir, err := openFolder(path)
	if err != nil {
		return nil
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil && runtime.GOOS == "linux" {
		return err
	}
	return nil
}

// own locks the file for this process alone. The lock is on a separate file,
// because the file itself is replaced by each write.
func (f *standingFile) own() error {
	if f.lock != nil {
		return nil
	}
	lock, err := os.OpenFile(f.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := lockFile(lock); err != nil {
		lock.Close()
		return fmt.Errorf("in use by another process: %w", err)
	}
	f.lock = lock
	return nil
}

func (f *standingFile) close() error {
	if f.lock == nil {
		return nil
	}
	err := errors.Join(unlockFile(f.lock), f.lock.Close())
	f.lock = nil
	return err
}
