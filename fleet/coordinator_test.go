package fleet_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/ops"
)

// In a fleet of two, one that fails does not open the other, and both that fail open
// each other (F3).
func TestFleetOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 2, 3*time.Second).start().joined()
		time.Sleep(20 * time.Second)
		c.set(func(x *mate) bool { return x == c.all[0] }, 0)
		time.Sleep(time.Minute)
		if s := c.all[1].m.Breaker("db").Status(); s.State != breaker.Closed || len(c.all[1].m.Breaker("db").History()) > 0 {
			t.Errorf("the good one: %s", s.Explain())
		}
		if s := c.all[0].m.Breaker("db").State(); s == breaker.Closed {
			t.Error("the bad one is closed")
		}
		c.allWork()
		c.until(30*time.Second, "both are closed", func() bool { closed, _ := c.states(); return closed == 2 })
		time.Sleep(time.Minute)
		c.allFail()
		took := c.until(25*time.Second, "both are open", func() bool { _, open := c.states(); return open == 2 })
		t.Logf("both failed, and were open after %s", took)
	})
}

// A zone of one process has no verdict: it is one voice, and opens alone.
func TestZoneOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 5, 500*time.Millisecond, "a")
		c.all[4].Zone = "b"
		c.start().joined()
		c.set(func(x *mate) bool { return x.Zone == "b" }, 0)
		time.Sleep(30 * time.Second)
		for _, x := range c.all {
			if n := x.f.State().Opened; n > 0 {
				t.Errorf("%s in zone %s was opened by a verdict", x.Member, x.Zone)
			}
		}
		if closed, _ := c.states(); closed != 4 {
			t.Errorf("%d are closed, want 4", closed)
		}
	})
}

// A process that starts during a verdict is under it at once, without a failure of its
// own, unless people have forced its breaker closed for all.
func TestJoinsDuringAVerdict(t *testing.T) {
	for name, forced := range map[string]bool{"plain": false, "forced-closed for all": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrew(t, 4, time.Second).withPlanes().start().joined()
				time.Sleep(10 * time.Second)
				if forced {
					o := forceOpen("db", time.Hour)
					o.Verb = breaker.VerbForceClosed
					if r := c.order(o); len(r.Done) != 4 {
						t.Fatal(r)
					}
				}
				c.allFail()
				c.until(20*time.Second, "all are open beneath any override", func() bool {
					for _, x := range c.all {
						if x.m.Breaker("db").Status().Auto == breaker.Closed {
							return false
						}
					}
					return true
				})
				late := &mate{Options: fleet.Options{Member: "late"}}
				newCrewOf(c, late).withPlanes().start()
				time.Sleep(4 * time.Second)
				s := late.m.Breaker("db").Status()
				want := breaker.Open
				if forced {
					want = breaker.ForcedClosed
				}
				if s.State != want || !forced && s.Opened.Cause != breaker.CauseFleet {
					t.Errorf("the late one: %s", s.Explain())
				}
				ran := late.ran
				c.call(t.Context(), late)
				if (late.ran > ran) != forced {
					t.Errorf("its call ran: %t, want %t", late.ran > ran, forced)
				}
			})
		})
	}
}

// newCrewOf is others who share the store of c, and what they call.
func newCrewOf(c *crew, all ...*mate) *crew {
	return &crew{t: c.t, store: c.store, fails: func(x *mate) bool { return c.fails(x) }, all: all}
}

// Processes that have the same name at the same time, as containers with one hostname
// do, are members in their own right: each has a voice, a receipt and a row.
func TestSameName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 4, time.Second).withPlanes()
		for _, x := range c.all {
			x.Member = "app/1"
		}
		c.start().joined()
		time.Sleep(20 * time.Second)
		c.allFail()
		c.until(10*time.Second, "all are open", func() bool { _, open := c.states(); return open == 4 })
		if r := c.order(forceOpen("db", time.Hour)); len(r.Done) != 4 || r.Members != 4 {
			t.Errorf("%s, want 4 of 4 done", r)
		}
		v, err := c.all[0].f.Group().View(t.Context())
		if err != nil || len(v.Members) != 4 {
			t.Errorf("%d members on the screen, want 4: %v", len(v.Members), err)
		}
		c.leave(c.all[3]) // and is not taken for the others
		time.Sleep(10 * time.Second)
		if s := c.all[0].f.State(); s.Members != 3 || s.Silent != 0 {
			t.Errorf("one has left: %+v", s)
		}
	})
}

// A process with another key, as after a deploy that forgot one, does not keep the others
// from acting as a fleet, whether it is first or the coordinator dies.
func TestAnotherKeyDoesNotLead(t *testing.T) {
	for name, key := range map[string]string{"another": "another key, of 16 bytes or more", "none": ""} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { leadWithKey(t, key) }) })
	}
}

