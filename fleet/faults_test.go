package fleet_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
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

// slack is for a machine that is shared: no bound here is near what is usual.
const slack = 15 * time.Second

var processSettings = breaker.Settings{FailMax: 5, ResetTimeout: 10 * time.Second}

// stressed says that there is time for the long runs.
var stressed = os.Getenv("SWITCHGEAR_STRESS") != ""

// startEight starts eight real processes in two zones. The invariants are checked
// at the end, on what they recorded.
func startEight(t *testing.T, redis string, s breaker.Settings) *processes {
	t.Helper()
	p := startProcesses(t, 8, processConfig{Redis: redis, Every: time.Second, Settings: s, Key: "0123456789abcdef"}, "a", "b")
	t.Cleanup(func() { p.t = t; p.check(t) })
	t.Logf("joined after %s", p.until(3*slack, "all have joined", p.together))
	<-time.After(3 * time.Second)
	return p
}

// What they call is down, for all of them or, with SWITCHGEAR_STRESS=60s, for some.
func TestProcesses(t *testing.T) {
	long(t)
	t.Parallel()
	s := startServer(t)
	p := startEight(t, s.addr, processSettings)

	t.Run("outage", func(t *testing.T) {
		p.t = t
		began := p.mark()
		p.behave(all)
		t.Logf("protected after %s", p.until(slack, "all are open", p.allOpen))
		open := p.mark()
		<-time.After(10 * time.Second)
		_, ran := p.since(open)
		t.Logf("%d calls reached the dependency in 10 s while it was down: %.1f a second; transitions %v", ran, float64(ran)/10, p.causes(began))
		if ran > 20 {
			t.Errorf("F7: %d probes in 10 s, want one each two seconds", ran)
		}
		p.behave(none)
		t.Logf("recovered after %s", p.until(slack+10*time.Second, "all are closed", p.allClosed))
		if n := p.causes(began)["open fleet"]; n == 0 {
			t.Error("no breaker opened by the verdict")
		}
	})
	t.Run("bad node", func(t *testing.T) {
		needTime(t)
		p.t = t
		began := p.mark()
		p.behave(func(c processConfig) bool { return c.ID == 3 })
		p.until(slack, "the bad node is open", func() bool { return p.open[3] != breaker.Closed })
		<-time.After(6 * time.Second)
		if v := verdicts(t, s); len(v) > 0 {
			t.Errorf("F3: one process is bad, and there is a verdict: %+v", v)
		}
		records, _ := p.since(began)
		for _, r := range records {
			if r.Transition != nil && r.Process != 3 {
				t.Errorf("F3: process %d: %s", r.Process, r.Transition.Summary())
			}
		}
		p.behave(none)
		p.until(slack+10*time.Second, "all are closed", p.allClosed)
	})
	t.Run("bad zone", func(t *testing.T) {
		needTime(t)
		p.t = t
		<-time.After(5 * time.Second)
		began := p.mark()
		p.behave(func(c processConfig) bool { return c.Zone == "b" })
		p.until(slack, "the bad zone is open", func() bool { return p.count() >= 4 })
		<-time.After(3 * time.Second)
		records, _ := p.since(began)
		for _, r := range records {
			if r.Transition != nil && p.configs[r.Process].Zone != "b" {
				t.Errorf("F4: process %d of the good zone: %s", r.Process, r.Transition.Summary())
			}
		}
		p.behave(none)
		p.until(slack+10*time.Second, "all are closed", p.allClosed)
	})
}

