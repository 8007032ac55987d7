// Package spec says what a circuit breaker must do, as plainly as it can be
// said: one goroutine, one value, no timer, no lock, nothing kept for speed.
// Tests compare the engine with it; nothing else imports it.
//
// A Breaker is comparable and is copied by assignment, so that a checker can
// keep many of them. Time is what the caller says it is: a duration since any
// start.
package spec

import "time"

// State is an automatic state, or an override.
type State uint8

// The states, numbered as the engine's are.
const (
	Closed State = iota
	Open
	HalfOpen
	ForcedOpen
	ForcedClosed
)

// Outcome is the end of a call, numbered as the engine's are.
type Outcome uint8

// The outcomes.
const (
	Success Outcome = iota
	Failure
	Ignored
)

// Settings are those of the engine's that the specification covers. 0 switches
// SuccessesToForgive, FailWithin, FailFor, WindowCalls, Ramp and ResetMax off.
type Settings struct {
	FailMax          int
	Forgive          int // SuccessesToForgive
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
	RateNum, RateDen int // FailureRate as a fraction, exact
	Ramp             time.Duration
}

// MaxProbes is the largest Settings.Probes that a specification holds.
const MaxProbes = 4

// Breaker is the whole state.
type Breaker struct {
	Set      Settings
	Auto     State
	Override State // ForcedOpen, ForcedClosed, or Closed for none
	Ends     time.Duration
	Timed    bool // the override lifts itself at Ends

	Gen       int           // periods of an automatic state so far
	Units     int           // failures on count, in units of which a success takes back one
	RowBegan  time.Duration // the first of the failures on count
	RowLast   time.Duration // the last of them
	OKs       int
	Attempt   int
	OpenUntil time.Duration
	Armed     bool // a call was turned away: from then on Due says that the open time is over
	Due       bool
	Leases    [MaxProbes]Lease
	LastLease int
	Expired   int    // leases of this period that ran out without a result
	Recent    string // the last calls while closed, s or f, oldest first
	Ramping   bool
	RampFrom  time.Duration
	Credit    float64

	Version int
}

// Lease is a probe's permit. Number 0: none.
type Lease struct {
	Number int
	Ends   time.Duration
}

// Permit is what an admitted call is judged by. Judged false: its outcome is
// no evidence.
type Permit struct {
	Gen    int
	Judged bool
	Lease  int
}

// New is a closed breaker.
func New(s Settings) Breaker { return Breaker{Set: s, Version: 1} }

// Effective is what the next call meets.
func (b *Breaker) Effective() State {
	if b.Override != Closed {
		return b.Override
	}
	return b.Auto
}

// Tick says that it is now: whatever the time brings has happened.
func (b *Breaker) Tick(now time.Duration) {
	if b.Auto == Open && now >= b.OpenUntil {
		b.Due = true
	}
	if b.Timed && now >= b.Ends {
		b.Expire(now)
	}
}

// Expire is the end of an override's time.
func (b *Breaker) Expire(now time.Duration) { b.lift(now) }

// Admit asks for a call.
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
	case b.Auto == Open && !b.Due && (b.Armed || now < b.OpenUntil):
		b.Armed = true
		return Permit{}, forced
	case b.Auto == Open:
		b.move(HalfOpen)
	}
	if b.ProbesOut(now) >= b.Set.Probes {
		b.expire(now)
		return Permit{}, forced
	}
	return Permit{Gen: b.Gen, Judged: true, Lease: b.lease(now)}, true
}

// lease takes a free place. Leases that ran out without a result make the next
// one longer.
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

// expire frees the places of leases that have run out.
func (b *Breaker) expire(now time.Duration) {
	for i, l := range b.Leases {
		if l.Number != 0 && now >= l.Ends {
			b.Leases[i] = Lease{}
			b.Expired++
		}
	}
}

// ProbesOut is the number of leases that have not run out.
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

// Settle ends a call.
func (b *Breaker) Settle(p Permit, o Outcome, now time.Duration) {
	b.SettleState(p, o, now)
	b.SettleWindow(p, o)
	b.decide(p, o, now)
}

// SettleState is the part of Settle that concerns the state and the
// consecutive failures. A checker that allows for a success that enters the
// window a little later than it ends the row of failures applies the parts one
// by one; for failures they are one.
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

// unit is what a failure counts.
func (b *Breaker) unit() int { return max(1, b.Set.Forgive) }

// Fails is the failures on count, a fraction as a whole one.
func (b *Breaker) Fails() int { return (b.Units + b.unit() - 1) / b.unit() }

