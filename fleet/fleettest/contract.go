package fleettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/fleet"
)

// TestStore tests what a fleet relies on in a Store. open must return a Store on
// data of its own for each subtest, and a second one on the same data.
func TestStore(t *testing.T, open func(t *testing.T) (a, b fleet.Store)) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, a, b fleet.Store)
	}{
		{"beat", testBeat},
		{"table", testTable},
		{"lease", testLease},
		{"lease ends", testLeaseEnds},
		{"one leader", testOneLeader},
		{"listen", testListen},
		{"orders", testOrders},
		{"restored orders", testRestored},
		{"any bytes", testAnyBytes},
		{"canceled", testCanceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := open(t)
			c.test(t, a, b)
		})
	}
}

const ttl = 5 * time.Second

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testBeat(t *testing.T, a, b fleet.Store) {
	ctx := t.Context()
	digest, err := a.Beat(ctx, "m1", []byte("one"))
	check(t, err)
	if digest != nil {
		t.Fatalf("digest %q of an empty store, want none", digest)
	}
	_, err = b.Beat(ctx, "m2", []byte("two"))
	check(t, err)
	_, err = a.Beat(ctx, "m1", []byte("three"))
	check(t, err)
	reports, orders, err := b.Collect(ctx)
	check(t, err)
	if len(reports) != 2 || string(reports["m1"]) != "three" || string(reports["m2"]) != "two" || orders != 0 {
		t.Errorf("collected %q and order %d", reports, orders)
	}
	term, err := b.Lead(ctx, "m2", 0, ttl)
	check(t, err)
	check(t, b.Publish(ctx, "m2", term, ttl, []byte("sum")))
	digest, err = a.Beat(ctx, "m1", []byte("four"))
	check(t, err)
	again, err := a.Digest(ctx)
	check(t, err)
	if string(digest) != "sum" || string(again) != "sum" {
		t.Errorf("digest %q and %q, want sum", digest, again)
	}
	// Without a coordinator it is for the next one, which must go on from it, and says
	// nothing of now.
	check(t, b.Resign(ctx, "m2", term))
	digest, err = a.Beat(ctx, "m1", []byte("five"))
	check(t, err)
	again, err = a.Digest(ctx)
	check(t, err)
	if string(digest) != "sum" || again != nil {
		t.Errorf("digest %q and %q without a coordinator, want sum and none", digest, again)
	}
}

func testTable(t *testing.T, a, b fleet.Store) {
	ctx := t.Context()
	for _, table := range []fleet.Table{fleet.ReportTable, fleet.InventoryTable, fleet.ReceiptTable + ":one", fleet.ReceiptTable + ":two"} {
		check(t, a.Put(ctx, table, "x", []byte(table)))
		check(t, a.Put(ctx, table, "y", []byte("2")))
		check(t, b.Drop(ctx, table, "y", []byte("1")))
		check(t, b.Drop(ctx, table, "none", []byte("1")))
		all, err := b.All(ctx, table)
		check(t, err)
		if len(all) != 2 || string(all["x"]) != string(table) {
			t.Errorf("table %s has %q", table, all)
		}
		check(t, b.Drop(ctx, table, "y", []byte("2")))
		if table == fleet.ReceiptTable+":one" {
			continue // the other has nothing of it
		}
		check(t, b.Drop(ctx, table, "x", nil))
		if all, err = a.All(ctx, table); err != nil || len(all) != 0 {
			t.Errorf("table %s has %q, want nothing: %v", table, all, err)
		}
	}
}

func testLease(t *testing.T, a, b fleet.Store) {
	ctx := t.Context()
	term, err := a.Lead(ctx, "a", 0, ttl)
	check(t, err)
	other, err := b.Lead(ctx, "b", 0, ttl)
	check(t, err)
	if term == 0 || other != 0 {
		t.Fatalf("terms %d and %d, want the first alone to have one", term, other)
	}
	for _, c := range []struct {
		holder string
		term   uint64
	}{{"b", term}, {"a", term + 1}, {"a", 0}} {
		if err := b.Publish(ctx, c.holder, c.term, ttl, []byte("no")); !errors.Is(err, fleet.ErrStale) {
			t.Errorf("%s publishes under term %d: %v, want ErrStale", c.holder, c.term, err)
		}
	}
	check(t, a.Publish(ctx, "a", term, ttl, []byte("yes")))
	check(t, b.Resign(ctx, "b", term)) // not its lease
	check(t, a.Publish(ctx, "a", term, ttl, []byte("yes")))
	check(t, a.Resign(ctx, "a", term))
	if err := a.Publish(ctx, "a", term, ttl, []byte("no")); !errors.Is(err, fleet.ErrStale) {
		t.Errorf("published after resigning: %v", err)
	}
	next, err := b.Lead(ctx, "b", term+40, ttl)
	check(t, err)
	if next <= term+40 {
		t.Errorf("the next term is %d, want more than %d", next, term+40)
	}
}

