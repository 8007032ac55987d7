// Package lab compares rules of circuit breakers on made traffic whose truth is
// known: 18 scenes of a dependency, healthy or with outages, played to our
// breaker with various settings, to other breakers for Go, and to models of
// some for other languages. It writes docs/lab.md:
//
//	GOWORK=off go test -run TestPage -write -timeout 2h .
package lab

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// A scene is some hours of a dependency. Times are in seconds, rates in calls a
// second. All of it follows from a fixed seed.
type scene struct {
	id, what string
	span     float64
	rate     func(t float64) float64 // of calls
	failing  func(t float64) float64 // the share of calls that fail
	ok       func(t float64) float64 // the mean duration of a success
	fail     float64                 // the duration of a failure
	runs     int                     // calls to a failing shard: each is tried so often in a row
	sick     []episode               // when a breaker should be open
	slow     bool                    // the episodes are slow, without failures
}

// An episode is an outage: a period in which a breaker should be open.
type episode struct{ from, to time.Duration }

func flat(x float64) func(float64) float64 { return func(float64) float64 { return x } }

// seconds is the time t seconds after the start.
func seconds(t float64) time.Duration { return time.Duration(t * float64(time.Second)) }

// outages returns episodes about every period seconds that last between half
// of long and one and a half times that.
func outages(span, period, long float64) (sick []episode) {
	r := rand.New(rand.NewPCG(11, 11))
	for t := period * 0.6; t+1.5*long < span; t += period {
		from := t + r.Float64()*0.1*period
		sick = append(sick, episode{seconds(from), seconds(from + long*(0.5+r.Float64()))})
	}
	return sick
}

// during returns a function that is in while t is in an episode, else out. It
// is quick for times that mostly grow.
func during(sick []episode, in, out float64) func(float64) float64 {
	i := 0
	return func(t float64) float64 {
		at := seconds(t)
		if i > 0 && at < sick[i-1].to {
			i = 0
		}
		for i < len(sick) && at >= sick[i].to {
			i++
		}
		if i < len(sick) && at >= sick[i].from {
			return in
		}
		return out
	}
}

const (
	hour = 3600.0
	day  = 24 * hour
)

// scenes returns the 18 scenes: first those in which a breaker should stay
// closed.
func scenes() []*scene {
	all := healthy()
	return append(all, sick()...)
}

func healthy() []*scene {
	plain := func(id, what string, span, rate, failing float64) *scene {
		return &scene{id: id, what: what, span: span, rate: flat(rate), failing: flat(failing), ok: flat(0.02), fail: 0.02}
	}
	blips := outages(2*hour, 900, 0.2)
	return []*scene{
		plain("H1", "1 % fail, 50 calls/s", 6*hour, 50, 0.01),
		plain("H2", "5 % fail, 50 calls/s", 6*hour, 50, 0.05),
		plain("H3", "10 % fail, 50 calls/s", 6*hour, 50, 0.1),
		plain("H4", "2 % fail, 2,000 calls/s", hour/6, 2000, 0.02),
		plain("H5", "5 % fail, 0.1 calls/s", 10*day, 0.1, 0.05),
		{
			id: "H6", what: "0.5 % fail, 1 to 100 calls/s and back", span: 6 * hour, ok: flat(0.03), fail: 0.05, failing: flat(0.005),
			rate: func(t float64) float64 { return 1 + 99*(0.5-0.5*math.Cos(2*math.Pi*t/(6*hour))) },
		},
		{
			id: "H7", what: "1 % of the calls meet a bad shard and are tried 3 times, 20 calls/s", span: 12 * hour,
			rate: flat(20), failing: flat(0.01), ok: flat(0.02), fail: 0.01, runs: 3,
		},
		{
			id: "H8", what: "all calls fail for 0.2 s every 15 minutes, 200 calls/s", span: 2 * hour,
			rate: flat(200), failing: during(blips, 1, 0.001), ok: flat(0.01), fail: 0.005,
		},
		plain("G1", "20 % fail all the time, 50 calls/s", 3*hour, 50, 0.2),
	}
}

