package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/switchgear-go/switchgear/breaker"
)

// Guarding by a string key: a thousand, a hundred thousand and a million keys,
// one in a hundred of them failing all the time, selected evenly. The baseline
// is what a program would write by hand: a sync.Map of unkeyed breakers.

const byHand = "sync.Map of unkeyed breakers"

// The rows in which new keys occur.
const (
	freshHow  = "1 call in 128 to a new key"
	freshKeys = ", " + freshHow // as the end of a row's name
)

func keyedGroup(n int) string { return "keyed, " + thousands(n) + " keys" }

// thousands writes n as people read it.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// patient opens only after more failures in a row than a run can count, so
// that the failing keys continue to fail instead of being rejected.
var patient = breaker.Settings{FailMax: 500_000}

// A keyedCase is one way of guarding by key. build is given the keys, has to
// call each once, and returns the loops.
type keyedCase struct {
	who, how string
	build    func(keys []string) func(*work, picker) loop
	fresh    bool // can take keys that it has never seen while it is measured
	most     int  // more keys than that are not tried
}

func keyedCases(n int) []*Case {
	group := keyedGroup(n)
	keys := sync.OnceValue(func() []string { return makeKeys(n) })
	var cases []*Case
	for _, k := range []keyedCase{
		{limit, "picking a key, and the bare call", bareKeyed, false, 1 << 30},
		{limit, "lookup in a plain map, and the bare call", plainMap, false, 1 << 30},
		{ours, "Set.Do, default MaxKeys", setDo(0), true, 1 << 30},
		{ours, "Set.Do, MaxKeys for all", setDo(2_000_000), true, 1 << 30},
		{ours, "Set.Breaker(key).Do", setBreakerDo, false, 1 << 30},
		{byHand, "", syncMapDo, true, 1 << 30},
		{"bytedance", "panel", bytedanceKeyed, false, 100_000},
		{"go-zero", "GetBreaker", goZeroKeyed, false, 1000}, // 7 KB each, in a map of the package
	} {
		if n > k.most {
			continue
		}
		mk := sync.OnceValue(func() func(*work, picker) loop { return k.build(keys()) })
		add := func(how string, procs int, fresh bool) {
			cases = append(cases, &Case{
				Group: group, Who: k.who, How: how, Procs: procs, Check: allRan,
				Build: func() maker {
					return func(w *work) loop { return mk()(w, newPicker(keys(), w, fresh)) }
				},
			})
		}
		add(k.how, 0, false)
		if k.fresh || k.who == limit {
			add(k.how, 2, false)
		}
		if k.fresh {
			add(join(k.how, freshHow), 1, true)
			add(join(k.how, freshHow), 2, true)
		}
	}
	return cases
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ", " + b
}

func makeKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("tenant-%07d", i)
	}
	return keys
}

// A picker selects keys evenly and makes the calls of the failing ones fail.
type picker struct {
	keys  []string
	few   uint64 // keys before this one fail
	x     uint64
	w     *work
	fresh bool
}

var pickers uint64 // makes every picker start elsewhere

func newPicker(keys []string, w *work, fresh bool) picker {
	pickers++
	return picker{keys, uint64(len(keys) / 100), pickers * 0x9e3779b97f4a7c15, w, fresh}
}

func (p *picker) next() string {
	p.x ^= p.x << 13
	p.x ^= p.x >> 7
	p.x ^= p.x << 17
	if p.fresh && p.w.ran%128 == 0 {
		return "new-" + strconv.FormatUint(p.x, 36)
	}
	i := p.x >> 32 * uint64(len(p.keys)) >> 32
	if i < p.few {
		p.w.failNext()
	}
	return p.keys[i]
}

func bareKeyed([]string) func(*work, picker) loop {
	return func(w *work, p picker) loop {
		fn, ctx := w.ctx(), context.Background()
		return func(n int) (errs int) {
			for range n {
				if len(p.next()) == 0 {
					return errs
				}
				if err := fn(ctx); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

func plainMap(keys []string) func(*work, picker) loop {
	m := make(map[string]*int, len(keys))
	for i, k := range keys {
		m[k] = &i
	}
	return func(w *work, p picker) loop {
		fn, ctx := w.ctx(), context.Background()
		return func(n int) (errs int) {
			for range n {
				if m[p.next()] == nil {
					return errs
				}
				if err := fn(ctx); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

// fill calls every key once, the failing ones with a failure.
func fill(keys []string, call func(key string, fn func(context.Context) error) error) {
	w := newWork(0, 0)
	fn := w.ctx()
	for i, k := range keys {
		if i < len(keys)/100 {
			w.failNext()
		}
		_ = call(k, fn) // the failing keys fail
	}
	if w.ran != len(keys) {
		panic(fmt.Sprintf("filling %d keys ran %d calls", len(keys), w.ran))
	}
}

func setDo(maxKeys int) func([]string) func(*work, picker) loop {
	return func(keys []string) func(*work, picker) loop {
		ctx := context.Background()
		set := breaker.NewSet[string]("keyed", patient, breaker.SetOptions{MaxKeys: maxKeys})
		fill(keys, func(key string, fn func(context.Context) error) error { return set.Do(ctx, key, fn) })
		return func(w *work, p picker) loop {
			fn := w.ctx()
			return func(n int) (errs int) {
				for range n {
					if err := set.Do(ctx, p.next(), fn); err != nil {
						errs++
					}
				}
				return errs
			}
		}
	}
}

func setBreakerDo(keys []string) func(*work, picker) loop {
	ctx := context.Background()
	set := breaker.NewSet[string]("keyed", patient, breaker.SetOptions{MaxKeys: 2_000_000})
	fill(keys, func(key string, fn func(context.Context) error) error { return set.Breaker(key).Do(ctx, fn) })
	return func(w *work, p picker) loop {
		fn := w.ctx()
		return func(n int) (errs int) {
			for range n {
				if err := set.Breaker(p.next()).Do(ctx, fn); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

// A handMade is the keyed breaker that a program would write by hand.
type handMade struct{ m sync.Map }

func (h *handMade) breaker(key string) *breaker.Breaker {
	if b, ok := h.m.Load(key); ok {
		return b.(*breaker.Breaker)
	}
	b, _ := h.m.LoadOrStore(key, breaker.New("keyed", patient))
	return b.(*breaker.Breaker)
}

func syncMapDo(keys []string) func(*work, picker) loop {
	ctx, h := context.Background(), new(handMade)
	fill(keys, func(key string, fn func(context.Context) error) error { return h.breaker(key).Do(ctx, fn) })
	return func(w *work, p picker) loop {
		fn := w.ctx()
		return func(n int) (errs int) {
			for range n {
				if err := h.breaker(p.next()).Do(ctx, fn); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}
