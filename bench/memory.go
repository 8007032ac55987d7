package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	bytedance "github.com/bytedance/gopkg/cloud/circuitbreaker"
	eapache "github.com/eapache/go-resiliency/breaker"
	"github.com/go-kratos/aegis/circuitbreaker/sre"
	"github.com/sony/gobreaker/v2"
	"github.com/switchgear-go/switchgear/breaker"
	gozero "github.com/zeromicro/go-zero/core/breaker"
)

// The heap that a breaker or a key holds, measured as the difference that many
// of them make after a collection, and the goroutines that they start.

const (
	heapBreaker = "heap per breaker"
	heapKey     = "heap per key"
	bytesUnit   = "B"
)

// A memoryCase builds n things and returns what keeps them alive: breakers, or
// what guards by keys that are not part of the sum.
type memoryCase struct {
	group, who, how string
	n               int
	build           func(n int) any
	over            func(keys []string) any
}

// each builds n things one by one.
func each[T any](mk func() T) func(int) any {
	return func(n int) any {
		all := make([]T, n)
		for i := range all {
			all[i] = mk()
		}
		return all
	}
}

// atRest is each for breakers whose clock has stopped: three steps without a
// call ensure that. They are created over the course of a second, because
// otherwise their timers would fire at once and leave the runtime with the
// goroutines of all of them.
func atRest[T any](mk func() T) func(int) any {
	return func(n int) any {
		some := n / 1000
		all := each(func() T {
			if some--; some == 0 {
				time.Sleep(time.Millisecond)
				some = n / 1000
			}
			return mk()
		})(n)
		time.Sleep(3 * time.Second) // steps of a second: the window is 10 s
		return all
	}
}

func memoryCases(quick bool) []memoryCase {
	many, few, keys := 100_000, 2_000, 1_000_000
	if quick {
		many, few, keys = 10_000, 500, 100_000
	}
	cs := []memoryCase{
		{heapBreaker, ours, consecutive, many, each(func() *breaker.Breaker { return used(consecutive, 0) }), nil},
		{heapBreaker, ours, consecutive + ", a failure counted", many, each(func() *breaker.Breaker { return used(consecutive, 1) }), nil},
		{heapBreaker, ours, timeWindow, many, each(func() *breaker.Breaker { return used(timeWindow, 0) }), nil},
		{heapBreaker, ours, timeWindow + ", at rest", many, atRest(func() *breaker.Breaker { return used(timeWindow, 0) }), nil},
		{heapBreaker, ours, timeWindow + ", a failure counted", many, each(func() *breaker.Breaker { return used(timeWindow, 1) }), nil},
		{heapBreaker, ours, lastCalls, many, each(func() *breaker.Breaker { return used(lastCalls, 0) }), nil},
		{heapBreaker, ours, lastCalls + ", a failure counted", many, each(func() *breaker.Breaker { return used(lastCalls, 1) }), nil},
		{heapBreaker, ours, consecutive + ", open", many, each(func() *breaker.Breaker { return used(consecutive, 5) }), nil},
		{heapBreaker, "gobreaker v2", consecutive, many, each(func() any { return gobreaker.NewCircuitBreaker[int](gobreakerSettings(usual, false)) }), nil},
		{heapBreaker, "gobreaker v2", timeWindow, many, each(func() any { return gobreaker.NewCircuitBreaker[int](gobreakerSettings(usual, true)) }), nil},
		{heapBreaker, "failsafe-go", consecutive, many, each(func() any { return failsafeConsecutive(usual) }), nil},
		{heapBreaker, "failsafe-go", timeWindow, many, each(func() any { return failsafeWindow(usual) }), nil},
		{heapBreaker, "eapache", consecutive, many, each(func() any { return eapache.New(usual.fails, 1, usual.open) }), nil},
		{heapBreaker, "rubyist", consecutive, many, each(func() any { return rubyistBreaker(usual, false) }), nil},
		{heapBreaker, "go-zero", throttling, few, each(func() any { return gozero.NewBreaker() }), nil},
		{heapBreaker, "aegis sre", throttling, few, each(func() any { return sre.NewBreaker() }), nil},
		{heapBreaker, "bytedance", timeWindow, few, bytedanceKeys, nil},
		{heapBreaker, "hystrix-go", timeWindow, few, each(hystrixCircuit), nil},
	}
	for _, k := range []struct {
		how   string
		build func(keys []string) any
	}{
		{"healthy, remembered (MaxKeys for all)", setOf(2*keys, never)},
		{"healthy, beyond MaxKeys", setOf(1, never)},
		{"1 % with a failure counted, default MaxKeys", setOf(0, func(i int) bool { return i%100 == 0 })},
		{"all with a failure counted", setOf(0, func(int) bool { return true })},
	} {
		cs = append(cs, memoryCase{heapKey, ours, k.how, keys, nil, k.build})
	}
	return append(cs, memoryCase{heapKey, byHand, "", keys, nil, func(keys []string) any {
		h := new(handMade)
		fill(keys, func(key string, fn func(context.Context) error) error {
			return h.breaker(key).Do(context.Background(), fn)
		})
		return h
	}})
}

