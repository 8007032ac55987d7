package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
)

// The simulation decided how often a fleet probes, and how many probes must pass.
// TestTable checks the rows that matter with margins; SWITCHGEAR_FLEET_TABLE=100
// prints the whole table of docs/fleet.md, for so many processes.

var errDown = errors.New("connection refused")

// play is one scenario.
type play struct {
	name  string
	rate  float64 // calls a second of each process
	takes time.Duration
	fails func(t time.Duration, id, zone int, r *rand.Rand) bool // during the outage
	bad   func(id, zone int) bool                                // is it right for this process to open
	store func(t time.Duration) bool                             // does the store answer; nil: always
}

const (
	outageAt  = 30 * time.Second
	playEnd   = 160 * time.Second
	quickTime = 20 * time.Millisecond
	runs      = 3 // of which the median counts
	tableRuns = 9 // the same for the table
)

func everyone(int, int) bool { return true }
func noOne(int, int) bool    { return false }

func share(x float64) func(time.Duration, int, int, *rand.Rand) bool {
	return func(_ time.Duration, _, _ int, r *rand.Rand) bool { return r.Float64() < x }
}

func where(is func(id, zone int) bool) func(time.Duration, int, int, *rand.Rand) bool {
	return func(_ time.Duration, id, zone int, _ *rand.Rand) bool { return is(id, zone) }
}

var plays = []play{
	{"outage, 10/s", 10, quickTime, share(1), everyone, nil},
	{"outage, hangs 1 s, 10/s", 10, time.Second, share(1), everyone, nil},
	{"outage, 0.2/s", 0.2, quickTime, share(1), everyone, nil},
	{"70 % errors, 10/s", 10, quickTime, share(0.7), everyone, nil},
	{"70 % errors, 0.2/s", 0.2, quickTime, share(0.7), everyone, nil},
	{"30 % errors, 10/s: none should open", 10, quickTime, share(0.3), noOne, nil},
	{"30 % errors, 0.2/s: none should open", 0.2, quickTime, share(0.3), noOne, nil},
	{"one bad node, 10/s", 10, quickTime, where(node0), node0, nil},
	{"one bad zone of 3, 10/s", 10, quickTime, where(zone0), zone0, nil},
	{"one bad zone of 3, 0.2/s", 0.2, quickTime, where(zone0), zone0, nil},
	{"two bad zones of 3, 10/s", 10, quickTime, where(zones01), zones01, nil},
	{"flaps 5 s / 5 s, 10/s", 10, quickTime, func(t time.Duration, _, _ int, _ *rand.Rand) bool { return t%(10*time.Second) < 5*time.Second }, everyone, nil},
	{"outage, store down throughout, 10/s", 10, quickTime, share(1), everyone, func(time.Duration) bool { return false }},
	{"outage, store dies 5 s into it, 10/s", 10, quickTime, share(1), everyone, func(t time.Duration) bool { return t < outageAt+5*time.Second }},
}

func node0(id, _ int) bool     { return id == 0 }
func zone0(_, zone int) bool   { return zone == 0 }
func zones01(_, zone int) bool { return zone < 2 }

// figures are what a run comes to.
type figures struct {
	protect float64 // seconds until nine tenths of those concerned are open; NaN: never
	wasted  float64 // failing calls that ran in the outage
	probes  float64 // those a second after it was protected
	falsely float64 // openings without cause
	lost    float64 // % of good calls turned away
	after   float64 // seconds of traffic turned away after the end
}

// run is one process's world.
type playRun struct {
	play
	n       int
	ends    time.Duration // of the outage
	began   time.Time
	mu      sync.Mutex // guards the fields below
	r       *rand.Rand
	f       figures
	good    float64
	turned  float64
	late    float64
	inWaste float64
}

