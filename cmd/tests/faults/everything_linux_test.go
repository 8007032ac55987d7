package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

// world is everything in one process: breakers and keys with bad listeners,
// and every endpoint to operate them.
type world struct {
	t        *testing.T
	m        *breaker.Manager
	tenants  *breaker.Set[int]
	socket   *ops.Client
	web      *ops.Client
	pipe     fifo.Client
	shut     *breaker.Breaker // forced open all the while
	held     *breaker.Breaker // forced closed all the while
	over     func() bool
	steps    atomic.Int64
	did      atomic.Int64 // orders that were answered as done
	calls    atomic.Int64 // calls that ran
	rejected atomic.Int64
	pinned   sync.Map // tenants with settings of their own, which the set never forgets
}

var somewhere = []string{"a", "b", "c", "tenants/1", "tenants/2", "tenants/77", "nosuch"}

// A hundred goroutines do at random everything that is possible through every
// endpoint, with listeners that panic, exit, block and call back. What is
// forced open stays open, what is forced closed stays closed, every order that
// was answered is recorded, and in the end nothing is left: no goroutine, no
// memory. SWITCHGEAR_STRESS=60s makes it longer than 3 s, SWITCHGEAR_SEED
// repeats a run.
func TestRandomEverything(t *testing.T) {
	long(t)
	length, err := time.ParseDuration(env("SWITCHGEAR_STRESS", "3s"))
	must(t, err)
	seed, err := strconv.ParseUint(env("SWITCHGEAR_SEED", strconv.FormatUint(rand.Uint64(), 10)), 10, 64)
	must(t, err)
	t.Logf("SWITCHGEAR_SEED=%d", seed)
	goroutines, heap := runtime.NumGoroutine(), heapInUse()
	dir := shortTemp(t)
	func() {
		w, end := newWorld(t, dir, time.Now().Add(length))
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				for !w.over() {
					w.steps.Add(1)
					w.one(i, rng)
				}
			})
		}
		all.Wait()
		w.check()
		// An order whose listeners hang for half a second or more is answered
		// before it is recorded.
		eventually(t, "every answered order is on record", func() bool { return w.recorded(filepath.Join(dir, "audit")) >= w.did.Load() })
		end()
		t.Logf("%d steps, %d calls ran, %d were rejected, %d orders answered", w.steps.Load(), w.calls.Load(), w.rejected.Load(), w.did.Load())
		if n := w.recorded(filepath.Join(dir, "audit")); n != w.did.Load() {
			t.Errorf("%d orders are on record, %d were answered", n, w.did.Load())
		}
	}()
	eventually(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines })
	if now := heapInUse(); now > heap+8<<20 {
		t.Errorf("the heap holds %d KB, %d KB at the start", now>>10, heap>>10)
	}
}

func env(name, or string) string {
	if text := os.Getenv(name); text != "" {
		return text
	}
	return or
}

// heapInUse returns the bytes in use after two collections.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

