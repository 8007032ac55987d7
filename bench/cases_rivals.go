package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	bytedance "github.com/bytedance/gopkg/cloud/circuitbreaker"
	"github.com/cenk/backoff"
	eapache "github.com/eapache/go-resiliency/breaker"
	"github.com/failsafe-go/failsafe-go"
	failsafebreaker "github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/go-kratos/aegis/circuitbreaker/sre"
	rubyist "github.com/rubyist/circuitbreaker"
	"github.com/sony/gobreaker/v2"
	gozero "github.com/zeromicro/go-zero/core/breaker"
	"github.com/zeromicro/go-zero/core/logx"
	"github.com/zeromicro/go-zero/core/stat"
)

// The names of the rules, in the table's words.
const (
	consecutive = "consecutive"
	timeWindow  = "time window"
	lastCalls   = "last 100 calls"
	throttling  = "throttling"
)

// A setup is the same for every contender: the number of consecutive failures
// that open it, if it counts those, and how long it stays open. The rates are
// the same everywhere: half of at least 20 calls in 10 s, in 10 buckets.
type setup struct {
	fails int
	open  time.Duration
}

var (
	usual   = setup{5, time.Minute}
	staying = setup{5, time.Hour} // open for the whole run
	brief   = setup{1, briefly}   // opens at once, and soon may close again
)

// A contender is one way of guarding a call.
type contender struct {
	who, how, rule string
	build          func(setup) maker
	cycles         bool    // can pass through all states within one operation
	openShare      float64 // share it rejects while open; 0: it has no such state
	note           string
}

func rivals() []contender {
	return []contender{
		{"gobreaker v2", "Execute", consecutive, gobreakerExecute(false), true, 1, ""},
		{"gobreaker v2", "Execute", timeWindow, gobreakerExecute(true), true, 1, ""},
		{"gobreaker v2", "two steps", consecutive, gobreakerTwoStep, true, 1, ""},
		{"failsafe-go", "by hand", consecutive, failsafeByHand(failsafeConsecutive), true, 1, ""},
		{"failsafe-go", "by hand", timeWindow, failsafeByHand(failsafeWindow), true, 1, ""},
		{"failsafe-go", "by hand", lastCalls, failsafeByHand(failsafeLast), false, 1, ""},
		{"failsafe-go", "With.Get", consecutive, failsafeGet(failsafeConsecutive), true, 1, ""},
		{"failsafe-go", "With.Get", timeWindow, failsafeGet(failsafeWindow), true, 1, ""},
		{"eapache", "Run", consecutive, eapacheRun, false, 1, "counts nothing on success; its successes do not end a row of failures, so it needs a higher limit under failures"},
		{"rubyist", "Call", consecutive, rubyistCall(false), true, 1, ""},
		{"rubyist", "Call", timeWindow, rubyistCall(true), true, 1, ""},
		{"hystrix-go", "Do", timeWindow, hystrixDo, false, 1, ""},
		{"go-zero", "Do", throttling, goZeroDo, false, 0.98, "has no open state: it rejects a share of the calls"},
		{"aegis sre", "Allow and Mark", throttling, aegisAllow, false, 0.98, "has no open state: it rejects a share of the calls"},
		{"bytedance", "panel, one key", timeWindow, bytedancePanel(false), true, 0.98, "forgets that it is open when the window has drained"},
		{"bytedance", "panel, one key, per-P counters", timeWindow, bytedancePanel(true), true, 0.98, ""},
	}
}

func gobreakerSettings(s setup, window bool) gobreaker.Settings {
	st := gobreaker.Settings{
		Timeout:     s.open,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= uint32(s.fails) },
	}
	if window {
		st.Interval, st.BucketPeriod = 10*time.Second, time.Second
		if s != brief {
			st.ReadyToTrip = func(c gobreaker.Counts) bool {
				return c.Requests >= 20 && 2*c.TotalFailures >= c.Requests
			}
		}
	}
	return st
}

func gobreakerExecute(window bool) func(setup) maker {
	return func(s setup) maker {
		cb := gobreaker.NewCircuitBreaker[int](gobreakerSettings(s, window))
		return func(w *work) loop {
			fn := w.value()
			return func(n int) (errs int) {
				for range n {
					if _, err := cb.Execute(fn); err != nil {
						errs++
					}
				}
				return errs
			}
		}
	}
}

