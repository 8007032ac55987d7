//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fifo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// The faults of PyBreaker's pipe. Each has a test here or in files_unix_test.go,
// except those of the clock and of the config file: the pipe reads no clock, since
// a row of the table is one Status (see I9 for the engine), and the file is tested
// in adapters/breakerconf and cmd/circuit_breaker_fifo.

func TestFault_StaleReply(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{100 * time.Millisecond, 500 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			t.Parallel()
			ref := startReference(t, t.TempDir(), delay, "a", "b")
			c := ref.client()
			if err := os.WriteFile(c.Output, []byte("SUCCESS\nChanged `a` state\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			for i, id := range []string{"a", "b", "a", "nosuch"} {
				eventually(t, "the reference sleeps", ref.asleep.Load)
				text, err := c.Send(t.Context(), id, breaker.Order{Verb: breaker.VerbForceOpen})
				if id == "nosuch" {
					if !errors.Is(err, breaker.ErrUnknown) {
						t.Errorf("order %d: %q, %v, want ErrUnknown", i, text, err)
					}
					continue
				}
				if err != nil || text != "Changed `"+id+"` state" {
					t.Errorf("order %d: %q, %v", i, text, err)
				}
			}
			text, err := c.Status(t.Context(), "")
			if err != nil || strings.Count(text, "forced_open") != 2 {
				t.Errorf("status: %v\n%s", err, text)
			}
		})
	}
}

func TestFault_TwoPrograms(t *testing.T) {
	t.Parallel()
	ref := startReference(t, t.TempDir(), 20*time.Millisecond, "a", "b")
	c := ref.client()
	var wg sync.WaitGroup
	for _, id := range []string{"a", "b"} {
		wg.Go(func() {
			for range 10 {
				text, err := c.Status(t.Context(), id)
				if err != nil || !strings.Contains(text, "\n "+id+" ") {
					t.Errorf("status %s: %q, %v", id, text, err)
				}
			}
		})
	}
	wg.Wait()
}

// PyBreaker's own program does not take turns. The reply to it is not mistaken
// for ours.
func TestFault_ForeignProgram(t *testing.T) {
	t.Parallel()
	_, c := serve(t, "foo", "bar")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			refProgram(c.Input, c.Output, "open bar\n")
		}
	})
	impatient := c
	impatient.Patience = DefaultPatience // a lost answer is waited for in vain
	for range 20 {
		if text, err := c.Status(t.Context(), "foo"); err != nil || !strings.Contains(text, "\nfoo ") {
			t.Errorf("got %q, %v", text, err)
		}
		// An order is not sent twice, so its answer can be lost, but it is
		// never another order's answer.
		if text, err := impatient.Send(t.Context(), "foo", breaker.Order{Verb: breaker.VerbClose}); err == nil && text != "Changed `foo` state" || err != nil && !errors.Is(err, ErrNoAnswer) {
			t.Errorf("got %q, %v", text, err)
		}
	}
	cancel()
	wg.Wait()
}

func TestFault_HalfFile(t *testing.T) {
	t.Parallel()
	ids := make([]string, 3005)
	for i := range ids {
		ids[i] = fmt.Sprintf("breaker %04d", i)
	}
	ref := startReference(t, t.TempDir(), 10*time.Millisecond, ids...)
	ref.between = func() { <-time.After(2 * time.Millisecond) }
	for range 3 {
		text, err := ref.client().Status(t.Context(), "")
		if rows := strings.Count(text, "\n"); err != nil || rows != len(ids) {
			t.Errorf("from the reference: %d rows, %v, want %d", rows, err, len(ids))
		}
	}

	// And a reader of our reply, at whatever moment, sees a whole one.
	_, c := serve(t, ids...)
	put(t, c.Input, "status\n")
	eventually(t, "the first reply", func() bool { _, err := os.Stat(c.Output); return err == nil })
	w, err := os.OpenFile(c.Input, os.O_WRONLY, 0)
	must(t, err)
	go func() {
		defer w.Close()
		w.WriteString(strings.Repeat("status\nstatus breaker 0000\n", 10) + "open nosuch\n")
	}()
	eventually(t, "the last reply", func() bool {
		text, err := os.ReadFile(c.Output)
		r, whole := parseReply(text)
		if err != nil || !whole || r.ok && !isTable(r.body, "") {
			t.Fatalf("half a reply: %v, %.200q", err, text)
		}
		return !r.ok
	})
}

