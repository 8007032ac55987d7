package breaker

import (
	"context"
	"errors"
	"math"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestUpdateIsAllOrNothing(t *testing.T) {
	b := New("db", Settings{})
	failTimes(b, 3)
	if err := b.Update(Settings{FailMax: 10, FailureRate: 2}); !errors.Is(err, ErrSettings) {
		t.Fatalf("got %v, want ErrSettings", err)
	}
	if got := b.Settings().FailMax; got != 5 {
		t.Errorf("a refused update changed FailMax to %d", got)
	}
	if err := b.Update(Settings{FailMax: 4}); err != nil {
		t.Fatal(err)
	}
	if n := b.FailCount(); n != 3 {
		t.Errorf("an update changed the fail count to %d", n)
	}
	failTimes(b, 1)
	is(t, b, Open)
}

// A listener that is added while the settings of its set change does not undo
// the change: each key ends up with the window that the new settings ask for.
func TestListenerAddedDuringSetUpdate(t *testing.T) {
	for range 100 {
		s := NewSet[string]("s", Settings{FailMax: -1}, SetOptions{})
		b := s.Breaker("a")
		sh := s.shard("a")
		sh.mu.Lock() // both stop where they look for the keys, and go on at once
		var wg sync.WaitGroup
		wg.Go(func() { s.AddListener(Listener{StateChange: func(*Breaker, Transition) {}}) })
		for len(s.cfg.watchers()) == 0 {
			runtime.Gosched()
		}
		runtime.Gosched()
		wg.Go(func() { _ = s.Update(Settings{FailMax: -1, FailureRate: 0.5, WindowCalls: 4, MinCalls: 2}) })
		for s.Settings().FailureRate < 0 {
			runtime.Gosched()
		}
		runtime.Gosched()
		sh.mu.Unlock()
		wg.Wait()
		for range 2 {
			_ = b.Do(t.Context(), broken)
		}
		is(t, b, Open)
	}
}

// All or nothing: settings that are wrong in any field change none.
func TestUpdateChangesNothingWhenInvalid(t *testing.T) {
	valid := Settings{FailMax: 7, FailureRate: 0.5, SlowCall: time.Second, SlowRate: 0.5, ResetTimeout: time.Minute}
	v := reflect.ValueOf(&valid).Elem()
	wrong := map[string]any{
		"FailMax": maxFailMax + 1, "SuccessesToForgive": maxForgive + 1, "BadRate": 2.0, "ResetTimeout": -time.Second, "SuccessThreshold": -1, "Probes": -1, "ProbeTimeout": -time.Second,
		"Window": time.Millisecond, "WindowCalls": maxWindowCalls + 1, "MinCalls": -1, "FailureRate": 1.5, "Confidence": 0.3,
		"SlowCall": time.Duration(-1), "SlowRate": math.NaN(), "ResetBackoff": 0.5, "ResetMax": time.Second, "ResetJitter": 1.0,
	}
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		bad, ok := wrong[name]
		if !ok && name != "Ramp" && name != "FailWithin" && name != "FailFor" { // any is valid
			t.Fatalf("no wrong value for %s", name)
		}
		if !ok {
			continue
		}
		b := New("x", Settings{FailMax: 3})
		before := b.Status()
		s := valid
		reflect.ValueOf(&s).Elem().Field(i).Set(reflect.ValueOf(bad))
		if err := b.Update(s); !errors.Is(err, ErrSettings) {
			t.Errorf("%s = %v: %v", name, bad, err)
		}
		if after := b.Status(); after != before {
			t.Errorf("%s = %v: %+v became %+v", name, bad, before, after)
		}
	}
}

// Every field can change live: what Settings returns is what was given.
func TestUpdateReachesEveryField(t *testing.T) {
	b := New("x", Settings{})
	want := Settings{
		FailMax: 7, SuccessesToForgive: 3, FailWithin: time.Hour, FailFor: time.Minute, ResetTimeout: time.Second, SuccessThreshold: 2, Probes: 3, ProbeTimeout: 4 * time.Second, Window: time.Minute,
		WindowCalls: 50, MinCalls: 6, FailureRate: 0.7, Confidence: 0.8, SlowCall: 9 * time.Second, SlowRate: 0.1, BadRate: 0.2, ResetBackoff: 1.1,
		ResetMax: 12 * time.Minute, ResetJitter: 0.13, Ramp: 14 * time.Second,
	}
	if err := b.Update(want); err != nil || b.Settings() != want {
		t.Fatalf("%v: %v", err, b.Settings())
	}
	v := reflect.ValueOf(want)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("this test does not set %s", v.Type().Field(i).Name)
		}
	}
}

