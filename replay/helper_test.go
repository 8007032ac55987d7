package replay

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

var errDown = errors.New("connection refused by 10.0.0.1")

// weather is how a dependency behaves at a time.
type weather struct {
	failing float64 // share of the calls that fail
	took    time.Duration
}

// service is a dependency that is well and ill in turn.
type service struct {
	began    time.Time
	period   time.Duration
	well     weather
	ill      []weather
	illShare float64
}

func (s *service) now() weather {
	t := time.Since(s.began)
	n := int(t / s.period)
	if float64(t%s.period) < s.illShare*float64(s.period) && len(s.ill) > 0 {
		return s.ill[n%len(s.ill)]
	}
	return s.well
}

// load calls the breakers for a time, from several goroutines. It sleeps between
// calls and within them, so it is meant for a synctest bubble.
func (s *service) load(r *rand.Rand, workers int, gap, total time.Duration, call func(ctx context.Context, worker int, fn func(context.Context) error)) {
	var wg sync.WaitGroup
	for i := range workers {
		own := rand.New(rand.NewPCG(r.Uint64(), uint64(i)))
		wg.Go(func() {
			for time.Since(s.began) < total {
				time.Sleep(1 + time.Duration(own.ExpFloat64()*float64(gap)))
				call(context.Background(), i, func(context.Context) error {
					w := s.now()
					time.Sleep(1 + time.Duration(own.ExpFloat64()*float64(w.took)))
					if own.Float64() < w.failing {
						return errDown
					}
					return nil
				})
			}
		})
	}
	wg.Wait()
}

// record runs f in a bubble with a manager that is recorded, and returns the
// file.
func record(t *testing.T, s breaker.Settings, o Options, f func(m *breaker.Manager)) []byte {
	t.Helper()
	var file bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(s)
		r, err := Record(m, o)
		if err != nil {
			t.Fatal(err)
		}
		f(m)
		if _, err := r.WriteTo(&file); err != nil {
			t.Fatal(err)
		}
		if s := r.Stats(); s.Lost > 0 {
			t.Errorf("%d records are lost in virtual time", s.Lost)
		}
		r.Close()
	})
	return file.Bytes()
}

// read reads a file that must be whole.
func read(t *testing.T, file []byte) *Trace {
	t.Helper()
	trace, err := Read(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if !trace.Complete || len(trace.Notes) > 0 {
		t.Fatalf("complete is %v, notes %q", trace.Complete, trace.Notes)
	}
	return trace
}

// callsOf returns the calls of each breaker.
func callsOf(t *testing.T, trace *Trace) map[*Lane][]tape.Call {
	t.Helper()
	out := map[*Lane][]tape.Call{}
	if err := trace.each(t.Context(), func(l *Lane, c *tape.Call) { out[l] = append(out[l], *c) }); err != nil {
		t.Fatal(err)
	}
	return out
}

// outage is an hour of one breaker with a few outages, recorded.
func outage(t *testing.T, s breaker.Settings, o Options) []byte {
	t.Helper()
	return record(t, s, o, func(m *breaker.Manager) {
		b := m.Breaker("payments")
		d := &service{
			began: time.Now(), period: 10 * time.Minute, illShare: .2,
			well: weather{.01, 20 * time.Millisecond},
			ill:  []weather{{1, 5 * time.Millisecond}, {.5, 50 * time.Millisecond}, {1, time.Second}},
		}
		d.load(rand.New(rand.NewPCG(1, 2)), 4, 200*time.Millisecond, time.Hour, func(ctx context.Context, _ int, fn func(context.Context) error) {
			_ = b.Do(ctx, fn)
		})
	})
}
