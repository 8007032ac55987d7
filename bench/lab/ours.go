package lab

import (
	"math/rand/v2"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/vtime"
)

// engine is our breaker: what users run, on a virtual clock or in a bubble.
type engine struct {
	b       *breaker.Breaker
	permits [slots]breaker.Permit
}

// onVirtualTime returns the breaker and its clock, with random numbers of a
// fixed seed.
func onVirtualTime(s breaker.Settings) (subject, func(time.Duration)) {
	v := vtime.New(time.Unix(0, 0), rand.New(rand.NewPCG(7, 7)).Float64)
	return &engine{b: breaker.New("lab", s, vtime.Option(v).(breaker.Option))}, v.Advance
}

func (e *engine) allow(_ time.Duration, slot int) bool {
	p, err := e.b.Allow()
	e.permits[slot] = p
	return err == nil
}

func (e *engine) done(_ time.Duration, slot int, failed bool) {
	if failed {
		e.permits[slot].Done(errFailed)
	} else {
		e.permits[slot].Done(nil)
	}
}

func (e *engine) closed(time.Duration) bool { return e.b.State() == breaker.Closed }

// The names of the settings that the pages and tests cite.
const (
	defaults    = "defaults: 5 in a row, 60 s"
	recommended = "Recommended(): 8 forgive 2, 5 to 30 s"
)

// settings lists the settings that are compared, in the order of the page.
func settings() []contender {
	with := func(change func(*breaker.Settings)) breaker.Settings {
		s := breaker.Recommended()
		change(&s)
		return s
	}
	// rate replaces the rule of FailMax, and keeps the open times.
	rate := func(rate float64, change func(*breaker.Settings)) breaker.Settings {
		return with(func(s *breaker.Settings) {
			s.FailMax, s.SuccessesToForgive, s.FailureRate = -1, 0, rate
			change(s)
		})
	}
	row := func(n int) func(*breaker.Settings) {
		return func(s *breaker.Settings) { s.FailMax, s.SuccessesToForgive = n, 0 }
	}
	forgive := func(limit, successes int) func(*breaker.Settings) {
		return func(s *breaker.Settings) { s.FailMax, s.SuccessesToForgive = limit, successes }
	}
	reset := func(first, most time.Duration) func(*breaker.Settings) {
		return func(s *breaker.Settings) { s.ResetTimeout, s.ResetMax = first, most }
	}
	ours := func(name string, s breaker.Settings) contender {
		return contender{name: name, kind: ourEngine, settings: s}
	}
	return []contender{
		ours(defaults, breaker.Settings{}),
		ours(recommended, breaker.Recommended()),
		ours("5 in a row", with(row(5))),
		ours("10 in a row", with(row(10))),
		ours("5 forgive 1", with(forgive(5, 1))),
		ours("8 forgive 1", with(forgive(8, 1))),
		ours("6 forgive 2", with(forgive(6, 2))),
		ours("8 forgive 4", with(forgive(8, 4))),
		ours("8 forgive 2, FailFor 0.5 s", with(func(s *breaker.Settings) { s.FailFor = time.Second / 2 })),
		ours("8 forgive 2, 3 successes, ramp 10 s", with(func(s *breaker.Settings) { s.SuccessThreshold, s.Ramp = 3, 10*time.Second })),
		ours("8 forgive 2, 60 s", with(func(s *breaker.Settings) {
			s.ResetTimeout, s.ResetMax, s.ResetBackoff, s.ResetJitter = time.Minute, 0, 0, 0
		})),
		ours("8 forgive 2, 5 s", with(reset(5*time.Second, 5*time.Second))),
		ours("8 forgive 2, 1 to 30 s", with(reset(time.Second, 30*time.Second))),
		ours("8 forgive 2, 1 s", with(reset(time.Second, time.Second))),
		ours("rate 50 % of 20 in 10 s", rate(0.5, func(*breaker.Settings) {})),
		ours("rate 50 % of the last 100", rate(0.5, func(s *breaker.Settings) { s.WindowCalls, s.MinCalls = 100, 20 })),
		ours("confidence 0.95 in 50 %, 10 s", rate(0.5, func(s *breaker.Settings) { s.Confidence = 0.95 })),
		ours("confidence 0.999 in 20 %, 10 s", rate(0.2, func(s *breaker.Settings) { s.Confidence = 0.999 })),
		ours("confidence 0.999 in 20 %, last 50", rate(0.2, func(s *breaker.Settings) { s.Confidence, s.WindowCalls = 0.999, 50 })),
		ours("Recommended() and rate 50 % of 20 in 10 s", with(func(s *breaker.Settings) { s.FailureRate = 0.5 })),
		ours("Recommended() and slow 0.5 s, 50 %", with(func(s *breaker.Settings) { s.SlowCall, s.SlowRate = time.Second/2, 0.5 })),
	}
}
