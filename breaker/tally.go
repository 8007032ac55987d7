package breaker

import "time"

// flapSpan is how far back Status.Flaps counts.
const flapSpan = time.Hour

// tally is the totals of a breaker since it was created. Breaker.mu guards it.
// Its times are differences of monotonic readings (I9).
type tally struct {
	trips     uint64        // automatic trips
	openFor   time.Duration // time spent rejecting calls, except the current period
	openSince time.Time     // when the current period of rejecting began; zero if the breaker is not rejecting
	day       *dayCount     // trips by the hour; nil before the first trip
}

// moved adds a transition.
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
	case t.Shadow: // behind an override the effective state did not change
	case shut && y.openSince.IsZero():
		y.openSince = t.At
	case !shut && !y.openSince.IsZero():
		y.openFor += t.At.Sub(y.openSince)
		y.openSince = time.Time{}
	}
}

// status fills in the totals.
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

// dayCount counts the last 24 hours, by the hour.
type dayCount struct {
	began time.Time
	hours [24]struct{ hour, n uint32 } // hour: since began; n: events in it
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
