package breaker

import (
	"math"
	"testing"
	"time"
)

// Lease numbers go round, and none is 0, which is no lease.
func TestLeaseNumbersGoRound(t *testing.T) {
	now := time.Now()
	p := probes{last: math.MaxUint32 - 1}
	for _, want := range []uint32{math.MaxUint32, 1, 2} {
		if got := p.take(5, now, time.Minute); got != want {
			t.Errorf("lease %d, want %d", got, want)
		}
	}
	if p.settle(0, now) {
		t.Error("a lease of no number is settled")
	}
}
