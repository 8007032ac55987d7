package breaker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Calls run in parallel, and orders take effect while they hang (I5).
func TestCallsRunInParallelAndOrdersDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{})
		begin := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				_ = b.Do(bg, func(context.Context) error { time.Sleep(time.Second); return nil })
			})
		}
		synctest.Wait()
		b.ForceOpen(Order{Actor: "ana"})
		is(t, b, ForcedOpen)
		if err := b.Do(bg, nop); !errors.Is(err, ErrOpen) {
			t.Errorf("a forced open breaker returned %v", err)
		}
		b.Release(Order{})
		if took := time.Since(begin); took != 0 {
			t.Errorf("the orders waited %s for calls in flight", took)
		}
		wg.Wait()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("100 parallel calls of 1s took %s", took)
		}
	})
}

func TestOrders(t *testing.T) {
	for _, test := range []struct {
		orders string
		want   State
		auto   State
	}{
		{"open", Open, Open},
		{"open close", Closed, Closed},
		{"half-open", HalfOpen, HalfOpen},
		{"force-open", ForcedOpen, Closed},
		{"open force-closed", ForcedClosed, Open},
		{"force-open force-closed", ForcedClosed, Closed},
		{"force-open release", Closed, Closed},
		{"open force-open release", HalfOpen, HalfOpen},
		{"open force-closed release", HalfOpen, HalfOpen},
		{"force-open open", Open, Open},
		{"open force-open close", Closed, Closed},
		{"force-closed half-open", HalfOpen, HalfOpen},
		{"release", Closed, Closed},
		{"open release", Open, Open},
	} {
		t.Run(test.orders, func(t *testing.T) {
			b := New("db", Settings{})
			for _, verb := range strings.Fields(test.orders) {
				dry, err := b.Apply(Order{Verb: Verb(verb), DryRun: true})
				if err != nil {
					t.Fatal(err)
				}
				r, err := b.Apply(Order{Verb: Verb(verb), Actor: "ana", IfVersion: dry.Version})
				if err != nil {
					t.Fatal(err)
				}
				if r.Before != dry.Before || r.After != dry.After || r.From != dry.Version {
					t.Errorf("%s: the dry run said %+v, the order did %+v", verb, dry, r)
				}
			}
			s := b.Status()
			if s.State != test.want || s.Auto != test.auto {
				t.Errorf("state %s over %s, want %s over %s", s.State, s.Auto, test.want, test.auto)
			}
		})
	}
}

func TestOrderRefused(t *testing.T) {
	b := New("db", Settings{})
	for _, test := range []struct {
		order Order
		want  error
	}{
		{Order{Verb: "explode"}, ErrOrder},
		{Order{Verb: VerbClose, For: time.Second}, ErrOrder},
		{Order{Verb: VerbForceOpen, For: -time.Second}, ErrOrder},
		{Order{Verb: VerbOpen, IfVersion: 7}, ErrVersion},
	} {
		if _, err := b.Apply(test.order); !errors.Is(err, test.want) {
			t.Errorf("%+v: got %v, want %v", test.order, err, test.want)
		}
	}
	if s := b.Status(); s.State != Closed || s.Version != 1 {
		t.Errorf("a refused order changed the breaker: %+v", s)
	}
}

// A receipt says what the order found and left, and the versions before and
// after.
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

// A duration that an order cannot have is an error, however the order is
// given, and changes nothing.
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

// The verb of an order is that of its method, whatever its field says, and its
// expected version is checked.
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

// Apply does not wait for listeners, and they hear of it all the same.
func TestApplyIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard listenerLog
		b := New("x", Settings{}, WithListener(Listener{StateChange: heard.listener().StateChange}))
		_, _ = b.Apply(Order{Verb: VerbOpen, For: time.Hour})
		synctest.Wait()
		if got := heard.take(); got != "closed->open" {
			t.Errorf("heard %q", got)
		}
	})
}

// The error for another version says which breaker it is and both versions.
func TestStaleOrder(t *testing.T) {
	b := New("x", Settings{})
	_, err := b.Apply(Order{Verb: VerbOpen, IfVersion: 7})
	if want := "breaker has changed: x is at version 1, the order was for 7"; !errors.Is(err, ErrVersion) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// The receipt of an update says what it changed, and an update that changes
// nothing leaves the version unchanged, also for a key that has these settings
// itself.
func TestReceiptOfAnUpdate(t *testing.T) {
	for name, b := range map[string]*Breaker{
		"db":  New("db", Settings{}),
		"s/k": NewSet[string]("s", Settings{}, SetOptions{}).Breaker("k"),
	} {
		_ = b.Open(Order{})
		for i, c := range []struct {
			s        Settings
			version  uint64
			from, to uint64 // to 0: refused
		}{
			{Settings{FailMax: 4}, 0, 2, 3},
			{Settings{FailMax: 4}, 0, 3, 3},
			{Settings{FailMax: 4}, 3, 3, 3},
			{Settings{FailMax: 6}, 2, 0, 0},
			{Settings{FailureRate: 2}, 3, 0, 0},
			{Settings{FailMax: 6}, 3, 3, 4},
		} {
			var want Receipt
			if c.to > 0 {
				want = Receipt{ID: name, Before: Open, After: Open, From: c.from, Version: c.to}
			}
			got, err := b.UpdateIf(c.s, c.version)
			if got != want || (err != nil) != (c.to == 0) {
				t.Errorf("%s, update %d: %+v, %v, want %+v", name, i, got, err, want)
			}
		}
		if got := b.Status(); got.Version != 4 || got.SettingsVersion != 3 || got.Settings.FailMax != 6 {
			t.Errorf("%s: in the end %+v", name, got)
		}
	}
}
