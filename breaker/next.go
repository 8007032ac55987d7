package breaker

import (
	"math"
	"time"
)

// auto is the automatic layer between two events. It is a value: next makes a
// new one, whoever holds the breaker's lock stores it.
type auto struct {
	state   State // Closed, Open or HalfOpen
	fails   int   // consecutive failures while closed; kept while open, for people to see
	oks     int   // successes so far while half-open
	attempt int   // open periods in a row, for the backoff
}

type eventKind uint8

const (
	evSuccess  eventKind = iota // a call of this generation ended well
	evFailure                   // one failed
	evRule                      // a rule of the program's own says open
	evProbe                     // open, its time is over, and a call asks
	evRampOver                  // closed, and the ramp has reached all
	evOpen                      // order
	evClose                     // order
	evHalfOpen                  // order, or the end of an override on a breaker that is not closed
)

type event struct {
	kind   eventKind
	slow   bool          // the call took SlowCall or longer
	early  bool          // evProbe: marked work, and the open time is not over
	counts Counts        // what the window holds, this call included
	hint   time.Duration // retry-after, carried by the error
	draw   float64       // in [0, 1), for the jitter
	rule   string        // name of the rule of evRule
	dur    time.Duration // evOpen: open time that was asked for, 0 for ResetTimeout
}

// decision says what next did and why. moved means that a new stretch begins
// (a new generation), even when the state has the same name.
type decision struct {
	moved     bool
	cause     Cause
	fails     int
	threshold float64
	openFor   time.Duration
	hinted    time.Duration
}

// next is the whole automatic layer: given where it is, the settings and what
// happened, where it is then. No lock, no clock, no I/O, no randomness of its
// own. That the open time is over arrives as an event.
func next(a auto, s *Settings, e *event) (auto, decision) {
	switch e.kind {
	case evOpen:
		// An order is no failed attempt: it does not lengthen the backoff (I5).
		d := decision{moved: true, cause: CauseOrder, openFor: e.dur}
		if d.openFor <= 0 {
			d.openFor = jittered(s, s.ResetTimeout, e.draw)
		}
		a.state, a.oks = Open, 0
		return a, d
	case evClose:
		return auto{state: Closed}, decision{moved: true, cause: CauseOrder}
	case evHalfOpen:
		a.state, a.oks = HalfOpen, 0
		return a, decision{moved: true, cause: CauseOrder}
	case evProbe:
		if a.state != Open {
			return a, decision{}
		}
		a.state, a.oks = HalfOpen, 0
		if e.early {
			return a, decision{moved: true, cause: CauseBypass}
		}
		return a, decision{moved: true, cause: CauseElapsed}
	case evRampOver:
		if a.state == Closed {
			a.attempt = 0
		}
		return a, decision{}
	}
	switch a.state {
	case Closed:
		return nextClosed(a, s, e)
	case HalfOpen:
		return nextHalfOpen(a, s, e)
	default:
		return a, decision{} // no permit is issued while open: nothing to judge
	}
}

// nextClosed judges a call that ended while closed. Only a failure or a slow
// call can open (I6), and every limit is met with >= (I11).
func nextClosed(a auto, s *Settings, e *event) (auto, decision) {
	if e.kind == evRule {
		return trip(a, s, e, decision{cause: CauseRule})
	}
	failed := e.kind == evFailure
	if failed {
		a.fails = min(a.fails+1, maxFailCount)
	} else {
		a.fails = 0
	}
	c := e.counts
	switch {
	case failed && s.FailMax > 0 && a.fails >= s.FailMax:
		return trip(a, s, e, decision{cause: CauseConsecutive, threshold: float64(s.FailMax)})
	case failed && s.FailureRate > 0 && s.Confidence > 0:
		if surelyOver(c.Failures, c.Calls, s.FailureRate, s.Confidence) {
			return trip(a, s, e, decision{cause: CauseConfidence, threshold: s.FailureRate})
		}
	case failed && reached(c.Failures, c.Calls, s.MinCalls, s.FailureRate):
		return trip(a, s, e, decision{cause: CauseFailureRate, threshold: s.FailureRate})
	}
	if (failed || e.slow) && reached(c.Slow, c.Calls, s.MinCalls, s.SlowRate) {
		return trip(a, s, e, decision{cause: CauseSlowRate, threshold: s.SlowRate})
	}
	return a, decision{}
}

// reached reports whether bad of calls reach the rate, once there are enough.
// A quotient, because 7/100 is 0.07 and 0.07*100 is more than 7.
func reached(bad, calls, minCalls int, rate float64) bool {
	return rate > 0 && calls >= minCalls && float64(bad)/float64(calls) >= rate
}

// nextHalfOpen judges a probe. A slow one under a slow-call rule shows that
// the dependency is as it was.
func nextHalfOpen(a auto, s *Settings, e *event) (auto, decision) {
	if e.kind == evRule {
		return a, decision{}
	}
	if e.kind == evFailure || e.slow && s.SlowRate > 0 {
		a.fails = min(a.fails+1, maxFailCount)
		return trip(a, s, e, decision{cause: CauseProbeFailed})
	}
	a.oks++
	if a.oks < s.SuccessThreshold {
		return a, decision{}
	}
	d := decision{moved: true, cause: CauseProbesPassed, fails: a.oks}
	closed := auto{state: Closed}
	if s.Ramp > 0 {
		closed.attempt = a.attempt // a trip during the ramp goes on with the backoff
	}
	return closed, d
}

// trip opens: the open time grows with each attempt, and a hint of the
// dependency may lengthen it.
func trip(a auto, s *Settings, e *event, d decision) (auto, decision) {
	a.state = Open
	a.attempt++
	a.oks = 0
	d.moved, d.fails = true, a.fails
	d.openFor = jittered(s, backoff(s, a.attempt), e.draw)
	if limit := hintLimit(s); e.hint > d.openFor && limit > d.openFor {
		spread := 1 + s.ResetJitter*e.draw // upwards only: before the hint nobody is wanted
		d.openFor = time.Duration(min(float64(e.hint)*spread, float64(limit), maxOpenFor))
		d.hinted = e.hint
	}
	return a, d
}

func backoff(s *Settings, attempt int) time.Duration {
	d := float64(s.ResetTimeout) * math.Pow(s.ResetBackoff, float64(attempt-1))
	if s.ResetMax > 0 {
		d = min(d, float64(s.ResetMax))
	}
	return time.Duration(min(d, maxOpenFor))
}

// maxOpenFor keeps a growing open time within what a timer can hold, jitter
// included: about 146 years.
const maxOpenFor = float64(math.MaxInt64 / 2)

func jittered(s *Settings, d time.Duration, draw float64) time.Duration {
	if s.ResetJitter <= 0 {
		return d
	}
	return time.Duration(min(float64(d), maxOpenFor) * (1 - s.ResetJitter + 2*s.ResetJitter*draw))
}

func hintLimit(s *Settings) time.Duration {
	if s.ResetMax > 0 {
		return s.ResetMax
	}
	if s.ResetTimeout > math.MaxInt64/10 {
		return s.ResetTimeout
	}
	return 10 * s.ResetTimeout
}
