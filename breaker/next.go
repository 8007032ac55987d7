package breaker

import (
	"math"
	"time"
)

// auto is the automatic layer between two events. It is a value: next makes a
// new one, and the holder of the breaker's lock stores it.
type auto struct {
	state     State // Closed, Open or HalfOpen
	units     int   // the failure count while closed; kept while open, for people to see
	successes int   // successes so far while half-open
	attempt   int   // open periods in a row, for the backoff
}

type eventKind uint8

const (
	evSuccess  eventKind = iota // a call of this period ended well
	evFailure                   // one failed
	evCanceled                  // its caller gave up, and it was slow
	evRule                      // a rule of the program's own says open
	evPeers                     // the processes of a fleet say open
	evProbe                     // open, its time is over, and a call asks
	evRampOver                  // closed, and the ramp has reached all
	evLapse                     // a key has been idle for so long that what it knows is forgotten
	evOpen                      // order
	evClose                     // order
	evHalfOpen                  // order, or the end of an override on a breaker that is not closed
)

type event struct {
	kind   eventKind
	slow   bool          // the call took SlowCall or longer
	early  bool          // evProbe: marked work, and the open time is not over; evFailure: FailFor has not passed
	lapsed bool          // the failures on count are older than FailWithin
	counts Counts        // what the window holds, this call included
	recent *recent       // the part of the window that makes it as sure as Confidence asks; nil: none does
	hint   time.Duration // retry-after, carried by the error
	draw   float64       // in [0, 1), for the jitter
	rule   string        // name of the rule of evRule
	dur    time.Duration // evOpen: open time that was asked for, 0 for ResetTimeout; evPeers: the fleet's
}

// recent is the newest part of a window, and what it holds.
type recent struct {
	Counts
	span time.Duration // 0 in a window of calls
}

// decision says what next did and why. moved means that a new period begins (a
// new generation), even when the state has the same name.
type decision struct {
	moved     bool
	cause     Cause
	fails     int // consecutive failures, or successes of probes
	threshold float64
	openFor   time.Duration
	hinted    time.Duration
}

