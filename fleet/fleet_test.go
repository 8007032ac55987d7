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
	"github.com/switchgear-go/switchgear/fleet/fleettest"
	"github.com/switchgear-go/switchgear/ops"
)

// Members that are called each five seconds find out together in a few seconds
// what each alone would need half a minute for.
func TestTogetherTheyNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 30, 5*time.Second).start().joined()
		time.Sleep(20 * time.Second)
		c.allFail()
		took := c.until(15*time.Second, "all are open", func() bool { _, open := c.states(); return open == 30 })
		t.Logf("protected after %s", took)
		verdicts := 0
		for _, x := range c.all {
			s := x.m.Breaker("db").Status()
			if s.Transition != nil && s.Transition.Cause == breaker.CauseFleet {
				verdicts++
				if why := s.Why(); !strings.Contains(why, "processes of the fleet; here ") {
					t.Errorf("why: %s", why)
				}
			}
		}
		if verdicts < 25 {
			t.Errorf("%d opened by the verdict, want nearly all", verdicts)
		}
		// One probe for all, until the dependency works.
		ran := -c.ran()
		time.Sleep(30 * time.Second)
		if ran += c.ran(); ran > 20 {
			t.Errorf("%d calls reached the dependency in 30 s while it was down, want one each two seconds at most", ran)
		}
		c.allWork()
		took = c.until(30*time.Second, "all are closed", func() bool { closed, _ := c.states(); return closed == 30 })
		t.Logf("recovered after %s", took)
	})
}

// One process that cannot reach the dependency opens alone (F3).
func TestOneBadNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 6, 100*time.Millisecond).start().joined()
		c.set(func(x *mate) bool { return x == c.all[0] }, 0)
		time.Sleep(time.Minute)
		if closed, _ := c.states(); closed != 5 {
			t.Errorf("%d closed, want 5", closed)
		}
		for _, x := range c.all {
			if n := x.f.State().Opened; n != 0 {
				t.Errorf("%s was opened by a verdict", x.Member)
			}
		}
	})
}

// A bad zone opens as one, and only it.
func TestOneBadZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 18, 5*time.Second, "a", "b", "c").start().joined()
		c.set(func(x *mate) bool { return x.Zone != "c" }, 0)
		took := c.until(20*time.Second, "two zones are open", func() bool { _, open := c.states(); return open == 12 })
		t.Logf("protected after %s", took)
		time.Sleep(time.Minute)
		for _, x := range c.all {
			s := x.m.Breaker("db").Status()
			if open := s.Auto != breaker.Closed; open != (x.Zone != "c") {
				t.Errorf("%s in zone %s: %s", x.Member, x.Zone, s.Explain())
			}
			if tr := s.Opened; tr != nil && tr.Cause == breaker.CauseFleet && tr.Peers.Scope != "zone "+x.Zone {
				t.Errorf("%s in zone %s was opened by %s", x.Member, x.Zone, tr.Peers.Scope)
			}
		}
	})
}

// A process whose own calls succeed stays closed against a verdict (F4).
func TestOwnEvidenceFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 6, 200*time.Millisecond).start().joined()
		time.Sleep(10 * time.Second)
		c.set(func(x *mate) bool { return x != c.all[0] }, 0)
		c.until(10*time.Second, "five are open", func() bool { _, open := c.states(); return open == 5 })
		time.Sleep(30 * time.Second)
		if s := c.all[0].m.Breaker("db").Status(); s.State != breaker.Closed {
			t.Errorf("opened against its own evidence: %s", s.Explain())
		}
	})
}