// Their store is killed, or, with SWITCHGEAR_STRESS=60s, broken in every way.
func TestProcessesWithoutTheStore(t *testing.T) {
	long(t)
	t.Parallel()
	s := startServer(t)
	way := newProxy(t, s.addr)
	settings := breaker.Settings{FailMax: 5, ResetTimeout: 5 * time.Second}
	p := startEight(t, way.addr(), settings)
	admin := s.client().Conn() // it stays logged in
	defer admin.Close()
	tell := func(words ...any) {
		if err := admin.Do(context.Background(), words...).Err(); err != nil {
			t.Errorf("%v: %v", words, err)
		}
	}
	hit := 0 // the process that a fault is of
	stop := func() {}
	for _, fault := range []struct {
		name      string
		begin     func()
		end       func()
		staysOpen bool // it is not an outage of the store: the fleet goes on
	}{
		{"stopped", s.pause, s.resume, false},
		{"killed", s.kill, s.start, false},
		{"partition", func() { way.swallow.Store(true) }, func() { way.swallow.Store(false) }, false},
		{"half-open", func() { way.half.Store(true) }, func() { way.half.Store(false) }, false},
		{"flushed", func() { flush(t, s) }, func() {}, true},
		{"full", func() { memory(t, s, "1", "noeviction") }, func() { memory(t, s, "0", "noeviction") }, false},
		{"evicting", func() { evict(t, s) }, func() {}, true},
		{"slow", func() { way.delay.Store(int64(50 * time.Millisecond)) }, func() { way.delay.Store(0) }, true},
		{"password", func() {
			tell("config", "set", "requirepass", "unknown to them")
			tell("client", "kill", "type", "normal")
			tell("client", "kill", "type", "pubsub")
		}, func() { tell("config", "set", "requirepass", "") }, false},
		{"writes paused", func() { tell("client", "pause", "600000", "write") }, func() { tell("client", "unpause") }, false},
		{"read-only", func() { tell("replicaof", "127.0.0.1", "1") }, func() { tell("replicaof", "no", "one") }, false},
		{"connections killed", func() {
			stop = again(100*time.Millisecond, func() {
				tell("client", "kill", "type", "normal")
				tell("client", "kill", "type", "pubsub")
			})
		}, func() { stop() }, true},
		{"scripts flushed", func() { stop = again(20*time.Millisecond, func() { tell("script", "flush") }) }, func() { stop() }, true},
		{"memory full of other keys", func() {
			memory(t, s, "2000000", "allkeys-random")
			stop = again(time.Millisecond, func() { // some are refused, when nothing can be evicted
				_ = admin.Set(context.Background(), strconv.Itoa(rand.IntN(1<<20)), strings.Repeat("x", 1000), 0).Err()
			})
		}, func() {
			stop()
			if stats, err := admin.Info(context.Background(), "stats").Result(); err != nil || strings.Contains(stats, "evicted_keys:0\r") {
				t.Errorf("nothing was evicted: %v", err)
			}
			memory(t, s, "0", "noeviction")
			flush(t, s)
		}, true},
		{"flushed again and again", func() { stop = again(300*time.Millisecond, func() { tell("flushall") }) }, func() { stop() }, true},
		{"coordinator killed", func() { hit = p.coordinator(); p.signal(hit, "KILL") }, func() { p.replace(hit, "") }, true},
		{"coordinator stopped", func() { hit = p.coordinator(); p.signal(hit, "STOP") }, func() { p.signal(hit, "CONT") }, true},
	} {
		t.Run(fault.name, func(t *testing.T) {
			if fault.name != "killed" {
				needTime(t)
			}
			p.t = t
			p.until(3*slack, "all are together", p.together)
			p.behave(all)
			p.until(slack, "all are open", p.allOpen)
			<-time.After(2 * time.Second)
			began := p.mark()
			fault.begin()
			if fault.staysOpen {
				<-time.After(6 * time.Second)
				if records, ran := p.since(began); ran > 16 {
					t.Errorf("F12: %d calls reached the dependency in 6 s; %d transitions", ran, len(records))
				}
			} else {
				t.Logf("alone after %s", p.until(slack, "all are alone", p.allAlone))
				// Each probes by itself, at the pace of its own settings (F6).
				<-time.After(settings.ResetTimeout)
				p.until(slack, "each has probed by itself", func() bool { return p.probed(began) == len(p.configs) })
				_, ran := p.since(began)
				t.Logf("%d calls reached the dependency in %s", ran, time.Since(began.at))
				if most := 8 * (2 + int(time.Since(began.at)/settings.ResetTimeout)); ran > most {
					t.Errorf("F6: %d calls reached the dependency, want at most %d as without a fleet", ran, most)
				}
			}
			p.behave(none)
			fault.end()
			t.Logf("together after %s", p.until(3*slack, "all are together again", p.together))
			t.Logf("recovered after another %s", p.until(2*slack, "all are closed", p.allClosed))
			p.order(s)
		})
	}
}

