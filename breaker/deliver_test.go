package breaker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/internal/vtime"
)

// I7: every transition reaches every listener once and in order, whatever
// causes it and however slow a listener is.
func TestTransitionsArriveOnceAndInOrder(t *testing.T) {
	b := New("db", Settings{FailMax: 1})
	var mu sync.Mutex
	var versions []uint64
	b.AddListener(Listener{StateChange: func(_ *Breaker, c Transition) {
		mu.Lock()
		defer mu.Unlock()
		versions = append(versions, c.Version)
		runtime.Gosched()
	}})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				switch (i + j) % 4 {
				case 0:
					b.Open(Order{})
				case 1:
					b.Close(Order{})
				case 2:
					b.ForceOpen(Order{})
				default:
					b.HalfOpen(Order{})
				}
			}
		})
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	if len(versions) != 1600 {
		t.Errorf("%d transitions arrived, want 1600", len(versions))
	}
	if !slices.IsSorted(versions) {
		t.Error("transitions arrived out of order")
	}
	if got := b.Status().Version; got != 1601 {
		t.Errorf("version %d, want 1601", got)
	}
}

// A listener of calls that exits the goroutine does not keep the transition
// caused by that call from the other listeners (I7).
func TestGoexitInCallListenerDelaysNoTransition(t *testing.T) {
	b := New("x", Settings{FailMax: 1})
	var heard []State
	b.AddListener(Listener{
		Failure:     func(*Breaker, error) { runtime.Goexit() },
		StateChange: func(_ *Breaker, t Transition) { heard = append(heard, t.To) },
	})
	elsewhere(func() { _ = b.Do(t.Context(), broken) })
	if want := []State{Open}; !slices.Equal(heard, want) {
		t.Errorf("transitions heard: %s, want %s", heard, want)
	}
}

// A listener that exits the goroutine during one transition does not prevent
// the delivery of the next ones (I7).
func TestGoexitInStateChangeLosesNoTransition(t *testing.T) {
	b := New("x", Settings{})
	var heard []State
	b.AddListener(Listener{StateChange: func(b *Breaker, t Transition) {
		heard = append(heard, t.To)
		if t.To == Open {
			b.Close(Order{}) // queued behind this one
			runtime.Goexit()
		}
	}})
	elsewhere(func() { b.Open(Order{}) })
	if want := []State{Open, Closed}; !slices.Equal(heard, want) {
		t.Errorf("transitions heard: %s, want %s", heard, want)
	}
}

// A call that outlives its forgotten breaker and trips the new one notifies
// the listeners (I7).
func TestTripOfSuccessorIsReported(t *testing.T) {
	s := NewSet[string]("s", Settings{FailMax: 1}, SetOptions{MaxKeys: 1})
	var heard []string
	s.AddListener(Listener{StateChange: func(b *Breaker, t Transition) {
		heard = append(heard, b.ID()+" "+t.To.String())
	}})
	p, err := s.Breaker("a").Allow()
	if err != nil {
		t.Fatal(err)
	}
	s.Breaker("b") // forgets a
	s.Breaker("a") // a new one
	p.Done(errX)
	if got, want := fmt.Sprint(heard), "[s/a open]"; got != want {
		t.Errorf("transitions heard: %s, want %s", got, want)
	}
}

// exiting is a handler that exits the goroutine, as t.FailNow does.
type exiting struct{ slog.Handler }

func (exiting) Handle(context.Context, slog.Record) error { runtime.Goexit(); return nil }

// A logger that exits the goroutine does not keep a transition from the
// listeners (I7).
func TestGoexitInLoggerLosesNoTransition(t *testing.T) {
	received := 0
	b := New("x", Settings{FailMax: 1},
		WithLogger(slog.New(exiting{slog.NewTextHandler(io.Discard, nil)})),
		WithListener(Listener{StateChange: func(*Breaker, Transition) { received++ }}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Do(context.Background(), broken)
	}()
	<-done
	if received != 1 {
		t.Errorf("the listener heard of %d transitions, want 1", received)
	}
}

// Events of all kinds arrive in the order in which they happened, one after the
// other: what happens while a listener runs comes after what was queued before,
// for every listener (I7).
func TestEventsOfAllKindsArriveInOrder(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(b *Breaker, pass func(time.Duration))
		want      string
	}{
		"a reminder": {func(b *Breaker, pass func(time.Duration)) {
			_ = b.ForceOpen(Order{For: 2 * time.Second})
			pass(time.Second)
			_ = b.Release(Order{})
		}, "closed, forced-open, reminder, closed"},
		"ready": {func(b *Breaker, pass func(time.Duration)) {
			_ = b.Open(Order{For: time.Second})
			pass(time.Second)
			_ = b.Close(Order{})
		}, "closed, open, ready, closed"},
		"held back": {func(b *Breaker, _ func(time.Duration)) {
			_ = b.Close(Order{})
			play(b, "f")
			_ = b.Close(Order{})
		}, "closed, closed, held back, closed"},
		"the end of an override": {func(b *Breaker, pass func(time.Duration)) {
			_ = b.ForceClosed(Order{For: time.Second})
			pass(time.Second)
			_ = b.Open(Order{})
		}, "closed, forced-closed, reminder, closed, open"},
	} {
		t.Run(name, func(t *testing.T) {
			clock := vtime.New(time.Now(), nil)
			elapsed := time.Duration(0)
			m := NewManager(Settings{FailMax: 1}, vtime.Option(clock).(Option))
			m.CapOpen(0.1)
			_ = m.Breaker("other").ForceOpen(Order{})
			b := m.Breaker("b")
			var logs [2][]string
			first := true
			for i := range logs {
				note := func(what string) { logs[i] = append(logs[i], what) }
				b.AddListener(Listener{
					StateChange: func(b *Breaker, x Transition) {
						note(x.To.String())
						if first {
							first = false
							c.meanwhile(b, func(d time.Duration) { elapsed += d; clock.Advance(elapsed) })
						}
					},
					HeldBack: func(*Breaker, Transition) { note("held back") },
					Ready:    func(*Breaker) { note("ready") },
					Reminder: func(*Breaker, Override) { note("reminder") },
				})
			}
			b.AddListener(Listener{}) // hears of nothing
			_ = b.Close(Order{})
			if got := b.Status().Panics; got != 0 {
				t.Errorf("%d panics were caught", got)
			}
			for i := range logs {
				if got := strings.Join(logs[i], ", "); got != c.want {
					t.Errorf("listener %d heard of %s; want %s", i, got, c.want)
				}
			}
		})
	}
}
