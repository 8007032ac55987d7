package ops_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
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

// The receipt of an order for very many keys can be read.
func TestReceiptOfManyIsShort(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	keys := breaker.SetOf[int](m, "tenants")
	for k := range 1500 {
		keys.Breaker(k)
	}
	p := ops.New(m, ops.Options{})
	defer p.Close()
	r, err := p.Do(ops.Order{ID: "tenants/*", Verb: breaker.VerbOpen, Actor: "ana", Confirm: 1500}, program)
	if err != nil || r.Matched != 1500 || r.Touched != 1500 || len(r.Results) != 1000 || r.Omitted != 500 {
		t.Errorf("matched %d, touched %d, %d results, %d omitted, %v", r.Matched, r.Touched, len(r.Results), r.Omitted, err)
	}
}

// In a receipt for many, what changes its state comes first, and counts cover
// the rest, including results that are left out.
func TestReceiptShowsChangesFirst(t *testing.T) {
	m, set := tenants(t, 3000)
	for i := range 20 {
		set.Breaker(fmt.Sprintf("t%06d", 2900+i)).Open(breaker.Order{})
	}
	set.Breaker("t002950").ForceOpen(breaker.Order{})
	p := ops.New(m, ops.Options{})
	defer p.Close()
	o := ops.Order{ID: "tenants/*", Verb: breaker.VerbClose, Actor: "ana", DryRun: true}
	r, err := p.Do(o, program)
	if err != nil {
		t.Fatal(err)
	}
	want := []ops.Move{{From: breaker.Open, To: breaker.Closed, Count: 20}, {From: breaker.ForcedOpen, To: breaker.Closed, Count: 1}, {From: breaker.Closed, To: breaker.Closed, Count: 2979}}
	if !slices.Equal(r.Moves, want) {
		t.Errorf("moves = %+v, want %+v", r.Moves, want)
	}
	for i, x := range r.Results {
		if changes := x.Before != x.After; changes != (i < 21) || i > 0 && i != 21 && x.ID < r.Results[i-1].ID {
			t.Fatalf("result %d is %s: %s -> %s", i, x.ID, x.Before, x.After)
		}
	}
	if r.Omitted != 2000 || len(r.Results) != 1000 {
		t.Errorf("%d results, %d omitted", len(r.Results), r.Omitted)
	}
	o.DryRun, o.Confirm = false, 3000
	if r, err = p.Do(o, program); err != nil || !slices.Equal(r.Moves, want) {
		t.Errorf("done: %+v, %v", r.Moves, err)
	}
	one, err := p.Do(ops.Order{ID: "tenants/t000001", Verb: breaker.VerbOpen, Actor: "ana"}, program)
	if err != nil || one.Moves != nil {
		t.Errorf("of one: %+v, %v", one, err)
	}
}

// What a dry run would change: every valid order would change something,
// except the release of nothing.
func TestDryRunTouches(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	b := m.Breaker("db")
	b.Open(breaker.Order{})
	p := ops.New(m, ops.Options{})
	defer p.Close()
	for _, c := range []struct {
		verb breaker.Verb
		want int
	}{{breaker.VerbOpen, 1}, {breaker.VerbClose, 1}, {breaker.VerbRelease, 0}} {
		r, err := p.Do(ops.Order{ID: "db", Verb: c.verb, Actor: "ana", DryRun: true}, program)
		if err != nil || r.Touched != c.want {
			t.Errorf("%s, dry: %d touched, %v; want %d", c.verb, r.Touched, err, c.want)
		}
	}
}

func TestConfirmErrorNamesTheNumber(t *testing.T) {
	p := planeOf(t, shop(t), ops.Options{})
	for confirmed, want := range map[int]string{
		0: "tenants/* applies to 3 breakers: confirm that number",
		2: "tenants/* applies to 3 breakers now, and the number confirmed was 2: nothing was changed",
	} {
		o := ops.Order{ID: "tenants/*", Verb: breaker.VerbOpen, Actor: "ana", Confirm: confirmed}
		if _, err := p.Do(o, program); !errors.Is(err, ops.ErrConfirm) || err.Error() != want {
			t.Errorf("confirmed %d: %v, want %s", confirmed, err, want)
		}
	}
}
