//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fifo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

func TestEveryOrder(t *testing.T) {
	t.Parallel()
	m, c := serve(t, "foo")
	ctx := t.Context()
	set := breaker.SetOf[string](m, "tenants")
	set.Breaker("a b/c").Open(breaker.Order{})
	orders := []struct {
		send func(context.Context, string, breaker.Order) (string, error)
		want breaker.State
	}{
		{c.Open, breaker.Open},
		{c.HalfOpen, breaker.HalfOpen},
		{c.Close, breaker.Closed},
		{c.ForceOpen, breaker.ForcedOpen},
		{c.ForceClosed, breaker.ForcedClosed},
		{c.Release, breaker.Closed},
	}
	for _, id := range []string{"foo", "tenants/a b/c"} {
		b, err := m.Lookup(id)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range orders {
			text, err := o.send(ctx, id, breaker.Order{})
			if want := "Changed `" + id + "` state"; err != nil || text != want || b.State() != o.want {
				t.Errorf("%s, order %d: %q, %v, state %s; want %q, state %s", id, i, text, err, b.State(), want, o.want)
			}
		}
	}
	var refused *ReplyError
	if _, err := c.Open(ctx, "nosuch", breaker.Order{}); !errors.As(err, &refused) || !errors.Is(err, breaker.ErrUnknown) || refused.Body != "Invalid identifier: nosuch" {
		t.Errorf("unknown id: %v", err)
	}
	text, err := c.Status(ctx, "foo")
	if want := table(statusOf(m.Breaker("foo").Status())); err != nil || text != want {
		t.Errorf("Status(foo) = %q, %v, want %q", text, err, want)
	}
	if text, err = c.Status(ctx, ""); err != nil || text != table(statusOf(m.Status()...)) {
		t.Errorf("Status() = %q, %v", text, err)
	}
}

