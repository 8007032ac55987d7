package breaker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A permit that is used up, or came with a rejection, says nothing more:
// neither to the breaker nor to its listeners.
func TestEndedPermitIsDumb(t *testing.T) {
	open := func(b *Breaker) { b.Open(Order{}) }
	shut := func(b *Breaker) { open(b); play(b, "s") } // a call has been turned away before
	full := func(b *Breaker) { b.HalfOpen(Order{}); _, _ = b.Allow() }
	ramp := func(b *Breaker) { b.HalfOpen(Order{}); play(b, "s") }
	for name, c := range map[string]struct {
		opts    []Option
		prepare func(b *Breaker)
		end     func(p *Permit)
	}{
		"rejected while open":                  {nil, open, nil},
		"rejected while open, not the first":   {nil, shut, nil},
		"rejected while open, heard":           {[]Option{WithListener(Listener{Rejected: func(*Breaker, error) {}})}, open, nil},
		"rejected while the probes are out":    {nil, full, nil},
		"rejected in a ramp":                   {nil, ramp, nil},
		"done":                                 {nil, func(*Breaker) {}, func(p *Permit) { p.Done(nil) }},
		"done with a context":                  {nil, func(*Breaker) {}, func(p *Permit) { _ = p.DoneContext(context.Background(), nil) }},
		"failed":                               {nil, func(*Breaker) {}, func(p *Permit) { p.Done(errX) }},
		"ignored":                              {nil, func(*Breaker) {}, func(p *Permit) { p.Ignore() }},
		"done after a failure":                 {nil, func(b *Breaker) { play(b, "f") }, func(p *Permit) { p.Done(nil) }},
		"a probe that was ignored":             {nil, func(b *Breaker) { b.HalfOpen(Order{}) }, func(p *Permit) { p.Ignore() }},
		"a probe that succeeded before others": {nil, func(b *Breaker) { b.HalfOpen(Order{}) }, func(p *Permit) { p.Done(nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("db", Settings{Ramp: time.Hour, SuccessThreshold: 1}, c.opts...)
				c.prepare(b)
				p, err := b.Allow()
				if (err == nil) != (c.end != nil) {
					t.Fatalf("Allow: %v", err)
				}
				if c.end != nil {
					c.end(&p)
				}
				heard := 0
				b.AddListener(Listener{Failure: func(*Breaker, error) { heard++ }, Success: func(*Breaker) { heard++ }})
				before := b.Status()
				p.Done(errX)
				p.Done(nil)
				p.Answered()
				p.Ignore()
				_ = p.DoneContext(t.Context(), errX)
				if after := b.Status(); after.FailCount != before.FailCount || after.Version != before.Version || heard != 0 {
					t.Errorf("from %d failures and version %d to %d and %d; heard %d times",
						before.FailCount, before.Version, after.FailCount, after.Version, heard)
				}
			})
		})
	}
}

// The zero Permit is none: ending it by other ways than Done(nil) does nothing.
func TestZeroPermit(t *testing.T) {
	var p Permit
	p.Answered()
	p.Ignore()
	p.Abandoned()
	for _, err := range []error{nil, errX} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Done(%v) did not panic", err)
				}
			}()
			p = Permit{}
			p.Done(err)
		}()
	}
	p = Permit{}
	if err := p.Settle(t.Context(), Failure, errX); err != errX {
		t.Errorf("Settle of no permit: %v, want the call's own error", err)
	}
	p = Permit{}
	if err := p.DoneContext(t.Context(), errX); err != errX {
		t.Errorf("DoneContext of no permit: %v, want the call's own error", err)
	}
}
