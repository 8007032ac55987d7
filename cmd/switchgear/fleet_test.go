package main_test

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/ops"
)

const fleetTestKey = "a key for the tests of the command"

// The exit codes of the program.
const (
	exitDone        = 0
	exitRefused     = 1
	exitUsage       = 2
	exitUnreachable = 3
)

// testFleet is a redis-server, and members of a fleet, of one process.
type testFleet struct {
	*host
	url    string
	planes []*ops.Plane
	audits []string // files, one of each plane
}

// given holds the addresses that freeAddr has returned: their servers may not have
// taken them yet.
var given sync.Map

// freeAddr returns an address that nothing listens on, another one each time. Its
// port is below those that systems give to connections, one of which could take it
// before the server does.
func freeAddr() string {
	for {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(12_000)))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue // another server's
		}
		l.Close()
		if _, again := given.LoadOrStore(addr, true); !again {
			return addr
		}
	}
}

func fleetOf(t *testing.T, ms ...*breaker.Manager) *testFleet {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("SWITCHGEAR_REQUIRE_ALL") == "1" {
			t.Fatal("needs redis-server, and SWITCHGEAR_REQUIRE_ALL=1 allows no skip")
		}
		t.Skip("SKIP: needs redis-server")
	}
	addr := freeAddr()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--appendonly", "no")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	out := &testFleet{host: newHost(t), url: "redis://" + addr}
	out.env = []string{"SWITCHGEAR_REDIS=", "SWITCHGEAR_GROUP=", "SWITCHGEAR_FLEET_KEY_FILE="}
	for i, m := range ms {
		client := redis.NewClient(&redis.Options{Addr: addr})
		t.Cleanup(func() { client.Close() })
		audit := filepath.Join(t.TempDir(), "audit")
		plane := ops.New(m, ops.Options{Service: "shop", RuntimeDir: out.dir, Audit: audit})
		t.Cleanup(func() { plane.Close() })
		out.planes, out.audits = append(out.planes, plane), append(out.audits, audit)
		f, err := fleet.Join(t.Context(), m, fleet.Options{
			Redis: client, Group: "shop", Zone: string(rune('a' + i%2)), Member: "pod-" + string(rune('0'+i)),
			Plane: plane, Key: []byte(fleetTestKey), Beat: 200 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		deadline := time.Now().Add(tooLong)
		for s := f.State(); s.Alone || i == len(ms)-1 && s.Members < len(ms); s = f.State() {
			if time.Now().After(deadline) {
				t.Fatalf("%+v", s)
			}
			<-time.After(20 * time.Millisecond)
		}
		if i == len(ms)-1 {
			for v := (*fleet.View)(nil); !toldAll(v, len(ms)); v, err = f.Group().View(t.Context()) {
				if err != nil || time.Now().After(deadline) {
					t.Fatalf("%+v, %v", v, err)
				}
				<-time.After(20 * time.Millisecond)
			}
		}
	}
	return out
}

// toldAll reports whether n members have told of their breakers.
func toldAll(v *fleet.View, n int) bool {
	return v != nil && len(v.Breakers) > 0 && v.Breakers[0].States[breaker.Closed] == n
}

// step runs a command of fleet, whose exit code and words must be these.
func (f *testFleet) step(want int, args string, words ...string) string {
	f.t.Helper()
	r := f.run(append([]string{"fleet"}, strings.Fields(args)...)...)
	if r.code != want || !hasAll(r.out+r.errOut, words) {
		f.t.Errorf("fleet %s: exit code %d, want %d and %q\n%s%s", args, r.code, want, words, r.out, r.errOut)
	}
	return r.out
}

// soon runs a command of fleet until it prints the words: processes report each
// second, and their past every five.
func (f *testFleet) soon(args string, words ...string) {
	f.t.Helper()
	for late := time.Now().Add(tooLong); ; <-time.After(200 * time.Millisecond) {
		r := f.run(append([]string{"fleet"}, strings.Fields(args)...)...)
		if r.code == exitDone && hasAll(r.out, words) {
			return
		}
		if time.Now().After(late) {
			f.t.Fatalf("fleet %s: exit code %d, want %q\n%s%s", args, r.code, words, r.out, r.errOut)
		}
	}
}

func TestFleet(t *testing.T) {
	t.Parallel()
	var a, b breaker.Manager
	for _, m := range []*breaker.Manager{&a, &b} {
		m.Breaker("payments")
		m.Breaker("cache")
	}
	f := fleetOf(t, &a, &b)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(fleetTestKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.env = []string{"SWITCHGEAR_REDIS=" + f.url, "SWITCHGEAR_GROUP=shop", "SWITCHGEAR_FLEET_KEY_FILE=" + key}
	step := f.step
	step(exitDone, "status", "fleet shop: 2 processes, coordinator pod-", "PROCESSES")
	step(exitUsage, "force-open payments --reason INC-42", "needs an end")
	step(exitUsage, "force-open payments --for 1h --reason INC-42 --if-version 3", "each process has its own version")
	step(exitDone, "force-open payments --for 1h --reason INC-42 --dry-run", "dry run: 2 of 2 done", "pod-0: closed -> forced-open")
	if a.Breaker("payments").State() != breaker.Closed {
		t.Error("a dry run changed something")
	}
	step(exitDone, "force-open payments --for 1h --reason INC-42 --actor ana", "2 of 2 done", "pod-1: closed -> forced-open, version 2")
	for _, m := range []*breaker.Manager{&a, &b} {
		if s := m.Breaker("payments").Status(); s.State != breaker.ForcedOpen || s.Override.Actor != "ana" {
			t.Error(s.Explain())
		}
	}
	step(exitDone, "status", "force-open payments by ana (\"INC-42\"), for another 59m5")
	f.soon("explain payments", "payments is forced-open in 2 of 2 processes.")
	step(exitDone, "release payments", "2 of 2 done")
	step(exitDone, "set cache fail_max=9 --reason nervous", "2 of 2 done")
	if n := b.Breaker("cache").Settings().FailMax; n != 9 {
		t.Errorf("fail_max is %d", n)
	}
	step(exitRefused, "force-open * --for 1h --reason INC-42", "this is for 4 breakers in 2 processes", "--yes 4")
	step(exitDone, "force-open * --for 1h --reason INC-42 --yes 4", "2 of 2 done")
	step(exitRefused, "close nope", "2 refused: unknown breaker")
	step(exitRefused, "close tenant/\xff", `the id "tenant/\xff" is not UTF-8`)
	step(exitRefused, "explain nope", "unknown breaker")
	step(exitUnreachable, "close payments --group empty", "the fleet has no processes")
	var v fleet.View
	if err := json.Unmarshal([]byte(step(exitDone, "status --json")), &v); err != nil || len(v.Members) != 2 || len(v.Breakers) != 2 {
		t.Errorf("%v: %+v", err, v)
	}
	// Without a key, and with another one.
	f.env[2] = "SWITCHGEAR_FLEET_KEY_FILE="
	step(exitDone, "status", "2 processes")
	step(exitUsage, "close payments", "orders are signed, want --key-file")
	if err := os.WriteFile(key, []byte("another key, long enough to be one"), 0o600); err != nil {
		t.Fatal(err)
	}
	step(exitDone, "status --key-file "+key, "0 processes", "not signed with this key")
	step(exitUsage, "status --key-file "+key+".none", "--key-file")
	f.env[0] = "SWITCHGEAR_REDIS=redis://127.0.0.1:1"
	step(exitUnreachable, "status", "the store does not answer")
	f.env[0] = "SWITCHGEAR_REDIS=nonsense"
	step(exitUsage, "status", "--redis")
	f.env[0] = "SWITCHGEAR_REDIS="
	step(exitUnreachable, "status", "no process of this host has a switchgear socket", "want --redis URL")
}

// The same through a member: one that -p names, or any of this host.
func TestFleetThroughAMember(t *testing.T) {
	t.Parallel()
	ms := []*breaker.Manager{new(breaker.Manager), new(breaker.Manager), new(breaker.Manager)}
	for _, m := range ms {
		m.Breaker("payments")
	}
	f := fleetOf(t, ms...)
	var sockets []string
	for _, p := range f.planes {
		s, err := p.Listen()
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, s.Path())
	}
	web := httptest.NewServer(f.planes[2].Handler())
	defer web.Close()

	step := f.step
	step(exitDone, "status", "fleet shop: 3 processes", "3 closed")
	step(exitDone, "status -p "+web.URL, "fleet shop: 3 processes")
	step(exitUnreachable, "status --group another", "no process that answers belongs to the fleet another")
	step(exitUsage, "status --redis redis://127.0.0.1:1 --group shop -p "+sockets[0], "-p and --redis, want one of them")
	step(exitDone, "force-open payments --for 1h --reason INC-42 --actor ana --dry-run -p "+sockets[1], "dry run: 3 of 3 done", "pod-0: closed -> forced-open")
	step(exitDone, "force-open payments --for 1h --reason INC-42 --actor ana -p "+sockets[1], "3 of 3 done", "pod-2: closed -> forced-open, version 2")
	for _, m := range ms {
		if s := m.Breaker("payments").Status(); s.State != breaker.ForcedOpen || s.Override.Actor != "ana" {
			t.Error(s.Explain())
		}
	}
	step(exitRefused, "release payments -p "+web.URL, "read-only")
	step(exitRefused, "close nope -p "+sockets[0], "3 refused: unknown breaker")
	step(exitRefused, "close tenant/\xff -p "+sockets[0], `the id "tenant/\xff" is not UTF-8`)
	f.soon("history payments -p "+sockets[0], "pod-0 (a)", "pod-1 (b)", "forced-open", "ana")
	step(exitDone, "history cache -p "+sockets[0], "Nothing has changed.")
	f.soon("explain payments -p "+sockets[0], "payments is forced-open in 3 of 3 processes.")
}

// The console serves the same to a browser, read-only and on loopback unless it
// is told otherwise.
func TestConsole(t *testing.T) {
	t.Parallel()
	m := new(breaker.Manager)
	m.Breaker("payments")
	url := fleetOf(t, m).url
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(fleetTestKey), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want int // of an order
	}{
		{nil, http.StatusForbidden},
		{[]string{"--orders", "--key-file", key}, http.StatusOK},
	} {
		p := start(t, append([]string{"console", "--redis", url, "--group", "shop", "--listen", "127.0.0.1:0"}, test.args...)...)
		base := strings.TrimSpace(p.await("http://127.0.0.1:"))
		for path, want := range map[string]string{"": "<title>Fleet</title>", "fleet/fleet.js": "v1/fleet", "v1/fleet": `"payments"`, "fleet/v1/fleet": `"view":{"group":"shop"`} {
			res, err := http.Get(base + path)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
				t.Errorf("GET %s: %d %s, want %q", path, res.StatusCode, body, want)
			}
		}
		res, err := http.Post(base+"fleet/v1/fleet/orders", "application/json", strings.NewReader(`{"id": "payments", "verb": "close", "actor": "ana", "dry_run": true}`))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != test.want {
			t.Errorf("an order to %q: %d, want %d", test.args, res.StatusCode, test.want)
		}
	}
	for args, want := range map[string]string{
		"--listen 8086":                         "want HOST:PORT",
		"--orders --listen 0.0.0.0:8086":        "want a loopback address",
		"--orders --listen :8086":               "want a loopback address",
		"--listen 127.0.0.1:0 --redis nonsense": "--redis",
	} {
		r := newHost(t).run(append([]string{"console", "--redis", url, "--group", "shop"}, strings.Fields(args)...)...)
		if r.code != exitUsage || !strings.Contains(r.errOut, want) {
			t.Errorf("console %s: exit code %d, want %d and %q\n%s", args, r.code, exitUsage, want, r.errOut)
		}
	}
}

