package replay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// Verification says whether a replay under the settings that were in effect leads
// to the transitions that were recorded.
type Verification struct {
	Transitions int `json:"transitions"` // of the automatic state, in the recording
	Reproduced  int `json:"reproduced"`  // by the replay, at the same time and for the same reasons
	Differing   int `json:"differing"`
	// Imposed transitions do not follow from calls: orders, the program's own
	// rules, decisions of a fleet, keys that were forgotten. The replay makes
	// them when the recording does.
	Imposed int `json:"imposed"`
	// Unchecked transitions follow from calls before the recording begins, or
	// from calls that are lost.
	Unchecked int                            `json:"unchecked"`
	ByCause   map[breaker.Cause]Reproduction `json:"by_cause"`
	First     *Difference                    `json:"first,omitempty"` // the first in time, or nil
	Notes     []string                       `json:"notes,omitempty"`
	// Err is not nil if the file could not be read again, or the context was done.
	// Then all else counts what came before.
	Err error `json:"-"`
}

// Reproduction counts the transitions with one cause.
type Reproduction struct {
	Transitions int `json:"transitions"`
	Reproduced  int `json:"reproduced"`
}

// OK reports whether nothing differs.
func (v *Verification) OK() bool { return v.Differing == 0 && v.Err == nil }

// String returns the result in a sentence.
func (v *Verification) String() string {
	checked := v.Reproduced + v.Differing
	s := fmt.Sprintf("%d of %s reproduced", v.Reproduced, plural(checked, "transition"))
	if v.Imposed > 0 {
		s += fmt.Sprintf("; %d more did not follow from calls", v.Imposed)
	}
	if v.Unchecked > 0 {
		s += fmt.Sprintf("; %d more could not be checked, because calls that led there are not in the recording", v.Unchecked)
	}
	return s
}

// Difference is where a replay first differs from the recording.
type Difference struct {
	ID       string              `json:"id"`
	At       time.Time           `json:"at"`
	Recorded *breaker.Transition `json:"recorded,omitempty"` // nil: the replay made a transition that was not recorded
	Replayed *breaker.Transition `json:"replayed,omitempty"` // nil: the replay did not make the recorded transition
	Why      string              `json:"why"`
}

func (d *Difference) String() string {
	return fmt.Sprintf("%s at %s: %s", d.ID, d.At.Format("2006-01-02 15:04:05.000000"), d.Why)
}

// Verify replays the trace under the settings that were in effect.
func (t *Trace) Verify() *Verification { return t.VerifyContext(context.Background(), nil) }

// VerifyContext is Verify until ctx is done. progress, unless it is nil, is called
// with the share of the work that is done, by one goroutine at a time.
func (t *Trace) VerifyContext(ctx context.Context, progress func(done float64)) *Verification {
	v := &Verification{ByCause: map[breaker.Cause]Reproduction{}, Notes: slices.Clone(t.Notes)}
	if t.Source != "sgr" {
		v.Notes = append(v.Notes, "the data has no transitions to verify: it was not recorded by Switchgear")
	}
	if t.Lost > 0 {
		v.Notes = append(v.Notes, fmt.Sprintf("%s missing from the recording: differences may follow from that", plural(t.Lost, "call")))
	}
	known := t.survey()
	all := make([]*verifier, len(t.Breakers))
	var streams []*stream
	for i, l := range t.Breakers {
		x := &verifier{v: &Verification{ByCause: map[breaker.Cause]Reproduction{}}, t: t, l: l, seen: known.of(l)}
		if all[i] = x; x.start() {
			streams = append(streams, &stream{lane: l, consumers: []consumer{x}})
		}
	}
	turn := turns{total: 1, calls: known.calls, progress: progress}
	v.Err = t.replay(ctx, known, streams, turn.now)
	for _, x := range all {
		x.finish()
		v.add(x.v)
	}
	return v
}

