package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// tape is a listener that writes down what it hears.
type tape struct {
	mu    sync.Mutex
	lines []string
}

func (t *tape) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

func (t *tape) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.Join(t.lines, ", ")
	t.lines = nil
	return s
}

func (t *tape) listener() breaker.Listener {
	return breaker.Listener{
		BeforeCall:  func(context.Context, *breaker.Breaker) { t.add("before") },
		Success:     func(*breaker.Breaker) { t.add("success") },
		Failure:     func(_ *breaker.Breaker, err error) { t.add("failure %v", err) },
		Rejected:    func(_ *breaker.Breaker, err error) { t.add("rejected") },
		StateChange: func(_ *breaker.Breaker, c breaker.Transition) { t.add("%s->%s", c.From, c.To) },
	}
}

func TestListenerHearsEachCallAndTransition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard tape
		b := breaker.New("db", breaker.Settings{FailMax: 2}, breaker.WithListener(heard.listener()))
		step := func(want string) {
			t.Helper()
			if got := heard.take(); got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		}
		_ = b.Do(ctx, succeed)
		step("before, success")
		failTimes(b, 1)
		step("before, failure connection refused")
		failTimes(b, 1)
		step("before, failure connection refused, closed->open")
		_ = b.Do(ctx, succeed)
		step("rejected")
		time.Sleep(time.Minute)
		synctest.Wait()
		step("")
		failTimes(b, 1)
		step("open->half-open, before, failure connection refused, half-open->open")
		time.Sleep(time.Minute)
		synctest.Wait()
		_ = b.Do(ctx, succeed)
		step("open->half-open, before, success, half-open->closed")
		b.ForceOpen(breaker.Order{For: time.Second})
		time.Sleep(time.Second)
		synctest.Wait()
		step("closed->forced-open, forced-open->closed")
		p, _ := b.Allow()
		p.Ignore()
		step("before")
	})
}

func TestListenerAddedLaterAndRemoved(t *testing.T) {
	b := breaker.New("db", breaker.Settings{})
	var one, two tape
	_ = b.Do(ctx, succeed)
	removeOne := b.AddListener(one.listener())
	b.AddListener(two.listener())
	_ = b.Do(ctx, succeed)
	removeOne()
	removeOne()
	_ = b.Do(ctx, succeed)
	if got, want := one.take()+"|"+two.take(), "before, success|before, success, before, success"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// A listener that calls back, panics, exits its goroutine or blocks cannot
// wedge the breaker, nor change what callers get (I10).
func TestBadListeners(t *testing.T) {
	block := make(chan struct{})
	for name, bad := range map[string]func(*breaker.Breaker){
		"calls back": func(b *breaker.Breaker) {
			_ = b.State()
			_ = b.Status()
			_ = b.Do(ctx, succeed)
			b.AddListener(breaker.Listener{})()
		},
		"panics": func(*breaker.Breaker) { panic("bug in a listener") },
		"exits":  func(*breaker.Breaker) { runtime.Goexit() },
		"blocks": func(*breaker.Breaker) { <-block },
	} {
		for _, event := range []string{"BeforeCall", "Success", "Failure", "Rejected", "StateChange"} {
			t.Run(name+" in "+event, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					block = make(chan struct{})
					var armed atomic.Bool
					armed.Store(true)
					once := func(b *breaker.Breaker) {
						if armed.CompareAndSwap(true, false) {
							bad(b)
						}
					}
					var l breaker.Listener
					switch event {
					case "BeforeCall":
						l.BeforeCall = func(_ context.Context, b *breaker.Breaker) { once(b) }
					case "Success":
						l.Success = once
					case "Failure":
						l.Failure = func(b *breaker.Breaker, _ error) { once(b) }
					case "Rejected":
						l.Rejected = func(b *breaker.Breaker, _ error) { once(b) }
					case "StateChange":
						l.StateChange = func(b *breaker.Breaker, _ breaker.Transition) { once(b) }
					}
					var heard tape
					b := breaker.New("db", breaker.Settings{FailMax: 1}, breaker.WithListener(l, heard.listener()))
					for _, fn := range []func(context.Context) error{succeed, fail, succeed} {
						go func() {
							defer func() {
								if p := recover(); p != nil {
									t.Errorf("the panic of a listener reached the caller: %v", p)
								}
							}()
							_ = b.Do(ctx, fn)
						}()
						synctest.Wait()
					}
					if name == "blocks" && event == "BeforeCall" || name == "exits" && event == "BeforeCall" {
						failTimes(b, 1) // the first call did not run: one more was needed
					}
					wantState(t, b, breaker.Open)
					b.Close(breaker.Order{})
					if err := b.Do(ctx, succeed); err != nil {
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

// I7: every transition reaches every listener once, in order, whoever causes
// it and however slow a listener is.
func TestTransitionsArriveOnceAndInOrder(t *testing.T) {
	b := breaker.New("db", breaker.Settings{FailMax: 1})
	var mu sync.Mutex
	var versions []uint64
	b.AddListener(breaker.Listener{StateChange: func(_ *breaker.Breaker, c breaker.Transition) {
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
					b.Open(breaker.Order{})
				case 1:
					b.Close(breaker.Order{})
				case 2:
					b.ForceOpen(breaker.Order{})
				default:
					b.HalfOpen(breaker.Order{})
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

func TestExcludeLater(t *testing.T) {
	b := breaker.New("db", breaker.Settings{FailMax: 1})
	b.Exclude(breaker.ErrorIs(errDown))
	failTimes(b, 3)
	wantState(t, b, breaker.Closed)
	_ = b.Do(ctx, func(context.Context) error { return errors.New("other") })
	wantState(t, b, breaker.Open)
}
