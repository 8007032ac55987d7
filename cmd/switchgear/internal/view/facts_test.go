package view

import (
	"slices"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/ops"
)

func TestFactsOfLatency(t *testing.T) {
	l := ops.Latency{Calls: 10, P50: ops.Duration(5 * time.Millisecond), P90: ops.Duration(2 * time.Second)}
	want := []string{"calls of 5m: half took up to 5ms, 90% up to 2s, 99% more than 50s"}
	if got := Facts(&ops.Explanation{Latency: &l}); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
