package meter_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/meter"
)

func fail(b *breaker.Breaker, times int) {
	for range times {
		_ = b.Do(context.Background(), func(context.Context) error { return errors.New("down") })
	}
}

func TestSums(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{FailMax: 3})
		tenants := breaker.SetOf[string](m, "tenants")
		fail(tenants.Breaker("down"), 3)
		fail(tenants.Breaker("shaky"), 2)
		tenants.Breaker("fine")
		tenants.Breaker("drained").ForceOpen(breaker.Order{For: time.Hour})
		tenants.Breaker("drained too").ForceOpen(breaker.Order{For: time.Minute})
		m.Breaker("alone").ForceClosed(breaker.Order{})
		sums := meter.Sums(m.Status(), time.Now())
		if len(sums) != 2 || sums[0].Name != "alone" || sums[1].Name != "tenants" {
			t.Fatalf("got %v, want alone and tenants", sums)
		}
		alone, set := sums[0], sums[1]
		if alone.States != [5]int{4: 1} || alone.Auto != [3]int{1} || alone.Overrides != 1 || alone.Expiring || alone.Keys != nil {
			t.Errorf("alone adds up to %+v", alone)
		}
		if set.States != [5]int{2, 1, 0, 2, 0} || set.Fails != 3 || set.Remaining != time.Minute || !set.Expiring || set.Overrides != 0 {
			t.Errorf("the set adds up to %+v", set)
		}
		var worst []string
		for _, s := range set.Worst(4) {
			worst = append(worst, s.Key)
		}
		want := []string{"down", "drained", "drained too", "shaky"}
		for i := range want {
			if len(worst) != len(want) || worst[i] != want[i] {
				t.Fatalf("the worst keys are %q, want %q", worst, want)
			}
		}
	})
}

func TestTally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{FailMax: 3})
		before := m.Breaker("before")
		before.ForceOpen(breaker.Order{})
		time.Sleep(time.Second)
		tally := meter.Watch(m)
		defer m.Observe()()
		b := m.Breaker("api")
		_ = b.Do(t.Context(), func(context.Context) error { return nil })
		fail(b, 5)
		time.Sleep(10 * time.Second)
		b.Close(breaker.Order{})
		b.ForceClosed(breaker.Order{})
		fail(b, 3)                   // opens it behind the override: it rejects nothing
		before.Open(breaker.Order{}) // open as before: one stretch
		time.Sleep(10 * time.Second)

		moves := map[meter.Move]uint64{}
		tally.EachMove(func(m meter.Move, n uint64) { moves[m] = n })
		if moves[meter.Move{"api", breaker.Open, breaker.CauseConsecutive}] != 2 ||
			moves[meter.Move{"api", breaker.ForcedClosed, breaker.CauseOrder}] != 1 {
			t.Errorf("the moves are %v", moves)
		}
		shut := map[string]time.Duration{}
		tally.EachOpenTime(time.Now(), func(name string, d time.Duration) { shut[name] = d })
		if shut["api"] != 10*time.Second || shut["before"] != 21*time.Second {
			t.Errorf("the open times are %v, want 10 s and 21 s", shut)
		}
		calls := map[string]uint64{}
		meter.EachCalls(m, func(name, outcome string, n uint64) { calls[name+" "+outcome] = n })
		if calls["api success"] != 1 || calls["api failure"] != 6 || calls["api rejected"] != 2 || calls["api ignored"] != 0 {
			t.Errorf("the calls are %v; want 1 success, 6 failures, 2 rejections", calls)
		}
		tally.Close()
		b.Close(breaker.Order{})
		n := 0
		tally.EachMove(func(meter.Move, uint64) { n++ })
		if n != len(moves) {
			t.Error("it counts after Close")
		}
	})
}
