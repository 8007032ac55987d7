package breaker

import (
	"testing"
	"testing/synctest"
	"time"
)

// An override that is replaced or lifted leaves no timer behind, however far
// its end was, and is reminded of no more though the timer has just fired.
func TestOverrideLeavesNoTimer(t *testing.T) {
	year := Order{For: 365 * 24 * time.Hour}
	for name, end := range map[string]func(*Breaker){
		"replaced": func(b *Breaker) { b.ForceClosed(year) },
		"released": func(b *Breaker) { b.Release(Order{}) },
		"lifted":   func(b *Breaker) { b.Close(Order{}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reminded := 0
				b := New("db", Settings{}, WithListener(Listener{Reminder: func(*Breaker, Override) { reminded++ }}))
				b.ForceOpen(year)
				o := b.cold.Load().override
				halfway, deadline := o.halfway, o.deadline
				end(b)
				if halfway.Stop() || deadline.Stop() || o.halfway != nil || o.deadline != nil {
					t.Error("a timer is left")
				}
				state := b.State()
				b.remind(o)
				b.expire(o)
				if reminded != 0 || b.State() != state {
					t.Errorf("%d reminders and %s, want none and %s", reminded, b.State(), state)
				}
			})
		})
	}
}

// The timer of an open period ends with it, however long it was to be.
func TestOpenLeavesNoTimer(t *testing.T) {
	for name, end := range map[string]func(*Breaker){
		"closed":    func(b *Breaker) { b.Close(Order{}) },
		"half-open": func(b *Breaker) { b.HalfOpen(Order{}) },
	} {
		b := New("db", Settings{})
		b.Open(Order{For: 365 * 24 * time.Hour})
		play(b, "s") // the first call that is turned away sets the timer
		timer := b.cold.Load().dueTimer
		end(b)
		if timer.Stop() || b.cold.Load().dueTimer != nil {
			t.Errorf("%s: a timer is left", name)
		}
	}
}
