package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A fault is the error of a guarded function that is scripted to fail. It has
// its own type so that comparing with it costs one word.
type fault struct{}

func (fault) Error() string { return "fault" }

var errFault error = fault{}

// work is the guarded function of one worker, and the number of calls that
// really ran. Every case calls it, including the bare call, so that its cost
// is on both sides of each ratio. It is alone on its cache lines.
type work struct {
	_      [128]byte
	ran    int           // calls that ran
	failAt int           // the number of the next call that fails; past ones: never
	faults int           // calls that failed
	every  int           // how far apart those are
	waited time.Duration // time that the loop spent on waiting, which is not counted
	_      [128]byte
}

// newWork returns work of which every n-th call fails, the first after phase
// calls; every 0: no call fails.
func newWork(every, phase int) *work {
	w := &work{every: every}
	if every > 0 {
		w.failAt = 1 + phase%every
	}
	return w
}

func (w *work) do() error {
	w.ran++
	if w.ran == w.failAt {
		w.failAt += w.every
		w.faults++
		return errFault
	}
	return nil
}

// failNext makes the next call fail.
func (w *work) failNext() { w.failAt = w.ran + 1 }

// The shapes in which the libraries expect their functions. They are made here
// so that no library pays for a wrapper around the wrapper.

func (w *work) plain() func() error { return func() error { return w.do() } }

func (w *work) value() func() (int, error) { return func() (int, error) { return 1, w.do() } }

func (w *work) ctx() func(context.Context) error {
	return func(context.Context) error { return w.do() }
}

func (w *work) ctxValue() func(context.Context) (int, error) {
	return func(context.Context) (int, error) { return 1, w.do() }
}

// A loop runs n operations on one goroutine and returns how many errors were
// returned. It contains the whole measured body: no call through an interface
// lies between the clock and the library.
type loop func(n int) (errs int)

// A maker makes the loop of one worker over something that all workers share.
type maker func(*work) loop

// A Case is one row of the table.
type Case struct {
	Group string // the workload
	Who   string // the library, or what limits all of them
	How   string // by which of its ways, under which rule
	Procs int    // workers, under as many procs; 0: the measuring goroutine alone

	Every int                // every n-th call fails; 0: none
	Phase int                // calls before the first failure
	Warm  int                // operations before anything is measured
	Per   int                // what an operation is divided by; 0 means 1
	Check func(*tally) error // whether the work was done; nil: nothing to count
	Build func() maker       // makes what the workers share
	Max   int                // most operations in one batch; 0: no limit
	note  string             // what a reader should know
	run   *runner            // while it is measured
}

// ID names the row in targets and bounds.
func (c *Case) ID() string {
	id := c.Group + "/" + c.Who
	if c.How != "" {
		id += "/" + c.How
	}
	if c.Procs > 0 {
		id += fmt.Sprintf("@%d", c.Procs)
	}
	return id
}

// A tally is what one batch did.
type tally struct {
	took, cpu         time.Duration // by the clock, and of the processors'
	ops               int           // operations asked for
	ran, faults, errs int           // guarded calls that ran, that failed, errors that came back
	waited            time.Duration // taken out of took
}

// allRan requires every operation to run its call and none to be rejected.
func allRan(t *tally) error {
	if t.ran != t.ops || t.errs != t.faults {
		return fmt.Errorf("%d operations ran %d calls, of which %d failed, and %d errors came back", t.ops, t.ran, t.faults, t.errs)
	}
	return nil
}

// someFail requires what allRan does, and one call of every n to have failed.
func someFail(n int) func(*tally) error {
	return func(t *tally) error {
		if want := t.ops / n; t.faults < want/2-10 || t.faults > 2*want+10 {
			return fmt.Errorf("%d of %d calls failed, want about one in %d", t.faults, t.ops, n)
		}
		return allRan(t)
	}
}

// mostRejected requires at least that share of the operations to be rejected.
func mostRejected(share float64) func(*tally) error {
	return func(t *tally) error {
		if rejected := t.ops - t.ran; float64(rejected) < share*float64(t.ops) || t.errs != t.ops {
			return fmt.Errorf("%d operations were rejected %d times, and %d errors came back", t.ops, rejected, t.errs)
		}
		return nil
	}
}