// verdicts are those on "db".
func verdicts(t *testing.T, s *server) (out []fleet.Verdict) {
	t.Helper()
	client := s.client()
	defer client.Close()
	g, err := fleet.Open(client, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	v, err := g.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range v.Breakers {
		out = append(out, b.Verdicts...)
	}
	return out
}

// memory bounds that of the server, in bytes; 0 for no bound.
func memory(t *testing.T, s *server, most, policy string) {
	t.Helper()
	c := s.client()
	defer c.Close()
	for k, v := range map[string]string{"maxmemory-policy": policy, "maxmemory": most} {
		if err := c.ConfigSet(context.Background(), k, v).Err(); err != nil {
			t.Error(err)
		}
	}
}

// evict takes away one key after the other, as a server does that runs out of
// memory.
func evict(t *testing.T, s *server) {
	t.Helper()
	c := s.client()
	defer c.Close()
	keys, err := c.Keys(context.Background(), "sg1:*").Result()
	if err != nil || len(keys) < 4 {
		t.Errorf("%q, %v; want the keys of the fleet", keys, err)
	}
	for _, k := range keys {
		if err := c.Del(context.Background(), k).Err(); err != nil {
			t.Error(err)
		}
		<-time.After(500 * time.Millisecond)
	}
}

// again does something again and again, until stop is called.
func again(every time.Duration, do func()) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				do()
			case <-end:
				return
			}
		}
	}()
	return func() { close(end); <-done }
}

func needTime(t *testing.T) {
	t.Helper()
	if !stressed {
		t.Skip("takes minutes: SWITCHGEAR_STRESS=60s")
	}
}

func flush(t *testing.T, s *server) {
	t.Helper()
	c := s.client()
	defer c.Close()
	for _, do := range []error{c.FlushAll(context.Background()).Err(), c.ScriptFlush(context.Background()).Err()} {
		if do != nil {
			t.Error(do)
		}
	}
}

// processEnv makes the test binary a process of a fleet.
const processEnv = "SWITCHGEAR_FLEET_PROCESS"

// processConfig is what such a process is told.
type processConfig struct {
	ID         int
	Zone       string
	Redis      string   // its address
	Sentinels  []string // instead
	Cluster    []string // or of its nodes
	Dependency string   // the URL of what its breaker guards
	Every      time.Duration
	Settings   breaker.Settings
	Key        string
	NoFleet    bool   // it joins none
	Advise     bool   // see fleet.Options
	Binary     string `json:"-"` // what it runs; "": this binary
}

// record is one line that it says.
type record struct {
	Process    int                 `json:"process"`
	At         time.Time           `json:"-"` // when the test read it
	Transition *breaker.Transition `json:"transition,omitempty"`
	State      *fleet.State        `json:"state,omitempty"`
	Order      string              `json:"order,omitempty"` // the reason of one that it has carried out
}