// next is the whole automatic layer: given where it is, the settings and what
// happened, where it is then. No lock, no clock, no I/O, no randomness of its
// own. That the open time is over arrives as an event.
func next(a auto, s *compiled, e *event) (auto, decision) {
	switch e.kind {
	case evOpen:
		// An order is no failed attempt: it does not lengthen the backoff (I5).
		d := decision{moved: true, cause: CauseOrder, openFor: e.dur}
		if d.openFor <= 0 {
			d.openFor = jittered(&s.Settings, s.ResetTimeout, e.draw)
		}
		a.state, a.successes = Open, 0
		return a, d
	case evClose:
		return auto{state: Closed}, decision{moved: true, cause: CauseOrder}
	case evLapse:
		return auto{state: Closed}, decision{moved: a.state != Closed, cause: CauseLapsed}
	case evHalfOpen:
		a.state, a.successes = HalfOpen, 0
		return a, decision{moved: true, cause: CauseOrder}
	case evProbe:
		if a.state != Open {
			return a, decision{}
		}
		a.state, a.successes = HalfOpen, 0
		if e.early {
			return a, decision{moved: true, cause: CauseBypass}
		}
		return a, decision{moved: true, cause: CauseElapsed}
	case evPeers:
		if a.state != Closed {
			return a, decision{}
		}
		// Not one of its own attempts: the fleet counts those.
		a.state, a.successes = Open, 0
		return a, decision{moved: true, cause: CauseFleet, openFor: e.dur, fails: s.failures(a.units)}
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
func nextClosed(a auto, s *compiled, e *event) (auto, decision) {
	failed := e.kind == evFailure
	switch e.kind {
	case evRule:
		return trip(a, s, e, decision{cause: CauseRule})
	case evFailure:
		a.units = s.failed(a.units, e)
	case evSuccess:
		a.units = s.forgiven(a.units)
	}
	c := e.counts
	switch {
	case failed && s.failLimit > 0 && a.units >= s.failLimit && !e.early:
		return trip(a, s, e, decision{cause: CauseConsecutive, threshold: float64(s.FailMax)})
	case failed && s.FailureRate > 0 && s.Confidence > 0:
		if e.recent != nil {
			return trip(a, s, e, decision{cause: CauseConfidence, threshold: s.FailureRate})
		}
	case failed && reached(c.Failures, c.Calls, s.MinCalls, s.FailureRate):
		return trip(a, s, e, decision{cause: CauseFailureRate, threshold: s.FailureRate})
	}
	if failed || e.slow {
		switch {
		case reached(c.Slow, c.Calls, s.MinCalls, s.SlowRate):
			return trip(a, s, e, decision{cause: CauseSlowRate, threshold: s.SlowRate})
		case reached(c.Bad, c.Calls, s.MinCalls, s.BadRate):
			return trip(a, s, e, decision{cause: CauseBadRate, threshold: s.BadRate})
		}
	}
	return a, decision{}
}

// failed is the failure count after a failure. It stays where a failure more
// would open while FailFor has not passed, so that a burst weighs no more than
// that afterwards; and where successes make up for failures it stays at the
// limit while the cap holds the breaker back.
func (r *compiled) failed(units int, e *event) int {
	if e.lapsed {
		units = 0
	}
	units = min(units+r.failUnit, maxFailCount)
	switch {
	case e.early:
		return min(units, max(r.failUnit, r.failLimit-r.failUnit))
	case r.SuccessesToForgive > 0:
		return min(units, r.failLimit)
	}
	return units
}

// reached reports whether bad of calls reach the rate, once there are enough.
// A quotient, because 7/100 is 0.07 and 0.07*100 is more than 7.
func reached(bad, calls, minCalls int, rate float64) bool {
	return rate > 0 && calls >= minCalls && float64(bad)/float64(calls) >= rate
}

// nextHalfOpen judges a probe. A slow one under a rule about slow calls shows
// that the dependency is as it was.
func nextHalfOpen(a auto, s *compiled, e *event) (auto, decision) {
	slow := e.slow && (s.SlowRate > 0 || s.BadRate > 0)
	switch {
	case e.kind == evRule, e.kind == evCanceled && !slow:
		return a, decision{}
	case e.kind == evFailure || slow:
		a.units = min(a.units+s.failUnit, maxFailCount)
		return trip(a, s, e, decision{cause: CauseProbeFailed})
	}
	a.successes++
	if a.successes < s.SuccessThreshold {
		return a, decision{}
	}
	d := decision{moved: true, cause: CauseProbesPassed, fails: a.successes}
	closed := auto{state: Closed}
	if s.Ramp > 0 {
		closed.attempt = a.attempt // a trip during the ramp goes on with the backoff
	}
	return closed, d
}

// trip opens: the open time grows with each attempt, and a hint of the
// dependency may lengthen it.
func trip(a auto, s *compiled, e *event, d decision) (auto, decision) {
	a.state = Open
	a.attempt++
	a.successes = 0
	d.moved, d.fails = true, s.failures(a.units)
	d.openFor = jittered(&s.Settings, grown(&s.Settings, s.ResetTimeout, a.attempt-1), e.draw)
	if limit := hintLimit(&s.Settings); e.hint > d.openFor && limit > d.openFor {
		spread := 1 + s.ResetJitter*e.draw // upwards only: before the hint no call is wanted
		d.openFor = time.Duration(min(float64(e.hint)*spread, float64(limit), maxOpenFor))
		d.hinted = e.hint
	}
	return a, d
}

// grown is a time that grows with each attempt before this one: d times
// ResetBackoff for each, up to ResetMax, but never less than d.
func grown(s *Settings, d time.Duration, before int) time.Duration {
	long := float64(d) * math.Pow(s.ResetBackoff, float64(before))
	if s.ResetMax > 0 {
		long = min(long, float64(s.ResetMax))
	}
	return time.Duration(min(max(long, float64(d)), maxOpenFor))
}

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
