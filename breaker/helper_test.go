package breaker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Helpers shared by the tests of this package.

var (
	bg                  = context.Background()
	errX                = errors.New("connection refused")
	errNotFound         = errors.New("not found")
	errClassifierPanics = errors.New("classifier panics")
)

type validationError struct{ field string }

func (e *validationError) Error() string { return "invalid " + e.field }

// busy is an error with a hint on when to come again.
type busy struct{ wait time.Duration }

func (busy) Error() string               { return "too many requests" }
func (b busy) RetryAfter() time.Duration { return b.wait }

func nop(context.Context) error    { return nil }
func broken(context.Context) error { return errX }

// play makes one call for each letter: s succeeds, f fails, S and F do so
// slowly (2 s), i is not evidence, . waits a second.
func play(b *Breaker, script string) {
	for _, c := range script {
		switch c {
		case '.':
			time.Sleep(time.Second)
			synctest.Wait() // for the breaker's own timers
			continue
		case 'i':
			if p, err := b.Allow(); err == nil {
				p.Ignore()
			}
			continue
		}
		_ = b.Do(bg, func(context.Context) error {
			if c == 'S' || c == 'F' {
				time.Sleep(2 * time.Second)
			}
			if c == 'f' || c == 'F' {
				return errX
			}
			return nil
		})
	}
}

// failTimes makes n failing calls and reports how many ran.
func failTimes(b *Breaker, n int) (ran int) {
	for range n {
		_ = b.Do(bg, func(context.Context) error { ran++; return errX })
	}
	return ran
}

// is ends the test unless b is in this state.
func is(t *testing.T, b *Breaker, want State) {
	t.Helper()
	if got := b.State(); got != want {
		t.Fatalf("%s is %s, want %s; why: %+v", b.ID(), got, want, b.Status().Transition)
	}
}

// wait lets time pass, and lets the timers that are due fire.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// elsewhere runs f on another goroutine, which f may exit, and waits.
func elsewhere(f func()) {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	<-done
}

// crew is a manager with n breakers that open on one failure.
func crew(t *testing.T, n int) (*Manager, []*Breaker) {
	t.Helper()
	m := NewManager(Settings{FailMax: 1, ResetTimeout: 10 * time.Second})
	bs := make([]*Breaker, n)
	for i := range bs {
		bs[i] = m.Breaker(fmt.Sprintf("b%02d", i))
	}
	return m, bs
}

// listenerLog is a listener that records events.
type listenerLog struct {
	mu    sync.Mutex
	lines []string
}

func (t *listenerLog) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

func (t *listenerLog) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.Join(t.lines, ", ")
	t.lines = nil
	return s
}

func (t *listenerLog) listener() Listener {
	return Listener{
		BeforeCall:  func(context.Context, *Breaker) { t.add("before") },
		Success:     func(*Breaker) { t.add("success") },
		Failure:     func(_ *Breaker, err error) { t.add("failure %v", err) },
		Rejected:    func(_ *Breaker, err error) { t.add("rejected") },
		StateChange: func(_ *Breaker, c Transition) { t.add("%s->%s", c.From, c.To) },
	}
}

// abreast calls one and other with each number below n, on two goroutines that
// wait for each other before each number. So their work often overlaps, and
// each sometimes falls between a load and a swap of the other.
func abreast(n int, one, other func(i int)) {
	var at, otherAt atomic.Int32 // the numbers that they have reached
	walk := func(own, theirs *atomic.Int32, f func(int)) {
		defer own.Store(int32(n)) // also when f ends the test
		for i := range n {
			own.Store(int32(i))
			// Yielding at once would let them take turns on one processor. But if
			// the other one waits for a processor, this one must not keep it.
			for spins := 1; theirs.Load() < int32(i); spins++ {
				if spins%10_000 == 0 {
					time.Sleep(time.Microsecond)
				}
			}
			f(i)
		}
	}
	var over sync.WaitGroup
	over.Go(func() { walk(&at, &otherAt, one) })
	walk(&otherAt, &at, other)
	over.Wait()
}

// linger takes up to some microseconds, a different time for each of many
// numbers, so that one of two goroutines acts at random points of what the
// other does.
func linger(i int) {
	var looked atomic.Int32
	for range i * 37 % 4000 {
		looked.Load()
	}
}

// heapInUse is the bytes in use. Three collections: what a cleanup or a pool
// held goes with the second or the third.
func heapInUse() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