// add adds what was found out about a breaker.
func (v *Verification) add(o *Verification) {
	v.Transitions += o.Transitions
	v.Reproduced += o.Reproduced
	v.Differing += o.Differing
	v.Imposed += o.Imposed
	v.Unchecked += o.Unchecked
	for cause, n := range o.ByCause {
		sum := v.ByCause[cause]
		sum.Transitions += n.Transitions
		sum.Reproduced += n.Reproduced
		v.ByCause[cause] = sum
	}
	if o.First != nil && (v.First == nil || o.First.At.Before(v.First.At)) {
		v.First = o.First
	}
}

// verifier verifies one breaker.
type verifier struct {
	v    *Verification
	t    *Trace
	l    *Lane
	seen *laneSurvey
	p    *player
	from time.Duration // when the replay begins
	ok   bool          // it can begin
	gen  uint16        // of the recording, low bits
	next int           // of l.moves
	// lost is true after a difference, until the next recorded transition brings
	// the replay back.
	lost bool
	// checked is false while the window may hold calls from before the recording.
	// warm is when it no longer does, and warmCalls after how many calls.
	checked   bool
	warm      time.Duration
	warmCalls int
	// probe is the call that the replay has let run to begin half-open. The first
	// call of the new generation takes it.
	probe     breaker.Permit
	hasProbe  bool
	heldUntil time.Duration // while the cap kept the breaker closed
	holds     bool
}

// start sets the replay up, and reports whether there is one.
func (x *verifier) start() bool {
	for _, m := range x.l.moves {
		if m.Move && m.Transition != nil {
			x.v.Transitions++
		}
	}
	x.from, x.ok = x.begin()
	return x.ok
}

// steps replays a block.
func (x *verifier) steps(b *block) {
	moves := x.l.moves
	for i := range b.steps {
		s := &b.steps[i]
		for x.next < len(moves) && x.due(&moves[x.next], s.at) {
			x.move(&moves[x.next])
			x.next++
		}
		if s.at < x.from && !s.begin {
			if runs(&s.call) {
				x.p.skip(s.slot)
			}
			continue
		}
		x.step(s)
	}
}

// finish replays what comes after the last call.
func (x *verifier) finish() {
	if !x.ok {
		x.v.Unchecked += x.rest()
		return
	}
	for ; x.next < len(x.l.moves); x.next++ {
		x.move(&x.l.moves[x.next])
	}
}

// rest counts the transitions that have not been looked at.
func (x *verifier) rest() (n int) {
	for _, m := range x.l.moves[x.next:] {
		if m.Move && m.Transition != nil {
			n++
		}
	}
	return n
}

// begin sets the replay up, and returns when it begins: at the first call if the
// breaker was new; else as soon as the recording shows what it knew.
func (x *verifier) begin() (from time.Duration, ok bool) {
	l := x.l
	x.p = newPlayer(x.t.Base, l.Settings, l.stepBase, true)
	first := slices.IndexFunc(l.moves, func(m moveRow) bool { return m.Move && m.Transition != nil })
	if first >= 0 {
		x.gen = uint16(l.moves[first].Gen - 1)
	} else {
		if !x.seen.hasGen {
			return 0, false
		}
		x.gen = x.seen.gen
	}
	if l.Fresh {
		x.checked = true
		return 0, true
	}
	closed := first < 0 || l.moves[first].Transition.From == breaker.Closed && l.moves[first].Transition.Cause != breaker.CauseOrder
	if closed && l.Settings.Ramp <= 0 {
		if x.seen.hasClean && (first < 0 || x.seen.clean < l.moves[first].At) {
			from = x.seen.clean
			s := l.Settings
			switch windowed := s.FailureRate > 0 || s.SlowRate > 0 || s.BadRate > 0; {
			case !windowed:
				x.checked = true
			case s.WindowCalls > 0:
				x.warm, x.warmCalls = 1<<62, s.WindowCalls
			default:
				x.warm = from + s.Window
			}
			return from, true
		}
	}
	if first < 0 {
		return 0, false
	}
	// The state before the first transition is not known, so that transition is
	// imposed.
	x.warm = 1 << 62
	return l.moves[first].At, true
}

