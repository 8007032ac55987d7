package replay

import (
	"errors"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
	"github.com/switchgear-go/switchgear/internal/vtime"
)

// player is a real breaker under a virtual clock. It is used by one goroutine.
type player struct {
	clock  *vtime.Source
	origin time.Duration // when the clock began, in the times of the trace
	now    time.Duration // in the times of the trace
	b      *breaker.Breaker
	other  *breaker.Breaker // uses up the cap on open breakers while it is open
	draw   float64          // the next random number for jitter

	permits  []breaker.Permit // by slot
	runs     []bool           // by slot
	answered []breaker.Permit // probes that have been answered and have not ended
	moved    []breaker.Transition
}

// newPlayer returns a player whose breaker is closed. Its window's steps begin at
// stepBase, if it is not nil. timed makes it time all calls, as the recorder does.
func newPlayer(base time.Time, s breaker.Settings, stepBase *time.Duration, timed bool) *player {
	p := &player{}
	if stepBase != nil && *stepBase < 0 {
		p.origin = *stepBase
	}
	p.clock = vtime.New(base.Add(p.origin), func() float64 { return p.draw })
	if timed {
		p.clock.TimeAll() // if SlowCall is set while a call runs, the call can be slow
	}
	if stepBase != nil {
		p.advance(*stepBase)
	}
	option := vtime.Option(p.clock).(breaker.Option)
	m := breaker.NewManager(s, option, breaker.WithoutHistory())
	p.b, p.other = m.Breaker("replay"), m.Breaker("other")
	m.CapOpen(1e-9) // one breaker may always be open: p.b unless p.other is
	p.b.AddListener(breaker.Listener{StateChange: func(_ *breaker.Breaker, t breaker.Transition) {
		if t.Cause != breaker.CauseOrder { // else it was given by this package
			p.moved = append(p.moved, t)
		}
	}})
	return p
}

// advance moves the clock to a time of the trace. It never goes back.
func (p *player) advance(to time.Duration) {
	if to > p.now {
		p.now = to
		p.clock.Advance(to - p.origin)
	}
}

// impose moves the automatic state as a record says.
func (p *player) impose(m *moveRow) {
	t := *m.Transition
	t.Cause = breaker.CauseOrder // otherwise moveLocked sets From and To
	tape.Engine.Impose(p.b, &t, tape.Trace{Units: m.Units, Attempt: m.Attempt})
	p.moved = p.moved[:0]
}

// force follows the overrides of the recording. The automatic state notices some
// of them: behind forced-closed a ramp admits every call.
func (p *player) force(t *breaker.Transition) {
	switch {
	case t.To == breaker.ForcedClosed:
		_ = p.b.ForceClosed(breaker.Order{})
	case t.To == breaker.ForcedOpen:
		_ = p.b.ForceOpen(breaker.Order{})
	case !t.Shadow:
		_ = p.b.Release(breaker.Order{})
	}
}

// begin asks the breaker to let the call of a slot run.
func (p *player) begin(slot int32) bool {
	for int(slot) >= len(p.permits) {
		p.permits = append(p.permits, breaker.Permit{})
		p.runs = append(p.runs, false)
	}
	permit, err := p.b.Allow()
	p.permits[slot], p.runs[slot] = permit, err == nil
	return err == nil
}

// skip notes that the call of a slot is left out.
func (p *player) skip(slot int32) {
	for int(slot) >= len(p.permits) {
		p.permits = append(p.permits, breaker.Permit{})
		p.runs = append(p.runs, false)
	}
	p.runs[slot] = false
}

// errFailed is the error of calls that failed. The texts of the real errors do
// not decide anything.
var errFailed = errors.New("the recorded call failed")

// hinted is errFailed of a dependency that said when to come back.
type hinted time.Duration

func (h hinted) Error() string             { return errFailed.Error() }
func (h hinted) RetryAfter() time.Duration { return time.Duration(h) }

// end ends the call of a slot, or the answer of a probe.
func (p *player) end(s *step, hint time.Duration) {
	var permit *breaker.Permit
	switch k := len(p.answered); {
	case s.call.What.Kind() == tape.Tail && k == 0:
		return
	case s.call.What.Kind() == tape.Tail:
		permit = &p.answered[k-1]
		p.answered = p.answered[:k-1]
	case !p.runs[s.slot]:
		return
	default:
		permit = &p.permits[s.slot]
	}
	if s.call.What.Kind() == tape.Answered {
		permit.Answered()
		p.answered = append(p.answered, *permit)
		return
	}
	o := breaker.Outcome(s.call.What.Outcome())
	switch {
	case o == breaker.Success:
		permit.Done(nil)
	case hint > 0:
		_ = permit.Settle(nil, o, hinted(hint)) //nolint:staticcheck // no context: it is not over
	default:
		_ = permit.Settle(nil, o, errFailed) //nolint:staticcheck // as above
	}
}
