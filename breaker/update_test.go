package breaker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
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

// All or nothing: settings that are wrong in one field change nothing.
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

// Every field can change while calls run: Settings returns what was given.
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
	// The next failure is judged by the new settings.
	b := New("x", Settings{FailMax: 5})
	play(b, "fff")
	_ = b.Update(Settings{FailMax: 2})
	play(b, "f")
	is(t, b, Open)
}

// Update never closes an open breaker, and the current open time stays.
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

// A window is reset when its kind or length changes, and only then.
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
	// Without MinCalls 1 no call checks its context, and Do takes a shorter path.
	plain := old
	plain.MinCalls = 1000
	for name, c := range map[string]struct {
		from, to Settings
		takes    time.Duration
		slow     int
	}{
		"shorter, was quick":   {old, Settings{FailMax: -1, SlowCall: time.Second, SlowRate: 1}, 3 * time.Second, 1},
		"plain, shorter":       {plain, Settings{FailMax: -1, SlowCall: time.Second, SlowRate: 1}, 3 * time.Second, 1},
		"plain, longer":        {plain, Settings{FailMax: -1, SlowCall: time.Minute, SlowRate: 0.5}, 6 * time.Second, 0},
		"plain, to exact":      {plain, Settings{FailMax: -1, SlowCall: 100 * time.Millisecond, SlowRate: 1}, 200 * time.Millisecond, 1},
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

// Updates, calls, orders and readers at once: nothing is lost, and there is no
// data race.
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

// Its own settings decide everything about a key, whatever those of its set
// are: it behaves like a breaker outside a set with these settings.
func TestOwnSettingsOfAKeyDecide(t *testing.T) {
	all := map[string]struct {
		s      Settings
		script string // for a breaker with these settings, see walk
	}{
		"few failures":    {Settings{FailMax: 2, ResetTimeout: 3 * time.Second}, "fsff.s.." + "s" + "ff"},
		"many failures":   {Settings{FailMax: 20}, "ffffffffffffffffffsffffffffffffffffffff"},
		"no limit":        {Settings{FailMax: -1}, "ffffffffff"},
		"forgiving":       {Settings{FailMax: 3, SuccessesToForgive: 4}, "ffssssfssssff"},
		"FailWithin":      {Settings{FailMax: 2, FailWithin: 3 * time.Second}, "f....f..f"},
		"FailFor":         {Settings{FailMax: 2, FailFor: 3 * time.Second}, "fff..f..f"},
		"probes":          {Settings{FailMax: 1, ResetTimeout: time.Second, Probes: 3, SuccessThreshold: 2, ProbeTimeout: 7 * time.Second}, "f.pwpwpwpw..ws.d.d"},
		"leases":          {Settings{FailMax: 1, ResetTimeout: time.Second, ResetBackoff: 3, ResetMax: time.Minute, ProbeTimeout: 2 * time.Second}, "f.ppw..pw.w......wf...s"},
		"ramp":            {Settings{FailMax: 3, ResetTimeout: time.Second, Ramp: 10 * time.Second}, "fff.s" + "ssss.ssss.ssss......ssss"},
		"rate":            {Settings{FailMax: -1, FailureRate: 0.5, MinCalls: 4, Window: 20 * time.Second}, "sfs.sfsff"},
		"rate of calls":   {Settings{FailMax: -1, FailureRate: 0.5, MinCalls: 2, WindowCalls: 4, ResetTimeout: time.Second}, "ssssfsssf" + "f.s" + "ssssff"},
		"confidence":      {Settings{FailMax: -1, FailureRate: 0.5, Confidence: 0.9}, "sffffffff"},
		"slow":            {Settings{FailMax: -1, SlowCall: time.Second, SlowRate: 0.6, MinCalls: 5, ResetTimeout: time.Second}, "sSsASFD" + "f.Ss"},
		"bad":             {Settings{FailMax: 20, SlowCall: 1500 * time.Millisecond, BadRate: 0.5, MinCalls: 4}, "sSsAfDf"},
		"slow is an hour": {Settings{FailMax: 20, SlowCall: time.Hour, SlowRate: 0.1, MinCalls: 2}, "SsAFDf"},
		"overridden":      {Settings{FailMax: 2, SuccessThreshold: 2, Probes: 2}, "ffLppw"},
	}
	for name, own := range all {
		for of, set := range all {
			if of == name {
				continue
			}
			var want, got []string
			synctest.Test(t, func(t *testing.T) {
				want = walk(t, New("x", set.s), own.s, own.script)
			})
			synctest.Test(t, func(t *testing.T) {
				got = walk(t, NewSet[string]("x", set.s, SetOptions{}).Breaker("k"), own.s, own.script)
			})
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("%s in a set of %s, %q, at %d: the key is\n%s, and a breaker alone\n%s", name, of, own.script, i, got[i], want[i])
					break
				}
			}
		}
	}
}

