// Package spec specifies what a circuit breaker must do, as plainly as
// possible: one goroutine, one value, no timer, no lock, and nothing that
// exists for speed. Tests compare the engine with it; nothing else imports it.
//
// A Breaker is comparable and is copied by assignment, so that a checker can
// keep many of them. The caller supplies the time, as a duration since any
// starting point.
package spec

import "time"

// State is an automatic state or an override.
type State uint8

// The states, with the same numbers as in the engine.
const (
	Closed State = iota
	Open
	HalfOpen
	ForcedOpen
	ForcedClosed
)

// Outcome is the outcome of a call.
type Outcome uint8

// The outcomes, with the same numbers as in the engine.
const (
	Success Outcome = iota
	Failure
	Ignored
)

// Settings are the engine's settings that the specification covers. 0 turns
// Forgive, FailWithin, FailFor, WindowCalls, Ramp and ResetMax off.
type Settings struct {
	FailMax          int
	Forgive          int // the engine's SuccessesToForgive
	FailWithin       time.Duration
	FailFor          time.Duration
	SuccessThreshold int
	Probes           int
	ResetTimeout     time.Duration
	ProbeTimeout     time.Duration
	Backoff          int
	ResetMax         time.Duration
	WindowCalls      int
	MinCalls         int
	RateNum, RateDen int // the engine's FailureRate as a fraction, so that it is exact
	Ramp             time.Duration
}

// MaxProbes is the largest value of Settings.Probes that a Breaker can hold.
const MaxProbes = 4

// Breaker is the complete state of a breaker.
type Breaker struct {
	Set      Settings
	Auto     State
	Override State         // ForcedOpen, ForcedClosed, or Closed for none
	Ends     time.Duration // when the override expires, if Timed
	Timed    bool          // the override expires

	Gen       int              // number of periods of an automatic state so far
	Units     int              // counted failures, in units of which a success takes back one
	RowBegan  time.Duration    // the first of the counted failures
	RowLast   time.Duration    // the last of them
	OKs       int              // successful probes in this half-open period
	Attempt   int              // open periods in a row
	OpenUntil time.Duration    // the end of the open time
	Armed     bool             // a call was rejected: from then on Due decides whether the open time is over
	Due       bool             // the open time is over
	Leases    [MaxProbes]Lease // of probes that have not reported
	LastLease int
	Expired   int    // leases of this period that ran out without a result
	Recent    string // the last calls while closed, s for success and f for failure, oldest first
	Ramping   bool
	RampFrom  time.Duration // when the ramp began, if Ramping
	Credit    float64       // sum of the shares of calls in the ramp, less the calls admitted

	Version int
}

// Lease is the lease of a probe. Number 0 means none.
type Lease struct {
	Number int
	Ends   time.Duration
}

// Permit is an admitted call. If Judged is false, its outcome is not evidence.
type Permit struct {
	Gen    int // the period that admitted the call
	Judged bool
	Lease  int // the number of a probe's lease, else 0
}

// New returns a closed breaker.
func New(s Settings) Breaker { return Breaker{Set: s, Version: 1} }

// Effective returns the state that the next call sees: the override, else the
// automatic state.
func (b *Breaker) Effective() State {
	if b.Override != Closed {
		return b.Override
	}
	return b.Auto
}

// Tick makes everything happen that is due at now.
func (b *Breaker) Tick(now time.Duration) {
	if b.Auto == Open && now >= b.OpenUntil {
		b.Due = true
	}
	if b.Timed && now >= b.Ends {
		b.Expire(now)
	}
}

// Expire ends an override whose time has passed.
func (b *Breaker) Expire(now time.Duration) { b.lift(now) }

// Admit asks to make a call. It returns false if the call is rejected.
func (b *Breaker) Admit(now time.Duration) (Permit, bool) {
	forced := b.Override == ForcedClosed
	if b.Override == ForcedOpen {
		return Permit{}, false
	}
	b.endRamp(now)
	switch {
	case b.Auto == Closed && b.Ramping:
		if !b.rampAdmits(now) && !forced {
			return Permit{}, false
		}
		return Permit{Gen: b.Gen, Judged: true}, true
	case b.Auto == Closed:
		return Permit{Gen: b.Gen, Judged: true}, true
	// Not over yet. Once a call has been rejected, the engine's timer decides.
	case b.Auto == Open && !b.Due && (b.Armed || now < b.OpenUntil):
		b.Armed = true
		return Permit{}, forced
	case b.Auto == Open:
		b.move(HalfOpen)
	}
	// I3
	if b.ProbesOut(now) >= b.Set.Probes {
		b.expire(now)
		return Permit{}, forced
	}
	return Permit{Gen: b.Gen, Judged: true, Lease: b.lease(now)}, true
}

