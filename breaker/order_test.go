package breaker

import (
	"errors"
	"testing"
	"time"
)

// A receipt says what the order found and left, and from which version to
// which.
func TestReceipts(t *testing.T) {
	b := New("db", Settings{})
	for i, c := range []struct {
		o    Order
		want Receipt
	}{
		{Order{Verb: VerbOpen}, Receipt{Before: Closed, After: Open, From: 1, Version: 2}},
		{Order{Verb: VerbForceClosed, DryRun: true}, Receipt{Before: Open, After: ForcedClosed, From: 2, Version: 2, DryRun: true}},
		{Order{Verb: VerbForceClosed, IfVersion: 2}, Receipt{Before: Open, After: ForcedClosed, From: 2, Version: 3}},
		{Order{Verb: VerbRelease, DryRun: true}, Receipt{Before: ForcedClosed, After: HalfOpen, From: 3, Version: 3, DryRun: true}},
		{Order{Verb: VerbRelease}, Receipt{Before: ForcedClosed, After: HalfOpen, From: 3, Version: 4}},
		{Order{Verb: VerbRelease}, Receipt{Before: HalfOpen, After: HalfOpen, From: 4, Version: 4}}, // nothing to release
		{Order{Verb: VerbClose}, Receipt{Before: HalfOpen, After: Closed, From: 4, Version: 5}},
	} {
		c.want.ID = "db"
		if got, err := b.Apply(c.o); err != nil || got != c.want {
			t.Errorf("%d. %+v: %+v, %v\nwant %+v", i+1, c.o, got, err, c.want)
		}
	}
	if _, err := b.Apply(Order{Verb: VerbOpen, IfVersion: 4}); !errors.Is(err, ErrVersion) || b.State() != Closed {
		t.Errorf("an order for another version: %v and %s", err, b.State())
	}
}

// The methods leave out a time that their order cannot have.
func TestOrdersLeaveOutTimes(t *testing.T) {
	why := Reason{For: time.Minute}
	b := New("db", Settings{})
	b.Open(why)
	b.HalfOpen(why)
	is(t, b, HalfOpen)
	b.Close(why)
	is(t, b, Closed)
	b.ForceOpen(why)
	b.Release(why)
	is(t, b, Closed)
}
