package lab

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

func TestCallsToTrip(t *testing.T) {
	for _, c := range []struct {
		failMax, forgive, failing int
		want                      float64
	}{
		{5, 0, 1000, 5},
		{5, 0, 500, 62}, // 2 + 4 + 8 + 16 + 32
		{1, 0, 10, 100},
		{8, 2, 1000, 8},
		{1, 2, 500, 2},
		{2, 1, 500, 6}, // by hand: h0 = 2 + h1, h1 = 1 + h0/2
	} {
		if got := callsToTrip(c.failMax, c.forgive, c.failing); math.Abs(got-c.want) > 1e-9*c.want {
			t.Errorf("callsToTrip(%d, %d, %d) is %v, want %v", c.failMax, c.forgive, c.failing, got, c.want)
		}
	}
}

// The engine trips as the chain says.
func TestChainIsTheEngine(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, c := range []struct{ failMax, forgive, failing int }{
		{5, 0, 500}, {5, 0, 800}, {8, 2, 300}, {8, 2, 500}, {8, 1, 500}, {8, 4, 200},
	} {
		const trips = 1000
		calls := 0
		b := breaker.New("x", breaker.Settings{FailMax: c.failMax, SuccessesToForgive: c.forgive, ResetTimeout: time.Hour})
		for range trips {
			for b.State() == breaker.Closed {
				p, err := b.Allow()
				if err != nil {
					t.Fatal(err)
				}
				calls++
				if r.IntN(1000) < c.failing {
					p.Done(errFailed)
				} else {
					p.Done(nil)
				}
			}
			b.Close(breaker.Order{Actor: "test"})
		}
		// The time to trip is nearly exponential, so the mean of 1000 is good to
		// 3 % once in three times.
		got, want := float64(calls)/trips, callsToTrip(c.failMax, c.forgive, c.failing)
		if math.Abs(got-want) > 0.1*want {
			t.Errorf("%+v: %.3g calls to trip, want %.3g", c, got, want)
		}
	}
}
