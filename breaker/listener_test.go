package breaker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// One line for each transition, with its cause; none for a call.
func TestLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf bytes.Buffer
		b := New("db", Settings{FailMax: 2}, WithLogger(slog.New(slog.NewTextHandler(&buf, nil))))
		play(b, "sfsssf")
		if buf.Len() > 0 {
			t.Fatalf("calls are logged: %s", buf.String())
		}
		play(b, "ffff"+strings.Repeat(".", 60)+"s")
		b.ForceClosed(Order{Actor: "ana", Reason: "INC-42"})
		play(b, "ff")
		b.Release(Order{})
		got := regexp.MustCompile(`time=\S+ `).ReplaceAllString(buf.String(), "")
		want := strings.Join([]string{
			`level=WARN msg="circuit breaker open" breaker=db from=closed to=open cause=consecutive-failures why="2 failures in a row; last error: connection refused" shadow=false version=2`,
			`level=INFO msg="circuit breaker half-open" breaker=db from=open to=half-open cause=open-time-elapsed why="the open time had passed and a call arrived" shadow=false version=3`,
			`level=INFO msg="circuit breaker closed" breaker=db from=half-open to=closed cause=probes-passed why="the probe succeeded" shadow=false version=4`,
			`level=INFO msg="circuit breaker forced-closed" breaker=db from=closed to=forced-closed cause=order why="forced closed by ana (\"INC-42\")" shadow=false version=5`,
			`level=WARN msg="circuit breaker open" breaker=db from=closed to=open cause=consecutive-failures why="2 failures in a row; last error: connection refused" shadow=true version=6`,
			`level=INFO msg="circuit breaker half-open" breaker=db from=forced-closed to=half-open cause=order why="released by an unknown actor" shadow=false version=7`,
		}, "\n") + "\n"
		if got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	})
}

// life makes a breaker do everything that listeners can receive.
func life(b *Breaker) {
	play(b, "sf")
	b.ForceOpen(Order{For: 10 * time.Second})
	play(b, "s"+strings.Repeat(".", 11))
}

// Any field of a listener may be nil: the others still run, and nothing
// panics.
func TestListenersWithOneField(t *testing.T) {
	for name, c := range map[string]struct {
		listener func(n *int) Listener
		want     int
	}{
		"none": {func(*int) Listener { return Listener{} }, 0},
		"before": {func(n *int) Listener {
			return Listener{BeforeCall: func(context.Context, *Breaker) { *n++ }}
		}, 2},
		"success":  {func(n *int) Listener { return Listener{Success: func(*Breaker) { *n++ }} }, 1},
		"failure":  {func(n *int) Listener { return Listener{Failure: func(*Breaker, error) { *n++ }} }, 1},
		"rejected": {func(n *int) Listener { return Listener{Rejected: func(*Breaker, error) { *n++ }} }, 1},
		"change":   {func(n *int) Listener { return Listener{StateChange: func(*Breaker, Transition) { *n++ }} }, 2},
		"reminder": {func(n *int) Listener { return Listener{Reminder: func(*Breaker, Override) { *n++ }} }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				heard := 0
				var log bytes.Buffer
				b := New("db", Settings{}, WithListener(c.listener(&heard)), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				life(b)
				if n := b.Status().Panics; n != 0 || heard != c.want {
					t.Errorf("heard %d times, want %d; %d panics:\n%s", heard, c.want, n, log.String())
				}
			})
		})
	}
}

// A listener of one key is removed separately, and receives nothing from then
// on.
func TestListenersOfOneKey(t *testing.T) {
	set := NewSet[string]("s", Settings{}, SetOptions{})
	b := set.Breaker("k")
	first, second := 0, 0
	remove := b.AddListener(Listener{Success: func(*Breaker) { first++ }})
	b.AddListener(Listener{Success: func(*Breaker) { second++ }})
	play(b, "s")
	remove()
	play(b, "s")
	play(set.Breaker("other"), "s")
	if first != 1 || second != 2 {
		t.Errorf("heard %d and %d successes, want 1 and 2", first, second)
	}
}

// panicky is the handler of a broken logger.
type panicky struct{ slog.Handler }

func (panicky) Handle(context.Context, slog.Record) error { panic("log") }

// A panic in a listener is logged, and a logger that panics while doing so
// does no harm either.
func TestPanicsAreLogged(t *testing.T) {
	bad := WithListener(Listener{Success: func(*Breaker) { panic("oh") }})
	var log bytes.Buffer
	text := slog.NewTextHandler(&log, nil)
	play(New("db", Settings{}, bad, WithLogger(slog.New(text))), "s")
	if want := `level=ERROR msg="circuit breaker: a listener panicked" breaker=db panic=oh`; !strings.Contains(log.String(), want) {
		t.Errorf("logged %q, want %s", log.String(), want)
	}
	b := New("db", Settings{}, bad, WithLogger(slog.New(panicky{text})))
	play(b, "s")
	if n := b.Status().Panics; n != 2 {
		t.Errorf("%d panics counted, want the listener's and the logger's", n)
	}
}