func TestReasonTravels(t *testing.T) {
	t.Parallel()
	m, c := serve(t, "foo")
	_, err := c.ForceOpen(t.Context(), "foo", breaker.Order{Reason: "disk \"full\"\nsince noon", For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	o := m.Breaker("foo").Status().Override
	if o == nil || o.Reason != "disk \"full\"\nsince noon" || o.Expires.Sub(o.Since).Round(time.Second) != time.Hour {
		t.Errorf("override is %+v", o)
	}
	if want := fmt.Sprintf("%s (pid %d)", userName(), os.Getpid()); o.Actor != want {
		t.Errorf("actor is %q, want %q", o.Actor, want)
	}
	if _, err := c.Close(t.Context(), "foo", breaker.Order{For: time.Hour}); !errors.Is(err, breaker.ErrOrder) {
		t.Errorf("close for an hour: %v, want an invalid order", err)
	}
}

// The pipe accepts the same orders and answers the same questions as socket
// and HTTP.
func TestOwnWords(t *testing.T) {
	t.Parallel()
	m, c := serve(t, "foo")
	set := breaker.SetOf[string](m, "tenants")
	set.Breaker("a\n")
	set.Breaker("b")
	ctx := t.Context()

	r, err := c.Do(ctx, ops.Order{ID: "foo", Verb: ops.VerbSet, Actor: "ann", Settings: []byte(`{"fail_max":2}`), IfVersion: 1})
	if err != nil || r.Results[0].SettingsAfter.FailMax != 2 || m.Breaker("foo").Settings().FailMax != 2 {
		t.Errorf("set: %+v, %v", r, err)
	}
	if _, err := c.Do(ctx, ops.Order{ID: "foo", Verb: breaker.VerbOpen, Actor: "ann", IfVersion: 1}); !errors.Is(err, breaker.ErrVersion) {
		t.Errorf("an order for a version that has gone: %v, want ErrVersion", err)
	}
	all := ops.Order{ID: "tenants/*", Verb: breaker.VerbForceOpen, Actor: "ann", Reason: "drill", For: ops.Duration(time.Hour)}
	var received *ops.Error
	if _, err := c.Do(ctx, all); !errors.Is(err, ops.ErrConfirm) || !errors.As(err, &received) || received.Matched != 2 {
		t.Errorf("a wildcard without its number: %v, want ErrConfirm for 2", err)
	}
	all.DryRun = true
	if r, err = c.Do(ctx, all); err != nil || r.Touched != 2 || set.Breaker("b").State() != breaker.Closed {
		t.Errorf("dry run: %+v, %v", r, err)
	}
	all.DryRun, all.Confirm = false, 2
	if r, err = c.Do(ctx, all); err != nil || r.Touched != 2 || set.Breaker("b").State() != breaker.ForcedOpen {
		t.Errorf("confirmed: %+v, %v", r, err)
	}

	if o, err := c.Overview(ctx); err != nil || len(o.Breakers) != 1 || len(o.Sets) != 1 || o.Sets[0].States["forced-open"] != 2 {
		t.Errorf("overview: %+v, %v", o, err)
	}
	if e, err := c.Explain(ctx, `tenants/a\n`); err != nil || !strings.Contains(e.Explain, `by ann ("drill")`) {
		t.Errorf("explain: %+v, %v", e, err)
	}
	if h, err := c.History(ctx, "tenants/b"); err != nil || len(h.Transitions) != 1 || h.Transitions[0].Actor != "ann" {
		t.Errorf("history: %+v, %v", h, err)
	}
	for id, n := range map[string]int{"": 3, "foo": 1, "tenants/*": 2} {
		got, err := c.Look(ctx, id)
		if err != nil || len(got) != n || (id != "") != (got[0].Settings != (breaker.Settings{})) {
			t.Errorf("Look(%q): %+v, %v, want %d", id, got, err, n)
		}
	}
	if _, err := c.History(ctx, "fo"); !errors.Is(err, breaker.ErrUnknown) || !errors.As(err, &received) || !slices.Equal(received.Near, []string{"foo"}) {
		t.Errorf("history of an unknown id: %v, want ErrUnknown near foo", err)
	}
	if _, err := c.Do(ctx, ops.Order{ID: "tenants/\xff", Verb: breaker.VerbOpen, Actor: "ann"}); !errors.Is(err, breaker.ErrOrder) {
		t.Errorf("an id that is not UTF-8: %v, want ErrOrder", err)
	}
}

// Orders from the pipe are in the plane's audit log, including those in
// PyBreaker's words.
func TestOrdersAreRecorded(t *testing.T) {
	t.Parallel()
	m, dir := standing("foo"), t.TempDir()
	p := ops.New(m, ops.Options{Audit: dir + "/audit"})
	s, err := Start(p, Config{Input: dir + "/in", Output: dir + "/out"})
	if err != nil {
		t.Fatal(err)
	}
	c := Client{Input: dir + "/in", Output: dir + "/out", Patience: 20 * time.Second}
	if _, err := c.ForceOpen(t.Context(), "foo", breaker.Order{}); err != nil {
		t.Error(err)
	}
	if _, err := c.Do(t.Context(), ops.Order{ID: "bar", Verb: breaker.VerbOpen, Actor: "ann"}); !errors.Is(err, breaker.ErrUnknown) {
		t.Errorf("an unknown id: %v", err)
	}
	if err := errors.Join(s.Close(), p.Close()); err != nil {
		t.Error(err)
	}
	log, err := os.Open(dir + "/audit")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var got []string
	for e, err := range ops.ReadAudit(log) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Start {
			continue
		}
		got = append(got, fmt.Sprintf("%s %s %s %t %s %q %t", e.Peer.Transport, e.Order.Verb, e.Order.ID, e.Order.NoExpiry, e.Order.Actor, e.Order.Reason, e.Error == ""))
	}
	if want := []string{`pipe force-open foo true pipe "no reason given" true`, `pipe open bar false ann "" false`}; !slices.Equal(got, want) {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

// A pipe has no pages: it refuses to show very many breakers at once, and says
// so.
func TestLookIsBounded(t *testing.T) {
	t.Parallel()
	m, c := serve(t, "foo")
	set, err := breaker.CreateSet[int](m, "tenants", breaker.Settings{}, breaker.SetOptions{MaxKeys: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxLooked - 1 {
		set.Breaker(i)
	}
	if all, err := c.Look(t.Context(), ""); err != nil || len(all) != maxLooked {
		t.Errorf("%d breakers: %v", len(all), err)
	}
	set.Breaker(maxLooked)
	var refused *ops.Error
	if all, err := c.Look(t.Context(), ""); !errors.As(err, &refused) || !strings.Contains(err.Error(), "more than 5000 breakers") {
		t.Errorf("%d breakers, %v, want them refused", len(all), err)
	}
	if all, err := c.Look(t.Context(), "tenants/7"); err != nil || len(all) != 1 {
		t.Errorf("one of them: %d breakers, %v", len(all), err)
	}
}

// How much a client reads of a reply is bounded, whatever wrote it.
func TestReplyIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readReply(path, noOtherUser); err == nil || !strings.Contains(err.Error(), "1099511627776 bytes, want at most") {
		t.Errorf("a terabyte: %v", err)
	}
}

func TestHundredOrdersInARow(t *testing.T) {
	t.Parallel()
	m, c := serve(t, "foo")
	for i := range 100 {
		verb, want := breaker.VerbForceOpen, breaker.ForcedOpen
		if i%2 == 1 {
			verb, want = breaker.VerbClose, breaker.Closed
		}
		if _, err := c.Send(t.Context(), "foo", breaker.Order{Verb: verb}); err != nil {
			t.Fatal(err)
		}
		text, err := c.Status(t.Context(), "foo")
		if err != nil || !strings.Contains(text, stateWord(want)) || m.Breaker("foo").State() != want {
			t.Fatalf("after order %d, %s: %v, status\n%s", i, verb, err, text)
		}
	}
}

func TestTenThousandBreakers(t *testing.T) {
	t.Parallel()
	m, c := serve(t)
	for i := range 10_000 {
		m.Breaker(fmt.Sprintf("breaker %05d", i))
	}
	text, err := c.Status(t.Context(), "")
	if rows := strings.Count(text, "\n"); err != nil || rows != 10_000 {
		t.Errorf("status: %d rows, %v, want 10,000", rows, err)
	}
	reply, err := refProgram(c.Input, c.Output, "status \n")
	if err != nil || strings.Count(reply, "\n") != 10_002 {
		t.Errorf("the reference's program got %d lines, %v, want 10,002", strings.Count(reply, "\n"), err)
	}
}

func TestReferenceProgram(t *testing.T) {
	t.Parallel()
	m, c := serve(t, "closed", "two words")
	tests := []struct{ line, want string }{
		{"status \n", "SUCCESS\n" + table(statusOf(m.Status()...)) + "\n"},
		{"status closed\n", oneRow},
		{"force_open two words\n", "SUCCESS\nChanged `two words` state\n"},
		{"status nosuch\n", "ERROR\nInvalid identifier: nosuch\n"},
		{"foobar baz\n", "ERROR\nInvalid command: foobar baz\n"},
	}
	for _, tt := range tests {
		var got string
		var err error
		for range 3 { // on a busy machine its fixed wait may be too short
			if got, err = refProgram(c.Input, c.Output, tt.line); got == tt.want {
				break
			}
		}
		if err != nil || got != tt.want {
			t.Errorf("%q: got %q, %v, want %q", tt.line, got, err, tt.want)
		}
	}
	if m.Breaker("two words").State() != breaker.ForcedOpen {
		t.Error("the reference's order changed nothing")
	}
}

// A writer that uses printf without a line end ends its line by closing the
// pipe.
func TestHalfLine(t *testing.T) {
	t.Parallel()
	_, c := serve(t, "closed")
	put(t, c.Input, "status closed")
	eventually(t, "the half line runs", says(c.Output, oneRow))
	os.Remove(c.Output)

	// As long as a writer is open, the line continues.
	f, err := os.OpenFile(c.Input, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("status clo")
	put(t, c.Input, "sed ")
	f.WriteString("extra\nstatus ")
	eventually(t, "the line runs", says(c.Output, "ERROR\nInvalid identifier: closed extra\n"))
	f.WriteString("closed")
	f.Close()
	eventually(t, "its rest runs at the end", says(c.Output, oneRow))
	if _, err := c.Status(t.Context(), "closed"); err != nil {
		t.Errorf("after half lines: %v", err)
	}
}

// A client that finds another writer's half line ends it, and still gets its
// answer.
func TestClientBehindHalfLine(t *testing.T) {
	t.Parallel()
	_, c := serve(t, "closed")
	f, err := os.OpenFile(c.Input, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteString("open ")
	if text, err := c.Status(t.Context(), "closed"); err != nil || "SUCCESS\n"+text+"\n" != oneRow {
		t.Errorf("got %q, %v", text, err)
	}
}

func TestOddInput(t *testing.T) {
	t.Parallel()
	m, c := serve(t, "closed", "b")
	tests := []struct{ text, want string }{
		{"open closed\r\nclose b\nstatus closed\r\nstatus nosuch\r\n", "ERROR\nInvalid identifier: nosuch\n"},
		{"\xff\xfe\n", "ERROR\nInvalid command: \xff\xfe\n"},
		{"status clo\x00sed\n", "ERROR\nInvalid identifier: clo\x00sed\n"},
		{strings.Repeat("\n \t\n", 1000) + "open b\n", "SUCCESS\nChanged `b` state\n"},
		{"open " + strings.Repeat("x", maxLine) + "\nclose b\n", "SUCCESS\nChanged `b` state\n"},
		{strings.Repeat("x", 1_000_000) + "\n", "ERROR\nLine too long: want at most 65536 bytes, this one begins with \"" + strings.Repeat("x", 32) + "\"\n"},
		{"status " + strings.Repeat("x", maxLine-7) + "\n", "ERROR\nInvalid identifier: " + strings.Repeat("x", maxLine-7) + "\n"},
	}
	for _, tt := range tests {
		os.Remove(c.Output)
		put(t, c.Input, tt.text)
		eventually(t, fmt.Sprintf("%.40q is answered", tt.text), says(c.Output, tt.want))
	}
	if got := m.Breaker("closed").State(); got != breaker.Open {
		t.Errorf("the first of several commands in one write left %s, want open", got)
	}
	if _, err := c.Status(t.Context(), strings.Repeat("x", maxLine)); err == nil {
		t.Error("the client sent a line that is too long")
	}
}

// counter counts the records of a logger.
type counter struct{ atomic.Int64 }

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }

func (c *counter) Handle(context.Context, slog.Record) error {
	c.Add(1)
	return nil
}

func (c *counter) WithAttrs([]slog.Attr) slog.Handler { return c }

func (c *counter) WithGroup(string) slog.Handler { return c }

// Writers come and go at the same time: none may find a pipe without a reader,
// and no line may be lost.
func TestManyWriters(t *testing.T) {
	t.Parallel()
	var orders counter
	dir := t.TempDir()
	s, err := Start(planeOf(t, standing("a")), Config{Input: dir + "/in", Output: dir + "/out", Logger: slog.New(&orders)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const writers, each = 8, 100
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				f, err := os.OpenFile(dir+"/in", os.O_WRONLY|openFlags, 0)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := f.WriteString("open a\n"); err != nil {
					t.Error(err)
				}
				f.Close()
			}
		})
	}
	wg.Wait()
	eventually(t, "every line runs", func() bool {
		return orders.Load() == writers*each
	})
}

func TestFiftyClients(t *testing.T) {
	t.Parallel()
	m, c := serve(t)
	var wg sync.WaitGroup
	for i := range 50 {
		name := fmt.Sprint("breaker", i)
		m.Breaker(name)
		wg.Go(func() {
			for _, want := range []breaker.State{breaker.ForcedOpen, breaker.Closed} {
				verb := breaker.VerbClose
				if want == breaker.ForcedOpen {
					verb = breaker.VerbForceOpen
				}
				text, err := c.Send(t.Context(), name, breaker.Order{Verb: verb})
				if err != nil || text != "Changed `"+name+"` state" {
					t.Errorf("%s %s: %q, %v", verb, name, text, err)
				}
				text, err = c.Status(t.Context(), name)
				if err != nil || !strings.Contains(text, " "+stateWord(want)+" ") {
					t.Errorf("status %s: %q, %v, want %s", name, text, err, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestLoggerReceivesOrders(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	dir := t.TempDir()
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("foo")
	s, err := Start(planeOf(t, m), Config{Input: dir + "/in", Output: dir + "/out", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	c := Client{Input: dir + "/in", Output: dir + "/out"}
	if _, err := c.ForceOpen(t.Context(), "foo", breaker.Order{Actor: "ann", Reason: "why not"}); err != nil {
		t.Error(err)
	}
	s.Close()
	if want := `order=force-open before=closed after=forced-open actor="ann`; !strings.Contains(log.String(), want) {
		t.Errorf("log has no %q:\n%s", want, &log)
	}
}

func TestStartMakesFolders(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	c := Client{Input: dir + "/{pid}.in", Output: dir + "/{pid}.out", PID: os.Getpid()}
	mustStart(t, breaker.NewManager(breaker.Settings{}), c)
	if _, err := c.Status(t.Context(), ""); err != nil {
		t.Error(err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if fi, err := os.Stat(d); err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v, want mode 0700", d, fi.Mode(), err)
		}
	}
	if _, err := Start(planeOf(t, nil), Config{Input: dir + "/x", Output: dir + "/../b/x"}); err == nil {
		t.Error("one path for pipe and reply was accepted")
	}
}

func TestClientPaths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := (Client{Input: dir + "/none", Output: dir + "/out"}).Status(t.Context(), ""); !errors.Is(err, ErrNoPipe) {
		t.Errorf("no pipe: %v, want ErrNoPipe", err)
	}
	if _, err := (Client{}).Status(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "{pid}") {
		t.Errorf("no process id: %v", err)
	}
	if _, err := (Client{PID: 1}).Send(t.Context(), "x", breaker.Order{Verb: "explode"}); !errors.Is(err, breaker.ErrOrder) {
		t.Errorf("unknown verb: %v, want ErrOrder", err)
	}
}

func TestClientObeysContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := claim(dir+"/in", false) // a process that reads and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
	if _, err := (Client{Input: dir + "/in", Output: dir + "/out"}).Status(ctx, ""); !errors.Is(err, why) || !strings.HasSuffix(err.Error(), "; nothing was ordered") {
		t.Errorf("got %v, want the context's cause", err)
	}
}

func TestOwnerOfFiles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a file of another user")
	}
	path := t.TempDir() + "/f"
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if trustedOwner(fi, noOtherUser) {
		t.Error("a server trusts a file of a foreign owner")
	}
	if !trustedOwner(fi, anyUser) || !trustedOwner(fi, 65534) {
		t.Error("root as a client does not operate other users' processes")
	}
	if trustedOwner(fi, 7) || !strings.Contains(ownerError(path, fi, 7).Error(), "want user 0 or root, or 7, who runs the process") {
		t.Errorf("another user's file accepted as the process's: %v", ownerError(path, fi, 7))
	}
	if got := (&Client{}).trusted(); got != anyUser {
		t.Errorf("root trusts %d for an unknown process, want anyUser", got)
	}
	if err := kindError(path, fi, fs.ModeNamedPipe, "named pipe", anyUser); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a plain file for a pipe: %v", err)
	}
}
