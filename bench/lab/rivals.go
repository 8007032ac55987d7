package lab

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	bytedance "github.com/bytedance/gopkg/cloud/circuitbreaker"
	"github.com/cenk/backoff"
	"github.com/cep21/circuit/v4"
	cep21 "github.com/cep21/circuit/v4/closers/hystrix"
	eapache "github.com/eapache/go-resiliency/breaker"
	failsafe "github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/go-kratos/aegis/circuitbreaker"
	"github.com/go-kratos/aegis/circuitbreaker/sre"
	rubyist "github.com/rubyist/circuitbreaker"
	"github.com/sony/gobreaker/v2"
	gozero "github.com/zeromicro/go-zero/core/breaker"
	"github.com/zeromicro/go-zero/core/logx"
	"github.com/zeromicro/go-zero/core/stat"
)

func init() {
	logx.Disable() // or go-zero prints each trip
	stat.DisableLog()
}

// rivals lists other breakers for Go, which run for real in bubbles: with their
// defaults or with what their documentation shows first.
func rivals() []contender {
	rival := func(name string, build func() any) contender {
		return contender{name: name, kind: realRival, build: build}
	}
	return []contender{
		rival("gobreaker defaults: 6 in a row, 60 s", func() any { return newGobreaker(gobreaker.Settings{}) }),
		rival("gobreaker README: 60 % of all calls since the start", func() any {
			return newGobreaker(gobreaker.Settings{ReadyToTrip: func(c gobreaker.Counts) bool {
				return c.Requests >= 3 && float64(c.TotalFailures)/float64(c.Requests) >= 0.6
			}})
		}),
		rival("gobreaker 50 % of 20 in 10 s, 60 s", func() any {
			return newGobreaker(gobreaker.Settings{Interval: 10 * time.Second, BucketPeriod: time.Second, ReadyToTrip: func(c gobreaker.Counts) bool {
				return c.Requests >= 20 && 2*c.TotalFailures >= c.Requests
			}})
		}),
		rival("failsafe-go defaults: 1 failure, 60 s", func() any { return failsafeGo{failsafe.NewBuilder[any]().Build()} }),
		rival("failsafe-go 50 % of 20 in 10 s, 60 s", func() any {
			return failsafeGo{failsafe.NewBuilder[any]().WithFailureRateThreshold(0.5, 20, 10*time.Second).Build()}
		}),
		rival("eapache README: 3 failures, 5 s", func() any { return eapacheBreaker{eapache.New(3, 1, 5*time.Second)} }),
		rival("cep21/circuit, hystrix closers: 50 % of 20 in 10 s, 5 s", func() any { return newCep21() }),
		rival("hystrix-go: 50 % of 20 in 10 s, 5 s", func() any { return newHystrix() }),
		rival("rubyist README: 10 failures in 10 s, from 0.5 s", func() any { return newRubyist(rubyist.ThresholdTripFunc(10)) }),
		rival("rubyist README: 95 % of 100 in 10 s, from 0.5 s", func() any { return newRubyist(rubyist.RateTripFunc(0.95, 100)) }),
		rival("bytedance, kitex's rule: 50 % of 200 in 10 s, 5 s", func() any { return newBytedance() }),
		rival("go-zero: throttle, 10 s", func() any { return &goZero{b: gozero.NewBreaker()} }),
		rival("aegis sre: throttle, 3 s", func() any { return &aegis{b: sre.NewBreaker()} }),
	}
}

type gobreakerSteps struct {
	b    *gobreaker.TwoStepCircuitBreaker[any]
	ends [slots]func(error)
}

func newGobreaker(s gobreaker.Settings) *gobreakerSteps {
	return &gobreakerSteps{b: gobreaker.NewTwoStepCircuitBreaker[any](s)}
}

func (g *gobreakerSteps) allow(_ time.Duration, slot int) bool {
	done, err := g.b.Allow()
	g.ends[slot] = done
	return err == nil
}

func (g *gobreakerSteps) done(_ time.Duration, slot int, failed bool) {
	if failed {
		g.ends[slot](errFailed)
	} else {
		g.ends[slot](nil)
	}
}

func (g *gobreakerSteps) closed(time.Duration) bool { return g.b.State() == gobreaker.StateClosed }

type failsafeGo struct{ b failsafe.CircuitBreaker[any] }

func (f failsafeGo) allow(time.Duration, int) bool { return f.b.TryAcquirePermit() }

func (f failsafeGo) done(_ time.Duration, _ int, failed bool) {
	if failed {
		f.b.RecordFailure()
	} else {
		f.b.RecordSuccess()
	}
}

func (f failsafeGo) closed(time.Duration) bool { return f.b.IsClosed() }

type eapacheBreaker struct{ b *eapache.Breaker }

func (e eapacheBreaker) run(f func() error) error  { return e.b.Run(f) }
func (e eapacheBreaker) closed(time.Duration) bool { return e.b.GetState() == eapache.Closed }

// cep21Circuit has the defaults, but for the limits of time and of concurrency,
// which are not a breaker's.
type cep21Circuit struct{ c *circuit.Circuit }

