package metrics_test

import (
	"context"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/metrics"
)

func TestWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{FailMax: 3})
		before := m.Breaker("before")
		before.ForceOpen(breaker.Order{})
		time.Sleep(time.Second)
		w := metrics.Watch(m)
		defer m.Observe()()
		b := m.Breaker("api")
		_ = b.Do(t.Context(), func(context.Context) error { return nil })
		fail(b, 5)
		time.Sleep(10 * time.Second)
		b.Close(breaker.Order{})
		b.ForceClosed(breaker.Order{})
		fail(b, 3)                   // opens it behind the override: it rejects nothing
		before.Open(breaker.Order{}) // open as before: one stretch
		m.CapOpen(0.1)
		fail(m.Breaker("held"), 5) // before is open, and that is as many as may be
		time.Sleep(10 * time.Second)

		if held := maps.Collect(w.HeldBack()); len(held) != 1 || held["held"] != 1 {
			t.Errorf("held back were %v, want one trip of held", held)
		}
		moves := maps.Collect(w.Transitions())
		if moves[metrics.Transition{"api", breaker.Open, breaker.CauseConsecutive}] != 2 ||
			moves[metrics.Transition{"api", breaker.ForcedClosed, breaker.CauseOrder}] != 1 {
			t.Errorf("the moves are %v", moves)
		}
		open := maps.Collect(w.OpenTime(time.Now()))
		if open["api"] != 10*time.Second || open["before"] != 21*time.Second {
			t.Errorf("the open times are %v, want 10 s and 21 s", open)
		}
		calls := map[string]uint64{}
		for name, c := range m.Calls() {
			for _, o := range metrics.Outcomes(c) {
				calls[name+" "+o.Name] = o.Count
			}
		}
		if calls["api success"] != 1 || calls["api failure"] != 6 || calls["api rejected"] != 2 || calls["api ignored"] != 0 {
			t.Errorf("the calls are %v; want 1 success, 6 failures, 2 rejections", calls)
		}
		w.Close()
		b.Close(breaker.Order{})
		if n := len(maps.Collect(w.Transitions())); n != len(moves) {
			t.Error("it counts after Close")
		}
	})
}