// Without a store all is as without a fleet, and with it again they act as one
// (F6, F12).
func TestStoreAway(t *testing.T) {
	for _, how := range []struct {
		name     string
		away, on func(*fleettest.Store)
	}{
		{"down", func(s *fleettest.Store) { s.Down(true) }, func(s *fleettest.Store) { s.Down(false) }},
		{"hangs", func(s *fleettest.Store) { s.Hang(true) }, func(s *fleettest.Store) { s.Hang(false) }},
		{"replaced", func(s *fleettest.Store) { s.Down(true) }, func(s *fleettest.Store) { s.Flush(); s.Down(false) }},
	} {
		t.Run(how.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrew(t, 5, 100*time.Millisecond).start().joined()
				c.allFail()
				c.until(5*time.Second, "all are open", func() bool { _, open := c.states(); return open == 5 })
				time.Sleep(3 * time.Second)
				how.away(c.store)
				c.allWork()
				// Each probes by itself, no later than it would without a fleet.
				took := c.until(crewSettings.ResetTimeout+time.Second, "all have closed by themselves", func() bool { closed, _ := c.states(); return closed == 5 })
				t.Logf("closed by themselves after %s", took)
				c.until(10*time.Second, "all are alone", func() bool {
					for _, x := range c.all {
						if s := x.f.State(); !s.Alone || s.LastError == "" || s.AloneSince.IsZero() {
							return false
						}
					}
					return true
				})
				c.allFail()
				time.Sleep(time.Second)
				if _, open := c.states(); open != 5 {
					t.Error("alone, and their own rules do not open them")
				}
				how.on(c.store)
				took = c.until(40*time.Second, "all have joined again", func() bool {
					for _, x := range c.all {
						if s := x.f.State(); s.Alone || s.Members != 5 {
							return false
						}
					}
					return true
				})
				t.Logf("together again after %s", took)
				c.allWork()
				c.until(20*time.Second, "all are closed", func() bool { closed, _ := c.states(); return closed == 5 })
			})
		})
	}
}

// A store that loses its data loses no protection: open breakers stay open until
// a probe passes (F12).
func TestFlushWhileOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 8, time.Second).start().joined()
		c.allFail()
		c.until(10*time.Second, "all are open", func() bool { _, open := c.states(); return open == 8 })
		c.store.Flush()
		ran := -c.ran()
		time.Sleep(20 * time.Second)
		if ran += c.ran(); ran > 15 {
			t.Errorf("%d calls reached the dependency in 20 s after the flush", ran)
		}
		if _, open := c.states(); open != 8 {
			t.Errorf("%d open, want 8", open)
		}
	})
}

// The coordinator leaves or hangs: another one goes on with what it knew.
func TestCoordinatorLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 6, time.Second).start().joined()
		c.allFail()
		c.until(10*time.Second, "all are open", func() bool { _, open := c.states(); return open == 6 })
		for i, x := range c.all {
			if x.f.State().Coordinator {
				c.leave(x)
				c.all = append(c.all[:i:i], c.all[i+1:]...)
				break
			}
		}
		c.joined()
		n := 0
		for _, x := range c.all {
			if x.f.State().Coordinator {
				n++
			}
		}
		if n != 1 || len(c.all) != 5 {
			t.Errorf("%d coordinators of %d", n, len(c.all))
		}
		ran := -c.ran()
		time.Sleep(10 * time.Second)
		if ran += c.ran(); ran > 10 {
			t.Errorf("%d calls reached the dependency in 10 s", ran)
		}
		c.allWork()
		c.until(20*time.Second, "all are closed", func() bool { closed, _ := c.states(); return closed == 5 })
	})
}

// The owner of a probe that hangs for ever holds up no one (F7).
func TestProbeHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 4, 500*time.Millisecond).start().joined()
		c.allFail()
		c.until(10*time.Second, "all are open", func() bool { _, open := c.states(); return open == 4 })
		c.set(func(*mate) bool { return true }, time.Hour)
		ran := c.ran()
		c.until(10*time.Second, "a probe hangs", func() bool { return c.ran() > ran })
		c.allWork()
		took := c.until(2*time.Minute, "three of four are closed", func() bool { closed, _ := c.states(); return closed >= 3 })
		t.Logf("recovered after %s", took)
	})
}

// Advise judges and tells, and obeys nothing.
func TestAdvise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 6, time.Second)
		c.all[0].Advise = true
		c.all[0].every = 0 // it makes no calls: only a verdict could open it
		c.start().joined()
		c.allFail()
		c.until(20*time.Second, "five are open", func() bool { _, open := c.states(); return open == 5 })
		time.Sleep(5 * time.Second)
		if c.all[0].m.Breaker("db").State() != breaker.Closed || c.all[0].f.State().Opened != 0 {
			t.Error("it obeyed")
		}
		b, err := c.view().Breaker("db")
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(b.Processes, func(p fleet.Process) bool { return p.Member == "pod-0" })
		if i < 0 || !b.Processes[i].Advised || !strings.Contains(b.Explain(), "pod-0 only advises, and would be open.") {
			t.Errorf("it does not say what it would have done: %+v, %s", b.Processes, b.Explain())
		}
	})
}

