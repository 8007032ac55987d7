package breakerotel_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/switchgear-go/switchgear/adapters/breakerotel"
	"github.com/switchgear-go/switchgear/breaker"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

func TestRegisterTwice(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("a")
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	register := func(m *breaker.Manager, p metric.MeterProvider) func() error {
		t.Helper()
		remove, err := breakerotel.Register(m, breakerotel.WithMeterProvider(p))
		if err != nil {
			t.Fatal(err)
		}
		return remove
	}
	first := register(m, provider)
	before := slices.Sorted(slices.Values(collect(t, reader)))
	again, err := breakerotel.Register(m, breakerotel.WithMeterProvider(provider))
	if !errors.Is(err, breakerotel.ErrRegistered) {
		t.Fatalf("the second registration got %v, want ErrRegistered", err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
	if after := slices.Sorted(slices.Values(collect(t, reader))); !slices.Equal(before, after) {
		t.Errorf("the second registration changed\n%v\nto\n%v", before, after)
	}
	if _, err := breakerotel.Register(m, breakerotel.WithMeterProvider(provider)); !errors.Is(err, breakerotel.ErrRegistered) {
		t.Errorf("after a refused registration was removed, the next got %v, want ErrRegistered", err)
	}

	register(breaker.NewManager(breaker.Settings{}), provider)
	register(m, sdkmetric.NewMeterProvider())
	if _, err := breakerotel.Register(m, breakerotel.WithMeterProvider(incomparable{MeterProvider: provider})); !errors.Is(err, breakerotel.ErrRegistered) {
		t.Errorf("a wrapper of the provider got %v, want ErrRegistered", err)
	}
	register(m, incomparable{MeterProvider: noop.NewMeterProvider()})
	if err := first(); err != nil {
		t.Error(err)
	}
	register(m, provider)
}

// The global provider of before otel.SetMeterProvider stands for the one that is
// set.
func TestRegisterTwiceByTheGlobalProvider(t *testing.T) {
	early, late := breaker.NewManager(breaker.Settings{}), breaker.NewManager(breaker.Settings{})
	early.Breaker("early")
	late.Breaker("late")
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	register := func(m *breaker.Manager, want error, opts ...breakerotel.Option) {
		t.Helper()
		if _, err := breakerotel.Register(m, opts...); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	register(early, nil)
	register(late, nil)
	register(late, nil, breakerotel.WithMeterProvider(provider)) // not known to be the same yet
	otel.SetMeterProvider(provider)
	register(early, breakerotel.ErrRegistered)
	register(early, breakerotel.ErrRegistered, breakerotel.WithMeterProvider(provider))
	shows := func(reader *sdkmetric.ManualReader, name string) {
		t.Helper()
		want := "updown count {breaker} [name=" + name + " state=closed] 1"
		if got := collect(t, reader); !slices.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, strings.Join(got, "\n"))
		}
	}
	shows(reader, "early")
	shows(reader, "late")

	// What was registered before stays with the provider that was set first.
	second := sdkmetric.NewManualReader()
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(second)))
	register(early, nil)
	register(early, breakerotel.ErrRegistered)
	register(early, breakerotel.ErrRegistered, breakerotel.WithMeterProvider(provider))
	shows(reader, "early")
	shows(second, "early")
}

// incomparable is a provider that cannot be the key of a map.
type incomparable struct {
	metric.MeterProvider
	_ []int
}
