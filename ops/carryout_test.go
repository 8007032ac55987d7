package ops_test

import (
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// A listener that hangs does not delay an order for many once for each
// breaker.
func TestRegressionListenerHeldUpAnOrderForMany(t *testing.T) {
	const many = 500
	free := make(chan struct{})
	defer close(free)
	m := breaker.NewManager(breaker.Settings{})
	for i := range many {
		m.Breaker(strconv.Itoa(i))
	}
	m.AddListener(breaker.Listener{StateChange: func(*breaker.Breaker, breaker.Transition) { <-free }})
	from := time.Now()
	r, err := planeOf(t, m, ops.Options{}).Do(ops.Order{ID: "*", Verb: breaker.VerbOpen, Actor: "ana", Confirm: many}, program)
	if took := time.Since(from); err != nil || r.Touched != many || took > 10*time.Second {
		t.Errorf("%d of %d touched after %s, %v", r.Touched, many, took, err)
	}
	for _, x := range r.Results {
		if x.Before != breaker.Closed || x.After != breaker.Open || x.Version != 2 {
			t.Errorf("%+v, want closed, then open at version 2", x)
		}
	}
}

// A listener that exits its goroutine or hangs prevents an order neither from
// being answered nor from being recorded.
func TestRegressionListenerTookTheOrderAlong(t *testing.T) {
	free := make(chan struct{})
	defer close(free)
	for name, bad := range map[string]func(){"exits": runtime.Goexit, "hangs": func() { <-free }} {
		path := filepath.Join(t.TempDir(), "audit")
		m := shop(t)
		b := m.Breaker("payments")
		b.AddListener(breaker.Listener{StateChange: func(*breaker.Breaker, breaker.Transition) { bad() }})
		p := ops.New(m, ops.Options{Audit: path})
		r, err := p.Do(ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana"}, program)
		if err != nil || r.Touched != 1 || r.Results[0].Before != breaker.Closed || r.Results[0].After != breaker.Open || r.Results[0].Version != 2 {
			t.Errorf("a listener that %s: %+v, %v", name, r, err)
		}
		if r, err := p.Do(ops.Order{ID: "payments", Verb: breaker.VerbClose, Actor: "ana"}, ops.Peer{Transport: "pipe"}); err != nil || r.Results[0].After != breaker.Closed {
			t.Errorf("a listener that %s, by the pipe: %+v, %v", name, r, err)
		}
		if report, err := verify(t, path); err != nil || report.Entries != 2 {
			t.Errorf("a listener that %s: %+v, %v, want both orders on record", name, report, err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}