// fullCycles requires one failure and one success of each operation.
func fullCycles(t *tally) error {
	if t.ran != 2*t.ops || t.faults != t.ops {
		return fmt.Errorf("%d cycles ran %d calls, of which %d failed", t.ops, t.ran, t.faults)
	}
	return nil
}

// A runner holds what a case measures with: its workers and their loops.
type runner struct {
	works []*work
	loops []loop
	batch int // operations in one batch
}

func newRunner(c *Case) *runner {
	r := &runner{batch: 1}
	mk := c.Build()
	for i := range max(1, c.Procs) {
		w := newWork(c.Every, c.Phase+7*i)
		r.works = append(r.works, w)
		r.loops = append(r.loops, mk(w))
	}
	return r
}

// A moment is read from the clock, and from the processors' account.
type moment struct {
	clock time.Time
	cpu   time.Duration
}

func now() moment {
	cpu := cpuTime()
	return moment{time.Now(), cpu}
}

// measure runs n operations and returns what they did. The caller has set
// GOMAXPROCS.
func (r *runner) measure(n int, parallel bool) tally {
	before := r.counts()
	t := tally{ops: n}
	began := now()
	if parallel {
		t.errs, began = r.parallel(n)
	} else {
		t.errs = r.loops[0](n)
	}
	t.took, t.cpu = time.Since(began.clock), cpuTime()-began.cpu
	after := r.counts()
	t.ran, t.faults = after.ran-before.ran, after.faults-before.faults
	t.waited = after.waited - before.waited
	t.took -= t.waited
	return t
}

func (r *runner) counts() (t tally) {
	for _, w := range r.works {
		t.ran += w.ran
		t.faults += w.faults
		t.waited += w.waited
	}
	return t
}

// parallel divides n operations into chunks, so that no worker waits for one
// that the system delayed. It returns how many errors were returned, and when
// the work began.
func (r *runner) parallel(n int) (int, moment) {
	chunk := max(1, n/(16*len(r.loops)))
	var left, errs, ready atomic.Int64
	left.Store(int64(n))
	var began moment
	gate := make(chan struct{})
	var wg sync.WaitGroup
	for _, l := range r.loops {
		wg.Go(func() {
			r.gather(&ready, func() { began = now(); close(gate) })
			<-gate
			for {
				rest := left.Add(int64(-chunk)) + int64(chunk)
				if rest <= 0 {
					return
				}
				errs.Add(int64(l(int(min(rest, int64(chunk))))))
			}
		})
	}
	wg.Wait()
	return int(errs.Load()), began
}

// gather holds a worker until all of them run, each on a separate processor if
// there are enough: the system wakes a thread next to the one that woke it,
// and takes milliseconds to find an idle processor. The last to come calls
// begin.
func (r *runner) gather(ready *atomic.Int64, begin func()) {
	all := int64(len(r.loops))
	if ready.Add(1) == all {
		begin()
		return
	}
	if len(r.loops) <= runtime.NumCPU() {
		for ready.Load() < all { // keeping the processor busy is the point
		}
	}
}

// A Row is what was measured of a case.
type Row struct {
	*Case
	Samples []float64 // ns per operation (or Unit), one per round
	Unit    string    // "" means ns
	Allocs  float64   // per operation; -1: not measured
	Bytes   float64   // allocated per operation
	Calls   int       // guarded calls that ran in all the rounds
	Shares  []float64 // of the processors asked for that the process had, one per round
	Err     error     // the case did not do its work
}

// starved reports whether most rounds did not get the processors they asked
// for, so that r says nothing about how it scales.
func (r *Row) starved() bool { return r.Procs > 1 && median(r.Shares) < 0.9 }

// Median is the middle of the samples.
func (r *Row) Median() float64 { return median(r.Samples) }

// Spread is half the distance of the quartiles, as a share of the median.
func (r *Row) Spread() float64 {
	return (quantile(r.Samples, 0.75) - quantile(r.Samples, 0.25)) / 2 / r.Median()
}

func median(xs []float64) float64 { return quantile(xs, 0.5) }