// due reports whether m comes before a step at this time. What follows from
// calls comes after the call that it follows from.
func (x *verifier) due(m *moveRow, at time.Duration) bool {
	if m.Transition == nil || m.Held || imposed(m.Transition) || m.Transition.Cause == breaker.CauseElapsed {
		return m.At <= at
	}
	return m.At < at
}

// imposed reports whether a transition does not follow from calls.
func imposed(t *breaker.Transition) bool {
	switch t.Cause {
	case breaker.CauseConsecutive, breaker.CauseFailureRate, breaker.CauseConfidence, breaker.CauseSlowRate, breaker.CauseBadRate,
		breaker.CauseProbeFailed, breaker.CauseProbesPassed, breaker.CauseElapsed:
		return false
	default:
		return true
	}
}

// move compares a recorded transition with what the replay has done.
func (x *verifier) move(m *moveRow) {
	t := m.Transition
	switch {
	case t == nil:
		at := m.At
		if m.StepBase != nil {
			at = *m.StepBase
		}
		x.p.advance(at)
		_ = x.p.b.Update(*m.Settings) // they have been validated
		return
	case m.Held:
		x.hold(m.At)
		return
	}
	if imposed(t) {
		x.p.advance(m.At)
		x.p.force(t)
	}
	if !m.Move {
		return // the automatic state is the same
	}
	defer func() { x.gen, x.checked, x.lost = uint16(m.Gen), true, false }()
	x.p.draw = m.Draw
	if imposed(t) {
		x.p.impose(m)
		x.v.Imposed++
		return
	}
	if t.Cause == breaker.CauseElapsed && !x.lost && len(x.p.moved) == 0 {
		// The call that begins half-open may have no record: it still runs.
		x.p.advance(m.At)
		p, err := x.p.b.Allow()
		x.probe, x.hasProbe = p, err == nil
	}
	if len(x.p.moved) > 0 && !x.lost {
		got := x.p.moved[0]
		x.p.moved = x.p.moved[1:]
		why := differs(t, &got, m.At, got.At.Sub(x.t.Base))
		if why == "" {
			x.count(t, true)
			return
		}
		if x.checked {
			x.differ(m.At, t, &got, why)
		}
	} else if x.checked && !x.lost {
		x.differ(m.At, t, nil, fmt.Sprintf("the recording has %s (%s), the replay does not: it is %s%s", arrow(t), t.Summary(), x.p.b.State(), x.evidence()))
	}
	switch {
	case !x.checked:
		x.v.Unchecked++
	default:
		x.count(t, false)
	}
	x.p.advance(m.At)
	x.p.impose(m)
	x.hasProbe = false
}

// count counts a checked transition.
func (x *verifier) count(t *breaker.Transition, same bool) {
	r := x.v.ByCause[t.Cause]
	r.Transitions++
	if same {
		r.Reproduced++
		x.v.Reproduced++
	} else {
		x.v.Differing++
	}
	x.v.ByCause[t.Cause] = r
}

// differ notes a difference, if it is the first.
func (x *verifier) differ(at time.Duration, recorded, replayed *breaker.Transition, why string) {
	d := &Difference{ID: x.l.ID, At: x.t.at(at), Recorded: recorded, Replayed: replayed, Why: why}
	if x.v.First == nil || d.At.Before(x.v.First.At) {
		x.v.First = d
	}
}

// evidence says what the replay's breaker knows.
func (x *verifier) evidence() string {
	s := x.p.b.Status()
	out := " with " + plural(s.FailCount, "failure")
	if s.Window.Calls > 0 {
		out += fmt.Sprintf(" and %d of %s failed in the window", s.Window.Failures, plural(s.Window.Calls, "call"))
	}
	return out
}

