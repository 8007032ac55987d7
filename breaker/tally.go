package breaker

import "time"

const flapSpan = time.Hour

// tally is what a breaker has been through since it was made. Breaker.mu
// guards it. Its times are differences of monotonic ones (I9).
type tally struct {
	trips     uint64        // times it opened by itself
	openFor   time.Duration // time it rejected, the stretch under way left out
	openSince time.Time     // when that stretch began; zero: it is not rejecting
	day       *dayCount     // trips by the hour; nil before the first
}

// moved counts a transition in.
func (y *tally) moved(t *Transition) {
	if t.To == Open && t.Cause != CauseOrder {
		y.trips++
		if y.day == nil {
			y.day = &dayCount{began: t.At}
		}
		y.day.add(t.At)
	}
	shut := t.To == Open || t.To == ForcedOpen
	switch {
	case t.Shadow:
	case shut && y.openSince.IsZero():
		y.openSince = t.At
	case !shut && !y.openSince.IsZero():
		y.openFor += t.At.Sub(y.openSince)
		y.openSince = time.Time{}
	}
}

func (y *tally) status(s *Status, now time.Time) {
	s.Trips = y.trips
	if y.day != nil {
		s.TripsDay = y.day.sum(now)
	}
	shut := y.openFor
	if !y.openSince.IsZero() {
		shut += now.Sub(y.openSince)
	}
	s.OpenFor = shut
}

// dayCount counts by the hour, for a day.
type dayCount struct {
	began time.Time
	hours [24]struct{ hour, n uint32 }
}

func (d *dayCount) add(now time.Time) {
	hour := uint32(now.Sub(d.began) / time.Hour)
	slot := &d.hours[hour%24]
	if slot.hour != hour {
		slot.hour, slot.n = hour, 0
	}
	slot.n++
}

func (d *dayCount) sum(now time.Time) (n int) {
	hour := uint32(now.Sub(d.began) / time.Hour)
	for _, slot := range d.hours {
		if hour-slot.hour < 24 {
			n += int(slot.n)
		}
	}
	return n
}