// State and evidence are kept.
func TestUpdateKeepsStateAndEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		from, to Settings
		prepare  string
		want     State
	}{
		"closed":          {Settings{FailMax: 5}, Settings{FailMax: 9}, "fff", Closed},
		"open":            {Settings{FailMax: 3}, Settings{FailMax: 100, ResetTimeout: time.Second}, "fff", Open},
		"open, rules off": {Settings{FailMax: 3}, Settings{FailMax: -1}, "fff", Open},
		"over its limit":  {Settings{FailMax: 5}, Settings{FailMax: 2}, "fff", Closed},
	} {
		t.Run(name, func(t *testing.T) {
			b := New("x", c.from)
			play(b, c.prepare)
			before := b.Status()
			if err := b.Update(c.to); err != nil {
				t.Fatal(err)
			}
			is(t, b, c.want)
			after := b.Status()
			if after.FailCount != before.FailCount || !after.Since.Equal(before.Since) || len(b.History()) != btoi(c.want == Open) {
				t.Errorf("%+v became %+v", before, after)
			}
			if after.Version != before.Version+1 || after.SettingsVersion != before.SettingsVersion+1 {
				t.Errorf("versions %d, %d became %d, %d", before.Version, before.SettingsVersion, after.Version, after.SettingsVersion)
			}
		})
	}
	// The next failure is judged by what holds now.
	b := New("x", Settings{FailMax: 5})
	play(b, "fff")
	_ = b.Update(Settings{FailMax: 2})
	play(b, "f")
	is(t, b, Open)
}

// It never closes an open breaker, and an open time under way stays.
func TestUpdateNeverCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Minute})
		play(b, "f")
		if err := b.Update(Settings{FailMax: -1, ResetTimeout: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Second)
		if err := b.Do(t.Context(), nop); !errors.Is(err, ErrOpen) {
			t.Errorf("an update lets calls in: %v", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		play(b, "f")
		if got := b.Status().UntilHalfOpen; got != time.Millisecond {
			t.Errorf("the next open time is %s, want the new 1ms", got)
		}
	})
}

// A window starts again when its shape changes, and only then.
func TestUpdateAndTheWindow(t *testing.T) {
	base := Settings{FailMax: -1, FailureRate: 0.9, MinCalls: 10, Window: time.Minute, SlowCall: time.Second}
	calls := base
	calls.WindowCalls = 20
	change := func(s Settings, f func(*Settings)) Settings { f(&s); return s }
	for name, c := range map[string]struct {
		from, to Settings
		kept     bool
	}{
		"same":                {base, base, true},
		"rate":                {base, change(base, func(s *Settings) { s.FailureRate = 0.8 }), true},
		"FailMax":             {base, change(base, func(s *Settings) { s.FailMax = 50 }), true},
		"MinCalls":            {base, change(base, func(s *Settings) { s.MinCalls = 5 }), true},
		"SlowCall":            {base, change(base, func(s *Settings) { s.SlowCall = 2 * time.Second }), true},
		"no rate, still slow": {base, change(base, func(s *Settings) { s.FailureRate = -1 }), true},
		"confidence":          {base, change(base, func(s *Settings) { s.Confidence = 0.99 }), true},
		"ResetTimeout":        {calls, change(calls, func(s *Settings) { s.ResetTimeout = time.Second }), true},
		"Window":              {base, change(base, func(s *Settings) { s.Window = time.Hour }), false},
		"to calls":            {base, calls, false},
		"to time":             {calls, base, false},
		"WindowCalls":         {calls, change(calls, func(s *Settings) { s.WindowCalls = 21 }), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("x", c.from)
				play(b, "sfSs")
				want := Counts{4, 1, 1, 2}
				if got := b.Status().Window; got != want {
					t.Fatalf("before: %+v", got)
				}
				if err := b.Update(c.to); err != nil {
					t.Fatal(err)
				}
				if !c.kept {
					want = Counts{}
				}
				if got := b.Status().Window; got != want {
					t.Errorf("after the update the window holds %+v, want %+v", got, want)
				}
				play(b, "sf")
				want.Calls, want.Failures, want.Bad = want.Calls+2, want.Failures+1, want.Bad+1
				if got := b.Status().Window; got != want {
					t.Errorf("two calls later %+v, want %+v", got, want)
				}
			})
		})
	}
}