func testLeaseEnds(t *testing.T, a, b fleet.Store) {
	ctx := t.Context()
	term, err := a.Lead(ctx, "a", 0, 100*time.Millisecond)
	check(t, err)
	var next uint64
	for next == 0 {
		<-time.After(20 * time.Millisecond)
		next, err = b.Lead(ctx, "b", 0, ttl)
		check(t, err)
	}
	if next <= term {
		t.Errorf("term %d after %d, want a higher one", next, term)
	}
	if err := a.Publish(ctx, "a", term, ttl, []byte("late")); !errors.Is(err, fleet.ErrStale) {
		t.Errorf("a coordinator that slept published: %v", err)
	}
}

func testOneLeader(t *testing.T, a, b fleet.Store) {
	var mu sync.Mutex
	var terms []uint64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			s := a
			if i%2 == 0 {
				s = b
			}
			term, err := s.Lead(t.Context(), fmt.Sprint(i), 0, ttl)
			if err != nil {
				t.Error(err)
			}
			if term != 0 {
				mu.Lock()
				defer mu.Unlock()
				terms = append(terms, term)
			}
		})
	}
	wg.Wait()
	if len(terms) != 1 {
		t.Errorf("%d have the lease", len(terms))
	}
}

func testListen(t *testing.T, a, b fleet.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan string, 100)
	done := make(chan error, 1)
	go func() { done <- b.Listen(ctx, func(d []byte) { heard <- string(d) }) }()
	term, err := a.Lead(ctx, "a", 0, ttl)
	check(t, err)
	// When it begins to hear is not known.
	for i := 0; len(heard) == 0; i++ {
		check(t, a.Publish(ctx, "a", term, ttl, fmt.Append(nil, i)))
		<-time.After(10 * time.Millisecond)
	}
	if err := a.Publish(ctx, "b", term, ttl, []byte("stale")); !errors.Is(err, fleet.ErrStale) {
		t.Error(err)
	}
	check(t, a.Publish(ctx, "a", term, ttl, []byte("last")))
	for text := range heard {
		if text == "stale" {
			t.Error("heard what was not published")
		}
		if text == "last" {
			break
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Listen ended with %v, want that its context ended", err)
	}
}

func testOrders(t *testing.T, a, b fleet.Store) {
	ctx := t.Context()
	first, err := a.Add(ctx, "x", []byte("open"), 0, 0)
	check(t, err)
	second, err := b.Add(ctx, "y", []byte("close"), 0, 0)
	check(t, err)
	again, err := b.Add(ctx, "x", []byte("other"), 0, 0)
	check(t, err)
	if first == 0 || second <= first || again != first {
		t.Errorf("numbers %d, %d and %d again; want growing ones, and the first again", first, second, again)
	}
	<-time.After(30 * time.Millisecond)
	all, newest, err := b.Orders(ctx)
	check(t, err)
	if len(all) != 2 || newest != second {
		t.Fatalf("%d orders, the newest %d; want 2 and %d", len(all), newest, second)
	}
	for _, o := range all {
		if o.ID == "x" && (string(o.Order) != "open" || o.Number != first || o.Age < 20*time.Millisecond || o.Age > time.Minute) {
			t.Errorf("got %+v", o)
		}
	}
	_, newest, err = a.Collect(ctx)
	check(t, err)
	if newest != second {
		t.Errorf("the newest order is %d, want %d", newest, second)
	}
	check(t, a.Remove(ctx, "x", "none"))
	check(t, a.Remove(ctx))
	check(t, a.Remove(ctx, "y"))
	if all, newest, err = b.Orders(ctx); err != nil || len(all) != 0 || newest != second {
		t.Errorf("after all were removed: %+v and the newest %d, %v; want none and %d", all, newest, err, second)
	}
}

func testRestored(t *testing.T, a, b fleet.Store) {
	ctx := t.Context()
	number, err := a.Add(ctx, "old", []byte("force-open"), 41, time.Hour)
	check(t, err)
	next, err := b.Add(ctx, "new", []byte("close"), 0, 0)
	check(t, err)
	if number != 41 || next != 42 {
		t.Errorf("numbers %d and %d, want 41 and 42", number, next)
	}
	all, _, err := b.Orders(ctx)
	check(t, err)
	for _, o := range all {
		if o.ID == "old" && (o.Age < time.Hour || o.Age > time.Hour+time.Minute) {
			t.Errorf("the restored order is %s old, want an hour", o.Age)
		}
	}
}

func testAnyBytes(t *testing.T, a, b fleet.Store) {
	ctx := t.Context()
	value := make([]byte, 64<<10)
	for i := range value {
		value[i] = byte(i)
	}
	field := "x/\x00\r\n:y"
	check(t, a.Put(ctx, fleet.ReceiptTable, field, value))
	all, err := b.All(ctx, fleet.ReceiptTable)
	check(t, err)
	if !bytes.Equal(all[field], value) {
		t.Error("bytes have changed on the way")
	}
	_, err = a.Add(ctx, field, value, 0, 0)
	check(t, err)
	orders, _, err := b.Orders(ctx)
	check(t, err)
	if len(orders) != 1 || orders[0].ID != field || !bytes.Equal(orders[0].Order, value) {
		t.Error("an order has changed on the way")
	}
}

func testCanceled(t *testing.T, a, _ fleet.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Beat(ctx, "m", []byte("x")); err == nil {
		t.Error("a beat after the end of its context")
	}
	if err := a.Listen(ctx, func([]byte) {}); err == nil {
		t.Error("Listen after the end of its context")
	}
}