func TestFault_DeadProcess(t *testing.T) {
	t.Parallel()
	p := startChild(t, t.TempDir())
	p.kill(t)
	from := time.Now()
	_, err := p.Send(t.Context(), "foo", breaker.Order{Verb: breaker.VerbForceOpen})
	named(t, from, err, ErrNoReader, "there is no process")

	// PyBreaker's program hangs on the dead pipe. Its order must not reach the
	// next process on that path.
	link := filepath.Join(t.TempDir(), "dead")
	if err := os.Link(p.Input, link); err != nil {
		t.Fatal(err)
	}
	hung := make(chan error, 1)
	go func() {
		_, err := refProgram(link, p.Output, "force_open foo\n")
		hung <- err
	}()
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("foo")
	mustStart(t, m, p.Client)
	p.PID = os.Getpid()
	if text, err := p.Status(t.Context(), "foo"); err != nil || !strings.Contains(text, " closed ") {
		t.Errorf("the next process: %q, %v", text, err)
	}
	dead, err := os.OpenFile(link, os.O_RDONLY|openFlags, 0) // let it go
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	if err := <-hung; err != nil {
		t.Error(err)
	}
	if got := m.Breaker("foo").State(); got != breaker.Closed {
		t.Errorf("an order for a dead process made the breaker %s", got)
	}
}

func TestFault_ForkedChildHoldsThePipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startChild(t, dir)
	if _, err := p.Status(t.Context(), "foo"); err != nil {
		t.Fatal(err)
	}
	held, err := os.OpenFile(p.Input, os.O_RDONLY|openFlags, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	p.kill(t)
	from := time.Now()
	_, err = p.Status(t.Context(), "foo")
	named(t, from, err, ErrNoAnswer, "there is no process")
	if _, err := Start(planeOf(t, nil), Config{Input: p.Input, Output: p.Output}); !errors.Is(err, ErrInUse) {
		t.Errorf("Start on a pipe that is held: %v, want ErrInUse", err)
	}
}

func TestFault_OrderWaitsForCall(t *testing.T) {
	t.Parallel()
	m, c := serve(t, "foo")
	release := hangCalls(t, m.Breaker("foo"), 100)
	defer release()
	from := time.Now()
	text, err := c.Send(t.Context(), "foo", breaker.Order{Verb: breaker.VerbForceOpen})
	if took := time.Since(from); err != nil || took > time.Second {
		t.Errorf("%q, %v after %s while calls hang", text, err, took)
	}
	if got := m.Breaker("foo").State(); got != breaker.ForcedOpen {
		t.Errorf("state is %s, want forced-open", got)
	}
}

// Listeners run on the goroutine that gives the order. One that hangs or exits
// must not stop the pipe.
func TestFault_OrderWaitsForListener(t *testing.T) {
	t.Parallel()
	m, c := serve(t, "hangs", "exits")
	free := make(chan struct{})
	defer close(free)
	m.Breaker("hangs").AddListener(breaker.Listener{StateChange: func(*breaker.Breaker, breaker.Transition) { <-free }})
	m.Breaker("exits").AddListener(breaker.Listener{StateChange: func(*breaker.Breaker, breaker.Transition) { runtime.Goexit() }})
	for _, id := range []string{"hangs", "exits"} {
		r, err := c.Do(t.Context(), ops.Order{ID: id, Verb: breaker.VerbOpen, Actor: "ann"})
		if err != nil || r.Touched != 1 || r.Results[0].After != breaker.Open {
			t.Errorf("while a listener %s: %+v, %v", id, r, err)
		}
		if text, err := c.ForceOpen(t.Context(), id, breaker.Order{}); err != nil || text != "Changed `"+id+"` state" {
			t.Errorf("%q, %v", text, err)
		}
		if text, err := c.ForceOpen(t.Context(), id, breaker.Order{Reason: "again"}); err != nil || text != "Changed `"+id+"` state" {
			t.Errorf("with a reason: %q, %v", text, err)
		}
		if text, err := c.Status(t.Context(), id); err != nil || !strings.Contains(text, "forced_open") {
			t.Errorf("after a listener that %s: %q, %v", id, text, err)
		}
	}
}

func TestFault_ServerDies(t *testing.T) {
	t.Parallel()
	_, c := serve(t, "foo")
	dir := filepath.Dir(c.Output)
	ask := func(what string) {
		t.Helper()
		if text, err := c.Status(t.Context(), "foo"); err != nil || !strings.Contains(text, "foo") {
			t.Errorf("%s: %q, %v", what, text, err)
		}
	}
	ask("at first")
	put(t, c.Input, "\xff\xfe\x80\n\x00\n")
	ask("after bad UTF-8")

	if err := errors.Join(os.Remove(c.Output), os.Mkdir(c.Output, 0o700)); err != nil {
		t.Fatal(err)
	}
	put(t, c.Input, "open foo\n")
	impatient := c
	impatient.Patience = DefaultPatience // it waits in vain
	if _, err := impatient.Status(t.Context(), "foo"); err == nil {
		t.Error("a folder at the reply's path was read as a reply")
	}
	if err := os.Remove(c.Output); err != nil {
		t.Fatal(err)
	}
	ask("after the reply could not be written")

	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, "pipe and folder are made again", func() bool { return isFifo(c.Input) })
	ask("after the folder was gone")
}