// Rates can be switched on and off while calls run; consecutive failures are
// counted throughout.
func TestUpdateSwitchesRatesOnAndOff(t *testing.T) {
	b := New("x", Settings{FailMax: 100})
	play(b, "ff")
	_ = b.Update(Settings{FailMax: 100, FailureRate: 0.5, WindowCalls: 4})
	play(b, "fff")
	is(t, b, Closed)
	play(b, "f")
	is(t, b, Open)
	b.Close(Order{})
	play(b, "ssss") // the window is clean
	_ = b.Update(Settings{FailMax: 100, FailureRate: 0.6, WindowCalls: 4})
	play(b, "ssff")
	is(t, b, Closed)
	play(b, "f")
	is(t, b, Open)
	_ = b.Update(Settings{FailMax: 3})
	b.Close(Order{})
	if s := b.Status(); s.Window != (Counts{}) {
		t.Errorf("without rates the window holds %+v", s.Window)
	}
	play(b, "fff")
	is(t, b, Open)
}

// A call is judged by the SlowCall in effect when it ends.
func TestUpdateAndPermitsInFlight(t *testing.T) {
	old := Settings{FailMax: -1, SlowCall: 5 * time.Second, SlowRate: 1, MinCalls: 1}
	for name, c := range map[string]struct {
		from, to Settings
		takes    time.Duration
		slow     int
	}{
		"shorter, was quick":   {old, Settings{FailMax: -1, SlowCall: time.Second, SlowRate: 1}, 3 * time.Second, 1},
		"longer, was slow":     {old, Settings{FailMax: -1, SlowCall: time.Minute, SlowRate: 0.5}, 6 * time.Second, 0},
		"on, was not timed":    {Settings{FailMax: -1, FailureRate: 1}, Settings{FailMax: -1, FailureRate: 1, SlowCall: time.Second, SlowRate: 1}, time.Hour, 0},
		"exact to coarse":      {Settings{FailMax: -1, SlowCall: 100 * time.Millisecond, SlowRate: 1}, old, 5 * time.Second, 1},
		"exact to coarse, not": {Settings{FailMax: -1, SlowCall: 100 * time.Millisecond, SlowRate: 1}, old, 5*time.Second - 1, 0},
		"coarse to exact":      {old, Settings{FailMax: -1, SlowCall: 100 * time.Millisecond, SlowRate: 1}, 200 * time.Millisecond, 1},
	} {
		for _, two := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				c.to.MinCalls = 1000
				b := New("x", c.from)
				update := func() {
					if err := b.Update(c.to); err != nil {
						t.Fatal(err)
					}
				}
				if two {
					p, _ := b.Allow()
					update()
					time.Sleep(c.takes)
					p.Done(nil)
				} else {
					_ = b.Do(t.Context(), func(context.Context) error { update(); time.Sleep(c.takes); return nil })
				}
				if got := b.Status().Window; got.Slow != c.slow || got.Calls != 1 {
					t.Errorf("%s (two steps: %v): the window holds %+v, want %d slow of 1", name, two, got, c.slow)
				}
			})
		}
	}
}

// Updates, calls, orders and readers at once: nothing is lost, nothing races.
func TestUpdateUnderLoad(t *testing.T) {
	b := New("x", Settings{FailMax: -1})
	shapes := []Settings{
		{FailMax: -1},
		{FailMax: -1, FailureRate: 1, MinCalls: 1 << 30},
		{FailMax: -1, FailureRate: 1, WindowCalls: 100},
		{FailMax: -1, FailureRate: 1, WindowCalls: 50, SlowCall: time.Hour},
		{FailMax: -1, SlowCall: time.Hour, SlowRate: 1, MinCalls: 1 << 30},
	}
	stop := make(chan struct{})
	var callers, updates sync.WaitGroup
	updates.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = b.Update(shapes[i%len(shapes)])
			_ = b.Status()
			_ = b.History()
		}
	})
	const each, n = 4, 5000
	for range each {
		callers.Go(func() {
			for range n {
				_ = b.Do(t.Context(), nop)
				_ = b.Do(t.Context(), broken)
				_ = b.Do(t.Context(), nop)
			}
		})
	}
	callers.Wait()
	close(stop)
	updates.Wait()
	is(t, b, Closed)
	_ = b.Update(Settings{FailMax: -1, FailureRate: 1, Window: time.Hour, MinCalls: 1 << 30})
	play(b, "sffsf")
	if got := b.Status().Window; got != (Counts{5, 3, 0, 3}) {
		t.Errorf("after the storm the window counts %+v, want 3 of 5", got)
	}
}