// hold makes the cap keep the breaker closed until the next recorded trip.
func (x *verifier) hold(at time.Duration) {
	if x.holds {
		return
	}
	x.p.advance(at)
	_ = x.p.other.Open(breaker.Order{For: 1 << 60})
	x.holds, x.heldUntil = true, 1<<62
	for _, m := range x.l.moves[x.next:] {
		if m.Move && m.Transition != nil && m.Transition.To == breaker.Open {
			x.heldUntil = m.At
			break
		}
	}
}

// step replays a step.
func (x *verifier) step(s *step) {
	p, w := x.p, s.call.What
	if x.holds && s.at >= x.heldUntil {
		_ = p.other.Close(breaker.Order{})
		x.holds = false
	}
	if x.next < len(x.l.moves) {
		// The draw of the next transition, if this step makes it.
		p.draw = x.l.moves[x.next].Draw
	}
	p.advance(s.at)
	switch {
	case w.Kind() == tape.Rejected:
		// In a ramp the rejected calls decide which ones are admitted. Elsewhere
		// they must not become probes.
		if s.call.Began == s.call.Ended && p.b.State() == breaker.Closed {
			if q, err := p.b.Allow(); err == nil {
				q.Ignore()
			}
		}
	case !s.begin:
		var hint time.Duration
		if x.next < len(x.l.moves) && x.l.moves[x.next].Transition != nil {
			hint = x.l.moves[x.next].Transition.HintedFor
		}
		p.end(s, hint)
		if x.warmCalls--; !x.checked && (s.at >= x.warm || x.warmCalls == 0) {
			x.checked = true
		}
	case w.Has(tape.Beside | tape.Unjudged):
		p.skip(s.slot)
	case x.hasProbe && w.Gen() == x.gen:
		p.skip(s.slot)
		p.permits[s.slot], p.runs[s.slot], x.hasProbe = x.probe, true, false
	case w.Gen() != x.gen:
		p.skip(s.slot) // it began while the breaker moved, and did not count
	default:
		p.begin(s.slot)
	}
	x.unexpected(s.at)
}

// unexpected notes a transition that the replay has made and the recording has
// not.
func (x *verifier) unexpected(at time.Duration) {
	if len(x.p.moved) == 0 {
		return
	}
	if x.next < len(x.l.moves) {
		for _, m := range x.l.moves[x.next:] {
			if m.Move && m.Transition != nil {
				if m.At == at {
					return // move compares them
				}
				break
			}
		}
	}
	if got := x.p.moved[0]; x.checked && !x.lost {
		x.differ(at, nil, &got, fmt.Sprintf("the replay has %s (%s), the recording does not", arrow(&got), got.Summary()))
		x.v.Differing++
	}
	x.lost = true
	x.p.moved = x.p.moved[:0]
}

func arrow(t *breaker.Transition) string { return t.From.String() + " -> " + t.To.String() }

// differs says how a replayed transition differs from the recorded one, or
// returns "".
func differs(want, got *breaker.Transition, wantAt, gotAt time.Duration) string {
	var list []string
	add := func(field string, want, got any) {
		if want != got {
			list = append(list, fmt.Sprintf("%s is %v in the recording and %v in the replay", field, want, got))
		}
	}
	if !want.Shadow { // behind an override, From and To are those of the automatic state in both
		add("the change", arrow(want), arrow(got))
	}
	add("the time", wantAt, gotAt)
	add("the cause", want.Cause, got.Cause)
	add("the number of failures or probes", want.Fails, got.Fails)
	add("the window", want.Counts, got.Counts)
	add("the limit", want.Threshold, got.Threshold)
	add("the window's span", want.Window, got.Window)
	add("the open time", want.OpenFor, got.OpenFor)
	add("the attempt", want.Attempt, got.Attempt)
	add("the hint", want.HintedFor, got.HintedFor)
	add("slow", want.Slow, got.Slow)
	return strings.Join(list, "; ")
}
