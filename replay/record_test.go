package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// P2: recorded from real goroutines in real time, the same transitions follow.
func TestVerifyReal(t *testing.T) {
	for name, s := range map[string]breaker.Settings{
		"consecutive": {FailMax: 5, ResetTimeout: time.Millisecond},
		"recommended": {FailMax: 8, SuccessesToForgive: 2, ResetTimeout: time.Millisecond, ResetBackoff: 2, ResetMax: 4 * time.Millisecond, ResetJitter: .2},
		"probes":      {FailMax: 3, ResetTimeout: time.Millisecond, Probes: 3, SuccessThreshold: 4},
	} {
		t.Run(name, func(t *testing.T) {
			m := breaker.NewManager(s)
			b := m.Breaker("b")
			r, err := Record(m, Options{Bytes: 64 << 20})
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			began := time.Now()
			for i := range 8 {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(i), 1))
					for time.Since(began) < 500*time.Millisecond {
						_ = b.Do(context.Background(), func(context.Context) error {
							ill := time.Since(began)/(20*time.Millisecond)%2 == 1
							for range rng.IntN(2000) {
								_ = rng.Uint64()
							}
							if ill && rng.IntN(3) > 0 {
								return errDown
							}
							return nil
						})
					}
				})
			}
			wg.Wait()
			var file bytes.Buffer
			if _, err := r.WriteTo(&file); err != nil {
				t.Fatal(err)
			}
			stats := r.Stats()
			r.Close()
			trace := read(t, file.Bytes())
			v := trace.Verify()
			t.Logf("%d calls, %d rejected, %d lost, %.1f bytes a call; %v", trace.Calls, trace.Rejected, stats.Lost, float64(file.Len())/float64(trace.Calls), v)
			if stats.Lost == 0 && !v.OK() {
				t.Errorf("%v: %v", v, v.First)
			}
			if v.Transitions == 0 {
				t.Error("no transitions: the test tests nothing")
			}
		})
	}
}

// Nothing that a dependency or a person has said is in a file, and keys cannot
// be recognised, unless the program asks for it.
func TestRecordSecrets(t *testing.T) {
	for _, tt := range []struct {
		o           Options
		key, secret bool
	}{{Options{}, false, false}, {Options{Keys: KeysOmitted}, false, false}, {Options{Keys: KeysPlain}, true, false}, {Options{ErrorTexts: true}, false, true}} {
		file := record(t, breaker.Settings{FailMax: 1}, tt.o, func(m *breaker.Manager) {
			set := breaker.SetOf[string](m, "tenants")
			for range 2 {
				time.Sleep(time.Second)
				_ = set.Do(context.Background(), "alice@example.com", func(context.Context) error { return errDown })
			}
			set.Breaker("alice@example.com").ForceOpen(breaker.Order{Actor: "root", Reason: "a secret reason"})
		})
		if got := bytes.Contains(file, []byte("alice")); got != tt.key {
			t.Errorf("%+v: the key is in the file: %v, want %v", tt.o, got, tt.key)
		}
		for _, text := range []string{"10.0.0.1", "root", "secret"} {
			if got := bytes.Contains(file, []byte(text)); got != tt.secret {
				t.Errorf("%+v: %q is in the file: %v, want %v", tt.o, text, got, tt.secret)
			}
		}
		if v := read(t, file).Verify(); !v.OK() || v.Reproduced != 1 {
			t.Errorf("%+v: %v, %v", tt.o, v, v.First)
		}
	}
}