// lease takes a free place and returns the number of the lease. Leases that ran
// out without a result make the next one longer.
func (b *Breaker) lease(now time.Duration) int {
	b.expire(now)
	b.LastLease++
	for i, l := range b.Leases {
		if l.Number == 0 {
			b.Leases[i] = Lease{b.LastLease, now + b.grown(b.Set.ProbeTimeout, b.Expired)}
			return b.LastLease
		}
	}
	panic("spec: more probes than MaxProbes")
}

// expire frees the places of leases that have run out (I2).
func (b *Breaker) expire(now time.Duration) {
	for i, l := range b.Leases {
		if l.Number != 0 && now >= l.Ends {
			b.Leases[i] = Lease{}
			b.Expired++
		}
	}
}

// ProbesOut returns the number of leases that have not run out.
func (b *Breaker) ProbesOut(now time.Duration) (n int) {
	for _, l := range b.Leases {
		if l.Number != 0 && now < l.Ends {
			n++
		}
	}
	return n
}

// giveBack frees the place of a probe, if it still has one.
func (b *Breaker) giveBack(number int) {
	for i, l := range b.Leases {
		if l.Number == number && number != 0 {
			b.Leases[i] = Lease{}
		}
	}
}

// Settle ends a call with its outcome.
func (b *Breaker) Settle(p Permit, o Outcome, now time.Duration) {
	b.SettleState(p, o, now)
	b.SettleWindow(p, o)
	b.decide(p, o, now)
}

// SettleState is the part of Settle that changes the state and the consecutive
// failures. A checker may apply the parts separately, to allow that a success
// enters the window a little later than it resets the failures. For a failure
// the parts belong together.
func (b *Breaker) SettleState(p Permit, o Outcome, now time.Duration) {
	if !p.Judged || p.Gen != b.Gen { // I1
		return
	}
	if b.Auto == HalfOpen {
		b.giveBack(p.Lease)
	}
	if o == Ignored { // I4
		return
	}
	b.endRamp(now)
	switch {
	case b.Auto == Closed && o == Success:
		b.forgive()
	case b.Auto == Closed:
		b.fail(now)
	case o == Failure:
		b.Units += b.unit()
		b.trip(now)
	default:
		b.OKs++
		if b.OKs >= b.Set.SuccessThreshold {
			b.close(now)
		}
	}
}

// unit returns the number of units in a failure.
func (b *Breaker) unit() int { return max(1, b.Set.Forgive) }

// Fails returns the number of counted failures, rounded up.
func (b *Breaker) Fails() int { return (b.Units + b.unit() - 1) / b.unit() }

// forgive takes back what a success makes up for: everything, or one unit.
func (b *Breaker) forgive() {
	if b.Set.Forgive == 0 {
		b.Units = 0
	} else {
		b.Units = max(0, b.Units-1)
	}
}

// fail counts a failure. Earlier failures have lapsed if the last of them is
// older than FailWithin.
func (b *Breaker) fail(now time.Duration) {
	if b.Set.FailWithin > 0 && now-b.RowLast > b.Set.FailWithin {
		b.Units = 0
	}
	if b.Units == 0 {
		b.RowBegan = now
	}
	b.RowLast = now
	b.Units += b.unit()
	limit := b.Set.FailMax * b.unit()
	switch {
	case b.Set.FailMax == 0:
	case now-b.RowBegan < b.Set.FailFor:
		// Not long enough for a trip: stay one failure below the limit.
		b.Units = min(b.Units, max(b.unit(), limit-b.unit()))
	case b.Set.Forgive > 0:
		b.Units = min(b.Units, limit)
	}
}

// SettleWindow is the part of Settle that changes the window.
func (b *Breaker) SettleWindow(p Permit, o Outcome) {
	if !p.Judged || p.Gen != b.Gen || o == Ignored || b.Auto != Closed || b.Set.WindowCalls == 0 {
		return
	}
	b.Recent += string("sf"[o])
	if extra := len(b.Recent) - b.Set.WindowCalls; extra > 0 {
		b.Recent = b.Recent[extra:]
	}
}

// decide opens a closed breaker if a rule is met. Only a failure can open it
// (I6).
func (b *Breaker) decide(p Permit, o Outcome, now time.Duration) {
	if !p.Judged || p.Gen != b.Gen || o != Failure || b.Auto != Closed {
		return
	}
	row := b.Set.FailMax > 0 && b.Units >= b.Set.FailMax*b.unit() && now-b.RowBegan >= b.Set.FailFor
	n := len(b.Recent)
	rate := b.Set.WindowCalls > 0 && n >= b.Set.MinCalls && b.Failures()*b.Set.RateDen >= n*b.Set.RateNum
	if row || rate {
		b.trip(now)
	}
}

// Failures returns the number of failures in the window.
func (b *Breaker) Failures() (n int) {
	for _, c := range b.Recent {
		if c == 'f' {
			n++
		}
	}
	return n
}

// trip opens the breaker for a time that grows with each attempt.
func (b *Breaker) trip(now time.Duration) {
	b.Attempt++
	b.move(Open)
	b.OpenUntil = now + b.grown(b.Set.ResetTimeout, b.Attempt-1)
}

