package fleet_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
)

// counted counts what members ask of their store.
type counted struct {
	fleet.Store
	beats, puts, orders atomic.Int64
}

func (c *counted) Beat(ctx context.Context, member string, report []byte) ([]byte, error) {
	c.beats.Add(1)
	return c.Store.Beat(ctx, member, report)
}

func (c *counted) Put(ctx context.Context, t fleet.Table, field string, value []byte) error {
	c.puts.Add(1)
	return c.Store.Put(ctx, t, field, value)
}

func (c *counted) Orders(ctx context.Context) ([]fleet.StoredOrder, uint64, error) {
	c.orders.Add(1)
	return c.Store.Orders(ctx)
}

// In Redis a beat is two commands, Orders are three, and a Put is two. Of 1,000
// quiet members the store should have 2,100 a second at most.
func TestQuietMembersAskLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members, minutes = 10, 30
		store := &counted{Store: fleettest.NewStore()}
		for range members {
			m := breaker.NewManager(breaker.Settings{})
			m.Breaker("db")
			f, err := fleet.Join(t.Context(), m, fleet.Options{Store: store, Group: "g"})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
		}
		time.Sleep(time.Minute)
		store.beats.Store(0)
		store.puts.Store(0)
		store.orders.Store(0)
		time.Sleep(minutes * time.Minute)
		commands := 2*store.beats.Load() + 3*store.orders.Load() + 2*store.puts.Load()
		perSecond := float64(commands) / members / (minutes * time.Minute).Seconds()
		if perSecond > 2.09 { // the rest is the coordinator's
			t.Errorf("%.3f commands a second of each member, want at most 2.09: %d beats, %d Orders, %d Puts of %d members in %d minutes",
				perSecond, store.beats.Load(), store.orders.Load(), store.puts.Load(), members, minutes)
		}
	})
}

// gap is a store that was empty at the one moment when orders were read.
type gap struct {
	fleet.Store
	armed atomic.Bool
}

func (g *gap) Orders(ctx context.Context) ([]fleet.StoredOrder, uint64, error) {
	if g.armed.CompareAndSwap(true, false) {
		return nil, 0, nil
	}
	return g.Store.Orders(ctx)
}

// A member that read orders at the wrong moment reads them again: the digest has
// another number than it has seen.
func TestOrdersAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, 0).withPlanes()
		g := &gap{Store: c.store}
		c.all[2].Store = g
		c.start().joined()
		time.Sleep(10 * time.Second)
		g.armed.Store(true)
		if r := c.order(forceOpen("db", time.Hour)); len(r.Done) != 3 || g.armed.Load() {
			t.Errorf("%s, want 3 of 3 done", r)
		}
	})
}