// perform runs a scenario with n processes. every is ProbeEvery; below 0 there
// is no fleet.
func (s play) perform(t *testing.T, n int, every time.Duration, seed uint64) (out figures) {
	synctest.Test(t, func(t *testing.T) {
		p := &playRun{play: s, n: n, r: rand.New(rand.NewPCG(seed, 7)), began: time.Now()}
		p.ends = 85*time.Second + time.Duration(p.r.Float64()*10*float64(time.Second))
		p.f.protect = math.NaN()
		store := fleettest.NewStore()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var all []*breaker.Breaker
		var fleets []*fleet.Fleet
		var done sync.WaitGroup
		for id := range n {
			zone := id % 3
			m := breaker.NewManager(breaker.Settings{FailMax: 5, ResetTimeout: 10 * time.Second}, breaker.WithListener(breaker.Listener{
				StateChange: func(_ *breaker.Breaker, t breaker.Transition) { p.moved(id, zone, &t) },
			}))
			b := m.Breaker("db")
			all = append(all, b)
			if every >= 0 {
				f, err := fleet.Join(ctx, m, fleet.Options{Store: store, Group: "g", Zone: string(rune('a' + zone)), Member: fmt.Sprint(id), ProbeEvery: every})
				if err != nil {
					t.Error(err)
					return
				}
				fleets = append(fleets, f)
			}
			done.Go(func() { p.calls(ctx, b, id, zone, seed) })
		}
		p.watch(all, store)
		cancel()
		done.Wait()
		for _, f := range fleets {
			f.Close()
		}
		out = p.f
		out.probes = p.inWaste / math.Max(1, (p.ends-outageAt).Seconds()-p.f.protect)
		out.lost = 100 * p.turned / math.Max(1, p.good)
		out.after = p.late / (float64(n) * s.rate)
	})
	return out
}

func (p *playRun) now() time.Duration { return time.Since(p.began) }

func (p *playRun) moved(id, zone int, t *breaker.Transition) {
	if t.From != breaker.Closed {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); now < outageAt || now > p.ends || !p.bad(id, zone) {
		p.f.falsely++
	}
}

