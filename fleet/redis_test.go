package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

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

func TestValkeyContract(t *testing.T) {
	s := startValkey(t)
	fleettest.TestStore(t, func(t *testing.T) (a, b fleet.Store) {
		c := s.client()
		t.Cleanup(func() { c.Close() })
		return newRedis(t, c, t.Name()), newRedis(t, c, t.Name())
	})
}

// A Cluster of one node refuses, as any does, what is of several slots.
func TestRedisCluster(t *testing.T) {
	s := startServer(t, "--cluster-enabled", "yes")
	node := s.client()
	defer node.Close()
	if err := node.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the cluster is up", func() bool {
		info, err := node.ClusterInfo(t.Context()).Result()
		return err == nil && strings.Contains(info, "cluster_state:ok")
	})
	fleettest.TestStore(t, func(t *testing.T) (a, b fleet.Store) {
		c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{s.addr}})
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

// The store's client says nothing in the program's log, whatever it shares with
// the client that it was made of.
func TestRedisIsQuiet(t *testing.T) {
	s := startServer(t)
	var said lockedBuffer
	redis.SetLogger(&said)
	defer logging.Disable()
	c := s.client()
	defer c.Close()
	for range 2 {
		store := newRedis(t, c, "g")
		if _, err := store.Beat(t.Context(), "m", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if text := said.String(); text != "" {
		t.Errorf("in the log: %s", text)
	}
}

// lockedBuffer is a logger of go-redis.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedBuffer) Printf(_ context.Context, format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.text, format+"\n", v...)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
