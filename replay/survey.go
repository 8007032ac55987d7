package replay

import (
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// A recording is read twice: first for a survey, which finds out what a replay
// must know beforehand, then for the replay itself. Neither keeps the calls, so
// the memory does not grow with their number. What grows is a few bytes for each
// tenth of a second with a failure, and the transitions.

// survey is what is known of a recording before it is replayed.
type survey struct {
	lanes   map[*Lane]*laneSurvey
	calls   uint64 // records of calls, rejected ones included
	horizon time.Duration
	long    int           // calls that took longer
	longest time.Duration // of the other calls
}

// laneSurvey is that of one breaker. Calls are added in the order of their ends.
type laneSurvey struct {
	bins []bin // the last one is not over; neighbours without a failure are one
	// rejectedRuns are what is known around rejected calls. All between two outcomes
	// that are known are one run.
	rejectedRuns []around
	blind        time.Duration
	long         []longCall // in the order of their ends
	// gen is the generation of the first call that ran.
	gen    uint16
	hasGen bool
	// clean is when the first success ended that left no failure on count.
	clean    time.Duration
	hasClean bool

	slow     time.Duration
	last     around // before is the last outcome that is known
	rejected bool   // and rejected calls came after it
	from, to time.Duration
	ended    time.Duration // of the last record
}

// around is the outcomes that are known before and after rejected calls.
type around struct {
	before, after     breaker.Outcome
	beforeAt, afterAt time.Duration
}

const (
	leastHorizon = time.Second
	// mostLong limits the calls that are kept because they took longer than the
	// horizon: beyond it, the horizon is doubled.
	mostLong = 1 << 16
)

func newSurvey() *survey {
	return &survey{lanes: map[*Lane]*laneSurvey{}, horizon: leastHorizon}
}

// of returns the survey of a breaker.
func (s *survey) of(l *Lane) *laneSurvey {
	x := s.lanes[l]
	if x == nil {
		x = &laneSurvey{last: around{before: breaker.Success}}
		if l.Settings.SlowRate > 0 || l.Settings.BadRate > 0 {
			x.slow = l.Settings.SlowCall
		}
		s.lanes[l] = x
	}
	return x
}

// add adds the next call of a breaker.
func (s *survey) add(x *laneSurvey, c *tape.Call) {
	s.calls++
	x.ended = c.Ended
	if c.What.Kind() == tape.Rejected {
		if !x.rejected {
			x.rejected, x.from = true, c.Began
		}
		x.to = c.Ended
		return
	}
	x.first(c)
	switch took := c.Ended - c.Began; {
	case !runs(c):
	case took > s.horizon:
		x.long = append(x.long, longCall{began: c.Began, call: *c})
		if s.long++; s.long > mostLong {
			s.widen()
		}
	default:
		s.longest = max(s.longest, took)
	}
	if !known(c) {
		return
	}
	o := breaker.Outcome(c.What.Outcome())
	if x.rejected {
		x.rejected = false
		x.blind += c.Ended - max(x.last.beforeAt, x.from)
		x.rejectedRuns = append(x.rejectedRuns, around{x.last.before, o, x.last.beforeAt, c.Ended})
	}
	x.last.before, x.last.beforeAt = o, c.Ended
	x.bin(c, o == breaker.Failure || x.slow > 0 && c.Began > 0 && c.Ended-c.Began >= x.slow)
}

// widen doubles the horizon.
func (s *survey) widen() {
	s.horizon *= 2
	s.long = 0
	for _, x := range s.lanes {
		kept := x.long[:0]
		for _, l := range x.long {
			if l.call.Ended-l.began > s.horizon {
				kept = append(kept, l)
			}
		}
		x.long = kept
		s.long += len(kept)
	}
}

// first notes what Verify needs to begin with.
func (x *laneSurvey) first(c *tape.Call) {
	if !x.hasGen {
		x.gen, x.hasGen = c.What.Gen(), true
	}
	if x.hasClean {
		return
	}
	// A success that left no failure on count shows that there is none.
	const none = tape.Late | tape.Beside | tape.Unjudged | tape.Slow
	if c.What.Kind() == tape.Whole && c.What.Outcome() == uint8(breaker.Success) && c.What.Units() == 0 && !c.What.Has(none) {
		x.clean, x.hasClean = c.Ended, true
	}
}

// bin adds a call to the bin of its time.
func (x *laneSurvey) bin(c *tape.Call, bad bool) {
	at := int64(c.Ended / binWidth)
	n := len(x.bins)
	if n == 0 || x.bins[n-1].to != at {
		x.merge()
		x.bins = append(x.bins, bin{at: at, to: at})
		n = len(x.bins)
	}
	b := &x.bins[n-1]
	b.calls++
	if bad {
		b.bad++
	}
}

// merge makes the last two bins one if neither has a failure. That changes no
// episode: none begins or ends between the two.
func (x *laneSurvey) merge() {
	n := len(x.bins)
	if n < 2 || x.bins[n-1].bad > 0 || x.bins[n-2].bad > 0 {
		return
	}
	x.bins[n-2].calls += x.bins[n-1].calls
	x.bins[n-2].to = x.bins[n-1].to
	x.bins = x.bins[:n-1]
}

// finish ends the survey.
func (s *survey) finish() {
	if s.long == 0 {
		s.horizon = s.longest + 1
	}
	for _, x := range s.lanes {
		if x.rejected {
			x.blind += x.to - max(x.last.beforeAt, x.from)
			x.rejectedRuns = append(x.rejectedRuns, around{x.last.before, x.last.before, x.last.beforeAt, x.to})
		}
	}
}

// survey returns what a replay must know beforehand.
func (t *Trace) survey() *survey {
	if t.surveyed != nil {
		return t.surveyed
	}
	s := newSurvey()
	for _, l := range t.Breakers {
		x := s.of(l)
		for i := range l.calls {
			s.add(x, &l.calls[i])
		}
	}
	s.finish()
	return s
}
