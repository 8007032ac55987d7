package breaker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// life has a breaker do all that listeners can hear of.
func life(b *Breaker) {
	play(b, "sf")
	b.ForceOpen(Order{For: 10 * time.Second})
	play(b, "s"+strings.Repeat(".", 11))
}

// Any field of a listener may be nil: the others are heard, and nothing
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

// A listener of one key is removed alone, and hears nothing from then on.
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

// panicky is the handler of a logger that is broken.
type panicky struct{ slog.Handler }

func (panicky) Handle(context.Context, slog.Record) error { panic("log") }

// A panic in a listener is logged, and a logger that panics at it does no harm
// either.
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

// A call without a context is judged like any other.
func TestNoContext(t *testing.T) {
	b := New("db", Settings{})
	var none context.Context
	for _, err := range []error{errX, context.Canceled} {
		_ = b.Do(none, func(context.Context) error { return err })
	}
	if s := b.Status(); s.FailCount != 2 || s.Panics != 0 {
		t.Errorf("%d failures and %d panics, want 2 and 0", s.FailCount, s.Panics)
	}
	// What is cancelled is the call's own context, not one that the error tells of.
	if err := b.Do(t.Context(), func(context.Context) error { return context.Canceled }); !errors.Is(err, context.Canceled) || b.FailCount() != 3 {
		t.Errorf("%v and %d failures, want 3", err, b.FailCount())
	}
}
