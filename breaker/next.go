package breaker

import (
	"math"
	"time"
)

// auto is the automatic layer between two events. It is a value: next returns a
// new one, and the holder of Breaker.mu stores it.
type auto struct {
	state     State // Closed, Open or HalfOpen
	units     int   // the failure count while closed; kept while open, for people to see
	successes int   // successes so far while half-open
	attempt   int   // open periods in a row, for the backoff
}

type eventKind uint8

const (
	evSuccess  eventKind = iota // a call of this period succeeded
	evFailure                   // a call of this period failed
	evCanceled                  // a call of this period was slow, and its caller gave up
	evRule                      // one of the program's own rules says open
	evPeers                     // the processes of a fleet say open
	evProbe                     // open, the open time is over, and a call asks
	evRampOver                  // closed, and the ramp has reached the whole share
	evLapse                     // a key has been idle so long that its evidence is forgotten
	evOpen                      // an order
	evClose                     // an order
	evHalfOpen                  // an order, or the end of an override on a breaker that is not closed
)

// event is something that happens to the automatic layer, with everything that
// next needs to know about it.
type event struct {
	kind   eventKind
	slow   bool          // the call took SlowCall or longer
	early  bool          // evProbe: marked work before the end of the open time; evFailure: FailFor has not passed yet
	lapsed bool          // the counted failures are older than FailWithin
	counts Counts        // the contents of the window, this call included
	recent *recent       // the part of the window that satisfies Confidence; nil: no part does
	hint   time.Duration // the retry-after that the error carries, or 0
	draw   float64       // a random number in [0, 1), for the jitter
	rule   string        // evRule: the name of the rule
	dur    time.Duration // evOpen: the open time ordered, 0 for ResetTimeout; evPeers: the fleet's open time
	at     time.Duration // when it happened, by the fine clock; 0: the clock has not been read for it. next does not look at it
}

// recent is the newest part of a window, and its contents.
type recent struct {
	Counts
	span time.Duration // 0 for a window of calls
}

// decision is what next did, and why. moved means that a new period begins, with
// a new generation, even if the state stays the same (I1).
type decision struct {
	moved     bool
	cause     Cause
	fails     int           // consecutive failures, or successful probes
	threshold float64       // the limit that was reached
	openFor   time.Duration // the open time, jitter included
	hinted    time.Duration // the hint that lengthened the open time, or 0
}

// next is the whole automatic layer: it maps a state, the settings and an event
// to the next state. It is a pure function, without lock, clock, I/O or
// randomness of its own, so that tests can compare every step of it with the
// specification. Time arrives as events. Overrides are unknown to it (I5).
func next(a auto, s *compiled, e *event) (auto, decision) {
	switch e.kind {
	case evOpen:
		// An order is not a failed attempt: it must not lengthen the backoff
		// (I5).
		d := decision{moved: true, cause: CauseOrder, openFor: e.dur}
		if d.openFor <= 0 {
			d.openFor = jittered(&s.Settings, s.ResetTimeout, e.draw)
		}
		// attempt and units stay as they are: people still see the failure
		// count.
		a.state, a.successes = Open, 0
		return a, d
	case evClose:
		// An ordered close forgets everything, the backoff included.
		return auto{state: Closed}, decision{moved: true, cause: CauseOrder}
	case evLapse:
		// Forgetting a closed key is not a transition; closing one is.
		return auto{state: Closed}, decision{moved: a.state != Closed, cause: CauseLapsed}
	case evHalfOpen:
		a.state, a.successes = HalfOpen, 0
		return a, decision{moved: true, cause: CauseOrder}
	case evProbe:
		// Another call has begun half-open already: a transition happens once
		// (I7).
		if a.state != Open {
			return a, decision{}
		}
		a.state, a.successes = HalfOpen, 0
		if e.early {
			return a, decision{moved: true, cause: CauseBypass}
		}
		return a, decision{moved: true, cause: CauseElapsed}
	case evPeers:
		// A verdict of the fleet never changes a breaker that has moved itself.
		if a.state != Closed {
			return a, decision{}
		}
		// It is not an attempt of this breaker: the fleet counts its own.
		a.state, a.successes = Open, 0
		return a, decision{moved: true, cause: CauseFleet, openFor: e.dur, fails: s.failures(a.units)}
	case evRampOver:
		// The ramp went well: the next trip starts the backoff again. During the
		// ramp a trip continues it, see nextHalfOpen.
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
		return a, decision{} // open: no permit is issued, so there is nothing to judge
	}
}

