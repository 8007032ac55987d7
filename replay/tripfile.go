package replay

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// tripper writes a file after each trip.
type tripper struct {
	r       *Recorder
	writing sync.WaitGroup // of files that wait or are being written

	mu    sync.Mutex // guards the fields below; taken under breakers' locks and under no other
	timer *time.Timer
	files int
	err   error
	done  bool
}

func newTripper(r *Recorder) *tripper { return &tripper{r: r} }

// trip sees to it that a file is written. The breaker's lock is held.
func (t *tripper) trip() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil && !t.done {
		t.writing.Add(1)
		t.timer = time.AfterFunc(t.r.opts.After, t.write)
	}
}

// write writes a file. It runs on the timer's goroutine.
func (t *tripper) write() {
	defer t.writing.Done()
	t.mu.Lock()
	t.timer = nil // the next trip gets another file
	t.mu.Unlock()
	err := t.r.writeFile()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err = err; err == nil {
		t.files++
	}
}

// close writes the file of a trip that is still waiting, and waits for one that is
// being written.
func (t *tripper) close() {
	t.mu.Lock()
	t.done = true
	waiting := t.timer != nil && t.timer.Stop()
	t.mu.Unlock()
	if waiting {
		t.write()
	}
	t.writing.Wait()
}

func (t *tripper) state() (files int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.files, t.err
}

// fileTime is the time in a file's name. It sorts as text.
const fileTime = "20060102T150405.000"

// names returns the name of the program in the files' names, and how those of this
// process begin.
func (r *Recorder) names() (program, prefix string) {
	program = strings.Map(func(c rune) rune {
		if c == '/' || c == filepath.Separator || c < ' ' {
			return '_'
		}
		return c
	}, cmp.Or(r.opts.Program, "switchgear"))
	return program, fmt.Sprintf("%s-%d-", program, os.Getpid())
}

// tryDir makes a file in Options.Dir and removes it, to see whether that works.
func (r *Recorder) tryDir() error {
	_, prefix := r.names()
	f, err := r.createFile(prefix)
	if err != nil {
		return err
	}
	_ = f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("replay: remove a file: %w", err)
	}
	return nil
}

// writeFile writes what the memory holds to a new file of Options.Dir, and
// removes the oldest files. The file has its name only when it is complete.
func (r *Recorder) writeFile() error {
	program, prefix := r.names()
	f, err := r.createFile(prefix)
	if err != nil {
		return err
	}
	if err := r.fill(f); err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return removeOld(r.opts.Dir, program, r.opts.MaxFiles)
}

// createFile makes a file with the name that an unfinished one has. It ends in a
// random number, because two managers of a program may trip at the same moment.
func (r *Recorder) createFile(prefix string) (*os.File, error) {
	f, err := os.CreateTemp(r.opts.Dir, "."+prefix+time.Now().UTC().Format(fileTime)+"-*.tmp") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("replay: create a file for a trip: %w", err)
	}
	return f, nil
}

// fill writes what the memory holds to f, and gives it the name of a complete file.
func (r *Recorder) fill(f *os.File) error {
	_, err := r.WriteTo(f)
	if cerr := f.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("replay: close the file of a trip: %w", cerr)
	}
	if err != nil {
		return err
	}
	dir, name := filepath.Split(f.Name())
	name = strings.TrimSuffix(strings.TrimPrefix(name, "."), ".tmp") + ".sgr"
	if err := os.Rename(f.Name(), dir+name); err != nil {
		return fmt.Errorf("replay: rename the file of a trip: %w", err)
	}
	return nil
}

// unfinished is the age from which on a file without its name is one whose process
// has ended before it was complete.
const unfinished = time.Hour

// removeOld removes the oldest files of a program's trips, and those that were never
// completed. Files of other processes count, too: a program that is started again
// and again must not fill the disk.
func removeOld(dir, program string, keep int) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("replay: list the files of trips: %w", err)
	}
	quoted := regexp.QuoteMeta(program)
	const at = `-\d+-(\d{8}T\d{6}\.\d{3}-\d+)`
	complete := regexp.MustCompile("^" + quoted + at + `\.sgr$`)
	begun := regexp.MustCompile(`^\.` + quoted + at + `\.tmp$`)
	var own, gone []string
	for _, e := range list {
		switch name := e.Name(); {
		case complete.MatchString(name):
			own = append(own, name)
		case begun.MatchString(name):
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > unfinished {
				gone = append(gone, name)
			}
		}
	}
	began := func(name string) string { return complete.FindStringSubmatch(name)[1] }
	slices.SortFunc(own, func(a, b string) int { return cmp.Compare(began(a), began(b)) })
	for _, name := range append(gone, own[:max(0, len(own)-keep)]...) {
		// Another process may have been faster.
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replay: remove an old file: %w", err)
		}
	}
	return nil
}

// keyText returns what a file shows of a key.
func (r *Recorder) keyText(n uint32, key string) string {
	switch r.opts.Keys {
	case KeysPlain:
		return key
	case KeysOmitted:
		return fmt.Sprintf("key%d", n)
	default:
		mac := hmac.New(sha256.New, r.secret)
		mac.Write([]byte(key)) // never returns an error
		return hex.EncodeToString(mac.Sum(nil)[:8])
	}
}

// texts returns a transition as the file may show it.
func (r *Recorder) texts(t *breaker.Transition) *breaker.Transition {
	if r.opts.ErrorTexts {
		return t
	}
	n := *t
	n.Errors, n.Actor, n.Reason = nil, "", ""
	return &n
}
