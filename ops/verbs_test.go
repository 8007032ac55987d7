package ops_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

func TestChecksOfTheFurtherVerbs(t *testing.T) {
	for _, c := range []struct {
		order ops.Order
		want  string
	}{
		{ops.Order{ID: "a", Verb: ops.VerbExtend}, "extend without a time (for), want what is added to the end of the override, such as 30m"},
		{ops.Order{ID: "a", Verb: ops.VerbExtend, For: -1}, "for is -1ns, want a time above 0"},
		{ops.Order{ID: "a", Verb: ops.VerbExtend, For: 1, NoExpiry: true}, "extend with no_expiry, want it with force-open or force-closed only"},
		{ops.Order{ID: "a", Verb: ops.VerbExtend, For: 1}, ""},
		{ops.Order{ID: "a/*", Verb: ops.VerbExtend, For: 1}, ""},
		{ops.Order{ID: "a/*", Verb: ops.VerbNote, Reason: "x"}, "note for a/*, want the id of one breaker"},
		{ops.Order{ID: "a", Verb: ops.VerbNote}, ""},
		{ops.Order{ID: "a", Verb: ops.VerbNote, For: 1}, "note for 1ns, want no time: it does not end by itself"},
		{ops.Order{ID: "a", Verb: ops.VerbAck, IfVersion: 1}, "ack with if_version, want none: it changes no version"},
		{ops.Order{ID: "*", Verb: ops.VerbAck}, ""},
		{ops.Order{Verb: ops.VerbMark, Reason: "v1"}, ""},
		{ops.Order{Verb: ops.VerbMark}, "mark without a reason, want the text of the mark"},
		{ops.Order{Verb: breaker.VerbOpen}, "no id, want a breaker's id, name/* or *"},
		{ops.Order{ID: "a", Verb: ops.VerbMark, Reason: "v1", States: []breaker.State{breaker.Open}}, "mark with states, want none: it does not depend on a state"},
		{ops.Order{ID: "a", Verb: breaker.VerbClose, IfVersion: 1, States: []breaker.State{breaker.Open}}, "states with if_version, want one of them: a version has one state"},
		{ops.Order{ID: "a", Verb: "trip"}, `verb "trip", want open, close, half-open, force-open, force-closed, release, set, extend, note, ack or mark`},
	} {
		c.order.Actor = "ana"
		err := c.order.Check()
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, breaker.ErrOrder) || err.Error() != "invalid order: "+c.want) {
			t.Errorf("%+v: %v, want %s", c.order, err, c.want)
		}
	}
}

// An order for breakers in a state applies to no others: not in the count to
// confirm, not in the receipt.
func TestOrderByState(t *testing.T) {
	m := shop(t)
	p := planeOf(t, m, ops.Options{})
	set := breaker.SetOf[string](m, "tenants")
	for _, k := range []string{"a", "b"} {
		fail(set.Breaker(k), 5)
	}
	halfOpen, _ := m.Lookup("tenants/c/d")
	if err := halfOpen.HalfOpen(breaker.Order{}); err != nil {
		t.Fatal(err)
	}
	set.Breaker("healthy")
	order := ops.Order{ID: "tenants/*", Verb: breaker.VerbClose, Actor: "ana", States: []breaker.State{breaker.Open}}
	var confirm *ops.ConfirmError
	if _, err := p.Do(order, program); !errors.As(err, &confirm) || confirm.Matched != 2 {
		t.Fatalf("%v, want 2 to confirm", err)
	}
	dry := order
	dry.DryRun = true
	r, err := p.Do(dry, program)
	if err != nil || r.Matched != 2 || r.Touched != 2 || len(r.Results) != 2 || len(r.Moves) != 1 || r.Moves[0] != (ops.Move{From: breaker.Open, To: breaker.Closed, Count: 2}) {
		t.Fatalf("%+v, %v", r, err)
	}
	order.Confirm = 2
	if r, err = p.Do(order, program); err != nil || r.Matched != 2 || r.Touched != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	if halfOpen.State() != breaker.HalfOpen {
		t.Errorf("the half-open one is %s", halfOpen.State())
	}
	// A single breaker that is in another state is left alone, and the receipt
	// says so.
	r, err = p.Do(ops.Order{ID: "tenants/c/d", Verb: breaker.VerbClose, Actor: "ana", States: []breaker.State{breaker.Open, breaker.ForcedOpen}}, program)
	if err != nil || r.Matched != 0 || r.Touched != 0 || r.Results == nil || r.Note != "tenants/c/d is half-open, and the order is for those that are open or forced-open" {
		t.Errorf("%+v, %v", r, err)
	}
}