func sick() []*scene {
	outage := func(id, what string, span, rate, period, long, base, failing, ok, fail float64) *scene {
		s := &scene{id: id, what: what, span: span, rate: flat(rate), ok: flat(ok), fail: fail, sick: outages(span, period, long)}
		s.failing = during(s.sick, failing, base)
		return s
	}
	all := []*scene{
		outage("O1", "down for 2 minutes, refuses, 50 calls/s", 6*hour, 50, 1200, 120, 0.001, 1, 0.02, 0.002),
		outage("O2", "down for 2 minutes, hangs for 2 s, 50 calls/s", 6*hour, 50, 1200, 120, 0.001, 1, 0.02, 2),
		outage("O3", "down for 15 minutes, hangs for 1 s, 0.2 calls/s", 5*day, 0.2, 4*hour, 900, 0.01, 1, 0.05, 1),
		outage("O4", "half of the calls fail for 2 minutes, 50 calls/s", 6*hour, 50, 1200, 120, 0.001, 0.5, 0.02, 0.05),
		outage("O5", "30 % fail for 5 minutes, 50 calls/s", 6*hour, 50, 1200, 300, 0.001, 0.3, 0.02, 0.05),
		outage("O6", "down for 1 minute, 2,000 calls/s", hour/3, 2000, 200, 60, 0.001, 1, 0.01, 0.01),
		outage("O7", "80 % fail after 1 s for 2 minutes, 5 calls/s", day, 5, 1800, 120, 0.01, 0.8, 0.05, 1),
		outage("O8", "down for 5 s, 50 calls/s", 6*hour, 50, 600, 5, 0.001, 1, 0.02, 0.01),
		outage("O9", "down 10 s, up 10 s, for 5 minutes, 50 calls/s", 6*hour, 50, 1800, 300, 0.001, 1, 0.02, 0.01),
	}
	flaps := all[len(all)-1]
	down := flaps.failing
	flaps.failing = func(t float64) float64 {
		if math.Mod(t, 20) >= 10 {
			return 0.001
		}
		return down(t)
	}
	return all
}

// slowScenes are not part of the 18: nothing fails, but the answers
// take 2 s instead of 20 ms.
func slowScenes() []*scene {
	s := &scene{id: "S1", what: "answers after 2 s for 2 minutes, 50 calls/s", span: 3 * hour, rate: flat(50), fail: 0.02, failing: flat(0.001), slow: true}
	s.sick = outages(s.span, 1200, 120)
	s.ok = during(s.sick, 2, 0.02)
	return []*scene{s}
}

// everyScene returns the 18 and the slow one.
func everyScene() []*scene { return append(scenes(), slowScenes()...) }

// A call is what happens if it runs.
type call struct {
	at, end time.Duration // since the start
	bad     bool
}

// An event is the start or the end of a call.
type event uint32

func (e event) call() int  { return int(e >> 1) }
func (e event) ends() bool { return e&1 > 0 }

// script is a scene's calls and their begins and ends, in the order of time. No
// two events have the same time, so that goroutines which play them do not
// depend on the scheduler.
type script struct {
	*scene
	calls  []call
	events []event
}

// newScript draws the scene's calls.
func newScript(s *scene) *script {
	r := rand.New(rand.NewPCG(1, 99))
	out := &script{scene: s}
	for t := r.ExpFloat64() / s.rate(0); t < s.span; t += r.ExpFloat64() / s.rate(t) {
		bad := r.Float64() < s.failing(t)
		took := s.ok(t) * (0.5 + 0.5*r.ExpFloat64())
		if bad {
			took = s.fail * (0.95 + 0.1*r.Float64())
		}
		at := t
		for range max(1, s.runs) {
			out.calls = append(out.calls, call{seconds(at), seconds(at + took), bad})
			at += took
			if !bad {
				break
			}
		}
	}
	slices.SortStableFunc(out.calls, func(a, b call) int { return cmp.Compare(a.at, b.at) })
	out.order()
	return out
}

// order makes all times different, begins even and ends odd, and sorts them.
func (s *script) order() {
	byEnd := make([]int, len(s.calls))
	last := time.Duration(-2)
	for i := range s.calls {
		c := &s.calls[i]
		took := c.end - c.at
		c.at = max(c.at&^1, last+2)
		c.end = c.at + took | 1
		last, byEnd[i] = c.at, i
	}
	slices.SortStableFunc(byEnd, func(a, b int) int { return cmp.Compare(s.calls[a].end, s.calls[b].end) })
	last = -1
	for _, i := range byEnd {
		s.calls[i].end = max(s.calls[i].end, last+2)
		last = s.calls[i].end
	}
	s.events = make([]event, 0, 2*len(s.calls))
	done := 0
	for i, c := range s.calls {
		for ; s.calls[byEnd[done]].end < c.at; done++ {
			s.events = append(s.events, event(byEnd[done]<<1|1))
		}
		s.events = append(s.events, event(i<<1))
	}
	for _, i := range byEnd[done:] {
		s.events = append(s.events, event(i<<1|1))
	}
}

// days is how long the scene is.
func (s *scene) days() float64 { return s.span / day }