// What opens or forces open is logged as a warning.
func TestForcedOpenIsAWarning(t *testing.T) {
	var log bytes.Buffer
	b := New("db", Settings{}, WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))))
	b.ForceOpen(Order{})
	b.Release(Order{})
	if got := strings.Count(log.String(), "\n"); got != 1 || !strings.Contains(log.String(), "to=forced-open") {
		t.Errorf("warnings: %q, want one", log.String())
	}
}

func TestListenerReceivesEachCallAndTransition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard listenerLog
		b := New("db", Settings{FailMax: 2}, WithListener(heard.listener()))
		step := func(want string) {
			t.Helper()
			if got := heard.take(); got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		}
		_ = b.Do(bg, nop)
		step("before, success")
		failTimes(b, 1)
		step("before, failure connection refused")
		failTimes(b, 1)
		step("before, failure connection refused, closed->open")
		_ = b.Do(bg, nop)
		step("rejected")
		time.Sleep(time.Minute)
		synctest.Wait()
		step("")
		failTimes(b, 1)
		step("open->half-open, before, failure connection refused, half-open->open")
		time.Sleep(time.Minute)
		synctest.Wait()
		_ = b.Do(bg, nop)
		step("open->half-open, before, success, half-open->closed")
		b.ForceOpen(Order{For: time.Second})
		time.Sleep(time.Second)
		synctest.Wait()
		step("closed->forced-open, forced-open->closed")
		p, _ := b.Allow()
		p.Ignore()
		step("before")
	})
}

func TestListenerAddedLaterAndRemoved(t *testing.T) {
	b := New("db", Settings{})
	var one, two listenerLog
	_ = b.Do(bg, nop)
	removeOne := b.AddListener(one.listener())
	b.AddListener(two.listener())
	_ = b.Do(bg, nop)
	removeOne()
	removeOne()
	_ = b.Do(bg, nop)
	if got, want := one.take()+"|"+two.take(), "before, success|before, success, before, success"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// A listener that calls back, panics, exits its goroutine or blocks cannot
// block the breaker, nor change what callers get (I10).
func TestBadListeners(t *testing.T) {
	block := make(chan struct{})
	for name, bad := range map[string]func(*Breaker){
		"calls back": func(b *Breaker) {
			_ = b.State()
			_ = b.Status()
			_ = b.Do(bg, nop)
			b.AddListener(Listener{})()
		},
		"panics": func(*Breaker) { panic("bug in a listener") },
		"exits":  func(*Breaker) { runtime.Goexit() },
		"blocks": func(*Breaker) { <-block },
	} {
		for _, event := range []string{"BeforeCall", "Success", "Failure", "Rejected", "StateChange"} {
			t.Run(name+" in "+event, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					block = make(chan struct{})
					var armed atomic.Bool
					armed.Store(true)
					once := func(b *Breaker) {
						if armed.CompareAndSwap(true, false) {
							bad(b)
						}
					}
					var l Listener
					switch event {
					case "BeforeCall":
						l.BeforeCall = func(_ context.Context, b *Breaker) { once(b) }
					case "Success":
						l.Success = once
					case "Failure":
						l.Failure = func(b *Breaker, _ error) { once(b) }
					case "Rejected":
						l.Rejected = func(b *Breaker, _ error) { once(b) }
					case "StateChange":
						l.StateChange = func(b *Breaker, _ Transition) { once(b) }
					}
					var heard listenerLog
					b := New("db", Settings{FailMax: 1}, WithListener(l, heard.listener()))
					for _, fn := range []func(context.Context) error{nop, broken, nop} {
						go func() {
							defer func() {
								if p := recover(); p != nil {
									t.Errorf("the panic of a listener reached the caller: %v", p)
								}
							}()
							_ = b.Do(bg, fn)
						}()
						synctest.Wait()
					}
					if name == "blocks" && event == "BeforeCall" || name == "exits" && event == "BeforeCall" {
						failTimes(b, 1) // the first call did not run: one more was needed
					}
					is(t, b, Open)
					b.Close(Order{})
					if err := b.Do(bg, nop); err != nil {
						t.Errorf("after the bad listener Do returned %v", err)
					}
					close(block)
					synctest.Wait()
					if got := heard.take(); !strings.Contains(got, "closed->open") || !strings.Contains(got, "open->closed") {
						t.Errorf("the other listener heard %q, want both transitions", got)
					}
				})
			})
		}
	}
}

func TestExcludeLater(t *testing.T) {
	b := New("db", Settings{FailMax: 1})
	b.Exclude(ErrorIs(errX))
	failTimes(b, 3)
	is(t, b, Closed)
	_ = b.Do(bg, func(context.Context) error { return errors.New("other") })
	is(t, b, Open)
}