// grown returns a time that grows with the number of attempts before this one.
func (b *Breaker) grown(d time.Duration, before int) time.Duration {
	long := d
	for range before {
		long *= time.Duration(b.Set.Backoff)
		if b.Set.ResetMax > 0 && long > b.Set.ResetMax {
			return max(d, b.Set.ResetMax)
		}
	}
	return long
}

// close closes the breaker after successful probes. An ordered close has no
// ramp.
func (b *Breaker) close(now time.Duration) {
	b.move(Closed)
	b.Units = 0
	if b.Set.Ramp > 0 {
		b.Ramping, b.RampFrom, b.Credit = true, now, 0
	} else {
		b.Attempt = 0
	}
}

// move begins a new period in the given state (I1).
func (b *Breaker) move(to State) {
	b.Auto, b.OKs, b.Armed, b.Due = to, 0, false, false
	b.Leases, b.Expired = [MaxProbes]Lease{}, 0
	b.OpenUntil = 0
	b.Recent = ""
	b.Ramping, b.RampFrom, b.Credit = false, 0, 0
	if to == Closed {
		b.RowBegan, b.RowLast = 0, 0
	}
	b.Gen++
	b.Version++
}

// endRamp ends the ramp if its time has passed.
func (b *Breaker) endRamp(now time.Duration) {
	if b.Ramping && now-b.RampFrom >= b.Set.Ramp {
		b.Ramping, b.RampFrom, b.Credit, b.Attempt = false, 0, 0, 0
	}
}

// rampAdmits reports whether the ramp admits this call: one each time the
// shares add up to 1.
func (b *Breaker) rampAdmits(now time.Duration) bool {
	b.Credit += float64(now-b.RampFrom) / float64(b.Set.Ramp)
	if b.Credit < 1 {
		return false
	}
	b.Credit--
	return true
}

// Open is the order to open. If length is 0, the open time is ResetTimeout.
func (b *Breaker) Open(length, now time.Duration) {
	b.unforce()
	b.endRamp(now)
	b.move(Open)
	if length == 0 {
		length = b.Set.ResetTimeout
	}
	b.OpenUntil = now + length
}

// Close is the order to close.
func (b *Breaker) Close() {
	b.unforce()
	b.move(Closed)
	b.Units, b.Attempt = 0, 0
}

// Forget is what a set does with a key that has been idle for long, or that
// must make room: unless it is overridden, it is like a new one afterwards.
func (b *Breaker) Forget() {
	if b.Override != Closed {
		return
	}
	if b.Auto != Closed {
		b.move(Closed)
	}
	b.Recent = ""
	b.Units, b.RowBegan, b.RowLast, b.Attempt = 0, 0, 0, 0
	b.Ramping, b.RampFrom, b.Credit = false, 0, 0
}

// Peers opens a closed breaker on the verdict of a fleet, which is not an
// attempt.
func (b *Breaker) Peers(length, now time.Duration) {
	b.endRamp(now)
	if b.Auto == Closed {
		b.move(Open)
		b.OpenUntil = now + length
	}
}

// Hold changes the end of the open time.
func (b *Breaker) Hold(length, now time.Duration) {
	if b.Auto == Open {
		b.OpenUntil, b.Armed, b.Due = now+length, false, false
	}
}

// Rides reports whether a nested call, made within the call of p, is part of
// it: p is a probe that has not reported.
func (b *Breaker) Rides(p Permit) bool {
	return p.Judged && p.Lease != 0 && p.Gen == b.Gen && b.Auto == HalfOpen
}

// HalfOpen is the order to go half-open.
func (b *Breaker) HalfOpen(now time.Duration) {
	b.unforce()
	b.endRamp(now)
	b.move(HalfOpen)
}

// Force sets an override. If length is 0, it stays until it is released.
func (b *Breaker) Force(s State, length, now time.Duration) {
	b.Override, b.Timed, b.Ends = s, length > 0, 0
	if b.Timed {
		b.Ends = now + length
	}
	b.Version++
}

// Release is the order to lift the override.
func (b *Breaker) Release(now time.Duration) {
	if b.Override != Closed {
		b.lift(now)
	}
}

// lift ends the override. A breaker that is not closed continues in half-open.
func (b *Breaker) lift(time.Duration) {
	b.unforce()
	if b.Auto == Closed {
		b.Version++
		return
	}
	b.move(HalfOpen)
}

// unforce removes the override and nothing else.
func (b *Breaker) unforce() { b.Override, b.Timed, b.Ends = Closed, false, 0 }

// Update changes the settings. A window of another length starts empty.
func (b *Breaker) Update(s Settings) {
	if b.Set == s {
		return
	}
	if s.WindowCalls != b.Set.WindowCalls {
		b.Recent = ""
	}
	was := b.unit()
	b.Set = s
	b.Units = (b.Units*b.unit() + was - 1) / was
	b.Version++
}
