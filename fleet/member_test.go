package fleet_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
)

// spy fails the test if an operation of the store is asked for by a goroutine
// that has a breaker's call or permit on its stack (F1).
type spy struct {
	fleet.Store
	t *testing.T
}

func (s spy) look() {
	stack := make([]byte, 64<<10)
	stack = stack[:runtime.Stack(stack, false)]
	for _, entry := range []string{"breaker.(*Breaker).Do", "breaker.(*Breaker).Allow", "breaker.Permit.", "breaker.(*Set"} {
		if strings.Contains(string(stack), entry) {
			s.t.Errorf("a call reaches the store:\n%s", stack)
		}
	}
}

func (s spy) Beat(ctx context.Context, member string, report []byte) ([]byte, error) {
	s.look()
	return s.Store.Beat(ctx, member, report)
}

func (s spy) Digest(ctx context.Context) ([]byte, error) {
	s.look()
	return s.Store.Digest(ctx)
}

func (s spy) Put(ctx context.Context, t fleet.Table, field string, value []byte) error {
	s.look()
	return s.Store.Put(ctx, t, field, value)
}

func (s spy) All(ctx context.Context, t fleet.Table) (map[string][]byte, error) {
	s.look()
	return s.Store.All(ctx, t)
}

func (s spy) Drop(ctx context.Context, t fleet.Table, field string, value []byte) error {
	s.look()
	return s.Store.Drop(ctx, t, field, value)
}

func (s spy) Lead(ctx context.Context, holder string, after uint64, ttl time.Duration) (uint64, error) {
	s.look()
	return s.Store.Lead(ctx, holder, after, ttl)
}

func (s spy) Collect(ctx context.Context) (map[string][]byte, uint64, error) {
	s.look()
	return s.Store.Collect(ctx)
}

func (s spy) Publish(ctx context.Context, holder string, term uint64, ttl time.Duration, digest []byte) error {
	s.look()
	return s.Store.Publish(ctx, holder, term, ttl, digest)
}

func (s spy) Resign(ctx context.Context, holder string, term uint64) error {
	s.look()
	return s.Store.Resign(ctx, holder, term)
}

func (s spy) Listen(ctx context.Context, f func([]byte)) error {
	s.look()
	return s.Store.Listen(ctx, f)
}

func (s spy) Add(ctx context.Context, id string, order []byte, number uint64, age time.Duration) (uint64, error) {
	s.look()
	return s.Store.Add(ctx, id, order, number, age)
}

func (s spy) Orders(ctx context.Context) ([]fleet.StoredOrder, uint64, error) {
	s.look()
	return s.Store.Orders(ctx)
}

func (s spy) Remove(ctx context.Context, ids ...string) error {
	s.look()
	return s.Store.Remove(ctx, ids...)
}

// In a bubble, time stands still while a goroutine can run. So calls that take
// no time at all, in every state of the breaker, while every operation of the
// store takes half a second, wait for nothing that the store does (F1).
func TestNoCallWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := fleettest.NewStore()
		c := newCrew(t, 3, 0)
		c.store = store
		for _, x := range c.all {
			x.Store = spy{store, t}
		}
		c.start().joined()
		store.Hang(true)
		time.Sleep(time.Second)
		began, commands := time.Now(), store.Commands()
		for i := range 30_000 {
			x := c.all[i%3]
			c.set(func(*mate) bool { return i%7 < 3 || i > 20_000 }, 0)
			c.call(t.Context(), x)
			if i%1000 == 999 {
				b := x.m.Breaker("db")
				b.HalfOpen(breaker.Order{})
				c.call(t.Context(), x)
				b.Close(breaker.Order{})
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("calls waited for %s", took)
		}
		if n := store.Commands() - commands; n != 0 {
			t.Errorf("calls led to %d operations of the store before any time had passed", n)
		}
	})
}