// A trip writes a file that only its owner can read, and old files go.
func TestRecordTripFiles(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{FailMax: 2, ResetTimeout: time.Second})
		r, err := Record(m, Options{Dir: dir, Program: "shop/../x", MaxFiles: 3, After: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			for range 3 {
				time.Sleep(2 * time.Second)
				_ = m.Breaker("b").Do(context.Background(), func(context.Context) error { return errDown })
			}
			time.Sleep(10 * time.Second)
			m.Breaker("b").Close(breaker.Order{})
		}
		if s := r.Stats(); s.Files != 5 || s.Err != nil {
			t.Errorf("%d files, %v", s.Files, s.Err)
		}
		_ = os.RemoveAll(dir)
		m.Breaker("b").Close(breaker.Order{})
		for range 2 {
			_ = m.Breaker("b").Do(context.Background(), func(context.Context) error { return errDown })
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		r.Close() // writes the file that waits
		if s := r.Stats(); s.Files != 6 || s.Err != nil {
			t.Errorf("%d files, %v", s.Files, s.Err)
		}
	})
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %q, %v", files, err)
	}
	info, err := os.Stat(files[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	trace, err := Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if v := trace.Verify(); !v.OK() {
		t.Errorf("%v: %v", v, v.First)
	}
}

// At most MaxFiles are kept.
func TestRecordMaxFiles(t *testing.T) {
	dir := t.TempDir()
	m := breaker.NewManager(breaker.Settings{})
	r, err := Record(m, Options{Dir: dir, Program: "a[b]*", MaxFiles: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 4 {
		if err := r.writeFile(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // the names have milliseconds
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.sgr")); len(files) != 2 {
		t.Errorf("%d files, want 2: %q", len(files), files)
	}
	r.opts.Dir = filepath.Join(dir, "none")
	if err := r.writeFile(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want an error that says that the directory does not exist", err)
	}
}

// A process that is killed and started again and again does not fill the disk: the
// files of its predecessors count, and what they had begun to write is removed.
func TestRecordRemovesFilesOfPredecessors(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, age time.Duration) {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	put("shop-9-20260101T000001.000-1.sgr", 0) // the oldest: its number sorts last
	put("shop-10-20260101T000002.000-1.sgr", 0)
	put("shop-11-20260101T000003.000-1.sgr", 0)
	put(".shop-9-20260101T000000.000-1.tmp", 2*time.Hour)
	put(".shop-10-20260101T000000.000-1.tmp", time.Minute) // its process may still be writing
	others := []string{".other-9-20260101T000000.000-1.tmp", ".shop-10-20260101T000000.000-1.tmp", "notes.sgr", "shop-eu-9-20260101T000000.000-1.sgr", "shop-x.sgr"}
	put(others[0], 2*time.Hour)
	for _, name := range others[2:] {
		put(name, 2*time.Hour)
	}
	r, err := Record(breaker.NewManager(breaker.Settings{}), Options{Dir: dir, Program: "shop", MaxFiles: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.writeFile(); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		if name := e.Name(); !strings.HasPrefix(name, fmt.Sprintf("shop-%d-", os.Getpid())) {
			got = append(got, name)
		}
	}
	want := append(others, "shop-11-20260101T000003.000-1.sgr")
	slices.Sort(want)
	if !slices.Equal(got, want) || len(list) != len(want)+1 {
		t.Errorf("beside its own file there are %q, want %q", got, want)
	}
}

// Two managers of a program that trip at the same moment write a file each.
func TestTripFilesOfTwoManagers(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		for range 2 {
			m := breaker.NewManager(breaker.Settings{FailMax: 1})
			r, err := Record(m, Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			_ = m.Breaker("b").Do(t.Context(), func(context.Context) error { return errDown })
		}
		time.Sleep(time.Minute)
	})
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 2 {
		t.Errorf("%d files, %v, want 2", len(list), err)
	}
}

// Close waits for a file that is being written: a program that ends after a trip
// keeps it.
func TestCloseWaitsForTheFile(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{FailMax: 1})
		r, err := Record(m, Options{Dir: dir, After: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		_ = m.Breaker("b").Do(t.Context(), func(context.Context) error { return errDown })
		time.Sleep(5*time.Second + settle/2)
		r.Close()
		if s := r.Stats(); s.Files != 1 || s.Err != nil {
			t.Errorf("%d files, %v, want 1", s.Files, s.Err)
		}
	})
}

// What cannot work is refused at once: nobody looks at Stats until it is too late.
func TestRecordErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := breaker.NewManager(breaker.Settings{})
	for _, c := range []struct {
		o     Options
		match error
		says  string
	}{
		{Options{Bytes: -1}, nil, "Bytes is -1, want"},
		{Options{MaxFiles: -1}, nil, "MaxFiles is -1, want"},
		{Options{After: -time.Second}, nil, "After is -1s, want"},
		{Options{Dir: filepath.Join(dir, "none")}, fs.ErrNotExist, "replay: create a file for a trip: open "},
		{Options{Dir: file}, nil, "replay: create a file for a trip: open "},
	} {
		r, err := Record(m, c.o)
		if err == nil {
			r.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || c.match != nil && !errors.Is(err, c.match) {
			t.Errorf("%+v: got %v, want %q", c.o, err, c.says)
		}
	}
	// Nothing is left behind, and the manager is not being recorded.
	r, err := Record(m, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("%q, %v", list, err)
	}
}

// The error of a file says once where it comes from.
func TestErrorsOfFiles(t *testing.T) {
	dir := t.TempDir()
	r, err := Record(breaker.NewManager(breaker.Settings{}), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	file := func(open func(string) (*os.File, error), name string) *os.File {
		f, err := open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	_ = file(os.Create, "x").Close()
	writing := r.fill(file(os.Open, "x")) // only for reading
	gone := file(os.Create, "x")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{writing, r.fill(gone), r.writeFile()} {
		if err == nil || strings.Count(err.Error(), "replay: ") != 1 || !strings.HasPrefix(err.Error(), "replay: ") {
			t.Errorf("%v", err)
		}
	}
}

// Two recorders would not both get the calls.
func TestRecordTwice(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	r, err := Record(m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Record(m, Options{}); !errors.Is(err, ErrRecording) {
		t.Errorf("got %v, want ErrRecording", err)
	}
	r.Close()
	r.Close()
	if r, err = Record(m, Options{}); err != nil {
		t.Fatalf("after Close: %v", err)
	}
	r.Close()
}

// slow is a writer that is too slow for the calls, and then fails.
type slow struct{ n int }

func (s *slow) Write(p []byte) (int, error) {
	time.Sleep(5 * time.Second)
	if s.n++; s.n > 3 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// A stream holds every call, or says how many it does not hold; a slow writer
// holds up no call.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{ResetTimeout: 3 * time.Second})
		r, err := Record(m, Options{Bytes: 1 << 14})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var file bytes.Buffer
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := r.Stream(ctx, &file); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := r.Stream(ctx, new(slow)); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("got %v, want the writer's error", err)
			}
		})
		synctest.Wait()
		calls := 0
		for i := range 3000 {
			time.Sleep(9 * time.Millisecond)
			if err := m.Breaker("b").Do(ctx, func(context.Context) error {
				calls++
				time.Sleep(time.Millisecond)
				if i/500%2 == 1 {
					return errDown
				}
				return nil
			}); err != nil && !errors.Is(err, errDown) && !errors.Is(err, breaker.ErrOpen) {
				t.Error(err)
			}
		}
		stop()
		wg.Wait()
		r.Close()
		trace := read(t, file.Bytes())
		if trace.Calls+trace.Lost != uint64(calls) || trace.Lost > 0 {
			t.Errorf("%d calls and %d lost, want %d", trace.Calls, trace.Lost, calls)
		}
		if v := trace.Verify(); !v.OK() || v.Reproduced < 5 || v.Unchecked > 0 {
			t.Errorf("%v: %v", v, v.First)
		}
	})
}

// Calls that the tape has written over are counted.
func TestStreamCountsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{})
		r, err := Record(m, Options{Bytes: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var file bytes.Buffer
		p := newPump(r, &file, false)
		const calls = 10_000
		for range calls {
			_ = m.Breaker("b").Do(t.Context(), func(context.Context) error { return nil })
		}
		if err := errors.Join(p.pump(), p.end()); err != nil {
			t.Fatal(err)
		}
		if trace := read(t, file.Bytes()); trace.Calls+trace.Lost != calls || trace.Lost == 0 {
			t.Errorf("%d calls and %d lost, want %d together", trace.Calls, trace.Lost, calls)
		}
	})
}

