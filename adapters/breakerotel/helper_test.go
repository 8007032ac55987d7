package breakerotel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

var errDown = errors.New("down")

func down(context.Context) error { return errDown }

func up(context.Context) error { return nil }

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