func (p *playRun) calls(ctx context.Context, b *breaker.Breaker, id, zone int, seed uint64) {
	r := rand.New(rand.NewPCG(seed, uint64(id)+1000))
	var done sync.WaitGroup
	defer done.Wait()
	for {
		timer := time.NewTimer(time.Duration(r.ExpFloat64() / p.rate * float64(time.Second)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		done.Go(func() { p.call(ctx, b, id, zone) })
	}
}

func (p *playRun) call(ctx context.Context, b *breaker.Breaker, id, zone int) {
	now := p.now()
	during := now >= outageAt && now < p.ends
	p.mu.Lock()
	fails := during && p.fails(now-outageAt, id, zone, p.r)
	if !fails {
		p.good++
	}
	p.mu.Unlock()
	ran := false
	_ = b.Do(context.Background(), func(context.Context) error {
		ran = true
		wait := quickTime
		if fails {
			wait = p.takes
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		if fails {
			return errDown
		}
		return nil
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case ran && fails:
		p.f.wasted++
		if !math.IsNaN(p.f.protect) {
			p.inWaste++
		}
	case !ran && !fails:
		p.turned++
		if now >= p.ends {
			p.late++
		}
	}
}

// watch looks twenty times a second, and breaks the store.
func (p *playRun) watch(all []*breaker.Breaker, store *fleettest.Store) {
	up := true
	for p.now() < playEnd {
		if p.store != nil && p.store(p.now()) != up {
			up = !up
			store.Down(!up)
		}
		concerned, open := 0, 0
		for id, b := range all {
			if p.bad(id, id%3) {
				concerned++
				if b.State() != breaker.Closed {
					open++
				}
			}
		}
		p.mu.Lock()
		if now := p.now(); concerned > 0 && now > outageAt && now < p.ends && math.IsNaN(p.f.protect) && float64(open) >= 0.9*float64(concerned) {
			p.f.protect = (now - outageAt).Seconds()
		}
		p.mu.Unlock()
		time.Sleep(50 * time.Millisecond)
	}
}

// median runs a scenario several times.
func (s play) median(t *testing.T, n int, every time.Duration, runs int) figures {
	var all []figures
	for seed := range runs {
		all = append(all, s.perform(t, n, every, uint64(seed+1)))
	}
	mid := func(f func(*figures) float64) float64 {
		var xs []float64
		for i := range all {
			x := f(&all[i])
			if math.IsNaN(x) {
				x = math.Inf(1)
			}
			xs = append(xs, x)
		}
		slices.Sort(xs)
		return xs[len(xs)/2]
	}
	return figures{
		mid(func(f *figures) float64 { return f.protect }), mid(func(f *figures) float64 { return f.wasted }),
		mid(func(f *figures) float64 { return f.probes }), mid(func(f *figures) float64 { return f.falsely }),
		mid(func(f *figures) float64 { return f.lost }), mid(func(f *figures) float64 { return f.after }),
	}
}

// TestTable checks the rows that the defaults rest on. The bounds are half as
// much again as the table has, or more. How goroutines are scheduled makes runs differ.
func TestTable(t *testing.T) {
	if text := os.Getenv(rowEnv); text != "" {
		performRow(t, text)
		return
	}
	if sizes := os.Getenv("SWITCHGEAR_FLEET_TABLE"); sizes != "" {
		printTable(t, sizes)
		return
	}
	if testing.Short() {
		t.Skip("slow")
	}
	for _, c := range []struct {
		play  string
		n     int
		every time.Duration
		ok    func(f figures) bool
		want  string
	}{
		{"outage, 10/s", 30, 0, func(f figures) bool { return f.protect < 2 && f.probes < 2 && f.after < 3 }, "protected in 2 s, 2 probes a second, 3 s lost after"},
		{"outage, 0.2/s", 30, 0, func(f figures) bool { return f.protect < 8 && f.probes < 1 }, "protected in 8 s"},
		{"outage, 0.2/s", 30, -1, func(f figures) bool { return f.protect > 20 }, "alone not before 20 s: else a fleet is for nothing"},
		{"30 % errors, 0.2/s: none should open", 30, 0, func(f figures) bool { return f.falsely <= 5 }, "at most 5 false openings"},
		{"70 % errors, 10/s", 100, 0, func(f figures) bool { return f.protect < 5 && f.probes < 22 && f.after < 3 }, "protected in 5 s, 22 failing calls a second, 3 s lost after"},
		{"70 % errors, 10/s", 100, -1, func(f figures) bool { return f.probes > 28 }, "alone 28 failing calls a second and more: else a fleet is for nothing"},
		{"70 % errors, 0.2/s", 100, 0, func(f figures) bool { return f.protect < 8 && f.probes < 2.5 }, "protected in 8 s, 2.5 failing calls a second of 14"},
		{"one bad node, 10/s", 30, 0, func(f figures) bool { return f.falsely == 0 }, "no one else opens"},
		{"one bad zone of 3, 0.2/s", 30, 0, func(f figures) bool { return f.protect < 12 && f.falsely == 0 }, "protected in 12 s, no one else opens"},
		{"two bad zones of 3, 10/s", 30, 0, func(f figures) bool { return f.falsely == 0 }, "the third stays closed"},
		{"outage, store down throughout, 10/s", 30, 0, func(f figures) bool { return f.protect < 3 && f.after < 6 }, "as without a fleet"},
	} {
		i := slices.IndexFunc(plays, func(s play) bool { return s.name == c.play })
		f := plays[i].median(t, c.n, c.every, runs)
		t.Logf("%s: %+v", c.play, f)
		if !c.ok(f) {
			t.Errorf("%s: %+v, want %s", c.play, f, c.want)
		}
	}
}

// printTable prints the table of docs/fleet.md. Each row is performed by a
// process of its own, and as many rows are under way as there are processors: one
// bubble keeps little more than one of them busy.
func printTable(t *testing.T, sizes string) {
	once, twice := build(t, 1), build(t, 2)
	places := make(chan struct{}, runtime.GOMAXPROCS(0))
	for text := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("SWITCHGEAR_FLEET_TABLE is %q, want numbers of processes, such as 10,100", sizes)
		}
		var lines []chan string
		begin := func(binary string, r row, how string) {
			line := make(chan string, 1)
			lines = append(lines, line)
			go func() {
				places <- struct{}{}
				defer func() { <-places }()
				f, err := r.performBy(t.Context(), binary)
				if err != nil {
					t.Error(err)
				}
				line <- r.text(how, f)
			}()
		}
		for _, s := range plays {
			for _, every := range s.intervals() {
				begin(once, row{s.name, n, every}, "")
				if every == 2*time.Second && len(s.intervals()) > 2 {
					begin(twice, row{s.name, n, every}, ", two must pass")
				}
			}
		}
		fmt.Printf("\n%d processes, 5 failures in a row, reset timeout 10 s, outage of 55 to 65 s, medians of %d runs\n\n", n, tableRuns)
		fmt.Println("| | probes | protected after | failing calls that ran | probes/s | opened without cause | good calls lost | after |\n|---|---|---|---|---|---|---|---|")
		for _, line := range lines {
			fmt.Println(<-line)
		}
	}
}

// intervals are those that a play is performed with: none, and where it matters
// several.
func (s play) intervals() []time.Duration {
	few := []time.Duration{-1, 2 * time.Second}
	if strings.Contains(s.name, "none should open") || strings.Contains(s.name, "one bad node") || s.store != nil {
		return few
	}
	return []time.Duration{-1, 10 * time.Second, 5 * time.Second, 2 * time.Second, time.Second}
}

// rowEnv has a build of this test perform one row, and print its figures.
const rowEnv = "SWITCHGEAR_FLEET_ROW"

// row is what such a build is told.
type row struct {
	Play  string
	N     int
	Every time.Duration
}

// text is the row's line in the table.
func (r row) text(how string, f figures) string {
	how = "every " + strings.Replace(r.Every.String(), "s", " s", 1) + how
	if r.Every < 0 {
		how = "no fleet"
	}
	protect, probes := fmt.Sprintf("%.2f s", f.protect), fmt.Sprintf("%.2f", f.probes)
	if math.IsInf(f.protect, 1) {
		protect, probes = "never", "-"
	}
	return fmt.Sprintf("| %s | %s | %s | %.0f | %s | %.0f | %.2f %% | %.2f s |", r.Play, how, protect, f.wasted, probes, f.falsely, f.lost, f.after)
}

func performRow(t *testing.T, text string) {
	var r row
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(plays, func(s play) bool { return s.name == r.Play })
	f := plays[i].median(t, r.N, r.Every, tableRuns)
	fmt.Printf("figures %g %g %g %g %g %g\n", f.protect, f.wasted, f.probes, f.falsely, f.lost, f.after)
}

// performBy runs the row in a process of its own.
func (r row) performBy(ctx context.Context, binary string) (f figures, err error) {
	text, _ := json.Marshal(r)
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^TestTable$", "-test.timeout", "0")
	cmd.Env = append(os.Environ(), rowEnv+"="+string(text))
	out, err := cmd.CombinedOutput()
	_, line, ok := strings.Cut(string(out), "figures ")
	if !ok || err != nil {
		return f, fmt.Errorf("%s: %w\n%s", r.Play, err, out)
	}
	_, err = fmt.Sscan(line, &f.protect, &f.wasted, &f.probes, &f.falsely, &f.lost, &f.after)
	return f, err
}

// build builds this test with a fleet in which so many probes must pass. Fleets
// have no such option, because one is enough.
func build(t *testing.T, threshold int) (binary string) {
	t.Helper()
	dir := t.TempDir()
	module, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/switchgear-go/switchgear/fleet").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(module)), "internal", "verdict", "evidence.go")
	text, err := os.ReadFile(source)
	if err != nil || strings.Count(string(text), "Threshold: 1,") != 1 {
		t.Fatalf("%s has not one threshold of 1: %v", source, err)
	}
	changed := filepath.Join(dir, "evidence.go")
	list, _ := json.Marshal(map[string]any{"Replace": map[string]string{source: changed}})
	overlay, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "table")
	for file, content := range map[string]string{changed: strings.Replace(string(text), "Threshold: 1,", fmt.Sprintf("Threshold: %d,", threshold), 1), overlay: string(list)} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}