// The panic of a logger does not reach the caller, whatever is being logged.
func TestPanicInLogger(t *testing.T) {
	logger := slog.New(panicky{slog.NewTextHandler(io.Discard, nil)})
	s := NewSet[int]("n", Settings{FailMax: 1}, SetOptions{MaxEvidence: 1}, WithLogger(logger))
	for i := range 3 { // a transition, and the overflow
		if err := s.Do(t.Context(), i, broken); i < 2 && !errors.Is(err, errX) {
			t.Errorf("Do = %v, want %v", err, errX)
		}
	}
	if st := s.Status(); st[0].Panics < 2 {
		t.Errorf("%d panics are counted, want those of a transition and of the overflow", st[0].Panics)
	}
}

// Listeners are called in the order in which they were added, those of a set
// before those of a key; and a listener hears how a call ended before it hears of
// what that led to.
func TestOrderOfListeners(t *testing.T) {
	s := NewSet[string]("s", Settings{FailMax: 1}, SetOptions{})
	b := s.Breaker("k")
	var heard []string
	listener := func(name string) Listener {
		return Listener{
			Failure:     func(*Breaker, error) { heard = append(heard, name+" failure") },
			StateChange: func(*Breaker, Transition) { heard = append(heard, name+" change") },
		}
	}
	b.AddListener(listener("own"))
	b.AddListener(listener("own 2"))
	s.AddListener(listener("set"))
	s.AddListener(listener("set 2"))
	play(b, "f")
	want := "set failure, set 2 failure, own failure, own 2 failure, set change, set 2 change, own change, own 2 change"
	if got := strings.Join(heard, ", "); got != want {
		t.Errorf("heard %s; want %s", got, want)
	}
}

// contextHandler is a handler that needs a context, as those do that look for a
// trace.
type contextHandler struct{ slog.Handler }

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	ctx.Value("x")
	return h.Handler.Handle(ctx, r)
}

// The log says why the cap holds a breaker back, and its handler has a context
// and may panic.
func TestLogOfHeldBack(t *testing.T) {
	var out strings.Builder
	m := NewManager(Settings{FailMax: 1}, WithLogger(slog.New(contextHandler{slog.NewTextHandler(&out, nil)})))
	m.CapOpen(0.1)
	other := m.Breaker("other")
	_ = other.Open(Order{})
	b := m.Breaker("b")
	play(b, "f")
	if got := other.Status().Panics; got != 0 {
		t.Errorf("%d panics were caught: the handler has no context", got)
	}
	if got := out.String(); !strings.Contains(got, "held back") || !strings.Contains(got, `why="1 failure in a row; last error: connection refused"`) || b.Status().Panics != 0 {
		t.Errorf("the log is %s", got)
	}
	bad := NewManager(Settings{FailMax: 1}, WithLogger(slog.New(panicking{})))
	bad.CapOpen(0.1)
	_ = bad.Breaker("other").Open(Order{})
	b = bad.Breaker("b")
	play(b, "f")
	if got := b.Status().Panics; got != 1 || b.FailCount() != 1 {
		t.Errorf("%d panics were caught, want 1", got)
	}
}

// panicking is a handler that panics.
type panicking struct{}

func (panicking) Enabled(context.Context, slog.Level) bool  { return true }
func (panicking) Handle(context.Context, slog.Record) error { panic("handler") }
func (h panicking) WithAttrs([]slog.Attr) slog.Handler      { return h }
func (h panicking) WithGroup(string) slog.Handler           { return h }

// An error that a function panics with is logged as WithErrorText says; its own
// panic, and what is not an error, as it is.
func TestLogOfPanicsIsRedacted(t *testing.T) {
	for name, c := range map[string]struct {
		panics any
		text   func(error) string
		want   string
	}{
		"an error": {errX, func(error) string { return "redacted" }, "panic=redacted"},
		"a text":   {"oops", func(error) string { return "redacted" }, "panic=oops"},
		"no text":  {errX, nil, `panic="connection refused"`},
	} {
		var out strings.Builder
		opts := []Option{
			WithLogger(slog.New(slog.NewTextHandler(&out, nil))),
			WithListener(Listener{Success: func(*Breaker) { panic(c.panics) }}),
		}
		if c.text != nil {
			opts = append(opts, WithErrorText(c.text))
		}
		play(New("x", Settings{}, opts...), "s")
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: the log is %s, want %s", name, out.String(), c.want)
		}
	}
	var out strings.Builder
	b := New("x", Settings{FailMax: 1}, WithLogger(slog.New(slog.NewTextHandler(&out, nil))), WithErrorText(func(error) string { panic(errNotFound) }))
	play(b, "f")
	if !strings.Contains(out.String(), `panic="not found"`) {
		t.Errorf("the log is %s", out.String())
	}
}
