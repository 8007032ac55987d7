package metrics_test

import (
	"context"
	"errors"

	"github.com/switchgear-go/switchgear/breaker"
)

func fail(b *breaker.Breaker, times int) {
	for range times {
		_ = b.Do(context.Background(), func(context.Context) error { return errors.New("down") })
	}
}
