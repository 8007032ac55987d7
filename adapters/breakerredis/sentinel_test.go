package breakerredis_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/adapters/breakerredis"
	"github.com/switchgear-go/switchgear/breaker"
)

// startSentinel watches one master for each name, and returns its address.
func startSentinel(t *testing.T, masters map[string]*server) string {
	t.Helper()
	addr := freeAddr(t)
	config := "port " + portOf(addr) + "\nbind 127.0.0.1\n"
	for name, s := range masters {
		host, port, _ := net.SplitHostPort(s.addr)
		config += "sentinel monitor " + name + " " + host + " " + port + " 1\n"
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", file, "--sentinel")
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	c := redis.NewSentinelClient(&redis.Options{Addr: addr})
	defer c.Close()
	for deadline := time.Now().Add(20 * time.Second); c.Ping(t.Context()).Err() != nil; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("redis-sentinel does not answer")
		}
	}
	return addr
}

// Masters that one Sentinel watches are dependencies of their own.
func TestSentinel(t *testing.T) {
	for name, opts := range map[string]func(master string) []breakerredis.Option{
		"by number": func(string) []breakerredis.Option { return nil },
		"by name": func(master string) []breakerredis.Option {
			return []breakerredis.Option{breakerredis.WithKey(func(*redis.Options) string { return master })}
		},
	} {
		t.Run(name, func(t *testing.T) {
			servers := map[string]*server{"sessions": startServer(t), "orders": startServer(t)}
			sentinel := startSentinel(t, servers)
			set := breaker.NewSet[string]("redis", breaker.Settings{FailMax: 2}, breaker.SetOptions{})
			clients := map[string]*redis.Client{}
			for _, master := range []string{"sessions", "orders"} {
				c := redis.NewFailoverClient(&redis.FailoverOptions{
					MasterName: master, SentinelAddrs: []string{sentinel}, MaxRetries: -1, DialerRetries: 1,
				})
				t.Cleanup(func() { _ = c.Close() })
				if err := breakerredis.Guard(c, set, opts(master)...); err != nil {
					t.Fatal(err)
				}
				if err := c.Ping(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				clients[master] = c
			}
			servers["sessions"].kill()
			for range 2 {
				if err := clients["sessions"].Ping(t.Context()).Err(); err == nil || errors.Is(err, breaker.ErrOpen) {
					t.Fatalf("a command to a dead master got %v", err)
				}
			}
			if err := clients["sessions"].Ping(t.Context()).Err(); !errors.Is(err, breaker.ErrOpen) {
				t.Errorf("got %v, want ErrOpen", err)
			}
			if err := clients["orders"].Ping(t.Context()).Err(); err != nil {
				t.Errorf("the other master got %v", err)
			}
			dead := map[string]string{"by number": "FailoverClient", "by name": "sessions"}[name]
			wantState(t, set.Breaker(dead), breaker.Open)
			if n := len(set.Breakers()); n != 2 {
				t.Errorf("the set has %d breakers, want one for each master", n)
			}
		})
	}
}
