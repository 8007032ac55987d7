package metrics_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/metrics"
)

func TestGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{FailMax: 3})
		tenants := breaker.SetOf[string](m, "tenants")
		fail(tenants.Breaker("down"), 3)
		fail(tenants.Breaker("shaky"), 2)
		tenants.Breaker("fine")
		tenants.Breaker("drained").ForceOpen(breaker.Order{For: time.Hour})
		tenants.Breaker("drained too").ForceOpen(breaker.Order{For: time.Minute})
		m.Breaker("alone").ForceClosed(breaker.Order{})
		groups := metrics.Groups(m, time.Now())
		if len(groups) != 2 || groups[0].Name != "alone" || groups[1].Name != "tenants" {
			t.Fatalf("got %v, want alone and tenants", groups)
		}
		alone, set := groups[0], groups[1]
		if alone.States != [5]int{4: 1} || alone.Auto != [3]int{1} || alone.Unlimited != 1 || alone.Expiring || alone.Keyed {
			t.Errorf("alone adds up to %+v", alone)
		}
		if set.States != [5]int{2, 1, 0, 2, 0} || set.FailCount != 3 || set.Remaining != time.Minute || !set.Expiring || set.Unlimited != 0 {
			t.Errorf("the set adds up to %+v", set)
		}
		var worst []string
		for _, s := range set.Worst(4) {
			worst = append(worst, s.Label)
		}
		want := []string{"down", "drained", "drained too", "shaky"}
		for i := range want {
			if len(worst) != len(want) || worst[i] != want[i] {
				t.Fatalf("the worst keys are %q, want %q", worst, want)
			}
		}
	})
}
