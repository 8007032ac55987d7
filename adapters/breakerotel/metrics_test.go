package breakerotel_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/switchgear-go/switchgear/adapters/breakerotel"
	"github.com/switchgear-go/switchgear/breaker"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{})
		reader := sdkmetric.NewManualReader()
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		remove, err := breakerotel.Register(m, breakerotel.WithMeterProvider(provider), breakerotel.WithCalls())
		if err != nil {
			t.Fatal(err)
		}
		for range 7 {
			_ = m.Breaker("payments").Do(t.Context(), down)
		}
		tenants := breaker.SetOf[string](m, "tenants")
		_ = tenants.Do(t.Context(), "a", up)
		_ = tenants.Do(t.Context(), "b", down)
		tenants.Breaker("b").ForceClosed(breaker.Order{})
		m.Breaker("search").ForceOpen(breaker.Order{For: time.Minute})
		m.Breaker("mail").HalfOpen(breaker.Order{})
		_, _ = m.Breaker("mail").Allow()
		m.CapOpen(0.1)
		for range 7 {
			_ = m.Breaker("held back").Do(t.Context(), down)
		}
		time.Sleep(10 * time.Second)
		got := collect(t, reader)
		for _, want := range []string{
			"updown count {breaker} [name=payments state=open] 1",
			"updown count {breaker} [name=payments state=closed] 0",
			"updown count {breaker} [name=tenants state=closed] 1",
			"updown count {breaker} [name=tenants state=forced-closed] 1",
			"updown automatic_count {breaker} [name=search state=closed] 1",
			"gauge consecutive_failures {failure} [name=tenants] 1",
			"updown probes {call} [name=mail] 1",
			"gauge override.remaining s [name=search] 50",
			"updown override.unlimited {override} [name=tenants] 1",
			"counter transitions {transition} [cause=consecutive-failures name=payments state=open] 1",
			"counter open_time s [name=payments] 10",
			"counter held_back {trip} [name=held back] 1",
			"counter bypassed_calls {call} [name=payments] 0",
			"counter panics {panic} [name=tenants] 0",
			"counter calls {call} [name=payments outcome=failure] 5",
			"counter calls {call} [name=payments outcome=rejected] 2",
			"counter calls {call} [name=tenants outcome=success] 1",
		} {
			if !slices.Contains(got, want) {
				t.Errorf("no %q", want)
			}
		}
		if t.Failed() {
			t.Log(strings.Join(got, "\n"))
		}
		if err := remove(); err != nil {
			t.Error(err)
		}
		_ = remove() // does no harm
		if got := collect(t, reader); len(got) != 0 {
			t.Errorf("it shows %q after it was removed", got)
		}
	})
}

func TestCallsAreOptIn(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	reader := sdkmetric.NewManualReader()
	if _, err := breakerotel.Register(m, breakerotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		_ = breaker.SetOf[int](m, "many").Do(t.Context(), i, down)
	}
	got := collect(t, reader)
	if len(got) != 8+4 {
		t.Errorf("a set of a hundred keys makes %d points, want 12: %q", len(got), got)
	}
}
