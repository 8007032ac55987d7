package breaker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
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
