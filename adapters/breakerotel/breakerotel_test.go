package breakerotel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/switchgear-go/switchgear/adapters/breakerotel"
	"github.com/switchgear-go/switchgear/breaker"
)

var errDown = errors.New("down")

func down(context.Context) error { return errDown }
func up(context.Context) error   { return nil }

// collect is what a reader gets: a line for each data point.
func collect(t *testing.T, r sdkmetric.Reader) []string {
	t.Helper()
	var got metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range got.ScopeMetrics {
		for _, m := range s.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				lines = append(lines, points(m, kind(d.IsMonotonic), d.DataPoints)...)
			case metricdata.Sum[float64]:
				lines = append(lines, points(m, kind(d.IsMonotonic), d.DataPoints)...)
			case metricdata.Gauge[int64]:
				lines = append(lines, points(m, "gauge", d.DataPoints)...)
			case metricdata.Gauge[float64]:
				lines = append(lines, points(m, "gauge", d.DataPoints)...)
			}
		}
	}
	return lines
}

func kind(monotonic bool) string {
	if monotonic {
		return "counter"
	}
	return "updown"
}

func points[N int64 | float64](m metricdata.Metrics, kind string, ps []metricdata.DataPoint[N]) (lines []string) {
	for _, p := range ps {
		lines = append(lines, fmt.Sprintf("%s %s %s [%s] %v", kind, strings.TrimPrefix(m.Name, "switchgear.breaker."), m.Unit, attrs(p.Attributes.ToSlice()), p.Value))
	}
	return lines
}

func attrs(kvs []attribute.KeyValue) string {
	var out []string
	for _, kv := range kvs {
		out = append(out, strings.TrimPrefix(string(kv.Key), "switchgear.breaker.")+"="+kv.Value.String())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

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

// events are those that happened on the span of do's context.
func events(t *testing.T, do func(context.Context)) (out []string) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	ctx, span := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test").Start(t.Context(), "call")
	do(ctx)
	span.End()
	for _, e := range recorder.Ended()[0].Events() {
		out = append(out, strings.TrimPrefix(e.Name, "switchgear.breaker.")+" "+attrs(e.Attributes))
	}
	return out
}

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
	register(m, incomparable{MeterProvider: provider})
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
	register(late, nil, breakerotel.WithMeterProvider(provider)) // nobody can tell yet
	otel.SetMeterProvider(provider)
	register(early, breakerotel.ErrRegistered)
	register(early, breakerotel.ErrRegistered, breakerotel.WithMeterProvider(provider))
	for _, name := range []string{"early", "late"} {
		want := "updown count {breaker} [name=" + name + " state=closed] 1"
		if got := collect(t, reader); !slices.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, strings.Join(got, "\n"))
		}
	}
}

// incomparable is a provider that is no key of a map.
type incomparable struct {
	metric.MeterProvider
	_ []int
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.NewSet[string]("hosts", breaker.Settings{FailMax: 2}, breaker.SetOptions{}).Breaker("a")
		do := func(fn func(context.Context) error) func(context.Context) {
			return func(ctx context.Context) {
				_, _ = breakerotel.Do(ctx, b, func(ctx context.Context) (int, error) { return 0, fn(ctx) })
			}
		}
		for _, step := range []struct {
			what string
			fn   func(context.Context) error
			wait time.Duration
			want []string
		}{
			{"a success", up, 0, nil},
			{"a failure", down, 0, nil},
			{"the failure that trips", down, 0, []string{"transition cause=consecutive-failures from=closed key=a name=hosts state=open"}},
			{"a rejection", up, 0, []string{"rejected cause=consecutive-failures key=a name=hosts retry_after=60 state=open"}},
			{"the probe that closes", up, time.Minute + time.Second, []string{
				"transition cause=open-time-elapsed from=open key=a name=hosts state=half-open",
				"transition cause=probes-passed from=half-open key=a name=hosts state=closed",
			}},
		} {
			time.Sleep(step.wait)
			if got := events(t, do(step.fn)); !slices.Equal(got, step.want) {
				t.Errorf("%s has the events %q, want %q", step.what, got, step.want)
			}
		}
	})
}

func TestPanicThatTripsHasItsEvent(t *testing.T) {
	b := breaker.New("api", breaker.Settings{FailMax: 1})
	got := events(t, func(ctx context.Context) {
		defer func() {
			if recover() == nil {
				t.Error("the panic did not go on")
			}
		}()
		_, _ = breakerotel.Do(ctx, b, func(context.Context) (int, error) { panic("a bug") })
	})
	if want := []string{"transition cause=consecutive-failures from=closed name=api state=open"}; !slices.Equal(got, want) {
		t.Errorf("the events are %q, want %q", got, want)
	}
}

func TestRecordRejection(t *testing.T) {
	b := breaker.New("api", breaker.Settings{})
	b.ForceOpen(breaker.Order{})
	_, open := b.Allow()
	got := events(t, func(ctx context.Context) {
		if !breakerotel.RecordRejection(ctx, fmt.Errorf("get orders: %w", open)) {
			t.Error("a rejection was not known as one")
		}
		if breakerotel.RecordRejection(ctx, errDown) || breakerotel.RecordRejection(ctx, nil) {
			t.Error("something else was taken for a rejection")
		}
	})
	if want := []string{"rejected cause=order name=api state=forced-open"}; !slices.Equal(got, want) {
		t.Errorf("the events are %q, want %q", got, want)
	}
	if !breakerotel.RecordRejection(t.Context(), open) { // no span
		t.Error("a rejection was not known as one")
	}
}
