package ops

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/switchgear-go/switchgear/breaker"
)

// A receipt counts what it lists: failures are reported, and not counted as
// changed.
func TestReceiptCountsFailures(t *testing.T) {
	r := Receipt{Verb: breaker.VerbOpen}
	moved := Result{Receipt: breaker.Receipt{From: 1, Version: 2}}
	r.add(moved, nil)
	r.add(moved, errors.New("no"))
	r.add(Result{Receipt: breaker.Receipt{From: 2, Version: 2}}, nil)
	if r.Touched != 1 || r.Failed != 1 || len(r.Results) != 3 || r.Results[1].Error != "no" {
		t.Errorf("receipt %+v, want 1 touched and 1 failed of 3", r)
	}
}

// A long receipt keeps 1,000 results, those that failed first, in their order.
func TestReceiptIsShortened(t *testing.T) {
	make := func(n int) (r Receipt) {
		for i := range n {
			var err error
			if i >= n-2 {
				err = errors.New("no")
			}
			r.add(Result{Receipt: breaker.Receipt{ID: fmt.Sprint(i)}}, err)
		}
		r.shorten()
		return r
	}
	if r := make(1000); len(r.Results) != 1000 || r.Omitted != 0 || r.Results[0].ID != "0" {
		t.Errorf("1,000 results: %d are kept from %s on, %d are omitted", len(r.Results), r.Results[0].ID, r.Omitted)
	}
	r := make(1003)
	if len(r.Results) != 1000 || cap(r.Results) != 1000 || r.Omitted != 3 {
		t.Errorf("1,003 results: %d are kept, %d are omitted", len(r.Results), r.Omitted)
	}
	for i, want := range map[int]string{0: "1001", 1: "1002", 2: "0", 3: "1", 999: "997"} {
		if got := r.Results[i].ID; got != want {
			t.Errorf("result %d is of %s, want %s", i, got, want)
		}
	}
}

// What a dry run would change: every valid order would change something,
// except the release of nothing.
func TestDryRunTouches(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	b := m.Breaker("db")
	b.Open(breaker.Order{})
	p := New(m, Options{})
	defer p.Close()
	for _, c := range []struct {
		verb breaker.Verb
		want int
	}{{breaker.VerbOpen, 1}, {breaker.VerbClose, 1}, {breaker.VerbRelease, 0}} {
		r, err := p.Do(Order{ID: "db", Verb: c.verb, Actor: "ana", DryRun: true}, Peer{})
		if err != nil || r.Touched != c.want {
			t.Errorf("%s, dry: %d touched, %v; want %d", c.verb, r.Touched, err, c.want)
		}
	}
}

// Reminders and orders that were carried out are events; dry runs and orders
// that were refused are not. An order does not wait for its transition to be
// delivered, so either may come first.
func TestWhatIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{})
		b := m.Breaker("db")
		p := New(m, Options{})
		do := func(o Order) {
			o.ID, o.Actor = "db", "ana"
			_, _ = p.Do(o, Peer{})
			synctest.Wait()
		}
		do(Order{Verb: breaker.VerbOpen, DryRun: true})
		do(Order{Verb: "shut"})
		if n := p.hub.newest(); n != 0 {
			t.Errorf("%d events of orders that changed nothing", n)
		}
		do(Order{Verb: breaker.VerbOpen})
		l := p.listener()
		l.Reminder(b, breaker.Override{State: breaker.ForcedOpen})
		events, _ := p.hub.after(0, 10)
		var kinds []string
		for _, e := range events {
			kinds = append(kinds, string(e.Kind))
		}
		slices.Sort(kinds)
		if got := fmt.Sprint(kinds); got != "[order reminder transition]" {
			t.Fatalf("events %s, want one of each kind", got)
		}
		if e := events[2]; e.ID != "db" || e.Override == nil || e.Override.State != breaker.ForcedOpen {
			t.Errorf("the reminder is the event %+v", e)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		b.Close(breaker.Order{})
		if n := p.hub.newest(); n != 3 {
			t.Errorf("%d events after the plane was closed, want 3", n)
		}
	})
}

func TestConfirmErrorNamesTheNumber(t *testing.T) {
	for confirmed, want := range map[int]string{
		0: "s/* applies to 3 breakers: confirm that number",
		2: "s/* applies to 3 breakers now, and 2 were confirmed: nothing was changed",
	} {
		o := Order{ID: "s/*", Confirm: confirmed}
		if _, err := o.confirmed(3); !errors.Is(err, ErrConfirm) || err.Error() != want {
			t.Errorf("confirmed %d: %v, want %s", confirmed, err, want)
		}
	}
}