func (b *Breaker) forgive() {
	if b.Set.Forgive == 0 {
		b.Units = 0
	} else {
		b.Units = max(0, b.Units-1)
	}
}

// fail counts a failure. Those before it have lapsed if the last of them is
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
		b.Units = min(b.Units, max(b.unit(), limit-b.unit()))
	case b.Set.Forgive > 0:
		b.Units = min(b.Units, limit)
	}
}

// SettleWindow is the part of Settle that concerns the window.
func (b *Breaker) SettleWindow(p Permit, o Outcome) {
	if !p.Judged || p.Gen != b.Gen || o == Ignored || b.Auto != Closed || b.Set.WindowCalls == 0 {
		return
	}
	b.Recent += string("sf"[o])
	if extra := len(b.Recent) - b.Set.WindowCalls; extra > 0 {
		b.Recent = b.Recent[extra:]
	}
}

// decide opens, on a failure while closed only (I6).
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

// Failures is the number of failures in the window.
func (b *Breaker) Failures() (n int) {
	for _, c := range b.Recent {
		if c == 'f' {
			n++
		}
	}
	return n
}

func (b *Breaker) trip(now time.Duration) {
	b.Attempt++
	b.move(Open)
	b.OpenUntil = now + b.grown(b.Set.ResetTimeout, b.Attempt-1)
}

// grown is a time that grows with each attempt before this one.
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

// close is what passed probes do; an order closes without a ramp.
func (b *Breaker) close(now time.Duration) {
	b.move(Closed)
	b.Units = 0
	if b.Set.Ramp > 0 {
		b.Ramping, b.RampFrom, b.Credit = true, now, 0
	} else {
		b.Attempt = 0
	}
}

// move begins a period of a state.
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

func (b *Breaker) endRamp(now time.Duration) {
	if b.Ramping && now-b.RampFrom >= b.Set.Ramp {
		b.Ramping, b.RampFrom, b.Credit, b.Attempt = false, 0, 0, 0
	}
}

func (b *Breaker) rampAdmits(now time.Duration) bool {
	b.Credit += float64(now-b.RampFrom) / float64(b.Set.Ramp)
	if b.Credit < 1 {
		return false
	}
	b.Credit--
	return true
}

// Open is the order; length 0 is ResetTimeout.
func (b *Breaker) Open(length, now time.Duration) {
	b.unforce()
	b.endRamp(now)
	b.move(Open)
	if length == 0 {
		length = b.Set.ResetTimeout
	}
	b.OpenUntil = now + length
}

// Close is the order.
func (b *Breaker) Close() {
	b.unforce()
	b.move(Closed)
	b.Units, b.Attempt = 0, 0
}

// Forget is what a set does with a key that has been idle for long, or has to
// make room: unless it is overridden it is as new.
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

// Peers is the opening by a fleet, which counts as no attempt.
func (b *Breaker) Peers(length, now time.Duration) {
	b.endRamp(now)
	if b.Auto == Closed {
		b.move(Open)
		b.OpenUntil = now + length
	}
}

// Hold moves the end of the open time.
func (b *Breaker) Hold(length, now time.Duration) {
	if b.Auto == Open {
		b.OpenUntil, b.Armed, b.Due = now+length, false, false
	}
}

// Rides reports whether a call made within that of p belongs to it: p is a probe
// that is out.
func (b *Breaker) Rides(p Permit) bool {
	return p.Judged && p.Lease != 0 && p.Gen == b.Gen && b.Auto == HalfOpen
}

// HalfOpen is the order.
func (b *Breaker) HalfOpen(now time.Duration) {
	b.unforce()
	b.endRamp(now)
	b.move(HalfOpen)
}

// Force puts an override on; length 0: until it is lifted.
func (b *Breaker) Force(s State, length, now time.Duration) {
	b.Override, b.Timed, b.Ends = s, length > 0, 0
	if b.Timed {
		b.Ends = now + length
	}
	b.Version++
}

// Release is the order.
func (b *Breaker) Release(now time.Duration) {
	if b.Override != Closed {
		b.lift(now)
	}
}

func (b *Breaker) lift(time.Duration) {
	b.unforce()
	if b.Auto == Closed {
		b.Version++
		return
	}
	b.move(HalfOpen)
}

func (b *Breaker) unforce() { b.Override, b.Timed, b.Ends = Closed, false, 0 }

// Update changes the settings; a window of another length starts again.
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
