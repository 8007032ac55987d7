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

// A time that an order cannot have is an error, by every way to give it, and
// changes nothing.
func TestOrdersRefuseTimes(t *testing.T) {
	for name, c := range map[string]struct {
		order func(*Breaker, Order) error
		verb  Verb
		wrong []time.Duration
	}{
		"open":         {(*Breaker).Open, VerbOpen, []time.Duration{-1}},
		"close":        {(*Breaker).Close, VerbClose, []time.Duration{-1, time.Minute}},
		"half-open":    {(*Breaker).HalfOpen, VerbHalfOpen, []time.Duration{-1, time.Minute}},
		"force open":   {(*Breaker).ForceOpen, VerbForceOpen, []time.Duration{-1}},
		"force closed": {(*Breaker).ForceClosed, VerbForceClosed, []time.Duration{-1}},
		"release":      {(*Breaker).Release, VerbRelease, []time.Duration{-1, time.Minute}},
	} {
		for _, wrong := range c.wrong {
			b := New("db", Settings{})
			if err := c.order(b, Order{For: wrong}); !errors.Is(err, ErrOrder) {
				t.Errorf("%s for %s: %v, want ErrOrder", name, wrong, err)
			}
			if _, err := b.Apply(Order{Verb: c.verb, For: wrong}); !errors.Is(err, ErrOrder) {
				t.Errorf("%s for %s by Apply: %v, want ErrOrder", name, wrong, err)
			}
			if s := b.Status(); s.State != Closed || s.Version != 1 {
				t.Errorf("%s for %s made it %s at version %d", name, wrong, s.State, s.Version)
			}
		}
	}
}

// An order's verb is its method's, whatever it says itself, and its expected
// version holds.
func TestOrdersByMethod(t *testing.T) {
	b := New("db", Settings{})
	if err := b.Open(Order{Verb: VerbClose, IfVersion: 1}); err != nil {
		t.Fatal(err)
	}
	is(t, b, Open)
	if err := b.Close(Order{IfVersion: 1}); !errors.Is(err, ErrVersion) {
		t.Errorf("an order for another version: %v, want ErrVersion", err)
	}
	is(t, b, Open)
}
