package main

import (
	"context"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

const ours = "switchgear"

// The rules that only Switchgear has, or that only it can combine.
const (
	slowCoarse = "consecutive and slow calls, coarse clock"
	slowExact  = "consecutive and slow calls, exact clock"
)

// own lists our ways of guarding a call.
func own() []contender {
	c := func(how, rule string, loops func(*breaker.Breaker) maker) contender {
		build := func(s setup) maker { return loops(breaker.New("bench", settings(rule, s))) }
		return contender{ours, how, rule, build, rule == consecutive, 1, ""}
	}
	observed := func(s setup) maker {
		m := breaker.NewManager(settings(consecutive, s))
		m.Observe() // for as long as the program runs
		return ourDo(m.Breaker("bench"))
	}
	return []contender{
		c("Do", consecutive, ourDo),
		{ours, "Do, observed", consecutive, observed, false, 1, "counts calls only where they are observed, by Manager.Observe"},
		c("Do[T]", consecutive, ourGenericDo),
		c("Allow and Done", consecutive, ourTwoStep),
		c("Do", timeWindow, ourDo),
		c("Allow and Done", timeWindow, ourTwoStep),
		c("Do", lastCalls, ourDo),
		c("Do", slowCoarse, ourDo),
		c("Do", slowExact, ourDo),
	}
}

// settings converts the rule and the setup to our settings.
func settings(rule string, s setup) breaker.Settings {
	st := breaker.Settings{FailMax: s.fails, ResetTimeout: s.open, ProbeTimeout: time.Minute}
	switch rule {
	case timeWindow:
		st.FailMax, st.FailureRate = -1, 0.5
	case lastCalls:
		st.FailMax, st.FailureRate, st.WindowCalls = -1, 0.5, 100
	case slowCoarse:
		st.SlowCall, st.SlowRate = time.Second, 0.5
	case slowExact:
		st.SlowCall, st.SlowRate = 100*time.Millisecond, 0.5
	}
	return st
}

func ourDo(b *breaker.Breaker) maker {
	return func(w *work) loop {
		fn, ctx := w.ctx(), context.Background()
		return func(n int) (errs int) {
			for range n {
				if err := b.Do(ctx, fn); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

func ourGenericDo(b *breaker.Breaker) maker {
	return func(w *work) loop {
		fn, ctx := w.ctxValue(), context.Background()
		return func(n int) (errs int) {
			for range n {
				if _, err := breaker.Do(ctx, b, fn); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

func ourTwoStep(b *breaker.Breaker) maker {
	return func(w *work) loop {
		fn := w.plain()
		return func(n int) (errs int) {
			for range n {
				p, err := b.Allow()
				if err == nil {
					err = fn()
					p.Done(err)
				}
				if err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

const (
	transition = "transition"
	noHistory  = "Do, without history"
)

// transitions measures one change of state, with a full history and a
// listener: a third of a full cycle by calls, and a third of one by orders.
func transitions() []*Case {
	listened := func() *breaker.Breaker {
		b := breaker.New("bench", settings(consecutive, brief))
		heard := 0
		b.AddListener(breaker.Listener{StateChange: func(*breaker.Breaker, breaker.Transition) { heard++ }})
		return b
	}
	return []*Case{
		{
			Group: cycling, Who: ours, How: consecutive + ", " + noHistory, Check: fullCycles,
			Build: func() maker {
				return cycled(func() maker {
					return ourDo(breaker.New("bench", settings(consecutive, brief), breaker.WithoutHistory()))
				})
			},
		},
		{
			Group: transition, Who: ours, How: "by calls, one listener", Per: 3, Check: fullCycles,
			Build: func() maker { return cycled(func() maker { return ourDo(listened()) }) },
			note:  "a third of a full cycle, the two calls that cause it included",
		},
		{
			Group: transition, Who: ours, How: "by orders, one listener", Per: 3,
			Build: func() maker { return byOrders(listened()) },
		},
	}
}

func byOrders(b *breaker.Breaker) maker {
	return func(*work) loop {
		why := breaker.Order{Actor: "bench"}
		return func(n int) int {
			for range n {
				// The only error is that of a condition, and there is none.
				_ = b.Open(why)
				_ = b.HalfOpen(why)
				_ = b.Close(why)
			}
			return 0
		}
	}
}
