package breaker

import (
	"context"
	"slices"
	"sync"
	"testing"
)

func TestManagerListenerHearsAllThereIsAndWillBe(t *testing.T) {
	var m Manager
	var mu sync.Mutex
	var got []string
	early := m.Breaker("early")
	tenants := SetOf[string](&m, "tenants")
	old := tenants.Breaker("old")
	remove := m.AddListener(Listener{StateChange: func(b *Breaker, tr Transition) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, b.ID()+" "+tr.To.String())
	}})
	late := m.Breaker("late")
	lateSet := SetOf[int](&m, "late-set")
	for _, b := range []*Breaker{early, old, tenants.Breaker("new"), late, lateSet.Breaker(7)} {
		b.Open(Order{})
	}
	want := []string{"early open", "tenants/old open", "tenants/new open", "late open", "late-set/7 open"}
	if !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
	remove()
	remove() // does no harm
	early.Close(Order{})
	lateSet.Breaker(8).Open(Order{})
	m.Breaker("later").Open(Order{})
	if len(got) != len(want) {
		t.Errorf("heard %q after it was removed", got[len(want):])
	}
}

func TestManagerListenerOfCallsIsHeardByLaterBreakers(t *testing.T) {
	var m Manager
	n := 0
	m.AddListener(Listener{Success: func(*Breaker) { n++ }})
	_ = m.Breaker("a").Do(context.Background(), nop)
	_ = SetOf[string](&m, "s").Do(context.Background(), "k", nop)
	if n != 2 {
		t.Errorf("heard %d successes, want 2", n)
	}
}

func TestStateChangeListenerCostsNoCall(t *testing.T) {
	var m Manager
	m.AddListener(Listener{StateChange: func(*Breaker, Transition) {}})
	b := m.Breaker("a")
	if w := b.load(); w&flagWatched != 0 {
		t.Errorf("word is %x: calls take the slow path for a listener of transitions", w)
	}
	s, err := CreateSet[string](&m, "s", Settings{}, SetOptions{MaxKeys: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"a", "b", "c"} {
		_ = s.Do(context.Background(), k, nop)
	}
	if n := len(s.Status()); n != 1 {
		t.Errorf("a full set remembers %d healthy keys, want 1: an unknown key that succeeds leaves nothing behind", n)
	}
}
