package main

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Rows that are not loops: the status of a large manager, and the slowest call
// while it is taken, or while keys come and go.

const (
	statusGroup = "status of a large manager"
	churnGroup  = "worst call"
)

// measureStatus takes the status of many breakers, again and again, and times
// the calls that run meanwhile.
func measureStatus(breakers, times int) []*Row {
	m := breaker.NewManager(breaker.Settings{})
	for i := range breakers {
		m.Breaker("breaker-" + strconv.Itoa(i))
	}
	row := func(how, unit string) *Row {
		return &Row{Case: &Case{Group: statusGroup, Who: ours, How: how}, Unit: unit, Allocs: -1}
	}
	took, heap, objects := row("Manager.Status of "+thousands(breakers)+", per breaker", ""), row("bytes allocated per breaker", bytesUnit), row("objects allocated per breaker", "objects")
	per := func(total float64) float64 { return total / float64(breakers) }
	for range times {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		if got := len(m.Status()); got != breakers {
			took.Err = errFault
		}
		took.Samples = append(took.Samples, per(float64(time.Since(start))))
		runtime.ReadMemStats(&after)
		heap.Samples = append(heap.Samples, per(float64(after.TotalAlloc-before.TotalAlloc)))
		objects.Samples = append(objects.Samples, per(float64(after.Mallocs-before.Mallocs)))
	}
	calls := timed{who: ours, how: "meanwhile a call of one of them", during: func() { m.Status() }}
	b := m.Breaker("breaker-7")
	calls.call = func(fn func(context.Context) error) error { return b.Do(context.Background(), fn) }
	rest := timed{who: limit, how: "meanwhile a bare call", during: calls.during}
	rest.call = func(fn func(context.Context) error) error { return fn(context.Background()) }
	rows := []*Row{took, heap, objects}
	for _, t := range []timed{rest, calls} {
		rows = append(rows, t.measure(statusGroup, times)...)
	}
	return rows
}

// A timed measures single calls: each is timed, and the slowest ones count.
type timed struct {
	who, how string
	call     func(fn func(context.Context) error) error
	during   func() // runs again and again beside the calls; may be nil
}

const timedCalls = 100_000

func (t timed) measure(group string, times int) []*Row {
	var rows []*Row
	quantiles := []struct {
		name string
		q    float64
	}{{"median", 0.5}, {"99 %", 0.99}, {"99.9 %", 0.999}, {"99.99 %", 0.9999}, {"worst of 100,000", 1}}
	for _, q := range quantiles {
		rows = append(rows, &Row{Case: &Case{Group: group, Who: t.who, How: t.how + ", " + q.name}, Allocs: -1})
	}
	took := make([]float64, timedCalls)
	for range times {
		runtime.GC()
		stop := t.beside()
		w := newWork(0, 0)
		fn := w.ctx()
		for i := range took {
			start := time.Now()
			_ = t.call(fn)
			took[i] = float64(time.Since(start))
		}
		stop()
		slices.Sort(took)
		rows[0].Calls += w.ran
		for i, q := range quantiles {
			if w.ran != len(took) {
				rows[i].Err = errFault
			}
			rows[i].Samples = append(rows[i].Samples, took[int(q.q*float64(len(took)-1))])
		}
	}
	return rows
}

// beside runs during in a loop until the returned function is called.
func (t timed) beside() (stop func()) {
	if t.during == nil {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				t.during()
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// measureChurn times calls that all have a new key, at the limit of the set,
// so that each makes it forget another key.
func measureChurn(times int) []*Row {
	keys := make([]string, times*timedCalls)
	for i := range keys {
		keys[i] = "churn-" + strconv.Itoa(i)
	}
	ctx := context.Background()
	set := breaker.NewSet[string]("churn", breaker.Settings{}, breaker.SetOptions{})
	var byHandMade handMade
	var rows []*Row
	for _, t := range []timed{
		{who: limit, how: "bare call", call: func(fn func(context.Context) error) error { return fn(ctx) }},
		{who: ours, how: "Set.Do, every key new, default MaxKeys", call: overNew(keys, func(key string, fn func(context.Context) error) error {
			return set.Do(ctx, key, fn)
		})},
		{who: byHand, how: "every key new, nothing forgotten", call: overNew(keys, func(key string, fn func(context.Context) error) error {
			return byHandMade.breaker(key).Do(ctx, fn)
		})},
	} {
		rows = append(rows, t.measure(churnGroup, times)...)
	}
	return rows
}

func overNew(keys []string, call func(string, func(context.Context) error) error) func(func(context.Context) error) error {
	next := 0
	return func(fn func(context.Context) error) error {
		next++
		return call(keys[next-1], fn)
	}
}
