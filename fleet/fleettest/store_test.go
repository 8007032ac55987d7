package fleettest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/fleet"
)

func TestContract(t *testing.T) {
	TestStore(t, func(t *testing.T) (a, b fleet.Store) {
		s := NewStore()
		return s, s
	})
}

func TestContractInABubble(t *testing.T) {
	for _, test := range []func(*testing.T, fleet.Store, fleet.Store){testListen, testLeaseEnds, testOrders} {
		synctest.Test(t, func(t *testing.T) {
			s := NewStore()
			test(t, s, s)
		})
	}
}

func TestDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewStore()
		done := make(chan error, 1)
		go func() { done <- s.Listen(t.Context(), func([]byte) {}) }()
		synctest.Wait()
		s.Down(true)
		if err := <-done; !errors.Is(err, ErrDown) {
			t.Errorf("Listen: %v", err)
		}
		if _, err := s.Beat(t.Context(), "m", nil); !errors.Is(err, ErrDown) {
			t.Errorf("Beat: %v", err)
		}
		s.Down(false)
		s.Hang(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := s.Beat(ctx, "m", nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("Beat of a store that hangs: %v after %s", err, time.Since(began))
		}
		s.Hang(false)
		if _, err := s.Beat(t.Context(), "m", nil); err != nil {
			t.Error(err)
		}
		s.Flush()
		if all, err := s.All(t.Context(), fleet.ReportTable); err != nil || len(all) != 0 {
			t.Errorf("flushed, and there is %q", all)
		}
	})
}
