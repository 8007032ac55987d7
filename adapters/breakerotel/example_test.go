package breakerotel_test

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/switchgear-go/switchgear/adapters/breakerotel"
	"github.com/switchgear-go/switchgear/breaker"
)

// A call whose span shows that its breaker opened.
func ExampleDo() {
	manager := breaker.NewManager(breaker.Settings{FailMax: 1})
	remove, err := breakerotel.Register(manager) // metrics, with the global provider
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = remove() }()

	spans := tracetest.NewSpanRecorder()
	tracer := trace.NewTracerProvider(trace.WithSpanProcessor(spans)).Tracer("shop")
	ctx, span := tracer.Start(context.Background(), "fetch order")
	_, err = breakerotel.Do(ctx, manager.Breaker("orders"), func(context.Context) (string, error) {
		return "", errors.New("connection refused")
	})
	span.End()

	fmt.Println(err)
	for _, e := range spans.Ended()[0].Events() {
		fmt.Println(e.Name)
	}
	// Output:
	// connection refused
	// switchgear.breaker.transition
}
