package fleet_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
)

// TestLoad measures what members cost a real store: SWITCHGEAR_FLEET_LOAD=10,100,1000
// go test -run TestLoad -v. All members are in this process, and share its
// processors with the server. Without the variable it checks ten members.
func TestLoad(t *testing.T) {
	sizes, measured := os.Getenv("SWITCHGEAR_FLEET_LOAD"), true
	if sizes == "" {
		long(t)
		t.Parallel()
		sizes, measured = "10", false
	}
	for _, text := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(text, func(t *testing.T) {
			l := newLoad(t, n)
			l.measure("quiet, no calls", measured)
			l.traffic.Store(true)
			<-time.After(3 * time.Second)
			perMember := l.measure("quiet, 20 breakers with calls", measured)
			if perMember > 2.5+10/float64(n) {
				t.Errorf("%.1f commands a second and member, want about 2, and 10 of the coordinator", perMember)
			}
			l.failing.Store(true)
			l.verdict()
			l.measure("one of 20 dependencies down", measured)
			l.failing.Store(false)
			l.lose()
		})
	}
}

// load is many members in one process.
type load struct {
	t       *testing.T
	n       int
	s       *server
	fleets  []*fleet.Fleet
	traffic atomic.Bool
	failing atomic.Bool

	mu     sync.Mutex // guards the field below
	opened []time.Time
}

func newLoad(t *testing.T, n int) *load {
	l := &load{t: t, n: n, s: startServer(t)}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		done.Wait()
		var closing sync.WaitGroup
		for _, f := range l.fleets {
			closing.Go(func() { f.Close() })
		}
		closing.Wait()
	})
	client := l.s.client()
	t.Cleanup(func() { client.Close() })
	for i := range n {
		m := breaker.NewManager(breaker.Settings{ResetTimeout: 10 * time.Second}, breaker.WithListener(breaker.Listener{
			StateChange: func(_ *breaker.Breaker, t breaker.Transition) {
				if t.Cause == breaker.CauseFleet {
					l.mu.Lock()
					defer l.mu.Unlock()
					l.opened = append(l.opened, time.Now())
				}
			},
		}))
		var all []*breaker.Breaker
		for b := range 20 {
			all = append(all, m.Breaker(fmt.Sprintf("dependency-%d", b)))
		}
		f, err := fleet.Join(ctx, m, fleet.Options{Redis: client, Group: "load", Zone: string(rune('a' + i%3)), Member: fmt.Sprintf("pod-%d/1", i)})
		if err != nil {
			t.Fatal(err)
		}
		l.fleets = append(l.fleets, f)
		done.Go(func() { l.calls(ctx, all) })
	}
	wait(t, "all have joined", func() bool { return l.joined() == n })
	<-time.After(3 * time.Second)
	return l
}

func (l *load) joined() (n int) {
	for _, f := range l.fleets {
		if s := f.State(); !s.Alone && s.Members == l.n {
			n++
		}
	}
	return n
}

// calls makes one of each breaker every five seconds, in turn.
func (l *load) calls(ctx context.Context, all []*breaker.Breaker) {
	for i := rand.IntN(len(all)); ; i++ {
		rest := time.NewTimer(250 * time.Millisecond)
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return
		}
		if !l.traffic.Load() {
			continue
		}
		at := i % len(all)
		_ = all[at].Do(ctx, func(context.Context) error {
			if at == 0 && l.failing.Load() {
				return errDown
			}
			return nil
		})
	}
}

// measure takes what the server counts over some seconds.
func (l *load) measure(what string, long bool) (commandsPerMember float64) {
	l.t.Helper()
	d := 2 * time.Second
	if long {
		d = 70 * time.Second // what is done once a minute included
	}
	a := l.info()
	began := time.Now()
	<-time.After(d)
	b := l.info()
	took := time.Since(began).Seconds()
	per := func(key string) float64 { return (b[key] - a[key]) / took }
	commands := per("total_commands_processed")
	l.t.Logf("%d members, %s: %.0f commands/s, in %.0f KB/s, out %.0f KB/s, CPU %.1f %% of a core", l.n, what, commands,
		per("total_net_input_bytes")/1024, per("total_net_output_bytes")/1024, 100*(per("used_cpu_sys")+per("used_cpu_user")))
	var kinds []string
	for key := range b {
		if name, ok := strings.CutPrefix(key, "cmdstat_"); ok && b[key] > a[key] {
			kinds = append(kinds, fmt.Sprintf("%s %.1f", name, per(key)))
		}
	}
	slices.Sort(kinds)
	l.t.Logf("a second: %s", strings.Join(kinds, ", "))
	return commands / float64(l.n)
}

func (l *load) info() map[string]float64 {
	l.t.Helper()
	c := l.s.client()
	defer c.Close()
	text, err := c.Info(context.Background(), "stats", "cpu", "commandstats").Result()
	if err != nil {
		l.t.Fatal(err)
	}
	out := map[string]float64{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			value, _, _ = strings.Cut(strings.TrimPrefix(value, "calls="), ",") // of a command: how often
			if x, err := strconv.ParseFloat(value, 64); err == nil {
				out[key] = x
			}
		}
	}
	return out
}

// verdict waits until nine tenths have opened by it.
func (l *load) verdict() {
	l.t.Helper()
	began := time.Now()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.opened)
	}
	most := l.n * 9 / 10
	ctx, cancel := context.WithTimeout(l.t.Context(), 3*slack)
	defer cancel()
	for count() < most && ctx.Err() == nil {
		<-time.After(10 * time.Millisecond)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.opened) == 0 {
		l.t.Error("no verdict")
		return
	}
	slices.SortFunc(l.opened, time.Time.Compare)
	first := l.opened[0]
	l.t.Logf("%d members: the first opened by the verdict after %s; then the median after %s, nine tenths after %s, the last of %d after %s", l.n, first.Sub(began),
		l.opened[len(l.opened)/2].Sub(first), l.opened[len(l.opened)*9/10].Sub(first), len(l.opened), l.opened[len(l.opened)-1].Sub(first))
}

// lose kills the store, and measures the way back.
func (l *load) lose() {
	l.t.Helper()
	l.s.kill()
	<-time.After(5 * time.Second)
	beats := make([]uint64, l.n)
	for i, f := range l.fleets {
		beats[i] = f.State().Beats
	}
	l.s.start()
	began := time.Now()
	var half, nine time.Duration
	ctx, cancel := context.WithTimeout(l.t.Context(), 3*slack)
	defer cancel()
	for nine == 0 && ctx.Err() == nil {
		back := 0
		for i, f := range l.fleets {
			if f.State().Beats > beats[i] {
				back++
			}
		}
		if half == 0 && back >= l.n/2 {
			half = time.Since(began)
		}
		if back >= l.n*9/10 {
			nine = time.Since(began)
		}
		<-time.After(10 * time.Millisecond)
	}
	if nine == 0 {
		l.t.Error("they do not come back")
		return
	}
	wait(l.t, "all are together", func() bool { return l.joined() == l.n })
	l.t.Logf("%d members: after a loss of 5s half have beaten after %s, nine tenths after %s, all hear a coordinator that counts them after %s, with %.1f connections made by each",
		l.n, half, nine, time.Since(began), l.info()["total_connections_received"]/float64(l.n))
}
