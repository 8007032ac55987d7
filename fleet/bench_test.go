package fleet_test

import (
	"context"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
)

// BenchmarkCall is a guarded call that succeeds: without a fleet, counted by an
// observer as a plane of ops does, and in a fleet.
func BenchmarkCall(b *testing.B) {
	nop := func(context.Context) error { return nil }
	run := func(b *testing.B, m *breaker.Manager) {
		br := m.Breaker("db")
		b.ReportAllocs()
		for b.Loop() {
			_ = br.Do(b.Context(), nop)
		}
	}
	b.Run("alone", func(b *testing.B) { run(b, new(breaker.Manager)) })
	b.Run("observed", func(b *testing.B) {
		m := new(breaker.Manager)
		defer m.Observe()()
		run(b, m)
	})
	b.Run("fleet", func(b *testing.B) {
		m := new(breaker.Manager)
		f, err := fleet.Join(b.Context(), m, fleet.Options{Store: fleettest.NewStore(), Group: "g"})
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		run(b, m)
	})
}