func newCep21() cep21Circuit {
	f := cep21.Factory{}
	m := circuit.Manager{DefaultCircuitProperties: []circuit.CommandPropertiesConstructor{f.Configure}}
	return cep21Circuit{m.MustCreateCircuit("lab", circuit.Config{
		Execution: circuit.ExecutionConfig{Timeout: -1, MaxConcurrentRequests: -1},
	})}
}

func (c cep21Circuit) run(f func() error) error {
	return c.c.Run(context.Background(), func(context.Context) error { return f() })
}
func (c cep21Circuit) closed(time.Duration) bool { return !c.c.IsOpen() }

// hystrixGo has the defaults, but for the limits of time and of concurrency:
// its rejections for concurrency count as failures, see docs/traps.md.
type hystrixGo struct {
	name string
	c    *hystrix.CircuitBreaker
}

// hystrixNames gives every circuit a unique name: hystrix-go keeps them in
// a map of the package.
var hystrixNames atomic.Int64

func hystrixName() string { return fmt.Sprint("lab ", hystrixNames.Add(1)) }

func newHystrix() hystrixGo {
	name := hystrixName()
	hystrix.ConfigureCommand(name, hystrix.CommandConfig{Timeout: 3_600_000, MaxConcurrentRequests: slots})
	c, _, _ := hystrix.GetCircuit(name)
	return hystrixGo{name, c}
}

// run waits until hystrix-go has counted the call, on another goroutine.
func (h hystrixGo) run(f func() error) error {
	err := hystrix.Do(h.name, f, nil)
	time.Sleep(time.Nanosecond)
	return err
}

func (h hystrixGo) closed(time.Duration) bool { return !h.c.IsOpen() }

type rubyistBreaker struct{ b *rubyist.Breaker }

// newRubyist has the default backoff without its jitter, whose random numbers
// have no seed of ours.
func newRubyist(trip rubyist.TripFunc) rubyistBreaker {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxElapsedTime, b.RandomizationFactor = 500*time.Millisecond, 0, 0
	b.Reset()
	return rubyistBreaker{rubyist.NewBreakerWithOptions(&rubyist.Options{ShouldTrip: trip, BackOff: b})}
}

func (r rubyistBreaker) allow(time.Duration, int) bool { return r.b.Ready() }

func (r rubyistBreaker) done(_ time.Duration, _ int, failed bool) {
	if failed {
		r.b.Fail()
	} else {
		r.b.Success()
	}
}

func (r rubyistBreaker) closed(time.Duration) bool { return !r.b.Tripped() }

// bytedancePanel is a panel with one key. It has no rule by default; kitex, for
// which it was made, gives it this one.
type bytedancePanel struct {
	p    bytedance.Panel
	open bool
}

var bytedancePanels atomic.Int64

func newBytedance() *bytedancePanel {
	p, err := bytedance.NewPanel(nil, bytedance.Options{
		ShouldTrip: bytedance.RateTripFunc(0.5, 200),
		// Panels with the same bucket time share a ticker, which cannot be in
		// two bubbles.
		BucketTime: 100*time.Millisecond + time.Duration(bytedancePanels.Add(1)),
	})
	if err != nil {
		panic(err)
	}
	return &bytedancePanel{p: p}
}

func (b *bytedancePanel) allow(time.Duration, int) bool {
	ok := b.p.IsAllowed("lab")
	b.open = b.open || !ok
	return ok
}

func (b *bytedancePanel) done(_ time.Duration, _ int, failed bool) {
	if failed {
		b.p.Fail("lab")
		b.open = true // perhaps; closed has a look
	} else {
		b.p.Succeed("lab")
	}
}

func (b *bytedancePanel) closed(time.Duration) bool {
	if b.open {
		one, ok := b.p.DumpBreakers()["lab"]
		b.open = ok && one.State() != bytedance.Closed
	}
	return !b.open
}

func (b *bytedancePanel) close() { b.p.Close() }

// throttled replaces the state for those that have none, but reject a share
// of the calls: open from the time that half of the last 20 calls were rejected
// until less than a tenth were.
type throttled struct {
	rejected [20]bool
	next, n  int
	open     bool
}

func (t *throttled) asked(ok bool) bool {
	if t.rejected[t.next] {
		t.n--
	}
	if t.rejected[t.next] = !ok; !ok {
		t.n++
	}
	t.next = (t.next + 1) % len(t.rejected)
	t.open = t.n >= 10 || t.open && t.n >= 2
	return ok
}

func (t *throttled) closed(time.Duration) bool { return !t.open }

type goZero struct {
	throttled
	b        gozero.Breaker
	promises [slots]gozero.Promise
}

func (g *goZero) allow(_ time.Duration, slot int) bool {
	p, err := g.b.Allow()
	g.promises[slot] = p
	return g.asked(err == nil)
}

func (g *goZero) done(_ time.Duration, slot int, failed bool) {
	if failed {
		g.promises[slot].Reject("failed")
	} else {
		g.promises[slot].Accept()
	}
}

type aegis struct {
	throttled
	b circuitbreaker.CircuitBreaker
}

func (a *aegis) allow(time.Duration, int) bool {
	err := a.b.Allow()
	if err != nil {
		a.b.MarkFailed() // as its own middleware does
	}
	return a.asked(err == nil)
}

func (a *aegis) done(_ time.Duration, _ int, failed bool) {
	if failed {
		a.b.MarkFailed()
	} else {
		a.b.MarkSuccess()
	}
}
