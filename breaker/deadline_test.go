package breaker

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A deadline that passes during a call is a failure from the first call on,
// however late the call returns. A context that was over before is not.
func TestDeadlineOfAPermit(t *testing.T) {
	settings := map[string]Settings{
		"plain":   {},
		"counted": {FailureRate: 0.5, Window: time.Minute},
		"timed":   {SlowCall: time.Hour},
	}
	ends := map[string]func(*Permit, context.Context){
		"DoneContext": func(p *Permit, ctx context.Context) { _ = p.DoneContext(ctx, context.DeadlineExceeded) },
		"Settle":      func(p *Permit, ctx context.Context) { _ = p.Settle(ctx, Failure, context.DeadlineExceeded) },
	}
	for kind, s := range settings {
		for how, end := range ends {
			for late, want := range map[bool]int{false: 1, true: 0} {
				t.Run(fmt.Sprintf("%s, %s, late %v", kind, how, late), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := New("api", s)
						ctx, cancel := context.WithTimeout(bg, time.Second)
						defer cancel()
						if late {
							time.Sleep(2 * time.Second)
						}
						p, err := b.AllowContext(ctx)
						if err != nil {
							t.Fatal(err)
						}
						time.Sleep(5 * time.Second)
						end(&p, ctx)
						if got := b.FailCount(); got != want {
							t.Errorf("%d failures are on record, want %d", got, want)
						}
					})
				})
			}
		}
	}
}

// hang makes a call whose deadline passes after a second, and which returns after
// takes.
func hang(b *Breaker, way func(*Breaker, context.Context, func(context.Context) error) error, takes time.Duration) {
	ctx, cancel := context.WithTimeout(bg, time.Second)
	defer cancel()
	_ = way(b, ctx, func(ctx context.Context) error { time.Sleep(takes); return ctx.Err() })
}

// A dependency that hangs until the deadline opens the breaker. If its calls
// return later than that, the first one of Do is in doubt, because nothing had
// been checked when it began; the others count.
func TestHangingUntilTheDeadline(t *testing.T) {
	for way, do := range waysToCall {
		for takes, want := range map[time.Duration]int{
			time.Second + 1: 3, time.Second + deadlineGrace: 3, time.Second + deadlineGrace + 1: 4, time.Minute: 4,
		} {
			synctest.Test(t, func(t *testing.T) {
				b := New("x", Settings{FailMax: 3})
				calls := 0
				for ; b.State() == Closed && calls < 10; calls++ {
					hang(b, do, takes)
				}
				if way != "Do" && way != "Do()" && way != "Wrap" {
					want = 3 // the others check the context
				}
				if calls != want {
					t.Errorf("%s, %s: open after %d calls, want %d", way, takes, calls, want)
				}
				// The next period begins without the check, and doubts again.
				_ = b.Close(Order{})
				if b.load()&flagCheckCtx != 0 {
					t.Errorf("%s, %s: the check outlasts the period", way, takes)
				}
			})
		}
	}
}

// Calls that were over before they began are never evidence, however many.
func TestQueuedBeyondTheDeadline(t *testing.T) {
	for way, do := range waysToCall {
		synctest.Test(t, func(t *testing.T) {
			b := New("x", Settings{FailMax: 2})
			for range 20 {
				ctx, cancel := context.WithTimeout(bg, time.Second)
				time.Sleep(2 * time.Second)
				_ = do(b, ctx, func(ctx context.Context) error { return ctx.Err() })
				cancel()
			}
			if b.State() != Closed || b.FailCount() != 0 {
				t.Errorf("%s: %s with %d failures", way, b.State(), b.FailCount())
			}
		})
	}
}

// timeless says that its deadline has passed, and not when that was.
type timeless struct{ context.Context }

func (timeless) Err() error { return context.DeadlineExceeded }

// A context that does not say when its deadline was leaves no doubt.
func TestDeadlineWithoutATime(t *testing.T) {
	b := New("x", Settings{FailMax: 2})
	_ = b.Do(timeless{bg}, broken)
	if got := b.FailCount(); got != 1 {
		t.Errorf("%d failures, want 1", got)
	}
}

// lockedContext is over, and its methods need the breaker.
type lockedContext struct {
	context.Context
	b *Breaker
}

func (c lockedContext) Deadline() (time.Time, bool) { c.b.Status(); return c.Context.Deadline() }
func (c lockedContext) Err() error                  { c.b.Status(); return context.DeadlineExceeded }

// The methods of a context run with no lock held (I10).
func TestContextRunsOutsideTheLock(t *testing.T) {
	b := New("x", Settings{})
	_ = b.Do(lockedContext{bg, b}, broken)
	p, _ := b.Allow()
	_ = p.Settle(lockedContext{bg, b}, Failure, errX)
	if got := b.FailCount(); got != 2 {
		t.Errorf("%d failures, want 2: the context has no deadline", got)
	}
}
