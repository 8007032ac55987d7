package fleet_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
)

// slack is for a machine that is shared: no bound here is near what is usual.
const slack = 15 * time.Second

var processSettings = breaker.Settings{FailMax: 5, ResetTimeout: 10 * time.Second}

// stressed says that there is time for the long runs.
var stressed = os.Getenv("SWITCHGEAR_STRESS") != ""

// startEight starts eight real processes in two zones. The invariants are checked
// at the end, on what they recorded.
func startEight(t *testing.T, redis string) *processes {
	t.Helper()
	p := startProcesses(t, 8, processConfig{Redis: redis, Every: time.Second, Settings: processSettings, Key: "0123456789abcdef"}, "a", "b")
	t.Cleanup(func() { p.t = t; p.check() })
	t.Logf("joined after %s", p.until(slack, "all have joined", p.together))
	<-time.After(3 * time.Second)
	return p
}

// What they call is down, for all of them or, with SWITCHGEAR_STRESS=60s, for some.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	p := startEight(t, startServer(t).addr)

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
		records, _ := p.since(began)
		for _, r := range records {
			if r.Process != 3 {
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
			if p.configs[r.Process].Zone != "b" {
				t.Errorf("F4: process %d of the good zone: %s", r.Process, r.Transition.Summary())
			}
		}
		p.behave(none)
		p.until(slack+10*time.Second, "all are closed", p.allClosed)
	})
}

// Their store is killed, or, with SWITCHGEAR_STRESS=60s, broken in every way.
func TestProcessesWithoutTheStore(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := startServer(t)
	way := newProxy(t, s.addr)
	p := startEight(t, way.addr())
	for _, fault := range []struct {
		name      string
		begin     func()
		end       func()
		staysOpen bool // it is no outage of the store: the fleet goes on
	}{
		{"stopped", s.pause, s.resume, false},
		{"killed", s.kill, s.start, false},
		{"partition", func() { way.swallow.Store(true) }, func() { way.swallow.Store(false) }, false},
		{"half-open", func() { way.half.Store(true) }, func() { way.half.Store(false) }, false},
		{"flushed", func() { flush(t, s) }, func() {}, true},
		{"full", func() { memory(t, s, "1", "noeviction") }, func() { memory(t, s, "0", "noeviction") }, false},
		{"evicting", func() { evict(t, s) }, func() {}, true},
		{"slow", func() { way.delay.Store(int64(50 * time.Millisecond)) }, func() { way.delay.Store(0) }, true},
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
				<-time.After(10 * time.Second)
				_, ran := p.since(began)
				t.Logf("%d calls reached the dependency in %s", ran, time.Since(began.at))
				if most := 8 * (2 + int(time.Since(began.at)/processSettings.ResetTimeout)); ran > most {
					t.Errorf("F6: %d calls reached the dependency, want at most %d as without a fleet", ran, most)
				}
			}
			p.behave(none)
			fault.end()
			t.Logf("together after %s", p.until(3*slack, "all are together again", p.together))
			t.Logf("recovered after another %s", p.until(2*slack, "all are closed", p.allClosed))
		})
	}
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
	Dependency string   // the URL of what its breaker guards
	Every      time.Duration
	Settings   breaker.Settings
	Key        string
	Binary     string `json:"-"` // what it runs; "": this binary
}