// walk changes b's settings twice, plays a script and returns what can be seen
// of b after each letter. In addition to the letters of play: p takes a permit
// and keeps it, d ends the first of these, A and D are slow calls with a
// permit that succeed and fail, w checks whether WaitReady would wait, L
// forces b closed and releases it.
func walk(t *testing.T, b *Breaker, s Settings, script string) (seen []string) {
	t.Helper()
	other := s
	other.SuccessThreshold += 5 // for an instant
	for _, s := range []Settings{other, s} {
		if err := b.Update(s); err != nil {
			t.Fatal(err)
		}
	}
	var kept []Permit
	for _, c := range script {
		var note any
		switch c {
		case 'p':
			p, err := b.Allow()
			var open *OpenError
			if errors.As(err, &open) {
				note = open.RetryAfter()
			} else {
				kept = append(kept, p)
			}
		case 'd':
			kept[0].Done(nil)
			kept = kept[1:]
		case 'A', 'D':
			p, err := b.Allow()
			if err != nil {
				note = "rejected"
				break
			}
			time.Sleep(2 * time.Second)
			if c == 'D' {
				p.Done(errX)
			} else {
				p.Done(nil)
			}
		case 'w':
			_, wait, ready := b.readiness()
			note = fmt.Sprint(wait, ready)
		case 'L':
			_ = b.ForceClosed(Order{})
			_ = b.Release(Order{})
		default:
			play(b, string(c))
		}
		st := b.Status()
		st.ID, st.Name, st.Key = "", "", ""
		text, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		history, err := json.Marshal(b.History())
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, fmt.Sprintf("%v %d %s %s", note, b.FailCount(), text, history))
	}
	return seen
}

// A limit of one failure also applies to existing keys: from then on a context
// that is over before the call begins is not evidence, however short ago that
// was (I4).
func TestUpdateToOneFailure(t *testing.T) {
	for name, update := range map[string]func(set *Set[string], s Settings) error{
		"the set's": func(set *Set[string], s Settings) error { return set.Update(s) },
		"the key's": func(set *Set[string], s Settings) error { return set.Breaker("k").Update(s) },
	} {
		synctest.Test(t, func(t *testing.T) {
			set := NewSet[string]("s", Settings{FailMax: 2}, SetOptions{})
			b := set.Breaker("k")
			if err := update(set, Settings{FailMax: 1}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			wait(time.Second + deadlineGrace/2)
			_ = b.Do(ctx, func(ctx context.Context) error { return ctx.Err() })
			if b.State() != Closed || b.FailCount() != 0 {
				t.Errorf("%s settings: %s with %d failures after a call that began too late", name, b.State(), b.FailCount())
			}
		})
	}
}

// What is known of the time of a row of failures ends when failures are no longer
// dated, and begins with the first that is.
func TestUpdateOfADatedRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		off := Settings{FailMax: 5}
		within := Settings{FailMax: 5, FailWithin: 10 * time.Second}
		lasts := Settings{FailMax: 5, FailFor: 10 * time.Second}
		set := NewSet[string]("s", off, SetOptions{})
		for name, x := range map[*Breaker]func(Settings) error{
			New("x", off): nil, set.Breaker("k"): set.Update,
		} {
			b, update := name, x
			if update == nil {
				update = b.Update
			}
			// FailFor set in the middle of a row.
			play(b, "ffff")
			_ = update(lasts)
			play(b, "ffff")
			is(t, b, Closed)
			wait(10 * time.Second)
			play(b, "f")
			is(t, b, Open)
			b.Close(Order{})
			// FailFor off for a while, and a row that went on meanwhile.
			play(b, "f")
			_ = update(off)
			wait(time.Minute)
			play(b, "fff")
			_ = update(lasts)
			play(b, "f")
			is(t, b, Closed)
			b.Close(Order{})
			// FailWithin off for a while.
			_ = update(within)
			play(b, "f")
			_ = update(off)
			wait(time.Minute)
			play(b, "fff")
			_ = update(within)
			play(b, "f")
			is(t, b, Open)
			b.Close(Order{})
			_ = update(off)
		}
	})
}

// A call is slow by the settings of when it ends, however it is made, as it counts
// by them.
func TestUpdateOfSlowCallWhileCallsRun(t *testing.T) {
	short, long := time.Second, 5*time.Second
	for _, c := range []struct {
		from, to time.Duration
		slow     int
	}{{short, long, 0}, {long, short, 1}, {short, -1, 0}, {50 * time.Millisecond, long, 0}} {
		for how, call := range map[string]func(b *Breaker, f func()){
			"Do": func(b *Breaker, f func()) {
				_ = b.Do(bg, func(context.Context) error { f(); return nil })
			},
			"Allow": func(b *Breaker, f func()) {
				p, _ := b.Allow()
				f()
				p.Done(nil)
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				b := New("x", Settings{SlowCall: c.from, SlowRate: .5, FailureRate: .5})
				call(b, func() {
					time.Sleep(time.Second)
					s := b.Settings()
					if s.SlowCall = c.to; c.to < 0 {
						s.SlowRate = -1
					}
					must(t, b.Update(s))
					time.Sleep(time.Second)
				})
				if w := b.Status().Window; w.Calls != 1 || w.Slow != c.slow {
					t.Errorf("%s, slow_call from %s to %s: %+v, want 1 call and %d slow", how, c.from, c.to, w, c.slow)
				}
			})
		}
	}
}

// Update pins a key, also with the settings that it has already, and also if it has
// failed before.
func TestUpdateWithTheSameSettingsPins(t *testing.T) {
	for _, script := range []string{"", "f", "fffff"} {
		s := NewSet[string]("s", Settings{}, SetOptions{})
		b := s.Breaker("k")
		play(b, script)
		_ = b.Update(Settings{})
		_ = s.Update(Settings{FailMax: 9})
		if got := b.Settings().FailMax; got != 5 {
			t.Errorf("after %q: FailMax %d, want its own 5", script, got)
		}
	}
}

// A change of other settings leaves the time of a row as it is.
func TestUpdateKeepsTheRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 3, FailFor: 10 * time.Second})
		play(b, "f")
		time.Sleep(9 * time.Second)
		_ = b.Update(Settings{FailMax: 2, FailFor: 10 * time.Second})
		time.Sleep(time.Second)
		play(b, "f")
		is(t, b, Open)
	})
}
