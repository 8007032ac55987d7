package ops

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/switchgear-go/switchgear/breaker"
)

// Reminders and orders that were carried out are events; dry runs and orders
// that were refused are not. An order does not wait for its transition to be
// delivered, so either may come first.
func TestWhatIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{})
		b := m.Breaker("db")
		p := New(m, Options{})
		do := func(o Order) {
			o.ID, o.Actor = "db", "ana"
			_, _ = p.Do(o, Peer{})
			synctest.Wait()
		}
		do(Order{Verb: breaker.VerbOpen, DryRun: true})
		do(Order{Verb: "shut"})
		if n := p.hub.newest(); n != 0 {
			t.Errorf("%d events of orders that changed nothing", n)
		}
		do(Order{Verb: breaker.VerbOpen})
		l := p.listener()
		l.Reminder(b, breaker.Override{State: breaker.ForcedOpen})
		events, _ := p.hub.after(0, 10)
		var kinds []string
		for _, e := range events {
			kinds = append(kinds, string(e.Kind))
		}
		slices.Sort(kinds)
		if got := fmt.Sprint(kinds); got != "[order reminder transition]" {
			t.Fatalf("events %s, want one of each kind", got)
		}
		if e := events[2]; e.ID != "db" || e.Override == nil || e.Override.State != breaker.ForcedOpen {
			t.Errorf("the reminder is the event %+v", e)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		b.Close(breaker.Order{})
		if n := p.hub.newest(); n != 3 {
			t.Errorf("%d events after the plane was closed, want 3", n)
		}
	})
}