func newWorld(t *testing.T, dir string, until time.Time) (w *world, end func()) {
	t.Helper()
	s := breaker.Settings{FailMax: 6, FailureRate: 0.7, WindowCalls: 40, Probes: 2, Ramp: time.Millisecond, ResetTimeout: 2 * time.Millisecond, ProbeTimeout: 2 * time.Millisecond}
	m := breaker.NewManager(s)
	tenants, err := breaker.CreateSet[int](m, "tenants", s, breaker.SetOptions{MaxKeys: 200, MaxEvidence: 100})
	must(t, err)
	w = &world{t: t, m: m, tenants: tenants, shut: m.Breaker("shut"), held: m.Breaker("held"), over: func() bool { return time.Now().After(until) }}
	w.shut.ForceOpen(breaker.Order{Actor: "test"})
	w.held.ForceClosed(breaker.Order{Actor: "test"})
	for _, id := range []string{"a", "b", "c"} {
		m.Breaker(id).AddListener(badListener())
	}
	tenants.AddListener(badListener())

	plane := ops.New(m, ops.Options{
		Audit: filepath.Join(dir, "audit"), RuntimeDir: dir,
		Authorize: func(*http.Request, *ops.Order) error { return nil },
	})
	socket, err := plane.Listen()
	must(t, err)
	web := httptest.NewServer(plane.Handler())
	w.pipe = fifo.Client{Input: dir + "/in", Output: dir + "/out", Patience: 20 * time.Second}
	pipe, err := fifo.Start(plane, fifo.Config{Input: w.pipe.Input, Output: w.pipe.Output})
	must(t, err)
	w.socket, err = ops.NewClient(socket.Path())
	must(t, err)
	w.web, err = ops.NewClient(web.URL)
	must(t, err)
	return w, func() {
		w.socket.Close()
		w.web.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		web.Close()
		for _, err := range []error{pipe.Close(), socket.Close(), plane.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// badListener panics, exits its goroutine, blocks for a while or calls back.
func badListener() breaker.Listener {
	var n atomic.Uint64
	bad := func(b *breaker.Breaker) {
		switch n.Add(1) % 512 {
		case 1:
			panic("bug in a listener")
		case 2:
			runtime.Goexit()
		case 3:
			<-time.After(time.Millisecond)
		case 4:
			_ = b.Status()
			_ = b.Do(context.Background(), func(context.Context) error { return nil })
		}
	}
	return breaker.Listener{
		BeforeCall:  func(_ context.Context, b *breaker.Breaker) { bad(b) },
		Success:     bad,
		Failure:     func(b *breaker.Breaker, _ error) { bad(b) },
		Rejected:    func(b *breaker.Breaker, _ error) { bad(b) },
		StateChange: func(b *breaker.Breaker, _ breaker.Transition) { bad(b) },
	}
}

// one does one thing. Most goroutines call, the others operate through one
// endpoint each.
func (w *world) one(i int, rng *rand.Rand) {
	switch {
	case i < 70:
		w.alone(func() { w.call(rng) })
		<-time.After(time.Duration(rng.IntN(2000)) * time.Microsecond) // leaves the operators a turn
	case i < 80:
		w.alone(func() { w.meddle(rng) })
	case i < 86:
		w.ask(w.socket, rng)
	case i < 90:
		w.ask(w.web, rng)
	case i < 94:
		w.read(w.socket, rng)
	default:
		w.write(rng)
	}
}

// alone runs f on another goroutine, which f may exit.
func (w *world) alone(f func()) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer func() { _ = recover() }()
		f()
	}()
	<-over
}

func (w *world) call(rng *rand.Rand) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	fn := func(context.Context) error {
		w.calls.Add(1)
		switch rng.IntN(8) {
		case 0, 1, 2:
			return errDown
		case 3:
			panic(errDown)
		case 4:
			runtime.Goexit()
		case 5:
			cancel()
			return context.Canceled
		}
		return nil
	}
	var err error
	switch n := rng.IntN(10); {
	case n == 0:
		if err = w.shut.Do(ctx, fn); !errors.Is(err, breaker.ErrOpen) {
			w.t.Errorf("a call of what is forced open: %v", err)
		}
	case n == 1:
		ran := false
		err = w.held.Do(ctx, func(context.Context) error { ran = true; return errDown })
		if !ran {
			w.t.Errorf("a call of what is forced closed: %v", err)
		}
	case n < 6:
		err = w.tenants.Do(ctx, rng.IntN(1000), fn)
	case n == 6: // and the permit is lost
		_, err = w.m.Breaker("a").Allow()
	default:
		err = w.m.Breaker(somewhere[rng.IntN(3)]).Do(ctx, fn)
	}
	if errors.Is(err, breaker.ErrOpen) {
		w.rejected.Add(1)
	}
}

func (w *world) meddle(rng *rand.Rand) {
	b := w.m.Breaker(somewhere[rng.IntN(3)])
	if rng.IntN(2) == 0 {
		b = w.tenants.Breaker(rng.IntN(1000))
	}
	switch rng.IntN(6) {
	case 0:
		s := b.Settings()
		s.FailMax, s.Probes = 1+rng.IntN(9), 1+rng.IntN(3)
		if err := b.Update(s); err != nil {
			w.t.Error(err)
		}
		if strings.HasPrefix(b.ID(), "tenants/") {
			w.pinned.Store(b.ID(), nil)
		}
	case 1:
		_ = w.m.Status()
	case 2:
		remove := b.AddListener(badListener())
		defer remove()
		b.HalfOpen(breaker.Order{})
	case 3:
		b.ForceOpen(breaker.Order{For: time.Millisecond})
	case 4:
		b.Release(breaker.Order{})
	case 5:
		_ = b.History()
	}
	runtime.Gosched()
}