// nextClosed judges a call that ended while the breaker was closed. Only a
// failure or a slow call can open the breaker (I6). Every limit is compared
// with >=, so that an update that lowers a limit below the count cannot miss it
// (I11).
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
	// The first rule that is met is the cause in the record.
	c := e.counts
	switch {
	case failed && s.failLimit > 0 && a.units >= s.failLimit && !e.early:
		return trip(a, s, e, decision{cause: CauseConsecutive, threshold: float64(s.FailMax)})
	case failed && s.FailureRate > 0 && s.Confidence > 0:
		// Confidence replaces MinCalls, so the case below must not apply.
		if e.recent != nil {
			return trip(a, s, e, decision{cause: CauseConfidence, threshold: s.FailureRate})
		}
	case failed && reached(c.Failures, c.Calls, s.MinCalls, s.FailureRate):
		return trip(a, s, e, decision{cause: CauseFailureRate, threshold: s.FailureRate})
	}
	// These rules count bad calls of either kind, so a failure may trip them
	// even if the rules above leave the breaker closed.
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

// failed returns the failure count after a failure. There are two limits to it.
// While FailFor has not passed, the count stays one failure below the limit, so
// that a burst counts no more than that later. With SuccessesToForgive, it stays
// at the limit while the cap holds the breaker back, so that successes can still
// make up for it.
func (r *compiled) failed(units int, e *event) int {
	// FailWithin: the failures so far no longer count.
	if e.lapsed {
		units = 0
	}
	units = min(units+r.failUnit, maxFailCount)
	switch {
	case e.early:
		// But not 0: the next failure would then begin a new row, and FailFor
		// would never have passed.
		return min(units, max(r.failUnit, r.failLimit-r.failUnit))
	case r.SuccessesToForgive > 0:
		return min(units, r.failLimit)
	}
	return units
}

// reached reports whether bad out of calls reach the rate, once there are enough
// calls. It divides, because 7/100 == 0.07 while 0.07*100 > 7 in floating point.
func reached(bad, calls, minCalls int, rate float64) bool {
	return rate > 0 && calls >= minCalls && float64(bad)/float64(calls) >= rate
}

// nextHalfOpen judges a probe. If a rule about slow calls is on, a slow probe
// counts as a failed one: the dependency has not recovered.
func nextHalfOpen(a auto, s *compiled, e *event) (auto, decision) {
	slow := e.slow && (s.SlowRate > 0 || s.BadRate > 0)
	switch {
	case e.kind == evRule, e.kind == evCanceled && !slow:
		// The program's rules judge closed breakers only, and a caller that
		// gave up is not evidence (I4).
		return a, decision{}
	case e.kind == evFailure || slow:
		// Added to the failures that opened the breaker, for people to see.
		a.units = min(a.units+s.failUnit, maxFailCount)
		return trip(a, s, e, decision{cause: CauseProbeFailed})
	}
	// One failure opens again, but closing takes SuccessThreshold successes.
	a.successes++
	if a.successes < s.SuccessThreshold {
		return a, decision{}
	}
	d := decision{moved: true, cause: CauseProbesPassed, fails: a.successes}
	closed := auto{state: Closed}
	if s.Ramp > 0 {
		closed.attempt = a.attempt // a trip during the ramp continues the backoff
	}
	return closed, d
}

// trip opens the breaker. The open time grows with each attempt, and a hint from
// the dependency may lengthen it.
func trip(a auto, s *compiled, e *event, d decision) (auto, decision) {
	a.state = Open
	// An automatic trip is an attempt: ResetBackoff applies to the next one.
	a.attempt++
	a.successes = 0
	d.moved, d.fails = true, s.failures(a.units)
	d.openFor = jittered(&s.Settings, grown(&s.Settings, s.ResetTimeout, a.attempt-1), e.draw)
	// A hint never shortens the open time: the dependency cannot know better
	// than the backoff that it works again.
	if limit := hintLimit(&s.Settings); e.hint > d.openFor && limit > d.openFor {
		spread := 1 + s.ResetJitter*e.draw // upwards only: the dependency wants no call before the time it named
		d.openFor = time.Duration(min(float64(e.hint)*spread, float64(limit), maxOpenFor))
		d.hinted = e.hint
	}
	return a, d
}

// grown returns a time that grows with the number of attempts before this one: d
// times ResetBackoff for each of them, up to ResetMax, but never less than d.
func grown(s *Settings, d time.Duration, before int) time.Duration {
	// In floating point, because the power soon exceeds every duration.
	long := float64(d) * math.Pow(s.ResetBackoff, float64(before))
	if s.ResetMax > 0 {
		long = min(long, float64(s.ResetMax))
	}
	return time.Duration(min(max(long, float64(d)), maxOpenFor))
}

// jittered draws a time evenly from [1-ResetJitter, 1+ResetJitter] times d.
func jittered(s *Settings, d time.Duration, draw float64) time.Duration {
	if s.ResetJitter <= 0 {
		return d
	}
	return time.Duration(min(float64(d), maxOpenFor) * (1 - s.ResetJitter + 2*s.ResetJitter*draw))
}

// hintLimit returns the longest open time that a hint may ask for.
func hintLimit(s *Settings) time.Duration {
	if s.ResetMax > 0 {
		return s.ResetMax
	}
	// Ten times as long would overflow.
	if s.ResetTimeout > math.MaxInt64/10 {
		return s.ResetTimeout
	}
	return 10 * s.ResetTimeout
}