func quantile(xs []float64, q float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(xs))
	at := q * float64(len(s)-1)
	i := int(at)
	if i+1 == len(s) {
		return s[i]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}

// ratio returns the median of the ratios of a and b in each round, which
// removes drift between rounds.
func ratio(a, b *Row) float64 {
	var rs []float64
	for i := range min(len(a.Samples), len(b.Samples)) {
		rs = append(rs, a.Samples[i]/b.Samples[i])
	}
	return median(rs)
}

// Effort says how long to measure.
type Effort struct {
	Rounds int
	Batch  time.Duration // of one case in one round
}

// measureAll measures the cases side by side: every round runs each of them
// for a short while, in a new order, so that drift of the machine favours no
// case. progress, if not nil, receives each round.
func measureAll(cases []*Case, e Effort, progress func(round int)) []*Row {
	rows := make([]*Row, len(cases))
	for i, c := range cases {
		rows[i] = &Row{Case: c, Allocs: -1}
		rows[i].prepare(e.Batch)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	normal := runtime.GOMAXPROCS(0)
	for round := range e.Rounds {
		if progress != nil {
			progress(round)
		}
		runtime.GC() // no case pays for the garbage of others
		for _, procs := range procsOf(cases) {
			runtime.GOMAXPROCS(orElse(procs, normal))
			for _, i := range rand.Perm(len(rows)) {
				if rows[i].Procs == procs {
					rows[i].round()
				}
			}
		}
	}
	for _, r := range rows {
		r.run = nil // and with it what the case held
	}
	return rows
}

func orElse(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}

// procsOf lists the numbers of procs that the cases want, lowest first.
func procsOf(cases []*Case) []int {
	var ps []int
	for _, c := range cases {
		if !slices.Contains(ps, c.Procs) {
			ps = append(ps, c.Procs)
		}
	}
	slices.Sort(ps)
	return ps
}

// prepare builds the case, warms it up, finds how many operations fill a
// batch, and counts what they allocate.
func (r *Row) prepare(batch time.Duration) {
	c := r.Case
	c.run = newRunner(c)
	if c.Procs > 0 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(c.Procs))
	}
	c.run.measure(max(c.Warm, 100), false)
	limit := orElse(c.Max, 1<<30)
	for n := 100; ; n *= 2 {
		n = min(n, limit)
		t := c.run.measure(n, c.Procs > 0)
		if t.took > batch/4 || n == limit {
			c.run.batch = min(limit, max(1, int(float64(n)*float64(batch)/float64(t.took))))
			break
		}
	}
	if c.Procs == 0 {
		r.countAllocs(min(c.run.batch, 2000))
	}
}

// countAllocs runs n operations with nothing else on the machine's procs.
func (r *Row) countAllocs(n int) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r.Allocs = 1 << 30
	var before, after runtime.MemStats
	for range 5 { // the least of five: the runtime and a library's own goroutines allocate too
		runtime.ReadMemStats(&before)
		r.run.measure(n, false)
		runtime.ReadMemStats(&after)
		if allocs := float64(after.Mallocs-before.Mallocs) / float64(n); allocs < r.Allocs {
			r.Allocs, r.Bytes = allocs, float64(after.TotalAlloc-before.TotalAlloc)/float64(n)
		}
	}
}

// round takes one sample. On a machine that others also use, a batch that did
// not get its processors measures them: it is repeated, and the batch that got
// the most counts. That choice considers the processors, never the result.
func (r *Row) round() {
	var best tally
	most := -1.0
	for range 3 {
		t := r.run.measure(r.run.batch, r.Procs > 0)
		r.Calls += t.ran
		if r.Check != nil && r.Err == nil {
			r.Err = r.Check(&t)
		}
		got := t.cpu.Seconds() / t.took.Seconds() / float64(min(max(1, r.Procs), runtime.NumCPU()))
		if got > most {
			best, most = t, got
		}
		if most > 0.95 || t.waited > 0 {
			break
		}
	}
	r.Shares = append(r.Shares, most)
	r.Samples = append(r.Samples, float64(best.took)/float64(best.ops)/float64(orElse(r.Per, 1)))
}
