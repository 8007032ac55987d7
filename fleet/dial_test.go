package fleet_test

import (
	"context"
	"errors"
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
