package fleet_test

import (
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
)

// startCluster starts a Cluster of three masters, each with a replica.
func startCluster(t *testing.T) (nodes []*server, addrs []string) {
	t.Helper()
	need(t, "redis-cli")
	for range 6 {
		_, bus, _ := net.SplitHostPort(freeAddr())
		s := startServer(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "1500", "--repl-diskless-sync-delay", "0")
		nodes, addrs = append(nodes, s), append(addrs, s.addr)
	}
	args := slices.Concat([]string{"--cluster", "create"}, addrs, []string{"--cluster-replicas", "1", "--cluster-yes"})
	if out, err := exec.CommandContext(t.Context(), "redis-cli", args...).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	wait(t, "every node knows that each master has its replica", func() bool {
		for _, s := range nodes {
			c := s.client()
			shards, err := c.ClusterShards(t.Context()).Result()
			info, err2 := c.ClusterInfo(t.Context()).Result()
			syncing := strings.Contains(c.Info(t.Context(), "replication").Val(), "master_link_status:down")
			c.Close()
			if syncing || err != nil || err2 != nil || !strings.Contains(info, "cluster_state:ok") || len(shards) != 3 ||
				slices.ContainsFunc(shards, func(s redis.ClusterShard) bool { return len(s.Nodes) != 2 }) {
				return false
			}
		}
		return true
	})
	return nodes, addrs
}

// A Cluster of three masters with a replica each does all that a Store must, and
// when the master that has the fleet's keys is killed or frozen, the fleet goes on
// at its replica.
func TestRedisCluster(t *testing.T) {
	long(t)
	t.Parallel()
	for _, how := range []string{"killed", "frozen"} {
		t.Run(how, func(t *testing.T) {
			if how == "frozen" {
				needTime(t)
			}
			t.Parallel()
			nodes, addrs := startCluster(t)
			c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
			defer c.Close()
			if how == "killed" {
				for _, s := range nodes {
					admin := s.client()
					if err := admin.Do(t.Context(), aclRule(t, "+cluster|slots")...).Err(); err != nil {
						t.Error(err)
					}
					admin.Close()
				}
				member := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, Username: aclUser, Password: aclPassword})
				defer member.Close()
				fleetsOn(t, member, "checkout", 2)
				if err := member.Get(t.Context(), "other").Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
					t.Errorf("a member reads another key: %v", err)
				}
				fleettest.TestStore(t, func(t *testing.T) (a, b fleet.Store) {
					return newRedis(t, c, t.Name()), newRedis(t, c, t.Name())
				})
			}
			p := startProcesses(t, 4, processConfig{Cluster: addrs[:3], Every: time.Second, Settings: processSettings, Key: "0123456789abcdef"})
			defer p.check(t)
			p.until(2*slack, "all have joined", p.together)
			p.behave(all)
			p.until(slack, "all are open", p.allOpen)
			master, err := c.MasterForKey(t.Context(), "sg1:{test}:r")
			if err != nil {
				t.Fatal(err)
			}
			addr := master.Options().Addr
			i := slices.Index(addrs, addr)
			began := time.Now()
			if how == "killed" {
				nodes[i].kill()
			} else {
				nodes[i].pause()
				defer nodes[i].resume()
			}
			other := nodes[(i+1)%3].client()
			defer other.Close()
			wait(t, "the replica is the master", func() bool {
				all, err := other.ClusterNodes(t.Context()).Result()
				return err == nil && strings.Count(all, "master") == 4 && strings.Count(all, "fail") == 1
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