// A recording and its end change no outcome and no transition (P6).
func TestRecordChangesNothing(t *testing.T) {
	run := func(on bool) string {
		var log strings.Builder
		synctest.Test(t, func(t *testing.T) {
			m := breaker.NewManager(breaker.Settings{FailMax: 3, ResetTimeout: 2 * time.Second, FailureRate: .5, SlowCall: 705 * time.Millisecond, SlowRate: .8})
			b := m.Breaker("b")
			rng := rand.New(rand.NewPCG(5, 5))
			var r *Recorder
			for i := range 2000 {
				if on && i%400 == 100 {
					r, _ = Record(m, Options{})
				}
				if on && i%400 == 300 {
					r.Close()
				}
				// A recording times calls by the real clock in place of one with
				// steps of 10 ms. No call here is that close to SlowCall.
				time.Sleep(time.Duration(1+rng.IntN(20)) * 30 * time.Millisecond)
				failing := i/300%2 == 1 && rng.IntN(2) == 0
				err := b.Do(t.Context(), func(context.Context) error {
					time.Sleep(time.Duration(rng.IntN(33)) * 30 * time.Millisecond)
					if failing {
						return errDown
					}
					return nil
				})
				log.WriteString(b.State().String())
				if err != nil {
					log.WriteString(err.Error())
				}
			}
		})
		return log.String()
	}
	if off, on := run(false), run(true); off != on {
		t.Error("calls end differently while they are recorded")
	}
}

