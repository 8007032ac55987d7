package fleetdemo

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
)

func storeOf(t *testing.T) string {
	t.Helper()
	addr, stop, err := runStore()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return addr
}

// The store of the demo is a store of a fleet.
func TestStoreContract(t *testing.T) {
	fleettest.TestStore(t, func(t *testing.T) (a, b fleet.Store) {
		addr := storeOf(t)
		var out []fleet.Store
		for range 2 {
			c := redis.NewClient(&redis.Options{Addr: addr})
			s, err := fleet.NewRedis(c, "demo")
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			t.Cleanup(func() { s.Close() })
			out = append(out, s)
		}
		return out[0], out[1]
	})
}

// It goes on after the way to it was cut.
func TestCut(t *testing.T) {
	way, err := newProxy(storeOf(t))
	if err != nil {
		t.Fatal(err)
	}
	defer way.close()
	c := redis.NewClient(&redis.Options{Addr: way.l.Addr().String()})
	s, err := fleet.NewRedis(c, "demo")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 20 {
		for range 5 {
			go func() { _ = s.Listen(t.Context(), func([]byte) {}) }()
		}
		term, err := s.Lead(t.Context(), "a", 0, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			_ = s.Publish(t.Context(), "a", term, time.Minute, make([]byte, 1000))
		}
		way.setCut(true)
		_, _ = s.Beat(t.Context(), "m", []byte("x"))
		way.setCut(false)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		for {
			if err = s.Resign(ctx, "a", term); err == nil || ctx.Err() != nil {
				break
			}
			pause(ctx, 10*time.Millisecond)
		}
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
}
