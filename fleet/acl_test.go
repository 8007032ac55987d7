package fleet_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
	"github.com/switchgear-go/switchgear/ops"
)

// The ACL rule of docs/fleet.md, applied to a real server: it is enough for a
// fleet, orders included, and for nothing else.
func TestACL(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "fleet.md"))
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile(`ACL SETUSER (\S+) (.*)`).FindStringSubmatch(string(page))
	if rule == nil {
		t.Fatal("docs/fleet.md has no ACL rule")
	}
	s := startServer(t)
	admin := s.client()
	defer admin.Close()
	args := []any{"ACL", "SETUSER", rule[1]}
	for _, word := range strings.Fields(rule[2]) {
		args = append(args, word)
	}
	if err := admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	if err := admin.Set(t.Context(), "other", "secret", 0).Err(); err != nil {
		t.Fatal(err)
	}
	member := redis.NewClient(&redis.Options{Addr: s.addr, Username: rule[1], Password: "a-long-password"})
	defer member.Close()
	for _, forbidden := range [][]any{
		{"GET", "other"},
		{"SET", "other", "x"},
		{"FLUSHALL"},
		{"KEYS", "*"},
		{"CONFIG", "GET", "*"},
		{"ACL", "LIST"},
		{"PUBLISH", "other", "x"},
		{"EVAL", "return redis.call('GET', 'other')", "0"},
		{"HGETALL", "sg1:{payments}:r"},
		{"SHUTDOWN"},
	} {
		err := member.Do(t.Context(), forbidden...).Err()
		if err == nil || !regexp.MustCompile("NOPERM|permission|can't access").MatchString(err.Error()) {
			t.Errorf("%q: %v, want no permission", forbidden, err)
		}
	}
	fleettest.TestStore(t, func(t *testing.T) (a, b fleet.Store) {
		if err := admin.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return newRedis(t, member, "checkout"), newRedis(t, member, "checkout")
	})
	if err := admin.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	var fleets []*fleet.Fleet
	for range 2 {
		var m breaker.Manager
		m.Breaker("db")
		plane := ops.New(&m, ops.Options{})
		t.Cleanup(func() { plane.Close() })
		f, err := fleet.Join(t.Context(), &m, fleet.Options{Redis: member, Group: "checkout", Plane: plane, Key: testKey})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		fleets = append(fleets, f)
	}
	deadline := time.Now().Add(20 * time.Second)
	for fleets[0].State().Members < 2 {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", fleets[0].State())
		}
		<-time.After(20 * time.Millisecond)
	}
	o := withActor(forceOpen("db", time.Hour))
	if r, err := fleets[1].Desk().Order(t.Context(), o, nil); err != nil || len(r.Done) != 2 {
		t.Errorf("%v, %v", r, err)
	}
	if text := fleets[0].State().LastError; text != "" {
		t.Error(text)
	}
}
