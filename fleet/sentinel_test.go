package fleet_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startSentinel starts a sentinel that watches a master, and fails over soon.
func startSentinel(t *testing.T, master string) (addr string) {
	t.Helper()
	need(t, "redis-sentinel")
	addr = freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	host, masterPort, _ := net.SplitHostPort(master)
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\nsentinel monitor fleet %s %s 1\nsentinel down-after-milliseconds fleet 1000\nsentinel failover-timeout fleet 10000\n", port, host, masterPort)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-sentinel", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return addr
}

// The master is killed, or freezes: its replica takes over, and the fleet goes on
// there, its pushed digests included.
func TestSentinel(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	for _, how := range []string{"killed", "frozen"} {
		t.Run(how, func(t *testing.T) {
			if how == "killed" { // it is the milder one
				needTime(t)
			}
			t.Parallel()
			master := startServer(t)
			host, port, _ := net.SplitHostPort(master.addr)
			replica := startServer(t, "--replicaof", host, port)
			sentinel := startSentinel(t, master.addr)
			ask := redis.NewSentinelClient(&redis.Options{Addr: sentinel})
			defer ask.Close()
			wait(t, "the sentinel knows the replica", func() bool {
				all, err := ask.Replicas(t.Context(), "fleet").Result()
				return err == nil && len(all) == 1 && all[0]["flags"] == "slave" && all[0]["master-link-status"] == "ok"
			})
			p := startProcesses(t, 4, processConfig{Sentinels: []string{sentinel}, Every: time.Second, Settings: processSettings})
			defer p.check()
			p.until(2*slack, "all have joined", p.together)
			p.behave(all)
			p.until(slack, "all are open", p.allOpen)
			began := time.Now()
			if how == "killed" {
				master.kill()
			} else {
				master.pause()
				defer master.resume()
			}
			wait(t, "the replica is the master", func() bool {
				got, err := ask.GetMasterAddrByName(t.Context(), "fleet").Result()
				return err == nil && len(got) == 2 && net.JoinHostPort(got[0], got[1]) == replica.addr
			})
			promoted := time.Since(began)
			<-time.After(time.Second) // what was said before does not count
			p.until(3*slack, "all are together again", p.together)
			t.Logf("promoted after %s, together after %s", promoted, time.Since(began))
			p.behave(none)
			t.Logf("recovered after another %s", p.until(2*slack, "all are closed", p.allClosed))
		})
	}
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*slack)
	defer cancel()
	for !ok() {
		if ctx.Err() != nil {
			t.Fatalf("it is not so that %s", what)
		}
		<-time.After(50 * time.Millisecond)
	}
}
