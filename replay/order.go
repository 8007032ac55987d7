package replay

import (
	"math"
	"slices"
	"sort"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// step is the beginning or the end of a call, or a number of rejected calls.
type step struct {
	at   time.Duration
	call tape.Call
	// slot is a small number that belongs to the call while it runs; for rejected
	// calls, it is the number of their run, see laneSurvey.
	slot  int32
	begin bool
}

// order puts the beginnings and ends of a breaker's calls in the order of time.
// It gets the calls in the order of their ends. A call that begins late in the
// recording may be read long after others that it began before. So a step is held
// back until no call that is still to come can have begun before it: that is until
// horizon, which is above 0, has passed. The few calls that take longer are known
// from the survey.
type order struct {
	horizon time.Duration
	long    []longCall // not begun yet, in the order of their beginnings
	slots   []int32    // of long calls, by their number: the slot plus one, from the beginning on
	seen    int32      // long calls that were added

	ends   []pending // not passed on, from endsAt on
	endsAt int
	passed int // entries of ends that were dropped from its front

	begins   []beginning // not passed on, from beginsAt on, in the order of time
	beginsAt int

	free []int32
	made int32 // slots made so far

	rejectedRun int32
	rejected    bool // the last outcome that is known came before rejected calls

	out []step
}

// pending is a call whose end was not passed on.
type pending struct {
	call tape.Call
	slot int32 // plus one, from the beginning on
	long int32 // its number among the long calls, plus one; 0: it is not long
}

// beginning is when a call of ends began.
type beginning struct {
	at time.Duration
	n  int // its place in ends, counted from the first of all
}

// newOrder returns an order for the calls of a survey.
func newOrder(s *laneSurvey, horizon time.Duration) *order {
	return &order{horizon: horizon, long: s.inOrder(), slots: make([]int32, len(s.long))}
}

// runs reports whether a record is that of a call that began and ended.
func runs(c *tape.Call) bool {
	k := c.What.Kind()
	return k == tape.Whole || k == tape.Answered
}

// add adds the next call, in the order of their ends, and appends to out what is
// certain now.
func (o *order) add(c *tape.Call) {
	p := pending{call: *c}
	if runs(c) {
		if c.Ended-c.Began > o.horizon {
			o.seen++
			p.long = o.seen
		} else {
			o.addBeginning(beginning{c.Began, o.passed + len(o.ends)})
		}
	}
	o.ends = append(o.ends, p)
	o.pass(c.Ended - o.horizon)
}

// addBeginning keeps begins in order. Calls that ended in order began nearly in
// order, so the place is near the end: as many places away as calls ran at the same
// time.
func (o *order) addBeginning(b beginning) {
	const near = 64
	i := len(o.begins)
	o.begins = append(o.begins, b)
	for least := max(o.beginsAt, i-near); i > least && o.begins[i-1].at > b.at; i-- {
		o.begins[i] = o.begins[i-1]
	}
	if i > o.beginsAt && o.begins[i-1].at > b.at {
		from := o.begins[o.beginsAt:i]
		k := o.beginsAt + sort.Search(len(from), func(k int) bool { return from[k].at > b.at })
		copy(o.begins[k+1:i+1], o.begins[k:i])
		i = k
	}
	o.begins[i] = b
}

// finish appends the rest.
func (o *order) finish() { o.pass(math.MaxInt64) }

// pass passes on the steps until then. Of steps at the same time, ends come first,
// except that a call begins before it ends.
func (o *order) pass(until time.Duration) {
	for {
		var c *pending
		ended := time.Duration(math.MaxInt64)
		if o.endsAt < len(o.ends) {
			c = &o.ends[o.endsAt]
			ended = c.call.Ended
		} else if until == math.MaxInt64 {
			break // what begins now does not end
		}
		short := o.beginsAt < len(o.begins)
		if at, ok := o.nextBeginning(short); ok && (at < ended || c != nil && runs(&c.call) && !o.hasBegun(c)) {
			if at > until {
				break
			}
			o.begin(short)
			continue
		}
		if c == nil || ended > until {
			break
		}
		o.end(c)
	}
	o.shrink()
}

func (o *order) hasBegun(c *pending) bool {
	if c.long > 0 {
		return o.slots[c.long-1] != 0
	}
	return c.slot != 0
}

// nextBeginning returns the time of the next beginning. short says whether begins
// has one.
func (o *order) nextBeginning(short bool) (at time.Duration, ok bool) {
	switch {
	case len(o.long) > 0 && (!short || o.long[0].began < o.begins[o.beginsAt].at):
		return o.long[0].began, true
	case short:
		return o.begins[o.beginsAt].at, true
	}
	return 0, false
}

// begin passes on the next beginning.
func (o *order) begin(short bool) {
	slot := o.made
	if k := len(o.free); k > 0 {
		slot = o.free[k-1]
		o.free = o.free[:k-1]
	} else {
		o.made++
	}
	if len(o.long) > 0 && (!short || o.long[0].began < o.begins[o.beginsAt].at) {
		l := o.long[0]
		o.long = o.long[1:]
		o.slots[l.number] = slot + 1
		o.out = append(o.out, step{at: l.began, call: l.call, slot: slot, begin: true})
		return
	}
	b := o.begins[o.beginsAt]
	o.beginsAt++
	p := &o.ends[b.n-o.passed]
	p.slot = slot + 1
	o.out = append(o.out, step{at: b.at, call: p.call, slot: slot, begin: true})
}

// end passes on the next end.
func (o *order) end(c *pending) {
	s := step{at: c.call.Ended, call: c.call}
	o.endsAt++
	switch {
	case runs(&c.call):
		slot := c.slot
		if c.long > 0 {
			slot = o.slots[c.long-1]
		}
		s.slot = slot - 1
		o.free = append(o.free, s.slot)
	case c.call.What.Kind() == tape.Rejected:
		s.slot, o.rejected = o.rejectedRun, true
	}
	if o.rejected && known(&c.call) {
		o.rejectedRun++
		o.rejected = false
	}
	o.out = append(o.out, s)
}

// shrink drops what was passed on, once it is most of what is kept.
func (o *order) shrink() {
	const least = 1024
	if o.endsAt > max(least, len(o.ends)/2) {
		o.passed += o.endsAt
		o.ends = o.ends[:copy(o.ends, o.ends[o.endsAt:])]
		o.endsAt = 0
	}
	if o.beginsAt > max(least, len(o.begins)/2) {
		o.begins = o.begins[:copy(o.begins, o.begins[o.beginsAt:])]
		o.beginsAt = 0
	}
}

// longCall is a call that took longer than the horizon.
type longCall struct {
	began  time.Duration
	number int32 // among those of its breaker, in the order of their ends
	call   tape.Call
}

// inOrder returns the long calls in the order of their beginnings.
func (s *laneSurvey) inOrder() []longCall {
	out := slices.Clone(s.long)
	for i := range out {
		out[i].number = int32(i)
	}
	slices.SortStableFunc(out, func(a, b longCall) int { return int(min(max(a.began-b.began, -1), 1)) })
	return out
}