func gobreakerTwoStep(s setup) maker {
	cb := gobreaker.NewTwoStepCircuitBreaker[int](gobreakerSettings(s, false))
	return func(w *work) loop {
		fn := w.plain()
		return func(n int) (errs int) {
			for range n {
				done, err := cb.Allow()
				if err == nil {
					err = fn()
					done(err)
				}
				if err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

func failsafeConsecutive(s setup) failsafebreaker.CircuitBreaker[int] {
	return failsafebreaker.NewBuilder[int]().WithFailureThreshold(uint(s.fails)).WithDelay(s.open).Build()
}

func failsafeWindow(s setup) failsafebreaker.CircuitBreaker[int] {
	b := failsafebreaker.NewBuilder[int]().WithDelay(s.open)
	if s == brief {
		return b.WithFailureThresholdPeriod(1, 10*time.Second).Build()
	}
	return b.WithFailureRateThreshold(0.5, 20, 10*time.Second).Build()
}

func failsafeLast(s setup) failsafebreaker.CircuitBreaker[int] {
	return failsafebreaker.NewBuilder[int]().WithFailureThresholdRatio(50, 100).WithDelay(s.open).Build()
}

func failsafeByHand(mk func(setup) failsafebreaker.CircuitBreaker[int]) func(setup) maker {
	return func(s setup) maker {
		cb := mk(s)
		return func(w *work) loop {
			fn := w.plain()
			return func(n int) (errs int) {
				for range n {
					if !cb.TryAcquirePermit() {
						errs++
						continue
					}
					if err := fn(); err != nil {
						errs++
						cb.RecordError(err)
					} else {
						cb.RecordSuccess()
					}
				}
				return errs
			}
		}
	}
}

func failsafeGet(mk func(setup) failsafebreaker.CircuitBreaker[int]) func(setup) maker {
	return func(s setup) maker {
		with := failsafe.With[int](mk(s))
		return func(w *work) loop {
			fn := w.value()
			return func(n int) (errs int) {
				for range n {
					if _, err := with.Get(fn); err != nil {
						errs++
					}
				}
				return errs
			}
		}
	}
}

func eapacheRun(s setup) maker {
	cb := eapache.New(s.fails, 1, s.open)
	return func(w *work) loop {
		fn := w.plain()
		return func(n int) (errs int) {
			for range n {
				if err := cb.Run(fn); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

func rubyistBreaker(s setup, window bool) *rubyist.Breaker {
	o := &rubyist.Options{
		BackOff:    backoff.NewConstantBackOff(s.open),
		ShouldTrip: rubyist.ConsecutiveTripFunc(int64(s.fails)),
	}
	if window && s != brief {
		o.ShouldTrip = rubyist.RateTripFunc(0.5, 20)
	}
	return rubyist.NewBreakerWithOptions(o)
}

func rubyistCall(window bool) func(setup) maker {
	return func(s setup) maker {
		cb := rubyistBreaker(s, window)
		return func(w *work) loop {
			fn := w.plain()
			return func(n int) (errs int) {
				for range n {
					if err := cb.Call(fn, 0); err != nil {
						errs++
					}
				}
				return errs
			}
		}
	}
}

// hystrixNames gives every circuit of hystrix-go a new name, because they live
// in a map of the package.
var hystrixNames atomic.Int64

func hystrixName(s setup) string {
	name := fmt.Sprint("circuit ", hystrixNames.Add(1))
	hystrix.ConfigureCommand(name, hystrix.CommandConfig{
		Timeout:                60_000,
		MaxConcurrentRequests:  100_000, // its tickets come back after Do has returned
		SleepWindow:            int(s.open.Milliseconds()),
		RequestVolumeThreshold: 20,
		ErrorPercentThreshold:  50,
	})
	return name
}

func hystrixDo(s setup) maker {
	name := hystrixName(s)
	return func(w *work) loop {
		fn := w.plain()
		return func(n int) (errs int) {
			for range n {
				if err := hystrix.Do(name, fn, nil); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

func init() {
	logx.Disable() // or go-zero prints into the table
	stat.DisableLog()
}

func goZeroDo(setup) maker {
	cb := gozero.NewBreaker()
	return func(w *work) loop {
		fn := w.plain()
		return func(n int) (errs int) {
			for range n {
				if err := cb.Do(fn); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

func aegisAllow(setup) maker {
	cb := sre.NewBreaker(sre.WithRequest(20), sre.WithWindow(10*time.Second), sre.WithBucket(10))
	return func(w *work) loop {
		fn := w.plain()
		return func(n int) (errs int) {
			for range n {
				err := cb.Allow()
				if err != nil {
					errs++
					cb.MarkFailed() // as its own middleware does
					continue
				}
				if err = fn(); err != nil {
					errs++
					cb.MarkFailed()
				} else {
					cb.MarkSuccess()
				}
			}
			return errs
		}
	}
}

func bytedanceOptions(s setup, perP bool) bytedance.Options {
	o := bytedance.Options{
		BucketTime: 100 * time.Millisecond, BucketNums: 100, // the least it takes
		CoolingTimeout: s.open, DetectTimeout: s.open, HalfOpenSuccesses: 1,
		ShouldTrip:   bytedance.RateTripFunc(0.5, 20),
		EnableShardP: perP,
	}
	if s == brief {
		o.ShouldTrip = bytedance.ConsecutiveTripFunc(1)
	}
	return o
}

func bytedancePanel(perP bool) func(setup) maker {
	return func(s setup) maker {
		panel, err := bytedance.NewPanel(nil, bytedanceOptions(s, perP))
		if err != nil {
			panic(err)
		}
		return func(w *work) loop { return bytedanceLoop(panel, w) }
	}
}

func bytedanceLoop(panel bytedance.Panel, w *work) loop {
	fn := w.plain()
	return func(n int) (errs int) {
		for range n {
			if !panel.IsAllowed("key") {
				errs++
				continue
			}
			if err := fn(); err != nil {
				errs++
				panel.Fail("key")
			} else {
				panel.Succeed("key")
			}
		}
		return errs
	}
}

func bytedanceKeyed([]string) func(*work, picker) loop {
	o := bytedanceOptions(usual, false)
	o.ShouldTrip = bytedance.ConsecutiveTripFunc(1 << 40)
	panel, err := bytedance.NewPanel(nil, o)
	if err != nil {
		panic(err)
	}
	return func(w *work, p picker) loop {
		fn := w.plain()
		return func(n int) (errs int) {
			for range n {
				key := p.next()
				if !panel.IsAllowed(key) {
					errs++
					continue
				}
				if err := fn(); err != nil {
					errs++
					panel.Fail(key)
				} else {
					panel.Succeed(key)
				}
			}
			return errs
		}
	}
}

// goZeroKeyed treats errors as acceptable, because its throttling cannot be
// configured to tolerate them and would reject the failing keys.
func goZeroKeyed([]string) func(*work, picker) loop {
	accept := func(error) bool { return true }
	return func(w *work, p picker) loop {
		fn := w.plain()
		return func(n int) (errs int) {
			for range n {
				if err := gozero.DoWithAcceptable(p.next(), fn, accept); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}