// One that only advises refuses orders for all, and those that stand already. The
// others carry them out, on condition of the versions of the dry run.
func TestAdviseRefusesOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, 0).withPlanes()
		c.all[0].Advise = true
		c.start().joined()
		o := forceOpen("*", time.Hour)
		o.Confirm = 10
		r := c.order(o)
		if len(r.Done) != 2 || len(r.Refused) != 1 || r.Refused[0].Member != "pod-0" || r.Refused[0].Error != "it only advises, and does not carry out the fleet's orders" {
			t.Errorf("%s: %+v", r, r.Refused)
		}
		for _, id := range []string{"db", "made later"} {
			for i, x := range c.all {
				if s := x.m.Breaker(id).Status(); (s.Override != nil) == (i == 0) {
					t.Errorf("%s: %s", x.Member, s.Explain())
				}
			}
		}
		late := &mate{Options: fleet.Options{Member: "late", Advise: true, Key: testKey, Plane: nil}}
		late.Plane = ops.New(&late.m, ops.Options{})
		t.Cleanup(func() { late.Plane.Close() })
		c.join(late)
		time.Sleep(time.Minute)
		if s := late.m.Breaker("db").Status(); s.Override != nil {
			t.Errorf("it joined later: %s", s.Explain())
		}
		for _, m := range c.view().Members {
			if m.Orders == m.Advise {
				t.Errorf("%s: carries out orders: %t, advises: %t", m.Name, m.Orders, m.Advise)
			}
		}
		// Who gives orders to the process itself is obeyed.
		if _, err := late.Plane.Do(withActor(forceOpen("db", time.Hour)).Order, ops.Peer{}); err != nil || late.m.Breaker("db").State() != breaker.ForcedOpen {
			t.Errorf("its own plane: %s, %v", late.m.Breaker("db").State(), err)
		}
	})
}

// follower cannot become the coordinator.
type follower struct{ fleet.Store }

func (follower) Lead(context.Context, string, uint64, time.Duration) (uint64, error) { return 0, nil }

// An order to close ends the verdict, also where the coordinator does not carry it out:
// because it only advises, has no plane, or has no such breaker.
func TestCloseWhereTheCoordinatorDoesNot(t *testing.T) {
	for name, edit := range map[string]func(*mate){
		"advises":  func(x *mate) { x.Advise = true },
		"no plane": func(x *mate) { x.Plane = nil },
		"unknown":  func(*mate) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrew(t, 4, time.Second).withPlanes()
				for _, x := range c.all[1:] {
					x.Store = follower{c.store}
				}
				edit(c.all[0])
				c.all[0].every = 0
				c.start().joined()
				if name == "unknown" {
					c.all[0].m.Remove("db")
				}
				c.allFail()
				c.until(20*time.Second, "three are open", func() bool { b := c.view().Breakers[0]; return len(b.Verdicts) == 1 && b.States[breaker.Open] >= 3 })
				r := c.order(fleet.Order{Order: ops.Order{ID: "db", Verb: breaker.VerbClose}})
				if len(r.Done) != 3 || len(r.Refused) != 1 {
					t.Fatalf("%s: %+v", r, r.Refused)
				}
				c.allWork()
				time.Sleep(1500 * time.Millisecond)
				if v := c.view().Breakers[0].Verdicts; len(v) != 0 {
					t.Errorf("the verdict is still open: %+v", v)
				}
			})
		})
	}
}

// A store that can be read and not written, as one that is full, is as one that is
// away: who cannot be heard is held by no verdict (F6).
func TestStoreFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 4, time.Second)
		for _, x := range c.all {
			x.Store = &full{Store: c.store}
		}
		c.start().joined()
		c.allFail()
		c.until(20*time.Second, "all are open", func() bool { _, open := c.states(); return open == 4 })
		for _, x := range c.all {
			x.Store.(*full).is.Store(true)
		}
		c.until(6*time.Second, "all are alone, and none coordinates", func() bool {
			for _, x := range c.all {
				if s := x.f.State(); !s.Alone || s.Coordinator {
					return false
				}
			}
			return true
		})
		c.allWork()
		c.until(15*time.Second, "each probes by itself", func() bool { closed, _ := c.states(); return closed == 4 })
		for _, x := range c.all {
			x.Store.(*full).is.Store(false)
		}
		c.joined()
	})
}