func never(int) bool { return false }

// used returns a breaker with one success, and then so many failures.
func used(rule string, failures int) *breaker.Breaker {
	b := breaker.New("bench", settings(rule, usual))
	for i := range failures + 1 {
		_ = b.Do(context.Background(), func(context.Context) error {
			if i > 0 {
				return errFault
			}
			return nil
		})
	}
	return b
}

func hystrixCircuit() any {
	c, _, err := hystrix.GetCircuit(hystrixName(usual))
	if err != nil {
		panic(err)
	}
	return c
}

func bytedanceKeys(n int) any {
	panel, err := bytedance.NewPanel(nil, bytedanceOptions(usual, false))
	if err != nil {
		panic(err)
	}
	for _, k := range makeKeys(n) {
		panel.Succeed(k)
	}
	return panel
}

// setOf builds a set that has seen one call of every key, and one failure of
// those that fail says. It has room for the evidence of all keys.
func setOf(maxKeys int, fails func(i int) bool) func([]string) any {
	return func(keys []string) any {
		set := breaker.NewSet[string]("heap", patient, breaker.SetOptions{MaxKeys: maxKeys, MaxEvidence: len(keys)})
		w := newWork(0, 0)
		fn := w.ctx()
		for i, k := range keys {
			if fails(i) {
				w.failNext()
			}
			_ = set.Do(context.Background(), k, fn)
		}
		return set
	}
}

// heap measures the case several times; the table's spread shows the noise.
// The first time does not count: the runtime keeps what it allocated then for
// later use, such as its tables of timers and goroutines.
func (m memoryCase) heap(times int) (h heaped) {
	build := func() any { return m.build(m.n) }
	if m.over != nil {
		keys := makeKeys(m.n)
		build = func() any { return m.over(keys) }
	}
	goroutines := 0
	var collections []float64
	for i := range times + 1 {
		before, routines := liveHeap(), runtime.NumGoroutine()
		kept := build()
		goroutines = runtime.NumGoroutine() - routines
		start := time.Now()
		runtime.GC()
		collections = append(collections, float64(time.Since(start).Milliseconds()))
		if now := liveHeap(); i > 0 {
			h.Samples = append(h.Samples, (now-before)/float64(m.n))
		}
		runtime.KeepAlive(kept)
	}
	switch {
	case m.over != nil:
		h.Note = fmt.Sprintf("a full collection beside it takes %.0f ms", median(collections))
	case goroutines > m.n/2:
		h.Note = fmt.Sprintf("and %.0f goroutines each, their stacks included", float64(goroutines)/float64(m.n))
	}
	return h
}

// liveHeap is the heap and the stacks in use after two full collections: the
// second frees what the first one finalised.
func liveHeap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// measureMemory measures each case in a separate process: otherwise what
// others have left behind, and free later, would be counted with it.
func measureMemory(quick bool, times int, match *regexp.Regexp) ([]*Row, error) {
	var rows []*Row
	for i, m := range memoryCases(quick) {
		row := &Row{Case: &Case{Group: m.group, Who: m.who, How: m.how}, Unit: bytesUnit, Allocs: -1}
		if !match.MatchString(row.ID()) {
			continue
		}
		out, err := exec.Command(os.Args[0], fmt.Sprintf("-quick=%v", quick), "-heap", fmt.Sprint(i), "-times", fmt.Sprint(times)).Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", row.ID(), err)
		}
		var h heaped
		if err := json.Unmarshal(out, &h); err != nil {
			return nil, err
		}
		row.Samples, row.note = h.Samples, h.Note
		rows = append(rows, row)
	}
	return rows, nil
}

// heaped is what the process of one case reports.
type heaped struct {
	Samples []float64
	Note    string
}

func printHeap(m memoryCase, times int) error {
	return json.NewEncoder(os.Stdout).Encode(m.heap(times))
}
