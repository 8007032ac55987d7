package linear

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/spec"
)

var errDown = errors.New("down")

const second = time.Second

// world is settings, twice; the first are what a breaker begins with.
type world struct {
	name string
	real []breaker.Settings
	spec []spec.Settings
	// inParts: a success enters the window of a rate without the lock, a moment
	// after it ended the row of failures, so the two may be apart in the
	// order of things. Each is still linearizable. See lengthen.
	inParts bool
}

func worlds() []world {
	real := breaker.Settings{FailMax: 2, SuccessThreshold: 2, Probes: 2, ResetTimeout: 2 * second, ProbeTimeout: 2 * second}
	sp := spec.Settings{FailMax: 2, SuccessThreshold: 2, Probes: 2, ResetTimeout: 2 * second, ProbeTimeout: 2 * second, Backoff: 1}
	real1, sp1 := real, sp
	real1.FailMax, sp1.FailMax = 3, 3
	real1.Probes, sp1.Probes = 1, 1
	rate, spRate := real, sp
	rate.FailMax, spRate.FailMax = 4, 4
	rate.WindowCalls, spRate.WindowCalls = 6, 6
	rate.MinCalls, spRate.MinCalls = 4, 4
	rate.FailureRate, spRate.RateNum, spRate.RateDen = 0.5, 1, 2
	// Most failures are far from opening and take no lock. Update is left out: a
	// failure that races with it may be judged by the settings from before.
	plain, spPlain := real, sp
	plain.FailMax, spPlain.FailMax = 6, 6
	return []world{
		{name: "plain", real: []breaker.Settings{plain}, spec: []spec.Settings{spPlain}},
		{name: "row", real: []breaker.Settings{real, real1}, spec: []spec.Settings{sp, sp1}},
		{name: "rate", real: []breaker.Settings{rate}, spec: []spec.Settings{spRate}, inParts: true},
	}
}

// run is one history in the making.
type run struct {
	w     *world
	b     *breaker.Breaker
	clock atomic.Int64 // orders calls and returns
	ops   [maxClients][]porcupine.Operation
}

// record runs an operation and enters it.
func (r *run) record(in input, f func() output) {
	call := r.clock.Add(1)
	out := f()
	r.enter(in, call, out)
}

func (r *run) enter(in input, call int64, out output) {
	back := r.clock.Add(1)
	kinds := []kind{in.Kind}
	if in.Kind == settle && in.Outcome == spec.Success && r.w.inParts {
		kinds = []kind{rowPart, windowPart}
	}
	for _, k := range kinds {
		in.Kind = k
		r.ops[in.Client] = append(r.ops[in.Client], porcupine.Operation{ClientId: in.Client, Input: in, Call: call, Output: out, Return: back})
	}
}

// client is one goroutine's part. All its choices come from rng.
type client struct {
	id   int
	rng  *rand.Rand
	held *breaker.Permit // kept from an earlier act
}

func (c *client) act(r *run) {
	if c.rng.IntN(3) == 0 {
		runtime.Gosched()
	}
	switch n := c.rng.IntN(20); {
	case c.held != nil && n < 12:
		c.end(r)
	case n < 8:
		c.do(r)
	case c.held == nil && n < 14:
		c.allow(r)
	case n < 17:
		c.order(r)
	case n < 18:
		set := c.rng.IntN(len(r.w.real))
		r.record(input{Kind: update, Client: c.id, Set: set}, func() (o output) {
			if err := r.b.Update(r.w.real[set]); err != nil {
				panic(err)
			}
			return o
		})
	default:
		r.record(input{Kind: status, Client: c.id}, func() output { return output{Status: viewOf(r.b.Status())} })
	}
}

func (c *client) outcome() spec.Outcome {
	return [...]spec.Outcome{spec.Success, spec.Success, spec.Failure, spec.Failure, spec.Ignored}[c.rng.IntN(5)]
}

func (c *client) allow(r *run) {
	r.record(input{Kind: ask, Client: c.id}, func() output {
		p, err := r.b.Allow()
		if err == nil {
			c.held = &p
		}
		return output{Admitted: err == nil}
	})
}