func leadWithKey(t *testing.T, key string) {
	c := newCrew(t, 5, time.Second).withPlanes()
	c.all[0].Key = []byte(key)
	other, rest := c.all[0], c.all[1:]
	c.join(other)
	time.Sleep(10 * time.Second)
	c.all = rest
	c.start()
	together := func() bool {
		for _, x := range c.all {
			if s := x.f.State(); s.Alone || s.Members != len(c.all) {
				return false
			}
		}
		return true
	}
	t.Logf("together after %s", c.until(30*time.Second, "the others are together", together))
	for range 10 {
		at := slices.IndexFunc(c.all, func(x *mate) bool { return x.f.State().Coordinator })
		if at < 0 {
			t.Fatal("none of them is the coordinator")
		}
		x := c.all[at]
		x.f.Close()
		c.all = slices.Delete(slices.Clone(c.all), at, at+1)
		time.Sleep(6 * time.Second)
		t.Logf("together after another %s", c.until(30*time.Second, "the others are together", together))
		x.Plane = nil
		c.all = append(c.all, &mate{every: x.every, Options: x.Options})
		c.join(c.all[len(c.all)-1])
		c.until(30*time.Second, "the new one is there", together)
	}
	if key == "" {
		return // it can read what the others say
	}
	if s := other.f.State(); s.Coordinator || !strings.Contains(s.LastDrop, "signature") {
		t.Errorf("the one with another key: %+v", s)
	}
	if text, err := other.f.Explain("db"); err != nil || !strings.HasSuffix(text, ": it hears no coordinator, and has dropped messages: no valid signature.") {
		t.Errorf("%s, %v", text, err)
	}
}

// A process that was killed and has started again under its name is there once: the
// one before it is neither a process nor silent on the screens and in receipts.
func TestRestartedProcessIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, 0).withPlanes().start().joined()
		var again *mate
		for range 4 {
			again = &mate{Options: fleet.Options{Member: "pod-again", Store: dies{c.store}, Key: testKey}}
			c.join(again)
			time.Sleep(2500 * time.Millisecond)
			c.leave(again)
		}
		again.m.Remove("db")
		c.join(again)
		time.Sleep(8 * time.Second)
		v := c.view()
		if v.Silent != 0 || len(v.Members) != 4 {
			t.Errorf("%d silent, %d members, want 0 and 4: %+v", v.Silent, len(v.Members), v.Members)
		}
		if r := c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: breaker.VerbOpen, For: ops.Duration(time.Second)}}); r.Members != 4 || len(r.Silent) > 0 {
			t.Errorf("%s", r)
		}
		// One that is killed and does not come back is silent for a minute.
		c.leave(again)
		time.Sleep(10 * time.Second)
		if v := c.view(); v.Silent != 1 || len(v.Members) != 4 {
			t.Errorf("%d silent, %d members, want 1 and 4", v.Silent, len(v.Members))
		}
		time.Sleep(time.Minute)
		if v := c.view(); v.Silent != 0 || len(v.Members) != 3 {
			t.Errorf("%d silent, %d members, want 0 and 3", v.Silent, len(v.Members))
		}
	})
}

// Two processes with one name are both there.
func TestTwoOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 4, 0)
		c.all[1].Member = c.all[0].Member
		c.start().joined()
		for range 60 {
			time.Sleep(500 * time.Millisecond)
			if v := c.view(); v.Silent != 0 || len(v.Members) != 4 {
				t.Fatalf("%d silent, %d members, want 0 and 4", v.Silent, len(v.Members))
			}
		}
	})
}

// noLead is a store whose rules do not let anyone become the coordinator.
type noLead struct {
	fleet.Store
	allowed *atomic.Bool
}

func (s noLead) Lead(ctx context.Context, holder string, after uint64, ttl time.Duration) (uint64, error) {
	if !s.allowed.Load() {
		return 0, errors.New("NOPERM this user has no permissions to run the 'evalsha' command")
	}
	return s.Store.Lead(ctx, holder, after, ttl)
}

// Where beats succeed and no one can be the coordinator, as when a rule of the store's
// user is missing, the processes say why they are alone.
func TestWhyThereIsNoCoordinator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 2, 0)
		var allowed atomic.Bool
		for _, x := range c.all {
			x.Store = noLead{c.store, &allowed}
		}
		c.start()
		time.Sleep(5 * time.Second)
		for range 100 {
			time.Sleep(97 * time.Millisecond)
			for _, x := range c.all {
				if s := x.f.State(); !s.Alone || s.Failed > 0 || !strings.Contains(s.LastError, "NOPERM") {
					t.Fatalf("%+v", s)
				}
			}
		}
		if text, err := c.all[0].f.Explain("db"); err != nil || !strings.HasSuffix(text, ": NOPERM this user has no permissions to run the 'evalsha' command.") {
			t.Errorf("%s, %v", text, err)
		}
		allowed.Store(true)
		c.joined()
		time.Sleep(2 * time.Second)
		for _, x := range c.all {
			if s := x.f.State(); s.LastError != "" {
				t.Errorf("together: %s", s.LastError)
			}
		}
	})
}
