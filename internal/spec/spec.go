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
// WindowCalls, Ramp and ResetMax off.
type Settings struct {
	FailMax          int
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

	Gen       int // stretches of automatic state so far
	Fails     int
	OKs       int
	Attempt   int
	OpenUntil time.Duration
	Armed     bool // a call was turned away: from then on Due says that the open time is over
	Due       bool
	Leases    [MaxProbes]Lease
	LastLease int
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
		return Permit{}, forced
	}
	return Permit{Gen: b.Gen, Judged: true, Lease: b.lease(now)}, true
}

// lease takes a free place, or one whose lease has run out.
func (b *Breaker) lease(now time.Duration) int {
	b.LastLease++
	for i, l := range b.Leases {
		if l.Number == 0 || now >= l.Ends {
			b.Leases[i] = Lease{b.LastLease, now + b.Set.ProbeTimeout}
			return b.LastLease
		}
	}
	panic("spec: more probes than MaxProbes")
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

// giveBack ends a lease; false: it had run out, or was never there.
func (b *Breaker) giveBack(number int, now time.Duration) bool {
	for i, l := range b.Leases {
		if l.Number == number && number != 0 {
			b.Leases[i] = Lease{}
			return now < l.Ends
		}
	}
	return false
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
	if b.Auto == HalfOpen && !b.giveBack(p.Lease, now) || o == Ignored { // I2, I4
		return
	}
	b.endRamp(now)
	switch {
	case b.Auto == Closed && o == Success:
		b.Fails = 0
	case b.Auto == Closed:
		b.Fails++
	case o == Failure:
		b.Fails++
		b.trip(now)
	default:
		b.OKs++
		if b.OKs >= b.Set.SuccessThreshold {
			b.close(now)
		}
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
	row := b.Set.FailMax > 0 && b.Fails >= b.Set.FailMax
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
	d := b.Set.ResetTimeout
	for range b.Attempt - 1 {
		d *= time.Duration(b.Set.Backoff)
		if b.Set.ResetMax > 0 && d > b.Set.ResetMax {
			d = b.Set.ResetMax
			break
		}
	}
	b.move(Open)
	b.OpenUntil = now + d
}

// close is what passed probes do; an order closes without a ramp.
func (b *Breaker) close(now time.Duration) {
	b.move(Closed)
	b.Fails = 0
	if b.Set.Ramp > 0 {
		b.Ramping, b.RampFrom, b.Credit = true, now, 0
	} else {
		b.Attempt = 0
	}
}

// move begins a stretch of a state.
func (b *Breaker) move(to State) {
	b.Auto, b.OKs, b.Armed, b.Due = to, 0, false, false
	b.Leases = [MaxProbes]Lease{}
	b.OpenUntil = 0
	b.Recent = ""
	b.Ramping, b.RampFrom, b.Credit = false, 0, 0
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
	b.Fails, b.Attempt = 0, 0
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
	b.Set = s
	b.Version++
}