func TestFault_OpenWithoutTime(t *testing.T) {
	t.Parallel()
	m := breaker.NewManager(breaker.Settings{})
	b := m.Breaker("foo")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			b.Open(breaker.Order{})
			b.Close(breaker.Order{})
		}
	})
	d := newDispatcher(planeOf(t, m), nil)
	for range 2000 {
		r, _ := parseReply(d.answer("status"))
		row := strings.Fields(r.body[strings.LastIndex(r.body, "\n")+1:])
		if !r.ok || len(row) != 5 || (row[1] == "open") == (row[2] == "None") {
			t.Errorf("torn status:\n%s", r.body)
			break
		}
	}
	cancel()
	wg.Wait()
}

func TestFault_StatusWhileCreating(t *testing.T) {
	t.Parallel()
	m := breaker.NewManager(breaker.Settings{})
	var wg sync.WaitGroup
	wg.Go(func() {
		keys := breaker.SetOf[int](m, "tenants")
		for i := range 2000 {
			m.Breaker(fmt.Sprint("b", i))
			keys.Breaker(i)
		}
	})
	d := newDispatcher(planeOf(t, m), nil)
	for range 100 {
		if r, _ := parseReply(d.answer("status")); !r.ok || !isTable(r.body, "") {
			t.Fatalf("status says %.200q", r.body)
		}
	}
	wg.Wait()
}

func TestFault_RemovedPipe(t *testing.T) {
	t.Parallel()
	_, c := serve(t, "foo")
	must(t, os.Remove(c.Input))
	eventually(t, "the pipe is made again", func() bool { return isFifo(c.Input) })
	if _, err := c.Status(t.Context(), "foo"); err != nil {
		t.Errorf("after it was removed: %v", err)
	}
	// If it is created again by hand, it is read within about a second.
	must(t, errors.Join(os.Remove(c.Input), syscall.Mkfifo(c.Input, 0o666)))
	var err error
	eventually(t, "the new pipe is read", func() bool {
		_, err = c.Status(t.Context(), "foo")
		return !errors.Is(err, ErrNoReader)
	})
	if fi, _ := os.Stat(c.Input); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("made again by hand: %v, mode %v", err, fi.Mode())
	}
	// Another file at its path is not touched.
	must(t, errors.Join(os.Remove(c.Input), os.WriteFile(c.Input, nil, 0o600)))
	if _, err := c.Status(t.Context(), "foo"); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a plain file there: %v", err)
	}
	must(t, os.Remove(c.Input))
	eventually(t, "the pipe is made again", func() bool { return isFifo(c.Input) })
}

// What was written before the pipe was removed is still carried out.
func TestFault_NothingIsLost(t *testing.T) {
	t.Parallel()
	m, c := serve(t, "foo")
	f, err := os.OpenFile(c.Input, os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	f.WriteString("force_open ")
	must(t, os.Remove(c.Input))
	f.WriteString("foo\n")
	eventually(t, "the order is carried out", func() bool { return m.Breaker("foo").State() == breaker.ForcedOpen })
}

func TestFault_TwoServers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, errors.Join(syscall.Mkfifo(dir+"/in", 0o600), os.WriteFile(dir+"/out", []byte("old"), 0o600))) // a dead process's
	var wg sync.WaitGroup
	started := make(chan *Server, 20)
	for range cap(started) {
		wg.Go(func() {
			s, err := Start(planeOf(t, breaker.NewManager(breaker.Settings{})), Config{Input: dir + "/in", Output: dir + "/out"})
			if err == nil {
				started <- s
			} else if !errors.Is(err, ErrInUse) {
				t.Errorf("got %v, want ErrInUse", err)
			}
		})
	}
	wg.Wait()
	if len(started) != 1 {
		t.Fatalf("%d servers on one pipe, want 1", len(started))
	}
	if _, err := os.Stat(dir + "/out"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dead process's reply is left: %v", err)
	}
	must(t, (<-started).Close())
	s, err := Start(planeOf(t, nil), Config{Input: dir + "/in", Output: dir + "/out"})
	must(t, err)
	must(t, s.Close())
}