// A process that refuses the dry run does not take the condition from the others: they
// carry out the order only if their breakers have not changed since.
func TestFleetOrderOnCondition(t *testing.T) {
	t.Parallel()
	ms := []*breaker.Manager{new(breaker.Manager), new(breaker.Manager)}
	for _, m := range ms {
		m.Breaker("payments")
	}
	f := fleetOf(t, ms...)
	ms[1].Remove("payments")
	if _, err := f.planes[0].Listen(); err != nil {
		t.Fatal(err)
	}
	f.step(4, "close payments --reason INC-42", "1 of 2 done, 1 refused: unknown breaker")
	for deadline := time.Now().Add(tooLong); ; <-time.After(20 * time.Millisecond) {
		text, err := os.ReadFile(f.audits[0])
		given := slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool {
			return !strings.Contains(line, "INC-42") || strings.Contains(line, `"dry_run":true`)
		})
		if err == nil && len(given) > 0 {
			if !strings.Contains(given[0], `"if_version":1`) {
				t.Errorf("it was given without a condition: %s", given[0])
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v: %s", err, text)
		}
	}
}

// Who gives an order that the store loses is told so.
func TestFleetOrderThatIsLost(t *testing.T) {
	t.Parallel()
	m := new(breaker.Manager)
	m.Breaker("payments")
	f := fleetOf(t, m)
	socket, err := f.planes[0].Listen()
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(fleetTestKey), 0o600); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(f.url, "redis://")})
	defer client.Close()
	for name, way := range map[string]string{"the store": "--redis " + f.url + " --group shop --key-file " + key, "a member": "-p " + socket.Path()} {
		t.Run(name, func(t *testing.T) {
			// Another member, which never answers.
			for field, report := range client.HGetAll(t.Context(), "sg1:{shop}:r").Val() {
				if err := client.HSet(t.Context(), "sg1:{shop}:r", "feedbeef", report).Err(); err != nil || field == "feedbeef" {
					t.Fatal(field, err)
				}
			}
			said := make(chan string)
			go func() {
				r := f.run(append([]string{"fleet"}, strings.Fields("close payments --reason INC-42 --timeout 2s "+way)...)...)
				said <- r.out
			}()
			for deadline := time.Now().Add(tooLong); len(client.HKeys(t.Context(), "sg1:{shop}:o").Val()) < 3; <-time.After(time.Millisecond) { // two orders, and the number
				if time.Now().After(deadline) {
					t.Fatal("no order has come")
				}
			}
			if err := client.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			if text := <-said; !strings.Contains(text, "; the store has lost the order, or another one has replaced it\n") {
				t.Error(text)
			}
		})
	}
}

// What does not fit is said, and how much it is.
func TestFleetSaysWhatDoesNotFit(t *testing.T) {
	long(t)
	t.Parallel()
	m := new(breaker.Manager)
	for i := range 2000 {
		m.Breaker("a-breaker-of-very-many-" + strconv.Itoa(i))
	}
	keys := breaker.SetOf[string](m, "tenant")
	for i := range 400 {
		_ = keys.Do(t.Context(), strconv.Itoa(i), func(context.Context) error { return io.ErrUnexpectedEOF })
	}
	f := fleetOf(t, m)
	f.env = []string{"SWITCHGEAR_REDIS=" + f.url, "SWITCHGEAR_GROUP=shop", "SWITCHGEAR_FLEET_KEY_FILE="}
	for began := time.Now(); ; { // it tells of keys with its next beat
		out := f.ok("fleet", "status")
		if hasAll(out, []string{"; more breakers in trouble than a report holds: pod-0", "more that did not fit"}) {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("fleet status says\n%.2000s", out)
		}
	}
}