// ask queries and gives orders through a client.
func (w *world) ask(c *ops.Client, rng *rand.Rand) {
	id, ctx := somewhere[rng.IntN(len(somewhere))], w.t.Context()
	var err error
	switch rng.IntN(8) {
	case 0:
		_, err = c.Overview(ctx)
	case 1:
		_, err = c.Status(ctx, ops.StatusQuery{Full: true, Limit: 50})
	case 2:
		_, err = c.Explain(ctx, id)
	case 3:
		_, err = c.History(ctx, id)
	case 4:
		_, err = c.Metrics(ctx)
	case 5:
		_, err = c.Plots(ctx, "a", "tenants")
	default:
		o := ops.Order{ID: id, Verb: verbs[rng.IntN(len(verbs))], Actor: "tess", Reason: "stress"}
		if o.Verb == breaker.VerbForceOpen || o.Verb == breaker.VerbForceClosed {
			o.For = ops.Duration(time.Millisecond)
		}
		if rng.IntN(10) == 0 {
			o.ID, o.Confirm = "tenants/*", 1000
		}
		var r ops.Receipt
		if r, err = c.Order(ctx, o); err == nil {
			w.did.Add(1)
			if r.AuditError != "" {
				w.t.Errorf("not recorded: %s", r.AuditError)
			}
		}
	}
	var refused *ops.Error
	if err != nil && !errors.As(err, &refused) || refused != nil && refused.Status >= 500 {
		w.t.Errorf("a client received %v", err)
	}
}

var verbs = []breaker.Verb{breaker.VerbOpen, breaker.VerbClose, breaker.VerbHalfOpen, breaker.VerbForceOpen, breaker.VerbForceClosed, breaker.VerbRelease}

// read follows the events for a while.
func (w *world) read(c *ops.Client, rng *rand.Rand) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 50*time.Millisecond)
	defer cancel()
	n := rng.IntN(100)
	for _, err := range c.Events(ctx, "") {
		if n--; n < 0 || err != nil {
			return
		}
	}
}

// write queries and gives orders through the pipe.
func (w *world) write(rng *rand.Rand) {
	id, ctx := somewhere[rng.IntN(len(somewhere))], w.t.Context()
	var err error
	if verb := verbs[rng.IntN(len(verbs))]; rng.IntN(3) == 0 {
		_, err = w.pipe.Status(ctx, id)
	} else {
		var text string
		if text, err = w.pipe.Send(ctx, id, breaker.Order{Verb: verb}); err == nil {
			w.did.Add(1)
			if text != "Changed `"+id+"` state" {
				w.t.Errorf("%s %s is answered by %q", verb, id, text)
			}
		}
	}
	if err != nil && !errors.Is(err, breaker.ErrUnknown) {
		w.t.Errorf("by the pipe: %v", err)
	}
}

// check checks what is left when all have ended.
func (w *world) check() {
	for b, want := range map[*breaker.Breaker]breaker.State{w.shut: breaker.ForcedOpen, w.held: breaker.ForcedClosed} {
		if got := b.State(); got != want {
			w.t.Errorf("%s is %s, want %s", b.ID(), got, want)
		}
	}
	if _, err := w.m.Lookup("nosuch"); !errors.Is(err, breaker.ErrUnknown) {
		w.t.Errorf("an order made a breaker: %v", err)
	}
	// Keys with settings of their own are kept beyond the limit; all others must
	// make room for them. Keys that came back with evidence wait for a sweep.
	for _, id := range somewhere { // overrides and settings by order pin a tenant, too
		if strings.HasPrefix(id, "tenants/") {
			w.pinned.Store(id, nil)
		}
	}
	pinned := 0
	w.pinned.Range(func(any, any) bool { pinned++; return true })
	most := max(300, pinned)
	for deadline := time.Now().Add(20 * time.Second); w.tenants.Len() > most; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Errorf("%d keys are remembered, want at most %d", w.tenants.Len(), most)
			break
		}
	}
	if w.calls.Load() == 0 || w.rejected.Load() == 0 || w.did.Load() == 0 {
		w.t.Errorf("%d calls ran, %d were rejected, %d orders: the test tests nothing", w.calls.Load(), w.rejected.Load(), w.did.Load())
	}
	for _, b := range w.m.Breakers() {
		w.alone(func() { b.Close(breaker.Order{Actor: "test"}) }) // a listener may exit
		if got := b.State(); got != breaker.Closed {
			w.t.Errorf("%s is %s in the end", b.ID(), got)
		}
	}
}

// recorded returns how many orders the audit log says were carried out.
func (w *world) recorded(path string) (carriedOut int64) {
	w.t.Helper()
	o := owner{t: w.t, place: place{Audit: path}}
	all, report := o.recorded()
	for _, e := range all {
		if e.Receipt != nil {
			carriedOut++
		} else if !strings.HasPrefix(e.Error, "unknown breaker ") {
			w.t.Errorf("refused was %+v: %s", e.Order, e.Error)
		}
	}
	if report.Missed > 0 {
		w.t.Errorf("%d orders are not on record", report.Missed)
	}
	return carriedOut
}