// Keys change state while an order for open ones is carried out. None that was
// not open at that moment is touched: an order to open for an hour would have
// opened such a key again.
func TestOrderByStateIsDecidedAtItsMoment(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{FailMax: 1, ResetTimeout: time.Nanosecond})
	set := breaker.SetOf[int](m, "k")
	const keys = 200
	for i := range keys {
		set.Breaker(i)
	}
	p := planeOf(t, m, ops.Options{})
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := w; ctx.Err() == nil; i++ {
				b := set.Breaker(i % keys)
				_ = b.Do(ctx, func(context.Context) error { return errDown })
				_ = b.Do(ctx, func(context.Context) error { return nil })
			}
		})
	}
	touched := 0
	for late := time.Now().Add(20 * time.Second); touched < 100 && time.Now().Before(late); {
		r, err := p.Do(ops.Order{ID: "k/*", Verb: breaker.VerbClose, Actor: "ana", Confirm: keys, States: []breaker.State{breaker.Open}}, program)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range r.Results {
			if x.Error == "" && x.Before != breaker.Open {
				t.Fatalf("%s was %s at the moment of the order", x.ID, x.Before)
			}
		}
		if r.Matched != len(r.Results) {
			t.Fatalf("%d matched, %d results", r.Matched, len(r.Results))
		}
		touched += r.Touched
	}
	stop()
	all.Wait()
	if touched == 0 {
		t.Error("no key was open at any order")
	}
}

func TestExtend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := shop(t)
		path := filepath.Join(t.TempDir(), "standing")
		p := ops.New(m, ops.Options{Standing: path})
		if _, err := p.Do(ops.Order{ID: "payments", Verb: breaker.VerbForceOpen, Actor: "ana", Reason: "INC-42", For: ops.Duration(time.Hour)}, program); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		time.Sleep(50 * time.Minute)
		extend := ops.Order{ID: "payments", Verb: ops.VerbExtend, Actor: "bo", For: ops.Duration(30 * time.Minute), DryRun: true}
		end := began.Add(90 * time.Minute)
		for _, dry := range []bool{true, false} {
			extend.DryRun = dry
			r, err := p.Do(extend, program)
			if err != nil || r.Touched != 1 || !r.Results[0].Expires.Equal(end) || r.Results[0].After != breaker.ForcedOpen {
				t.Fatalf("%+v, %v", r, err)
			}
		}
		b, _ := m.Lookup("payments")
		if o := b.Status().Override; !o.Expires.Equal(end) || o.Actor != "bo" || o.Reason != "INC-42" {
			t.Errorf("%+v", o)
		}
		time.Sleep(20 * time.Minute) // beyond the first end
		if b.State() != breaker.ForcedOpen {
			t.Error("the first end was kept")
		}
		p.Close()
		m2 := shop(t)
		p2 := planeOf(t, m2, ops.Options{Standing: path})
		b2, _ := m2.Lookup("payments")
		if o := b2.Status().Override; o == nil || !o.Expires.Equal(end) || o.Actor != "bo" {
			t.Errorf("after a restart: %+v", o)
		}
		time.Sleep(21 * time.Minute)
		if b.State() != breaker.Closed || b2.State() != breaker.Closed {
			t.Errorf("%s and %s after the end", b.State(), b2.State())
		}
		for id, want := range map[string]string{"payments": "which has no override", "search": "which has no override", "tenants/a": "whose override has no end"} {
			if id == "tenants/a" {
				order := forceOpen
				order.ID = id
				if _, err := p2.Do(order, program); err != nil {
					t.Fatal(err)
				}
			}
			extend.ID = id
			if _, err := p2.Do(extend, program); !errors.Is(err, breaker.ErrOrder) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "not meant") {
				t.Errorf("%s: %v", id, err)
			}
		}
		// With a wildcard, overrides without an end are left alone.
		order := forceOpen
		order.ID, order.NoExpiry, order.For = "tenants/b", false, ops.Duration(time.Minute)
		if _, err := p2.Do(order, program); err != nil {
			t.Fatal(err)
		}
		extend.ID, extend.Confirm = "*", 1
		if r, err := p2.Do(extend, program); err != nil || r.Matched != 1 || r.Failed != 0 || r.Results[0].ID != "tenants/b" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func noteOf(t *testing.T, p *ops.Plane, id string) ops.Status {
	t.Helper()
	all, err := p.Status(ops.StatusQuery{IDs: []string{id}})
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func TestNotes(t *testing.T) {
	m := shop(t)
	p := planeOf(t, m, ops.Options{})
	note := ops.Order{ID: "payments", Verb: ops.VerbNote, Actor: "ana"}
	for i := range 7 {
		note.Reason = fmt.Sprint("note ", i)
		if r, err := p.Do(note, program); err != nil || r.Touched != 1 {
			t.Fatal(r, err)
		}
	}
	s := noteOf(t, p, "payments")
	if len(s.Notes) != 5 || s.Notes[0].Reason != "note 2" || s.Notes[4].Reason != "note 6" || s.Notes[4].Actor != "ana" || s.Notes[4].At.IsZero() {
		t.Errorf("%+v, want the newest five", s.Notes)
	}
	if e, err := p.Explain("payments"); err != nil || len(e.Notes) != 5 {
		t.Errorf("explain: %+v, %v", e, err)
	}
	if o := p.Overview(); len(o.Breakers[0].Notes)+len(o.Breakers[1].Notes) != 5 {
		t.Errorf("overview: %+v", o.Breakers)
	}
	orders := 0
	for _, e := range p.LastOrders() {
		if e.Kind == ops.EventOrder && e.Order.Verb == ops.VerbNote && strings.HasPrefix(e.Order.Reason, "note ") {
			orders++
		}
	}
	if orders != 7 {
		t.Errorf("%d events", orders)
	}
	note.Reason = ""
	if _, err := p.Do(note, program); err != nil || len(noteOf(t, p, "payments").Notes) != 0 {
		t.Errorf("notes that were taken off are there")
	}
	// Bounded, however many breakers get one: the oldest is dropped.
	set := breaker.SetOf[string](m, "tenants")
	note.Reason = "x"
	for i := range 1005 {
		set.Breaker(fmt.Sprint(i))
		note.ID = fmt.Sprint("tenants/", i)
		if _, err := p.Do(note, program); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range map[int]int{0: 0, 4: 0, 5: 1, 1004: 1} {
		if got := len(noteOf(t, p, fmt.Sprint("tenants/", i)).Notes); got != want {
			t.Errorf("tenants/%d has %d notes, want %d", i, got, want)
		}
	}
}

// An acknowledgement lasts until the breaker closes, in whatever way.
func TestAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := shop(t)
		p := planeOf(t, m, ops.Options{})
		b := m.Breaker("payments")
		ack := ops.Order{ID: "payments", Verb: ops.VerbAck, Actor: "ana", Reason: "looking into it"}
		if _, err := p.Do(ack, program); !errors.Is(err, breaker.ErrOrder) || !strings.Contains(err.Error(), "ack of payments, which is closed") {
			t.Errorf("a closed one: %v", err)
		}
		fail(b, 5)
		dry := ack
		dry.DryRun = true
		if r, err := p.Do(dry, program); err != nil || r.Touched != 1 || noteOf(t, p, "payments").Ack != nil {
			t.Errorf("a dry run: %+v, %v", r, err)
		}
		if r, err := p.Do(ack, program); err != nil || r.Touched != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		if a := noteOf(t, p, "payments").Ack; a == nil || a.Actor != "ana" || a.Reason != "looking into it" {
			t.Errorf("%+v", a)
		}
		time.Sleep(2 * time.Minute)
		fail(b, 1) // half-open, and open again
		synctest.Wait()
		if noteOf(t, p, "payments").Ack == nil {
			t.Error("it was lost although the breaker has not closed")
		}
		time.Sleep(2 * time.Minute)
		succeed(b, 1)
		synctest.Wait()
		if s := noteOf(t, p, "payments"); s.State != breaker.Closed || s.Ack != nil {
			t.Errorf("%s with %+v", s.State, s.Ack)
		}
		set := breaker.SetOf[string](m, "tenants")
		fail(set.Breaker("a"), 5)
		fail(set.Breaker("b"), 5)
		ack.ID, ack.Confirm = "tenants/*", 2
		if r, err := p.Do(ack, program); err != nil || r.Matched != 2 || r.Touched != 2 {
			t.Errorf("all that are not closed: %+v, %v", r, err)
		}
	})
}

