package fleet_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
)

func newRedis(t testing.TB, c redis.UniversalClient, group string) fleet.Store {
	t.Helper()
	s, err := fleet.NewRedis(c, group)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestRedisContract(t *testing.T) {
	s := startServer(t)
	fleettest.TestStore(t, func(t *testing.T) (a, b fleet.Store) {
		c := s.client()
		t.Cleanup(func() { c.Close() })
		return newRedis(t, c, t.Name()), newRedis(t, c, t.Name())
	})
}

// A store that is stopped fails within its own time, whatever the user's client
// would do, and a server that comes back empty needs no help: scripts are loaded
// again.
func TestRedisStoppedAndReplaced(t *testing.T) {
	s := startServer(t)
	c := redis.NewClient(&redis.Options{Addr: s.addr, ReadTimeout: time.Minute, MaxRetries: 10})
	defer c.Close()
	store := newRedis(t, c, "g")
	if _, err := store.Lead(t.Context(), "a", 0, time.Second); err != nil {
		t.Fatal(err)
	}
	s.pause()
	began := time.Now()
	if _, err := store.Beat(t.Context(), "m", []byte("x")); err == nil || time.Since(began) > 20*time.Second {
		t.Errorf("a stopped server: %v after %s", err, time.Since(began))
	}
	s.resume()
	s.kill()
	s.start()
	deadline := time.Now().Add(20 * time.Second)
	for {
		term, err := store.Lead(t.Context(), "a", 7, time.Second)
		if err == nil {
			if term != 8 {
				t.Errorf("term %d after the loss of all data, want 8", term)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// A subscription that hears nothing is given up, because a frozen server never
// says that it is gone.
func TestRedisDeaf(t *testing.T) {
	s := startServer(t)
	store := newRedis(t, s.client(), "g")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- store.Listen(ctx, func([]byte) {}) }()
	s.pause()
	defer s.resume()
	if err := <-done; err == nil || errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		t.Errorf("Listen ended with %v, want an error of the connection", err)
	}
}

func TestRedisClients(t *testing.T) {
	if _, err := fleet.NewRedis(redis.NewRing(&redis.RingOptions{}), "g"); err == nil {
		t.Error("a ring is no store")
	}
	for _, c := range []redis.UniversalClient{
		redis.NewClient(&redis.Options{}),
		redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"127.0.0.1:1"}}),
		redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}}),
	} {
		s, err := fleet.NewRedis(c, "g")
		if err != nil {
			t.Errorf("%T: %v", c, err)
			continue
		}
		s.Close()
		c.Close()
	}
}
