package breaker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// recovering is a breaker whose next call is a probe.
func recovering(t *testing.T, s Settings) *Breaker {
	t.Helper()
	b := New("db", s)
	if err := b.HalfOpen(Order{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// A call inside a probe of the same breaker is part of it: it runs, takes no
// place, and only the outer call is judged.
func TestNestedCall(t *testing.T) {
	for name, c := range map[string]struct {
		inner, outer error
		want         State
	}{
		"both succeed":                   {nil, nil, Closed},
		"the inner fails, and is caught": {errX, nil, Closed},
		"the outer fails":                {nil, errX, Open},
	} {
		t.Run(name, func(t *testing.T) {
			b := recovering(t, Settings{FailMax: 1})
			ran := false
			err := b.Do(bg, func(ctx context.Context) error {
				if err := b.Do(ctx, func(context.Context) error { ran = true; return c.inner }); !errors.Is(err, c.inner) {
					t.Errorf("the inner call returns %v, want %v", err, c.inner)
				}
				is(t, b, HalfOpen)
				return c.outer
			})
			if !ran || !errors.Is(err, c.outer) {
				t.Errorf("ran %t, error %v, want %v", ran, err, c.outer)
			}
			is(t, b, c.want)
		})
	}
}

// A call is part of another one only while that one runs, in the period that
// admitted it, and only if both use the same breaker.
func TestNestedCallIsOfOneProbe(t *testing.T) {
	t.Run("another breaker", func(t *testing.T) {
		outer, inner := recovering(t, Settings{}), recovering(t, Settings{FailMax: 1, Probes: 2})
		if _, err := inner.Allow(); err != nil { // a probe with the same number as the outer one
			t.Fatal(err)
		}
		_ = outer.Do(bg, func(ctx context.Context) error {
			_ = inner.Do(ctx, broken)
			return nil
		})
		is(t, outer, Closed)
		is(t, inner, Open) // its probe failed: it was judged
	})
	t.Run("a breaker between", func(t *testing.T) {
		outer, between := recovering(t, Settings{}), recovering(t, Settings{})
		ran := false
		_ = outer.Do(bg, func(ctx context.Context) error {
			return between.Do(ctx, func(ctx context.Context) error {
				return outer.Do(ctx, func(context.Context) error { ran = true; return nil })
			})
		})
		if !ran {
			t.Error("the call within two layers was rejected")
		}
	})
	t.Run("the probe has ended", func(t *testing.T) {
		b := recovering(t, Settings{SuccessThreshold: 2})
		var left context.Context
		_ = b.Do(bg, func(ctx context.Context) error { left = ctx; return nil })
		_ = b.Do(left, nop)
		is(t, b, Closed) // the second call was a probe by itself
	})
}

// Calls that a ramp admits mark their context, too, and only for its period.
func TestNestedCallOfAnEarlierPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := recovering(t, Settings{FailMax: 1, Ramp: 100 * time.Second})
		_ = b.Do(bg, nop) // closes, and the ramp begins
		wait(50 * time.Second)
		_, _ = b.Allow() // half of the calls are rejected: the second one runs
		p, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.HalfOpen(Order{}); err != nil {
			t.Fatal(err)
		}
		_ = b.Do(p.Context(bg), broken)
		is(t, b, Open) // it was a probe
		p.Done(nil)
	})
}

// In a ramp, what an admitted call does inside is part of it, whatever share is
// admitted.
func TestNestedCallInARamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := recovering(t, Settings{Ramp: 100 * time.Second})
		_ = b.Do(bg, nop)
		wait(50 * time.Second)
		rejected, outer := 0, 0
		for range 100 {
			_ = b.Do(bg, func(ctx context.Context) error {
				outer++
				if b.Do(ctx, nop) != nil {
					rejected++
				}
				return nil
			})
		}
		if outer != 50 || rejected != 0 {
			t.Errorf("%d of 100 calls ran and %d calls inside them were rejected, want 50 and 0", outer, rejected)
		}
	})
}

// The context of a probe has the values of the caller's, and nothing else is
// marked.
func TestContextOfAPermit(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(bg, key{}, "x")
	var none context.Context
	b := New("x", Settings{})
	p, _ := b.AllowContext(ctx)
	if p.Context(ctx) != ctx {
		t.Error("the context of a call of a closed breaker is marked")
	}
	p.Done(nil)
	_ = b.HalfOpen(Order{})
	p, _ = b.AllowContext(ctx)
	if got := p.Context(ctx).Value(key{}); got != "x" {
		t.Errorf("in the context of a probe, the caller's value is %v", got)
	}
	if got := p.Context(none); got != none {
		t.Errorf("no context became %v", got)
	}
	if err := b.Do(none, nop); !errors.Is(err, ErrOpen) {
		t.Errorf("a call without a context, beside the probe: %v, want a rejection", err)
	}
}

// A probe that has answered has given its place back: calls with its context need
// places of their own.
func TestAnsweredProbeCarriesNoCalls(t *testing.T) {
	b := New("x", Settings{SuccessThreshold: 2})
	_ = b.HalfOpen(Order{})
	p, _ := b.AllowContext(bg)
	p.Answered()
	if ctx := p.Context(bg); ctx != bg {
		t.Error("its context is marked")
	}
	p.Done(nil)
	is(t, b, HalfOpen)
}
