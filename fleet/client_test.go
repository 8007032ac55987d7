package fleet_test

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/switchgear-go/switchgear/fleet"
)

// A store that could not be reached for long is back with the first command that is
// sent when it is.
func TestDialsEveryTime(t *testing.T) {
	t.Parallel()
	for name, client := range map[string]func(addr string) redis.UniversalClient{
		"one server": func(addr string) redis.UniversalClient {
			return redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
		},
		"Cluster": func(addr string) redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
				return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: []redis.ClusterNode{{Addr: addr}}}}, nil
			}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			s.kill()
			c := client(s.addr)
			defer c.Close()
			store, err := fleet.NewRedis(c, "g")
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			for range 20 {
				if _, err := store.Beat(t.Context(), "a", []byte("report")); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Fatalf("got %v, want %v", err, syscall.ECONNREFUSED)
				}
			}
			s.start()
			if _, err := store.Beat(t.Context(), "a", []byte("report")); err != nil {
				t.Errorf("the first beat after the store is back: %v", err)
			}
		})
	}
}

// limiter stands for a breaker or a rate limit of the user's on the client.
type limiter struct{ asked atomic.Int64 }

func (l *limiter) Allow() error {
	l.asked.Add(1)
	return errors.New("not now")
}

func (l *limiter) ReportResult(error) { l.asked.Add(1) }

// What a fleet says to its store does not count in what guards the user's own
// commands, and is not held up by it. Nor does it need more connections where the
// user's client has a pool for pipelines.
func TestRedisClientOptionsForCalls(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	l := new(limiter)
	store := newRedis(t, redis.NewClient(&redis.Options{Addr: s.addr, Limiter: l, PipelineReadBufferSize: 1 << 20, PipelinePoolSize: 100}), "g")
	if _, err := store.Beat(t.Context(), "m", []byte("x")); err != nil || l.asked.Load() > 0 {
		t.Errorf("a beat: %v; the user's limiter was asked %d times, want never", err, l.asked.Load())
	}
	if _, err := store.Digest(t.Context()); err != nil {
		t.Error(err)
	}
	if n := connections(t, s); n != 2 {
		t.Errorf("%d connections, want the store's one and this one", n)
	}
}

func connections(t *testing.T, s *server) int {
	t.Helper()
	c := s.client()
	defer c.Close()
	list, err := c.ClientList(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, char := range list {
		if char == '\n' {
			n++
		}
	}
	return n
}

// Replicas may be late, or frozen: what counts is read from masters, whatever the
// user's client does. Here the replica is so late that it has nothing.
func TestRedisReadsFromMasters(t *testing.T) {
	t.Parallel()
	s, late := startServer(t), startServer(t)
	for name, o := range map[string]redis.ClusterOptions{
		"read-only": {ReadOnly: true}, "by latency": {RouteByLatency: true}, "at random": {RouteRandomly: true},
	} {
		o.ClusterSlots = func(context.Context) ([]redis.ClusterSlot, error) {
			return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: []redis.ClusterNode{{Addr: s.addr}, {Addr: late.addr}}}}, nil
		}
		store := newRedis(t, redis.NewClusterClient(&o), "g")
		if _, err := store.Beat(t.Context(), "m", []byte("x")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for range 20 {
			if reports, _, err := store.Collect(t.Context()); err != nil || len(reports) != 1 {
				t.Errorf("%s: %d reports and %v, want 1", name, len(reports), err)
				break
			}
		}
	}
}
