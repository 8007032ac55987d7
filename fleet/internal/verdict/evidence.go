package verdict

import (
	"math"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Spans are the times over which evidence is taken, the shortest first. None is
// shorter than four beats: failures are reported at once and successes with the next
// beat, so over a second a healthy process would look worse than it is.
var Spans = [SpanCount]time.Duration{4 * time.Second, 16 * time.Second, time.Minute}

// SpanCount is the number of Spans.
const SpanCount = 3

// Kind is what is wrong with calls.
type Kind uint8

// The kinds.
const (
	Failing Kind = iota // they fail
	Slow                // they take as long as Settings.SlowCall, or longer
	kindCount
)

// Params are the constants of the algorithm. The zero value is not useful, see
// Defaults.
type Params struct {
	Quorum     float64       // share of the reporting processes that must be against
	MinAgainst int           // and their least number, which is never below 2 (F3)
	Sure       float64       // how sure the sums must be
	Prior      float64       // calls of its own that the evidence of peers is worth to a process
	MaxCalls   int           // that one process contributes to a span, so that a busy one is one voice
	Threshold  int           // probes that must pass before a scope is cleared
	Stagger    time.Duration // between arming one member and the next, while none has begun
	Demand     float64       // calls a second that the armed members of a scope should have together
	Beat       time.Duration // of the members
	Silence    int           // beats after which a member is dead, and a hold is over
}

// Defaults are the parameters that the simulation found good, see bench/fleet.
func Defaults() Params {
	return Params{
		Quorum: 0.5, MinAgainst: 2, Sure: 0.99, Prior: 10, MaxCalls: 20, Threshold: 1,
		Stagger: 500 * time.Millisecond, Demand: 1, Beat: time.Second, Silence: 5,
	}
}

// Patience is how long a fleet is waited for: the time of Silence beats.
func (p *Params) Patience() time.Duration { return time.Duration(p.Silence) * p.Beat }

// Evidence is how calls ended.
type Evidence struct{ Calls, Failures, Slow int }

func (e Evidence) bad(k Kind) int {
	if k == Slow {
		return e.Slow
	}
	return e.Failures
}

// Add adds up evidence.
func (e Evidence) Add(o Evidence) Evidence {
	return Evidence{e.Calls + o.Calls, e.Failures + o.Failures, e.Slow + o.Slow}
}

// Capped scales the evidence to at most so many calls. It rounds down what is
// bad, so that scaling never makes a process seem to be against.
func (e Evidence) Capped(most int) Evidence {
	if e.Calls <= most {
		return e
	}
	return Evidence{most, e.Failures * most / e.Calls, e.Slow * most / e.Calls}
}

// over reports whether the share of bad calls reaches rate.
func (e Evidence) over(k Kind, rate float64) bool {
	return rate > 0 && e.Calls > 0 && float64(e.bad(k))/float64(e.Calls) >= rate
}

// Tally is what the processes of a scope have counted together in one span.
type Tally struct {
	Evidence
	Against   int // processes whose own evidence is against the dependency
	Reporting int // processes that have evidence
}

// guilty reports whether the tally opens a scope: enough processes are against,
// and the sums leave no doubt. The first keeps one process from opening others
// (F3), the second keeps chance from it.
func (p *Params) guilty(t *Tally, k Kind, rate float64) bool {
	quorum := max(p.MinAgainst, 2, int(math.Ceil(p.Quorum*float64(t.Reporting))))
	return rate > 0 && t.Against >= quorum && breaker.SurelyOver(t.bad(k), t.Calls, rate, p.Sure)
}

// obeys reports whether a process goes along with a verdict. own is what it has
// counted in the span of the verdict; zone is its zone's tally, nil for a verdict
// of the zone itself. What is nearer weighs more: the fleet's share of bad calls
// is worth Prior calls of the zone, and what comes of that is worth Prior calls
// of the process. So no process is opened against its own evidence (F4), and a zone
// that is well stays closed when others are not.
func (p *Params) obeys(own Evidence, zone *Evidence, v *Evidence, k Kind, rate float64) bool {
	share := float64(v.bad(k)) / float64(max(1, v.Calls))
	if zone != nil {
		share = (float64(zone.bad(k)) + p.Prior*share) / (float64(zone.Calls) + p.Prior)
	}
	share = (float64(own.bad(k)) + p.Prior*share) / (float64(own.Calls) + p.Prior)
	return share >= rate
}