func (c *client) end(r *run) {
	in := input{Kind: settle, Client: c.id, Outcome: c.outcome()}
	r.record(in, func() (o output) {
		switch in.Outcome {
		case spec.Ignored:
			c.held.Ignore()
		case spec.Failure:
			c.held.Done(errDown)
		default:
			c.held.Done(nil)
		}
		return o
	})
	c.held = nil
}

// do is a call of Do: two operations, one before and one after the call
// itself. A client that holds a permit makes none.
func (c *client) do(r *run) {
	if c.held != nil {
		return
	}
	outcome, panics, pause := c.outcome(), c.rng.IntN(4) == 0, c.rng.IntN(2) == 0
	in := input{Kind: ask, Client: c.id}
	call := r.clock.Add(1)
	ran := false
	defer func() {
		_ = recover()
		if ran {
			r.enter(in, call, output{})
		} else {
			r.enter(in, call, output{Admitted: false})
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_ = r.b.Do(ctx, func(context.Context) error {
		r.enter(in, call, output{Admitted: true})
		ran = true
		if pause {
			runtime.Gosched()
		}
		in = input{Kind: settle, Client: c.id, Outcome: outcome}
		call = r.clock.Add(1)
		switch {
		case outcome == spec.Failure && panics:
			panic(errDown)
		case outcome == spec.Failure:
			return errDown
		case outcome == spec.Ignored:
			cancel()
			return context.Canceled
		}
		return nil
	})
}

func (c *client) order(r *run) {
	in := input{Kind: order, Client: c.id}
	in.Verb = [...]breaker.Verb{
		breaker.VerbOpen, breaker.VerbClose, breaker.VerbHalfOpen, breaker.VerbHalfOpen,
		breaker.VerbForceOpen, breaker.VerbForceClosed, breaker.VerbRelease, breaker.VerbRelease,
	}[c.rng.IntN(8)]
	if (in.Verb == breaker.VerbForceOpen || in.Verb == breaker.VerbForceClosed) && c.rng.IntN(2) == 0 {
		in.Length = second
	}
	r.record(in, func() output {
		receipt, err := r.b.Apply(breaker.Order{Verb: in.Verb, For: in.Length})
		if err != nil {
			panic(err)
		}
		receipt.ID = ""
		return output{Receipt: receipt}
	})
}

// history runs clients at once, in phases between which time passes, and
// returns what happened. It runs in a bubble: within a phase time stands still.
func history(w *world, seed uint64) []porcupine.Operation {
	rng := rand.New(rand.NewPCG(seed, 1))
	r := &run{w: w, b: breaker.New("b", w.real[0])}
	clients := make([]client, 2+rng.IntN(maxClients-1))
	for i := range clients {
		clients[i] = client{id: i, rng: rand.New(rand.NewPCG(seed, uint64(i)+2))}
	}
	phases, acts := 2+rng.IntN(3), 3+rng.IntN(4)
	for range phases {
		var ready atomic.Int32
		var done sync.WaitGroup
		for i := range clients {
			done.Go(func() {
				ready.Add(1)
				for ready.Load() < int32(len(clients)) {
					runtime.Gosched()
				}
				for range acts {
					clients[i].act(r)
				}
			})
		}
		done.Wait()
		r.record(input{Kind: tick, Length: second}, func() (o output) {
			time.Sleep(second)
			synctest.Wait() // timers have fired
			return o
		})
	}
	h := slices.Concat(r.ops[:]...)
	lengthen(h)
	return h
}

// lengthen lets a success enter the window as late as a failure's settling
// ends that it met: a failure reads the window first and opens the breaker
// then, and a success in between is not in what it read.
func lengthen(h []porcupine.Operation) {
	for i := range h {
		if h[i].Input.(input).Kind != windowPart {
			continue
		}
		from, to := h[i].Call, h[i].Return
		for _, o := range h {
			if in := o.Input.(input); in.Kind == settle && in.Outcome == spec.Failure && o.Call < to && from < o.Return {
				h[i].Return = max(h[i].Return, o.Return)
			}
		}
	}
}
