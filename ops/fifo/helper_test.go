//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fifo

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// refManager does with files what PyBreaker's SpinningFifoManager does: it
// reads the pipe with blocking reads, sleeps after each end of file, and
// truncates and rewrites its reply in place, a block at a time.
type refManager struct {
	in, out string
	delay   time.Duration // its sleep_delay
	block   int           // bytes per write(2)
	between func()        // called between two writes, when set
	stop    chan struct{}
	done    sync.WaitGroup
	asleep  atomic.Bool

	mu    sync.Mutex // guards the fields below
	rows  []breaker.Status
	lines []string // what it has received
}

func startReference(t *testing.T, dir string, delay time.Duration, ids ...string) *refManager {
	t.Helper()
	m := &refManager{in: dir + "/ref.in", out: dir + "/ref.out", delay: delay, block: 8192, stop: make(chan struct{})}
	m.rows = standing(ids...).Status()
	if err := syscall.Mkfifo(m.in, 0o644); err != nil {
		t.Fatal(err)
	}
	m.done.Go(m.run)
	eventually(t, "the reference reads", func() bool {
		read, err := hasReader(m.in)
		return read || err != nil
	})
	t.Cleanup(func() {
		close(m.stop)
		f, err := os.OpenFile(m.in, os.O_RDWR, 0) // it may not have opened its end yet
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		f.WriteString("\n")
		m.done.Wait()
	})
	return m
}

func (m *refManager) run() {
	fd, err := syscall.Open(m.in, syscall.O_RDONLY|syscall.O_CLOEXEC, 0) // waits for the first writer
	if err != nil {
		return
	}
	defer syscall.Close(fd)
	var pending []byte
	buf := make([]byte, 4096)
	for {
		n, _ := syscall.Read(fd, buf)
		select {
		case <-m.stop:
			return
		default:
		}
		pending = append(pending, buf[:max(n, 0)]...)
		for {
			line, rest, whole := bytes.Cut(pending, []byte("\n"))
			if !whole {
				break
			}
			m.line(string(line))
			pending = rest
		}
		if n <= 0 {
			if len(pending) > 0 {
				m.line(string(pending))
				pending = nil
			}
			m.sleep()
		}
	}
}

func (m *refManager) sleep() {
	m.asleep.Store(true)
	defer m.asleep.Store(false)
	select {
	case <-m.stop:
	case <-time.After(m.delay):
	}
}

func (m *refManager) line(line string) {
	line = strings.TrimSpace(line)
	if line == "" {
		m.sleep()
		return
	}
	m.mu.Lock()
	m.lines = append(m.lines, line)
	text := m.answer(line)
	m.mu.Unlock()
	f, err := os.OpenFile(m.out, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return
	}
	defer f.Close()
	for len(text) > 0 {
		n := min(m.block, len(text))
		f.WriteString(text[:n])
		if text = text[n:]; m.between != nil && len(text) > 0 {
			m.between()
		}
	}
}

func (m *refManager) answer(line string) string {
	cmd, id, _ := strings.Cut(line, " ")
	states := map[string]breaker.State{
		"open": breaker.Open, "close": breaker.Closed, "half_open": breaker.HalfOpen,
		"force_open": breaker.ForcedOpen, "force_closed": breaker.ForcedClosed,
	}
	state, order := states[cmd]
	switch {
	case cmd == "status" && id == "":
		return "SUCCESS\n" + table(statusOf(m.rows...)) + "\n"
	case cmd != "status" && !order:
		return "ERROR\nInvalid command: " + line + "\n"
	}
	for i := range m.rows {
		switch {
		case m.rows[i].ID != id:
		case order:
			m.rows[i].State = state
			return "SUCCESS\nChanged `" + id + "` state\n"
		default:
			return "SUCCESS\n" + table(statusOf(m.rows[i])) + "\n"
		}
	}
	return "ERROR\nInvalid identifier: " + id + "\n"
}

func (m *refManager) sent() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.lines...)
}

func (m *refManager) client() Client {
	return Client{Input: m.in, Output: m.out, Patience: 20 * time.Second}
}

// refProgram does with files what PyBreaker's program does: it writes the line
// in one piece, waits a fixed time, and takes what is there.
func refProgram(in, out, line string) (string, error) {
	f, err := os.OpenFile(in, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(line)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	<-time.After(100 * time.Millisecond)
	text, err := os.ReadFile(out)
	return string(text), err
}

func isFifo(path string) bool {
	fi, err := os.Lstat(path)
	return err == nil && fi.Mode().Type() == fs.ModeNamedPipe
}

// serve starts a server for breakers with these names in a new folder.
func serve(t testing.TB, names ...string) (*breaker.Manager, Client) {
	t.Helper()
	m := breaker.NewManager(breaker.Settings{})
	for _, name := range names {
		m.Breaker(name)
	}
	dir := t.TempDir()
	// Patient, because these tests are not about how soon a busy machine
	// answers.
	c := Client{Input: dir + "/b.in", Output: dir + "/b.out", PID: os.Getpid(), Patience: 20 * time.Second}
	mustStart(t, m, c)
	return m, c
}

func mustStart(t testing.TB, m *breaker.Manager, c Client) *Server {
	t.Helper()
	s, err := Start(planeOf(t, m), Config{Input: c.Input, Output: c.Output})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// eventually waits until cond holds, for a long time, because the machine may be
// busy.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for !cond() {
		select {
		case <-limit:
			t.Fatalf("not within a minute: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// put writes to the pipe as a shell does.
func put(t testing.TB, in, text string) {
	t.Helper()
	f, err := os.OpenFile(in, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func says(out, want string) func() bool {
	return func() bool {
		text, _ := os.ReadFile(out)
		return string(text) == want
	}
}

// hangCalls starts n calls that hang until release is called.
func hangCalls(t testing.TB, b *breaker.Breaker, n int) (release func()) {
	t.Helper()
	free := make(chan struct{})
	var in, out sync.WaitGroup
	in.Add(n)
	for range n {
		out.Go(func() {
			b.Do(context.Background(), func(context.Context) error {
				in.Done()
				<-free
				return nil
			})
		})
	}
	in.Wait()
	return func() {
		close(free)
		out.Wait()
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
