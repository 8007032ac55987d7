package breakerredis_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/adapters/breakerredis"
	"github.com/switchgear-go/switchgear/breaker"
)

// checkNodes kills one of two nodes: the keys of the other must not be
// affected.
func checkNodes(t *testing.T, c redis.UniversalClient, set *breaker.Set[string], dead, alive *server) {
	t.Helper()
	ctx := t.Context()
	if err := breakerredis.Guard(c, set); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	var onDead, onAlive string // keys of either node
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		if err := c.Set(ctx, key, "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
		direct := redis.NewClient(&redis.Options{Addr: dead.addr})
		if direct.Exists(ctx, key).Val() == 1 {
			onDead = key
		} else {
			onAlive = key
		}
		_ = direct.Close()
	}
	if onDead == "" || onAlive == "" {
		t.Fatal("the keys are all on one node")
	}
	dead.kill()
	b := set.Breaker(dead.addr)
	for i := range 3 {
		if err := c.Get(ctx, onDead).Err(); err == nil || errors.Is(err, breaker.ErrOpen) {
			t.Fatalf("command %d to the dead node got %v", i, err)
		}
		if i < 2 { // the client's own retries are not more
			wantFails(t, b, i+1, "a command")
		}
	}
	wantState(t, b, breaker.Open)
	if err := c.Get(ctx, onDead).Err(); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("the open breaker answers %v, want ErrOpen", err)
	}
	if err := c.Get(ctx, onAlive).Err(); err != nil {
		t.Errorf("a key of the node that is alive got %v", err)
	}
	wantState(t, set.Breaker(alive.addr), breaker.Closed)
	cmds, _ := c.Pipelined(ctx, func(p redis.Pipeliner) error { p.Get(ctx, onDead); p.Get(ctx, onAlive); return nil })
	if len(cmds) != 2 || !errors.Is(cmds[0].Err(), breaker.ErrOpen) || cmds[1].Err() != nil {
		t.Errorf("a pipeline to both nodes got %v", cmds)
	}
}

// startCluster is two masters with half of the slots each.
func startCluster(t *testing.T) (one, two *server) {
	t.Helper()
	ctx := t.Context()
	node := func(start, end int) (*server, *redis.Client, string) {
		_, bus, _ := net.SplitHostPort(freeAddr(t))
		s := startServer(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-require-full-coverage", "no")
		c := redis.NewClient(&redis.Options{Addr: s.addr})
		t.Cleanup(func() { _ = c.Close() })
		if err := c.ClusterAddSlotsRange(ctx, start, end).Err(); err != nil {
			t.Fatal(err)
		}
		return s, c, bus
	}
	one, oneClient, _ := node(0, 8191)
	two, twoClient, bus := node(8192, 16383)
	host, port, _ := net.SplitHostPort(two.addr)
	if err := oneClient.Do(ctx, "cluster", "meet", host, port, bus).Err(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*redis.Client{oneClient, twoClient} {
		for deadline := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) {
			info := c.ClusterInfo(ctx).Val()
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_size:2") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the cluster does not form: %s", info)
			}
		}
	}
	return one, two
}

func TestCluster(t *testing.T) {
	one, two := startCluster(t)
	set := breaker.NewSet[string]("redis", breaker.Settings{FailMax: 3}, breaker.SetOptions{})
	checkNodes(t, redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{one.addr}, DialerRetries: 1,
		MinRetryBackoff: time.Millisecond, MaxRetryBackoff: time.Millisecond,
	}), set, two, one)
}

func TestRing(t *testing.T) {
	one, two := startServer(t), startServer(t)
	set := breaker.NewSet[string]("redis", breaker.Settings{FailMax: 3}, breaker.SetOptions{})
	checkNodes(t, redis.NewRing(&redis.RingOptions{
		Addrs:              map[string]string{"one": one.addr, "two": two.addr},
		HeartbeatFrequency: time.Hour, // the breaker is to find out, not the ring
		MinRetryBackoff:    time.Millisecond, MaxRetryBackoff: time.Millisecond,
		DialerRetries: 1,
	}), set, two, one)
}

type strangeClient struct{ redis.UniversalClient }

func TestClientThatCannotBeGuarded(t *testing.T) {
	set := breaker.NewSet[string]("redis", breaker.Settings{}, breaker.SetOptions{})
	if err := breakerredis.Guard(strangeClient{}, set); err == nil {
		t.Error("a client of unknown type was guarded")
	}
}
