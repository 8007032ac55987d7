package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
	"github.com/switchgear-go/switchgear/ops"
)

// flushed loses everything once: after so many orders were added, and so many receipts
// were put.
type flushed struct {
	*fleettest.Store
	adds, puts int64
	seenAdds   atomic.Int64
	seenPuts   atomic.Int64
	armed      atomic.Bool
	done       atomic.Bool
}

func (s *flushed) flush() {
	if s.seenAdds.Load() >= s.adds && s.seenPuts.Load() >= s.puts && s.done.CompareAndSwap(false, true) {
		s.Flush()
	}
}

func (s *flushed) Add(ctx context.Context, id string, order []byte, number uint64, age time.Duration) (uint64, error) {
	n, err := s.Store.Add(ctx, id, order, number, age)
	if s.armed.Load() {
		s.seenAdds.Add(1)
		s.flush()
	}
	return n, err
}

func (s *flushed) Put(ctx context.Context, t fleet.Table, field string, value []byte) error {
	err := s.Store.Put(ctx, t, field, value)
	if s.armed.Load() && strings.HasPrefix(string(t), string(fleet.ReceiptTable)) {
		s.seenPuts.Add(1)
		s.flush()
	}
	return err
}

// What a store that is flushed while an order is given has lost is named as silent.
// An override that any member has carried out reaches all, within a few beats, and the
// overrides of before are still there (F10, F12).
func TestOrderWhileTheStoreIsFlushed(t *testing.T) {
	dry := forceOpen("db", time.Hour)
	dry.DryRun = true
	opens := fleet.Order{Order: ops.Order{ID: "db", Verb: breaker.VerbOpen, Reason: "a test"}}
	for _, c := range []struct {
		name       string
		adds, puts int64
		order      fleet.Order
		want       breaker.State // of all; Closed: it may differ
		gone       bool          // its giver is told that it was lost
	}{
		{"before anyone has read it", 1, 0, forceOpen("db", time.Hour), breaker.Closed, true},
		{"when one has carried it out", 1, 1, forceOpen("db", time.Hour), breaker.ForcedOpen, false},
		{"when all but one have", 1, 3, forceOpen("db", time.Hour), breaker.ForcedOpen, false},
		{"a dry run", 1, 0, dry, breaker.Closed, true},
		{"an order that does not stand", 1, 2, opens, breaker.Closed, true},
	} {
		for _, before := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, others before: %t", c.name, before), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					crew := newCrew(t, 4, 0).withPlanes()
					store := &flushed{Store: crew.store, adds: c.adds, puts: c.puts}
					for _, x := range crew.all {
						x.Store = store
						x.m.Breaker("cache")
					}
					crew.start().joined()
					if before {
						crew.order(forceOpen("cache", time.Hour))
					}
					time.Sleep(time.Minute)
					store.armed.Store(true)
					r := crew.order(c.order)
					if !store.done.Load() || len(r.Done)+len(r.Silent) != 4 {
						t.Errorf("%s after a flush, want 4 with those that are silent", r)
					}
					if said := strings.HasSuffix(r.String(), "; the store has lost the order, or another one has replaced it"); r.Gone != c.gone || said != c.gone {
						t.Errorf("%s, gone: %t, want %t", r, r.Gone, c.gone)
					}
					time.Sleep(5 * time.Second)
					for _, x := range crew.all {
						if s := x.m.Breaker("cache").State(); before && s != breaker.ForcedOpen {
							t.Errorf("F12: at %s, cache is %s, want forced-open", x.Member, s)
						}
						b := x.m.Breaker("db")
						if s := b.State(); s != c.want && c.want != breaker.Closed {
							t.Errorf("F12: %s is %s, want %s", x.Member, s, c.want)
						}
						if n := len(b.History()); n > 1 {
							t.Errorf("F10: %s has moved %d times", x.Member, n)
						}
					}
				})
			})
		}
	}
}

// A process that is cut off while an override is ended, after a dry run as the command
// makes it, has it no more when it returns.
func TestEndOfOverrideReachesWhoMissedTheDryRun(t *testing.T) {
	for _, verb := range []breaker.Verb{breaker.VerbRelease, breaker.VerbClose} {
		for _, away := range []time.Duration{10 * time.Second, time.Minute} {
			t.Run(fmt.Sprintf("%s, away for %s", verb, away), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { endWhileAway(t, verb, away) })
			})
		}
	}
}

func endWhileAway(t *testing.T, verb breaker.Verb, away time.Duration) {
	c := newCrew(t, 3, 0).withPlanes()
	cut := &lossy{Store: c.store}
	c.all[2].Store = cut
	c.start().joined()
	if r := c.order(forceOpen("db", time.Hour)); len(r.Done) != 3 {
		t.Fatal(r)
	}
	cut.down.Store(true)
	time.Sleep(10 * time.Second)
	release := fleet.Order{Order: ops.Order{ID: "db", Verb: verb, DryRun: true}}
	dry := c.order(release)
	release.DryRun, release.Versions = false, dry.Versions()
	if r := c.order(release); len(r.Done) != 2 || len(r.Silent) != 1 {
		t.Errorf("%s: %v", r, r.Refused)
	}
	time.Sleep(away)
	cut.down.Store(false)
	time.Sleep(10 * time.Second)
	c.wantNoOverride("db")
	recent, err := c.all[0].f.Group().Recent(t.Context())
	if err != nil || len(recent) == 0 || len(recent[0].Done) != 2+btoi(verb == breaker.VerbRelease) || len(recent[0].Silent) != 0 {
		t.Errorf("%+v, %v", recent, err)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// JSON cannot carry an id that is not UTF-8: it would become the id of another breaker.
func TestOrderForAnIDThatIsNotUTF8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 1, 0).withPlanes().start().joined()
		_, err := c.all[0].f.Group().Order(t.Context(), withActor(forceOpen("tenant/\xff", time.Hour)), nil)
		if !errors.Is(err, breaker.ErrOrder) || !strings.Contains(err.Error(), `the id "tenant/\xff" is not UTF-8`) {
			t.Errorf("got %v", err)
		}
	})
}