func TestMark(t *testing.T) {
	m := shop(t)
	p := planeOf(t, m, ops.Options{})
	for _, o := range []ops.Order{
		{Verb: ops.VerbMark, Reason: "v1"},
		{ID: "*", Verb: ops.VerbMark, Reason: "v2"},
		{ID: "payments", Verb: ops.VerbMark, Reason: "new endpoint"},
		{ID: "tenants/*", Verb: ops.VerbMark, Reason: "new shard"},
	} {
		o.Actor = "ci"
		if _, err := p.Do(o, program); err != nil {
			t.Error(err)
		}
	}
	if x := p.Process().Mark; x == nil || x.Reason != "v2" || x.Actor != "ci" {
		t.Errorf("%+v", x)
	}
	var got []string
	for _, e := range p.LastOrders() {
		got = append(got, e.ID+" "+e.Order.Reason)
	}
	if strings.Join(got, ", ") != "* v1, * v2, payments new endpoint, tenants/* new shard" {
		t.Errorf("%v", got)
	}
	for _, id := range []string{"nosuch", "nosuch/*"} {
		if _, err := p.Do(ops.Order{ID: id, Verb: ops.VerbMark, Actor: "ci", Reason: "v1"}, program); !errors.Is(err, breaker.ErrUnknown) {
			t.Errorf("%s: %v", id, err)
		}
	}
}
