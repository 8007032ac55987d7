package view_test

import (
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

// An overview has no transitions and no settings, only the explanation.
func TestWhyOfAnOverview(t *testing.T) {
	b := breaker.New("a: b", breaker.Settings{FailMax: 1, Probes: 2})
	for want, order := range map[string]func(breaker.Order) error{
		`opened by ana ("x: y")`:                                b.Open,
		"The next call is a probe. One failure opens it again.": b.HalfOpen,
		`by ana: "x: y"`:                                        b.ForceOpen,
	} {
		order(breaker.Order{Actor: "ana", Reason: "x: y"})
		s := b.Status()
		o := ops.Status{Status: s, Why: s.Why(), Next: s.Next()}
		o.Transition, o.Settings = nil, breaker.Settings{}
		if got := view.Why(&o); got != want {
			t.Errorf("Why of %q: %q, want %q", s.Explain(), got, want)
		}
		b.Close(breaker.Order{})
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0ms", 0: "0ms", 350 * time.Millisecond: "350ms", 4900 * time.Millisecond: "4s",
		time.Minute: "1m", 130 * time.Second: "2m10s", 3*time.Hour + 5*time.Minute + time.Second: "3h5m",
		47 * time.Hour: "47h", 48 * time.Hour: "2d", 50 * time.Hour: "2d2h",
	} {
		if got := view.Short(d); got != want {
			t.Errorf("Short(%s) = %s, want %s", d, got, want)
		}
	}
}
