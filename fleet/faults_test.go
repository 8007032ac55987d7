package fleet_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// slack is for a machine that is shared: no bound here is near what is usual.
const slack = 15 * time.Second

var processSettings = breaker.Settings{FailMax: 5, ResetTimeout: 10 * time.Second}

// stressed says that there is time for the long runs.
var stressed = os.Getenv("SWITCHGEAR_STRESS") != ""

// Eight real processes under a real store that is broken, with the invariants
// checked on what they recorded. SWITCHGEAR_STRESS=60s breaks it in every way.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := startServer(t)
	way := newProxy(t, s.addr)
	p := startProcesses(t, 8, processConfig{Redis: way.addr(), Every: time.Second, Settings: processSettings, Key: "0123456789abcdef"}, "a", "b")
	defer p.check()
	t.Logf("joined after %s", p.until(slack, "all have joined", p.together))
	<-time.After(3 * time.Second)

	t.Run("outage", func(t *testing.T) {
		p.t = t
		began := p.mark()
		p.behave(all)
		t.Logf("protected after %s", p.until(slack, "all are open", p.allOpen))
		open := p.mark()
		<-time.After(10 * time.Second)
		_, ran := p.since(open)
		t.Logf("%d calls reached the dependency in 10 s while it was down: %.1f a second; transitions %v", ran, float64(ran)/10, p.causes(began))
		if ran > 20 {
			t.Errorf("F7: %d probes in 10 s, want one each two seconds", ran)
		}
		p.behave(none)
		t.Logf("recovered after %s", p.until(slack+10*time.Second, "all are closed", p.allClosed))
		if n := p.causes(began)["open fleet"]; n == 0 {
			t.Error("no breaker opened by the verdict")
		}
	})
	t.Run("bad node", func(t *testing.T) {
		needTime(t)
		p.t = t
		began := p.mark()
		p.behave(func(c processConfig) bool { return c.ID == 3 })
		p.until(slack, "the bad node is open", func() bool { return p.open[3] != breaker.Closed })
		<-time.After(6 * time.Second)
		records, _ := p.since(began)
		for _, r := range records {
			if r.Process != 3 {
				t.Errorf("F3: process %d: %s", r.Process, r.Transition.Summary())
			}
		}
		p.behave(none)
		p.until(slack+10*time.Second, "all are closed", p.allClosed)
	})
	t.Run("bad zone", func(t *testing.T) {
		needTime(t)
		p.t = t
		<-time.After(5 * time.Second)
		began := p.mark()
		p.behave(func(c processConfig) bool { return c.Zone == "b" })
		p.until(slack, "the bad zone is open", func() bool { return p.count() >= 4 })
		<-time.After(3 * time.Second)
		records, _ := p.since(began)
		for _, r := range records {
			if p.configs[r.Process].Zone != "b" {
				t.Errorf("F4: process %d of the good zone: %s", r.Process, r.Transition.Summary())
			}
		}
		p.behave(none)
		p.until(slack+10*time.Second, "all are closed", p.allClosed)
	})
	for _, fault := range []struct {
		name      string
		begin     func()
		end       func()
		staysOpen bool // it is no outage of the store: the fleet goes on
	}{
		{"stopped", s.pause, s.resume, false},
		{"killed", s.kill, s.start, false},
		{"partition", func() { way.swallow.Store(true) }, func() { way.swallow.Store(false) }, false},
		{"half-open", func() { way.half.Store(true) }, func() { way.half.Store(false) }, false},
		{"flushed", func() { flush(t, s) }, func() {}, true},
		{"full", func() { memory(t, s, "1", "noeviction") }, func() { memory(t, s, "0", "noeviction") }, false},
		{"evicting", func() { evict(t, s) }, func() {}, true},
		{"slow", func() { way.delay.Store(int64(50 * time.Millisecond)) }, func() { way.delay.Store(0) }, true},
	} {
		t.Run(fault.name, func(t *testing.T) {
			if fault.name != "killed" {
				needTime(t)
			}
			p.t = t
			p.until(3*slack, "all are together", p.together)
			p.behave(all)
			p.until(slack, "all are open", p.allOpen)
			<-time.After(2 * time.Second)
			began := p.mark()
			fault.begin()
			if fault.staysOpen {
				<-time.After(6 * time.Second)
				if records, ran := p.since(began); ran > 16 {
					t.Errorf("F12: %d calls reached the dependency in 6 s; %d transitions", ran, len(records))
				}
			} else {
				t.Logf("alone after %s", p.until(slack, "all are alone", p.allAlone))
				// Each probes by itself, at the pace of its own settings (F6).
				<-time.After(10 * time.Second)
				_, ran := p.since(began)
				t.Logf("%d calls reached the dependency in %s", ran, time.Since(began.at))
				if most := 8 * (2 + int(time.Since(began.at)/processSettings.ResetTimeout)); ran > most {
					t.Errorf("F6: %d calls reached the dependency, want at most %d as without a fleet", ran, most)
				}
			}
			p.behave(none)
			fault.end()
			t.Logf("together after %s", p.until(3*slack, "all are together again", p.together))
			t.Logf("recovered after another %s", p.until(2*slack, "all are closed", p.allClosed))
		})
	}
}

// memory bounds that of the server, in bytes; 0 for no bound.
func memory(t *testing.T, s *server, most, policy string) {
	t.Helper()
	c := s.client()
	defer c.Close()
	for k, v := range map[string]string{"maxmemory-policy": policy, "maxmemory": most} {
		if err := c.ConfigSet(context.Background(), k, v).Err(); err != nil {
			t.Error(err)
		}
	}
}

// evict takes away one key after the other, as a server does that runs out of
// memory.
func evict(t *testing.T, s *server) {
	t.Helper()
	c := s.client()
	defer c.Close()
	keys, err := c.Keys(context.Background(), "sg1:*").Result()
	if err != nil || len(keys) < 4 {
		t.Errorf("%q, %v; want the keys of the fleet", keys, err)
	}
	for _, k := range keys {
		if err := c.Del(context.Background(), k).Err(); err != nil {
			t.Error(err)
		}
		<-time.After(500 * time.Millisecond)
	}
}

func needTime(t *testing.T) {
	t.Helper()
	if !stressed {
		t.Skip("takes minutes: SWITCHGEAR_STRESS=60s")
	}
}

func flush(t *testing.T, s *server) {
	t.Helper()
	c := s.client()
	defer c.Close()
	for _, do := range []error{c.FlushAll(context.Background()).Err(), c.ScriptFlush(context.Background()).Err()} {
		if do != nil {
			t.Error(do)
		}
	}
}