func BenchmarkWriteTo(b *testing.B) {
	m := breaker.NewManager(breaker.Settings{})
	r, err := Record(m, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for range r.Stats().Capacity {
		_ = m.Breaker("b").Do(context.Background(), func(context.Context) error { return nil })
	}
	for b.Loop() {
		if _, err := r.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

// Entries of breakers that are gone make room, a few at a time: the call that
// needs a number waits meanwhile, and so do others.
func TestPruneIsBounded(t *testing.T) {
	const entries = 1000
	r := &Recorder{tape: tape.New(0, tape.Hooks{}), numbers: map[weak.Pointer[breaker.Breaker]]uint32{}, entries: map[uint32]*entry{}}
	for n := range uint32(entries) {
		p := weak.Make(breaker.New("x", breaker.Settings{}))
		r.numbers[p], r.entries[n+1] = n+1, &entry{ptr: p}
	}
	runtime.GC()
	for range 2 * r.tape.Len() { // nothing that was recorded at 0 is left
		r.tape.Add(rand.Uint32(), time.Second, time.Second, 0)
	}
	for left := entries; left > 0; left -= entriesPruned {
		if len(r.entries) != left || len(r.numbers) != left {
			t.Fatalf("%d entries and %d numbers are left, want %d", len(r.entries), len(r.numbers), left)
		}
		r.pruneLocked()
		left = max(left, entriesPruned)
	}
	if len(r.entries) != 0 {
		t.Errorf("%d entries are left", len(r.entries))
	}
}

// The lock that calls need is released from time to time while all entries are
// looked at.
func TestEntriesInBatches(t *testing.T) {
	r := &Recorder{entries: map[uint32]*entry{}}
	for n := range uint32(100 * entriesAtOnce) {
		r.entries[n] = new(entry)
	}
	walk := func() (waited bool) {
		var calls sync.WaitGroup
		seen := 0
		r.mu.Lock()
		for range r.entriesInBatches() {
			if seen++; seen == 1 {
				calls.Go(func() { r.mu.Lock(); waited = seen < len(r.entries); r.mu.Unlock() })
			}
		}
		r.mu.Unlock()
		calls.Wait()
		if seen != len(r.entries) {
			t.Fatalf("%d entries seen, want %d", seen, len(r.entries))
		}
		return waited
	}
	for range 1000 { // until the other goroutine is scheduled in time
		if walk() {
			return
		}
	}
	t.Error("the lock is held for the whole walk")
}