// processMain calls the dependency, and says each transition and how it fares.
// It ends with its standard input.
func processMain(config string) {
	var c processConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		panic(err)
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	say := func(r record) {
		mu.Lock()
		defer mu.Unlock()
		r.Process = c.ID
		_ = out.Encode(r)
	}
	m := breaker.NewManager(c.Settings, breaker.WithListener(breaker.Listener{
		StateChange: func(_ *breaker.Breaker, t breaker.Transition) { say(record{Transition: &t}) },
	}))
	var client redis.UniversalClient = redis.NewClient(&redis.Options{Addr: c.Redis})
	switch {
	case len(c.Sentinels) > 0:
		client = redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "fleet", SentinelAddrs: c.Sentinels})
	case len(c.Cluster) > 0:
		client = redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Cluster})
	}
	plane := ops.New(m, ops.Options{Service: "test"})
	go func() {
		for e, err := range plane.Events(context.Background(), "") {
			if err == nil && e.Kind == ops.EventOrder {
				say(record{Order: e.Order.Reason})
			}
		}
	}()
	if !c.NoFleet {
		f, err := fleet.Join(context.Background(), m, fleet.Options{
			Redis: client, Group: "test", Zone: c.Zone, Member: strconv.Itoa(c.ID), Key: []byte(c.Key), Plane: plane, Advise: c.Advise,
		})
		if err != nil {
			panic(err)
		}
		defer f.Close()
		go func() {
			for {
				s := f.State()
				say(record{State: &s})
				<-time.After(200 * time.Millisecond)
			}
		}()
	}
	go func() {
		b := m.Breaker("db")
		<-time.After(time.Duration(c.ID) * c.Every / 8)
		for range time.Tick(c.Every) {
			go func() { _ = b.Do(context.Background(), c.call) }()
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func (c *processConfig) call(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Dependency+"/"+strconv.Itoa(c.ID), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

// processes are those of a fleet, and what they call.
type processes struct {
	t       *testing.T
	dep     *httptest.Server
	procs   []*running // by id
	configs []processConfig

	mu      sync.Mutex // guards the fields below
	fails   func(c processConfig) bool
	calls   []call // that reached what they call
	records []record
	last    map[int]fleet.State
	open    map[int]breaker.State
	seen    map[int]time.Time // when it was in last
	both    time.Time         // since when two say that they are the coordinator
	given   int               // orders
	killed  int               // processes
	wrong   []string          // what was seen that must not be
}

// call is one that reached what the processes call.
type call struct {
	process int
	at      time.Time
	failed  bool
}

// running is a process as its test sees it.
type running struct {
	cmd  *exec.Cmd
	in   io.Closer
	read chan struct{} // closed when all that it said is read
}

// end lets it leave, or kills it if it does not.
func (r *running) end() {
	r.in.Close()
	timer := time.AfterFunc(10*time.Second, func() { _ = r.cmd.Process.Kill() })
	<-r.read
	_ = r.cmd.Wait()
	timer.Stop()
}

func (p *processes) signal(i int, name string) {
	p.t.Helper()
	if out, err := exec.Command("kill", "-s", name, strconv.Itoa(p.procs[i].cmd.Process.Pid)).CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %s", err, out)
	}
	if name == "KILL" {
		p.killed++
	}
}

// replace ends process i, as a deploy does, and starts another build in its place.
func (p *processes) replace(i int, binary string) {
	p.t.Helper()
	p.procs[i].end()
	p.mu.Lock()
	delete(p.last, i)
	delete(p.open, i)
	c := &p.configs[i]
	c.Binary = binary
	p.mu.Unlock()
	p.run(*c)
}

func startProcesses(t *testing.T, n int, base processConfig, zones ...string) *processes {
	p := &processes{t: t, last: map[int]fleet.State{}, seen: map[int]time.Time{}, open: map[int]breaker.State{}, fails: func(processConfig) bool { return false }}
	p.dep = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil || id >= n {
			http.NotFound(w, r)
			return
		}
		p.mu.Lock()
		bad := p.fails(p.configs[id])
		p.calls = append(p.calls, call{id, time.Now(), bad})
		p.mu.Unlock()
		if bad {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(p.dep.Close)
	base.Dependency = p.dep.URL
	for i := range n {
		c := base
		c.ID = i
		if len(zones) > 0 {
			c.Zone = zones[i%len(zones)]
		}
		p.configs = append(p.configs, c)
	}
	p.procs = make([]*running, n)
	for _, c := range p.configs {
		p.run(c)
	}
	t.Cleanup(func() {
		for _, r := range p.procs {
			if r != nil {
				r.end()
			}
		}
	})
	return p
}

func (p *processes) run(c processConfig) {
	p.t.Helper()
	self := c.Binary
	if self == "" {
		var err error
		if self, err = os.Executable(); err != nil {
			p.t.Fatal(err)
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), processEnv+"="+string(text), "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	r := &running{cmd, in, make(chan struct{})}
	p.procs[c.ID] = r
	go func() {
		defer close(r.read)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var r record
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				continue // cut off by a kill
			}
			p.take(r)
		}
	}()
}