// full is the way to a store that refuses reports.
type full struct {
	fleet.Store
	is atomic.Bool
}

func (f *full) Beat(ctx context.Context, member string, report []byte) ([]byte, error) {
	if f.is.Load() {
		return nil, errors.New("OOM command not allowed")
	}
	return f.Store.Beat(ctx, member, report)
}

// Keys of sets take part as well, one by one, and no verdict makes one (I12).
func TestKeysOfSets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 6, 0).start()
		down := map[string]bool{"acme": true}
		var stops []chan bool
		for i, x := range c.all {
			set := breaker.SetOf[string](&x.m, "tenant")
			stop := make(chan bool)
			stops = append(stops, stop)
			go func() {
				for {
					select {
					case <-time.After(3 * time.Second):
						for _, key := range []string{"acme", "good"} {
							if i < 5 { // the last calls none
								set.Do(t.Context(), key, func(context.Context) error {
									if down[key] {
										return errDown
									}
									return nil
								})
							}
						}
					case <-stop:
						return
					}
				}
			}()
		}
		c.until(25*time.Second, "the key is open in five", func() bool {
			n := 0
			for _, x := range c.all {
				if b, err := x.m.Lookup("tenant/acme"); err == nil && b.State() == breaker.Open {
					n++
				}
				if b, err := x.m.Lookup("tenant/good"); err == nil && b.State() != breaker.Closed {
					t.Fatal("the other key opened")
				}
			}
			return n == 5
		})
		verdicts := uint64(0)
		for _, x := range c.all {
			verdicts += x.f.State().Opened
		}
		if verdicts == 0 {
			t.Error("none was opened by a verdict")
		}
		if _, err := c.all[5].m.Lookup("tenant/acme"); !errors.Is(err, breaker.ErrUnknown) {
			t.Errorf("a verdict made a key: %v", err)
		}
		for _, s := range stops {
			close(s)
		}
	})
}

func TestOptions(t *testing.T) {
	var m breaker.Manager
	good := fleet.Options{Store: fleettest.NewStore(), Group: "g"}
	for _, c := range []struct {
		change func(*fleet.Options)
		want   string
	}{
		{func(o *fleet.Options) { o.Store = nil }, "no Redis and no Store"},
		{func(o *fleet.Options) { o.Group = "" }, "Group is"},
		{func(o *fleet.Options) { o.Group = "a{b}" }, "Group is"},
		{func(o *fleet.Options) { o.Zone = strings.Repeat("z", 33) }, "Zone is"},
		{func(o *fleet.Options) { o.Key = []byte("short") }, "Key has 5 bytes"},
		{func(o *fleet.Options) { o.Beat = time.Millisecond }, "Beat is"},
		{func(o *fleet.Options) { o.Quorum = 2 }, "Quorum is"},
		{func(o *fleet.Options) { o.Sure = 1 }, "Sure is"},
		{func(o *fleet.Options) { o.ProbeEvery = -1 }, "ProbeEvery is"},
	} {
		o := good
		c.change(&o)
		if _, err := fleet.Join(t.Context(), &m, o); !errors.Is(err, fleet.ErrOptions) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// dies is a store for a member that is killed: what it said stays.
type dies struct{ fleet.Store }

func (dies) Drop(context.Context, fleet.Table, string, []byte) error { return nil }

// A process that fails, is killed and starts again has one voice, however often, and
// does not open the others (F3).
func TestRestartsAreOneVoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 4, 0).start().joined()
		c.set(func(x *mate) bool { return x.Member == "pod-bad" }, 0)
		for range 8 {
			bad := &mate{every: 200 * time.Millisecond, Options: fleet.Options{Member: "pod-bad", Store: dies{c.store}}}
			c.join(bad)
			time.Sleep(2500 * time.Millisecond)
			c.leave(bad)
		}
		if _, open := c.states(); open > 0 {
			s := c.all[0].m.Breaker("db").Status()
			t.Errorf("%d of the others are open: %s", open, s.Explain())
		}
	})
}