// record is one line that it says.
type record struct {
	Process    int                 `json:"process"`
	At         time.Time           `json:"-"` // when the test read it
	Transition *breaker.Transition `json:"transition,omitempty"`
	State      *fleet.State        `json:"state,omitempty"`
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
	if len(c.Sentinels) > 0 {
		client = redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "fleet", SentinelAddrs: c.Sentinels})
	}
	f, err := fleet.Join(context.Background(), m, fleet.Options{
		Redis: client, Group: "test", Zone: c.Zone, Member: strconv.Itoa(c.ID), Key: []byte(c.Key),
	})
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			s := f.State()
			say(record{State: &s})
			<-time.After(200 * time.Millisecond)
		}
	}()
	go func() {
		b := m.Breaker("db")
		<-time.After(time.Duration(c.ID) * c.Every / 8)
		for range time.Tick(c.Every) {
			go func() { _ = b.Do(context.Background(), c.call) }()
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = f.Close()
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
	ran     int
	records []record
	last    map[int]fleet.State
	open    map[int]breaker.State
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
	p := &processes{t: t, last: map[int]fleet.State{}, open: map[int]breaker.State{}, fails: func(processConfig) bool { return false }}
	p.dep = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil || id >= n {
			http.NotFound(w, r)
			return
		}
		p.mu.Lock()
		p.ran++
		bad := p.fails(p.configs[id])
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

func (p *processes) take(r record) {
	r.At = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.State != nil {
		p.last[r.Process] = *r.State
		return
	}
	p.open[r.Process] = r.Transition.To
	p.records = append(p.records, r)
}

// behave says whose calls fail from now on.
func (p *processes) behave(fails func(processConfig) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fails = fails
}

func all(processConfig) bool { return true }

func none(processConfig) bool { return false }

// mark is a point in what was recorded.
type mark struct {
	records, ran int
	at           time.Time
}

func (p *processes) mark() mark {
	p.mu.Lock()
	defer p.mu.Unlock()
	return mark{len(p.records), p.ran, time.Now()}
}

// since is what was recorded since.
func (p *processes) since(m mark) (records []record, ran int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.records[m.records:], p.ran - m.ran
}

// until waits, and returns how long that took.
func (p *processes) until(most time.Duration, what string, ok func() bool) time.Duration {
	p.t.Helper()
	began := time.Now()
	for {
		p.mu.Lock()
		done := ok()
		p.mu.Unlock()
		if done {
			return time.Since(began)
		}
		if time.Since(began) > most {
			p.mu.Lock()
			defer p.mu.Unlock()
			for i := range p.configs {
				p.t.Logf("process %d: %s, %+v", i, p.open[i], p.last[i])
			}
			p.t.Fatalf("after %s it is not so that %s", most, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// count is how many breakers are not closed. The lock is held.
func (p *processes) count() (open int) {
	for i := range p.configs {
		if p.open[i] != breaker.Closed {
			open++
		}
	}
	return open
}

func (p *processes) allOpen() bool { return p.count() == len(p.configs) }

func (p *processes) allClosed() bool { return p.count() == 0 }

// together reports whether all hear the coordinator, and count each other.
func (p *processes) together() bool {
	for i := range p.configs {
		s, ok := p.last[i]
		if !ok || s.Alone || s.Members != len(p.configs) || time.Duration(s.DigestAge) > 2*time.Second {
			return false
		}
	}
	return true
}

func (p *processes) allAlone() bool {
	for i := range p.configs {
		if !p.last[i].Alone {
			return false
		}
	}
	return true
}

// check checks the invariants on everything that was recorded.
func (p *processes) check() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.records {
		t := r.Transition
		switch {
		case t.Cause == breaker.CauseFleet && t.Peers.Against < 2:
			p.t.Errorf("F3: process %d opened by the evidence of %d", r.Process, t.Peers.Against)
		case t.Cause == breaker.CauseFleet && t.Peers.Own.Calls >= 10 && t.Peers.Own.Failures == 0:
			p.t.Errorf("F4: process %d opened against its own evidence: %s", r.Process, t.Summary())
		case t.To == breaker.Closed && t.Cause != breaker.CauseProbesPassed:
			p.t.Errorf("F5: process %d was closed by %s", r.Process, t.Cause)
		}
	}
}

func (p *processes) causes(m mark) map[string]int {
	out := map[string]int{}
	records, _ := p.since(m)
	for _, r := range records {
		out[fmt.Sprintf("%s %s", r.Transition.To, r.Transition.Cause)]++
	}
	return out
}