// A client that asks one of two servers with the same reply would read the
// other's answer.
func TestTwoServersOneReply(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/.out.lock", nil, 0o600)) // of a process that was killed
	first, err := Start(planeOf(t, standing("foo")), Config{Input: dir + "/1.in", Output: dir + "/out"})
	must(t, err)
	c := Client{Input: dir + "/1.in", Output: dir + "/out", Patience: 20 * time.Second}
	want, err := c.Status(t.Context(), "")
	must(t, err)
	second := Config{Input: dir + "/2.in", Output: dir + "/out"}
	_, err = Start(planeOf(t, standing("bar")), second)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "writes its replies to "+dir+"/out") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a second server: %v, want ErrInUse in one line", err)
	}
	if text, err := os.ReadFile(dir + "/out"); err != nil || string(text) != "SUCCESS\n"+want+"\n" {
		t.Errorf("the first one's reply is %q, %v", text, err)
	}
	if _, err := os.Lstat(dir + "/2.in"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the second one's pipe is left: %v", err)
	}
	must(t, first.Close())
	s, err := Start(planeOf(t, standing("bar")), second)
	must(t, err)
	must(t, s.Close())
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	must(t, os.Symlink(dir+"/elsewhere", dir+"/.out.lock"))
	if _, err := Start(planeOf(t, standing("bar")), second); err == nil {
		t.Error("a link in the lock's place was followed")
	}
	if _, err := os.Lstat(dir + "/elsewhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
}

func TestFault_NewlineInIdent(t *testing.T) {
	t.Parallel()
	ref := startReference(t, t.TempDir(), time.Millisecond, "flaky")
	if _, err := ref.client().Status(t.Context(), "nosuch\nopen flaky"); err == nil || !strings.Contains(err.Error(), "line end") {
		t.Errorf("got %v", err)
	}
	if sent := ref.sent(); len(sent) > 0 {
		t.Errorf("%q was sent", sent)
	}
}

// One odd key does not break the status, and can be addressed as the table
// shows it.
func TestFault_BadName(t *testing.T) {
	t.Parallel()
	m, c := serve(t, "foo")
	keys := breaker.SetOf[string](m, "t")
	for _, key := range []string{"a\nb", "\xff", "\u200b", "", " blank ", "\\"} {
		keys.Breaker(key).Open(breaker.Order{})
	}
	text, err := c.Status(t.Context(), "")
	if err != nil || strings.Count(text, "\n") != 7 {
		t.Errorf("%v\n%s", err, text)
	}
	if _, err := c.Close(t.Context(), `t/a\nb`, breaker.Order{}); err != nil || keys.Breaker("a\nb").State() != breaker.Closed {
		t.Errorf("close t/a\\nb: %v", err)
	}
}

func TestFault_BlankLines(t *testing.T) {
	t.Parallel()
	m, c := serve(t, "foo")
	from := time.Now()
	put(t, c.Input, strings.Repeat(" \n", 10_000)+"open foo\n")
	eventually(t, "the order runs", func() bool { return m.Breaker("foo").State() == breaker.Open })
	if took := time.Since(from); took > time.Second {
		t.Errorf("10,000 blank lines take %s", took)
	}
}

func TestFault_CleanUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startChild(t, dir)
	if _, err := p.Status(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	p.stdin.Close()
	must(t, p.cmd.Wait())
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	// What another user has put there meanwhile stays.
	c := Config{Input: dir + "/in", Output: dir + "/out"}
	s, err := Start(planeOf(t, breaker.NewManager(breaker.Settings{})), c)
	must(t, err)
	must(t, errors.Join(os.Remove(c.Input), os.WriteFile(c.Input, nil, 0o600), os.WriteFile(c.Output, nil, 0o600)))
	must(t, s.Close())
	must(t, s.Close())
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("files of another user: %v, %v, want two left", left, err)
	}
}

// Our own words are sent in a form that PyBreaker refuses.
func TestExtendedOrderAndReference(t *testing.T) {
	t.Parallel()
	ref := startReference(t, t.TempDir(), 10*time.Millisecond, "a")
	c := ref.client()
	if _, err := c.Release(t.Context(), "a", breaker.Order{}); !errors.Is(err, ErrNotKnown) {
		t.Errorf("release: %v, want ErrNotKnown", err)
	}
	if _, err := c.ForceOpen(t.Context(), "a", breaker.Order{For: time.Minute}); !errors.Is(err, ErrNotKnown) {
		t.Errorf("force_open for a minute: %v, want ErrNotKnown", err)
	}
	if _, err := c.Explain(t.Context(), "a"); !errors.Is(err, ErrNotKnown) {
		t.Errorf("explain: %v, want ErrNotKnown", err)
	}
	if _, err := c.Look(t.Context(), ""); !errors.Is(err, ErrNotKnown) {
		t.Errorf("the full status: %v, want ErrNotKnown", err)
	}
	if text, err := c.Status(t.Context(), "a"); err != nil || !strings.Contains(text, " closed ") {
		t.Errorf("after that: %q, %v, want closed", text, err)
	}
	if _, err := c.ForceOpen(t.Context(), "a", breaker.Order{}); err != nil {
		t.Errorf("a plain order: %v", err)
	}
}
