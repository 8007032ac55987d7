package breaker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/internal/vtime"
)

func TestOpensAfterFailMaxConsecutiveFailures(t *testing.T) {
	for _, test := range []struct {
		failMax int
		calls   string // f a failure, s a success
		want    State
		ran     int
	}{
		{0, "ffff", Closed, 4},
		{0, "fffff", Open, 5},
		{0, "ffffsf", Closed, 6},
		{0, "ffffsfffff", Open, 10},
		{1, "f", Open, 1},
		{1, "sssf", Open, 4},
		{3, "fffff", Open, 3},
		{-1, strings.Repeat("f", 1000), Closed, 1000},
	} {
		t.Run(fmt.Sprintf("%d/%.12s", test.failMax, test.calls), func(t *testing.T) {
			b := New("db", Settings{FailMax: test.failMax})
			ran := 0
			for _, c := range test.calls {
				_ = b.Do(bg, func(context.Context) error {
					ran++
					if c == 'f' {
						return errX
					}
					return nil
				})
			}
			is(t, b, test.want)
			if ran != test.ran {
				t.Errorf("%d calls ran, want %d", ran, test.ran)
			}
		})
	}
}

// A very long open time stays as it is, whatever is added to it.
func TestOpenTimeOfForeverDoesNotOverflow(t *testing.T) {
	s := Settings{FailMax: 1, ResetTimeout: math.MaxInt64, ResetJitter: 0.9, ResetBackoff: 2}
	hinted := Settings{FailMax: 1, ResetMax: math.MaxInt64, ResetJitter: 0.9}
	for _, x := range []struct {
		name string
		s    Settings
		e    event
	}{
		{"ordered", s, event{kind: evOpen, draw: 0.999}},
		{"tripped", s, event{kind: evFailure, draw: 0.999}},
		{"hinted", hinted, event{kind: evFailure, draw: 0.999, hint: math.MaxInt64}},
	} {
		_, d := next(auto{}, New("x", x.s).settings(), &x.e)
		if d.openFor < 100*365*24*time.Hour {
			t.Errorf("%s: open for %s", x.name, d.openFor)
		}
	}
}

// openTimes opens b repeatedly by failing probes and returns how long it
// stayed open each time.
func openTimes(t *testing.T, b *Breaker, n int) (times []time.Duration) {
	t.Helper()
	for b.State() == Closed {
		_ = b.Do(t.Context(), broken)
	}
	for range n {
		began := time.Now()
		s := b.Status()
		time.Sleep(s.UntilHalfOpen - time.Nanosecond)
		synctest.Wait()
		if err := b.Do(t.Context(), broken); !errors.Is(err, ErrOpen) {
			t.Fatalf("a probe before the open time of %s is over: %v", s.UntilHalfOpen, err)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		times = append(times, time.Since(began))
		if err := b.Do(t.Context(), broken); !errors.Is(err, errX) {
			t.Fatalf("no probe after the open time of %s: %v", s.UntilHalfOpen, err)
		}
	}
	return times
}

func TestBackoff(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		s    Settings
		want []time.Duration
	}{
		{Settings{ResetTimeout: 10 * s}, []time.Duration{10 * s, 10 * s, 10 * s}},
		{Settings{ResetTimeout: 10 * s, ResetBackoff: 2}, []time.Duration{10 * s, 20 * s, 40 * s, 80 * s}},
		{Settings{ResetTimeout: 10 * s, ResetBackoff: 1.5, ResetMax: 20 * s}, []time.Duration{10 * s, 15 * s, 20 * s, 20 * s}},
		{Settings{ResetTimeout: 10 * s, ResetMax: 30 * s}, []time.Duration{10 * s, 10 * s, 10 * s}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("x", c.s)
			got := openTimes(t, b, len(c.want))
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%v: open for %v, want %v", c.s, got, c.want)
			}
			// Back to the start on close.
			time.Sleep(time.Hour)
			synctest.Wait()
			play(b, "s")
			is(t, b, Closed)
			if got := openTimes(t, b, 1); got[0] != 10*s {
				t.Errorf("%v: after a close open for %v", c.s, got)
			}
		})
	}
}

// However often it fails, the open time stays a valid duration.
func TestBackoffDoesNotOverflow(t *testing.T) {
	for _, s := range []Settings{
		{ResetBackoff: 1e300},
		{ResetBackoff: 2, ResetJitter: 0.999},
		{ResetTimeout: 1<<63 - 1, ResetBackoff: 3, ResetJitter: 0.5},
	} {
		s := New("x", s).settings()
		for _, attempt := range []int{1, 2, 64, 1 << 20} {
			for _, draw := range []float64{0, 0.5, 0.9999999} {
				_, d := trip(auto{attempt: attempt - 1}, s, &event{draw: draw}, decision{})
				if d.openFor <= 0 {
					t.Errorf("%v, attempt %d: open for %d", s.Settings, attempt, d.openFor)
				}
			}
		}
	}
}

// An order or an override is not a failed attempt.
func TestOrdersDoNotLengthenTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Minute, ResetBackoff: 2})
		for range 5 {
			b.Open(Order{})
			b.ForceOpen(Order{})
			b.Release(Order{})
		}
		is(t, b, HalfOpen)
		play(b, "f")
		if got := b.Status().UntilHalfOpen; got != time.Minute {
			t.Errorf("the first failure opens it for %s, want 1m", got)
		}
		b.Open(Order{})
		if got := b.Status().UntilHalfOpen; got != time.Minute {
			t.Errorf("an order opens it for %s, want 1m", got)
		}
		b.Open(Order{For: 5 * time.Second})
		if got := b.Status().UntilHalfOpen; got != 5*time.Second {
			t.Errorf("an order for 5s opens it for %s", got)
		}
	})
}

// Each open time is drawn evenly from its range.
func TestJitter(t *testing.T) {
	const n, bins = 5000, 10
	b := New("x", Settings{FailMax: 1, ResetTimeout: 100 * time.Second, ResetJitter: 0.2})
	var seen [bins]int
	for range n {
		b.Close(Order{})
		play(b, "f")
		h := b.History()
		d := h[len(h)-1].OpenFor
		if d < 80*time.Second || d > 120*time.Second {
			t.Fatalf("open for %s, want 80s to 120s", d)
		}
		seen[min(bins-1, int((d-80*time.Second)*bins/(40*time.Second)))]++
	}
	for i, k := range seen {
		if k < n/bins*8/10 || k > n/bins*12/10 {
			t.Errorf("tenth %d of the range was drawn %d times of %d", i, k, n)
		}
	}
}

func TestRules(t *testing.T) {
	rate := Settings{FailMax: -1, FailureRate: 0.5, MinCalls: 4}
	last := Settings{FailMax: -1, FailureRate: 0.5, MinCalls: 4, WindowCalls: 8}
	slow := Settings{FailMax: -1, SlowCall: 2 * time.Second, SlowRate: 0.5, MinCalls: 4, Window: time.Minute}
	rep := strings.Repeat
	for _, c := range []struct {
		name   string
		s      Settings
		script string
		want   Cause // "": stays closed
	}{
		{"FailMax", Settings{FailMax: 3}, "fffs", CauseConsecutive},
		{"FailMax not met", Settings{FailMax: 3}, "ffsffsff", ""},
		{"FailMax 1", Settings{FailMax: 1}, "sf", CauseConsecutive},
		{"FailMax by default", Settings{}, "ffff", ""},
		{"FailMax by default, met", Settings{}, "fffff", CauseConsecutive},
		{"FailMax off", Settings{FailMax: -1}, rep("f", 1000), ""},
		{"FailMax does not decay", Settings{FailMax: 3, FailureRate: 1, MinCalls: 100}, "f" + rep(".", 1000) + "f" + rep(".", 1000) + "f", CauseConsecutive},
		{"ignored calls keep FailMax's count", Settings{FailMax: 3}, "ffif", CauseConsecutive},

		{"rate", rate, "sfsf", CauseFailureRate},
		{"rate met by >=", rate, "ssff", CauseFailureRate},
		{"rate not met", rate, "sssff", ""},
		{"rate needs MinCalls", rate, "fff", ""},
		{"rate of failures only", rate, "ffiiiii", ""},
		{"rate decides on failures only", rate, "fffs", ""},
		{"rate decides on the next failure", rate, "fffsf", CauseFailureRate},
		{"rate forgets", rate, "fff" + rep(".", 11) + "f", ""},
		{"rate does not forget too soon", rate, "fff........f", CauseFailureRate},
		{"rate forgets successes too", rate, rep("s", 100) + rep(".", 11) + "ffff", CauseFailureRate},
		{"rate rolls", rate, rep("f.....", 20), ""},
		{"rate 1", Settings{FailMax: -1, FailureRate: 1, MinCalls: 2}, "sfff", ""},
		{"rate 1 met", Settings{FailMax: -1, FailureRate: 1, MinCalls: 2}, "ff", CauseFailureRate},

		{"last calls", last, "ssssffff", CauseFailureRate},
		{"last calls, MinCalls", last, "fff", ""},
		{"last calls, before they are full", last, "ssff", CauseFailureRate},
		{"last calls do not forget by time", last, "fff" + rep(".", 1000) + "f", CauseFailureRate},
		{"last calls forget by count", last, "ffssssssss" + "ff", ""},
		{"last calls, long after", last, rep("s", 1000) + "fff", ""},
		{"last calls, long after, met", last, rep("s", 1000) + "ffff", CauseFailureRate},
		{"last calls, MinCalls by default", Settings{FailMax: -1, FailureRate: 0.5, WindowCalls: 8}, "fffffff", ""},
		{"last calls, MinCalls by default, met", Settings{FailMax: -1, FailureRate: 0.5, WindowCalls: 8}, "ffffffff", CauseFailureRate},

		{"slow", slow, "sSsS", CauseSlowRate},
		{"slow not met", slow, "sssSsS", ""},
		{"slow needs MinCalls", slow, "SSS", ""},
		{"slow decides on slow calls only", slow, "SSSs", ""},
		{"a slow failure is slow", slow, "sFsF", CauseSlowRate},
		{"a failure decides by slow too", slow, "SSsf", CauseSlowRate},
		{"SlowCall alone opens nothing", Settings{FailMax: -1, SlowCall: time.Second}, rep("S", 50), ""},

		{"several at once: FailMax first", Settings{FailMax: 3, FailureRate: 0.5, MinCalls: 10}, "ssssssfff", CauseConsecutive},
		{"several at once: rate first", Settings{FailMax: 3, FailureRate: 0.5, MinCalls: 4}, "sfsf", CauseFailureRate},
		{"several at once: slow first", Settings{FailMax: 3, FailureRate: 0.9, SlowCall: time.Second, SlowRate: 0.5, MinCalls: 2}, "SS", CauseSlowRate},
		{"several at once: both met", Settings{FailMax: 2, FailureRate: 0.5, MinCalls: 2}, "ff", CauseConsecutive},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("x", c.s)
				play(b, c.script)
				h := b.History()
				switch {
				case c.want == "" && len(h) > 0:
					t.Errorf("opened: %s", h[0].Summary())
				case c.want != "" && (len(h) != 1 || h[0].Cause != c.want || h[0].To != Open):
					t.Errorf("history %+v, want one opening by %s", h, c.want)
				}
			})
		})
	}
}

// A rate written as a decimal is reached by the calls that make it, for every
// such rate: 7 of 100 is 0.07, although 0.07*100 is more than 7.
func TestRateIsMetExactly(t *testing.T) {
	for calls := 1; calls <= 200; calls++ {
		for bad := 1; bad <= calls; bad++ {
			rate, err := strconv.ParseFloat(fmt.Sprintf("%.4f", float64(bad)/float64(calls)), 64)
			if err != nil || rate*float64(calls) != float64(bad) && int64(bad)*10_000%int64(calls) != 0 {
				continue // no decimals of four places
			}
			if !reached(bad, calls, 1, rate) {
				t.Fatalf("%d of %d does not reach %v", bad, calls, rate)
			}
			if reached(bad-1, calls, 1, rate) {
				t.Fatalf("%d of %d reaches %v", bad-1, calls, rate)
			}
		}
	}
}

// A slow success is not a failure: it can reach the slow-call rate, never the
// failure rate (I6).
func TestSlowSuccessDoesNotDecideOnFailures(t *testing.T) {
	slow := func(context.Context) error { time.Sleep(2 * time.Second); return nil }
	lax := Settings{FailMax: -1, FailureRate: 0.9, Confidence: 0.95, SlowCall: time.Second}
	sure := Settings{FailMax: -1, FailureRate: 0.2, Confidence: 0.9, SlowCall: time.Second}
	rate := Settings{FailMax: -1, FailureRate: 0.5, MinCalls: 4, SlowCall: time.Second}
	for _, c := range []struct {
		name        string
		first, then Settings // three failures meet no rule under the first
	}{
		{"rate", rate, rate},
		{"confidence", lax, sure},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("x", c.first)
				for range 3 {
					_ = b.Do(t.Context(), broken)
				}
				if err := b.Update(c.then); err != nil {
					t.Fatal(err)
				}
				if err := b.Do(t.Context(), slow); err != nil {
					t.Fatal(err)
				}
				if got := b.State(); got != Closed {
					t.Errorf("a slow success opened it by failures: %s", got)
				}
				_ = b.Do(t.Context(), broken)
				if got := b.State(); got != Open {
					t.Errorf("%s after a failure, want open", got)
				}
			})
		})
	}
}

// FailFor: failures open the breaker only when the first of the row is that
// old. A burst counts as one failure less than the limit, and the next failure
// after the time opens it.
func TestFailForHoldsABurstBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{FailMax: 3, FailFor: 5 * time.Second})
		play(b, "ffffffffff")
		is(t, b, Closed)
		if got := b.FailCount(); got != 2 {
			t.Errorf("a burst counts as %d failures, want 2", got)
		}
		wait(5*time.Second - 1)
		play(b, "f")
		is(t, b, Closed)
		wait(1)
		play(b, "f")
		is(t, b, Open)
	})
}

// A limit of one failure is held back, too.
func TestFailForOfOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{FailMax: 1, FailFor: 5 * time.Second})
		play(b, "ff....f")
		is(t, b, Closed)
		play(b, ".f")
		is(t, b, Open)
	})
}

// A success ends the row, and with it the time since its first failure.
func TestFailForIsOfOneRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{FailMax: 3, FailFor: 5 * time.Second})
		play(b, "ff....s")
		play(b, "fff")
		is(t, b, Closed)
		play(b, "....ff.f")
		is(t, b, Open)
	})
}

// FailWithin: failures count only if each comes within this time of the last.
func TestFailWithin(t *testing.T) {
	for script, want := range map[string]State{
		"f.f.f":         Open,
		"f.........f.f": Closed, // ten seconds between two of them
		"f....f....f":   Open,
		"f.....f.....f": Open, // five seconds is within
		"f......f....f": Closed,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("db", Settings{FailMax: 3, FailWithin: 5 * time.Second})
			play(b, script)
			if got := b.State(); got != want {
				t.Errorf("%s: %s, want %s", script, got, want)
			}
		})
	}
}

// SuccessesToForgive: each success takes back a part of a failure.
func TestForgive(t *testing.T) {
	for _, c := range []struct {
		forgive, max int
		script       string
		count        int
		want         State
	}{
		{-1, 3, "ffsff", 2, Closed}, // a success takes back all
		{1, 3, "ffsff", 3, Open},
		{1, 3, "fsfsfsfs", 0, Closed},
		{2, 3, "ffs", 2, Closed}, // one and a half, rounded up
		{2, 3, "ffss", 1, Closed},
		{2, 3, "ffssf", 2, Closed},
		{2, 3, "ffsff", 3, Open},
		{2, 3, "fffss", 3, Open},
		{2, 4, "ffssssssf", 1, Closed}, // never below 0
		{100, 2, "fssssssssssf", 2, Closed},
		{100, 2, "fsssssssssff", 2, Open},
	} {
		b := New("db", Settings{FailMax: c.max, SuccessesToForgive: c.forgive})
		play(b, c.script)
		if got := b.FailCount(); got != c.count || b.State() != c.want {
			t.Errorf("%d to forgive, limit %d, %s: %d failures and %s, want %d and %s", c.forgive, c.max, c.script, got, b.State(), c.count, c.want)
		}
	}
}

// A change of SuccessesToForgive keeps the failures counted so far.
func TestForgiveUpdate(t *testing.T) {
	for _, c := range []struct{ from, to int }{{-1, 4}, {4, -1}, {1, 3}, {3, 1}, {10, 100}, {100, 7}} {
		b := New("db", Settings{FailMax: 8, SuccessesToForgive: c.from})
		play(b, "fffff")
		if err := b.Update(Settings{FailMax: 8, SuccessesToForgive: c.to}); err != nil {
			t.Fatal(err)
		}
		if got := b.FailCount(); got != 5 {
			t.Errorf("%d to %d: %d failures, want 5", c.from, c.to, got)
		}
		play(b, "ff")
		is(t, b, Closed)
		play(b, "f")
		is(t, b, Open)
	}
}

// While the cap holds a breaker back, failures beyond the limit do not pile up:
// successes make up for them as for the limit itself.
func TestForgiveUnderTheCap(t *testing.T) {
	m := NewManager(Settings{FailMax: 2, SuccessesToForgive: 1})
	m.CapOpen(0.01)
	first, b := m.Breaker("first"), m.Breaker("b")
	play(first, "ff")
	play(b, "ffffffffff")
	is(t, b, Closed)
	if got := b.FailCount(); got != 2 {
		t.Errorf("%d failures count, want 2", got)
	}
	play(b, "ss")
	if got := b.FailCount(); got != 0 {
		t.Errorf("%d failures are left after two successes, want 0", got)
	}
}

// However often the unit of the count changes, the count stays.
func TestForgiveUpdatedOften(t *testing.T) {
	b := New("b", Settings{FailMax: 10, SuccessesToForgive: 2})
	play(b, "fff")
	for _, forgive := range []int{4, 3, -1, 100, 7, 7, 1, 2} {
		if err := b.Update(Settings{FailMax: 10, SuccessesToForgive: forgive}); err != nil {
			t.Fatal(err)
		}
		if got := b.FailCount(); got != 3 {
			t.Errorf("with %d successes for one failure: %d failures, want 3", forgive, got)
		}
	}
}

// Only failures count toward FailMax and are judged by it, also where a change of
// the limit has left more of them than it allows (I6).
func TestOnlyFailuresMeetFailMax(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, end := range map[string]func(*Breaker){
			"a slow success": func(b *Breaker) { play(b, "S") },
			"a slow call whose caller gave up": func(b *Breaker) {
				p, _ := b.Allow()
				time.Sleep(2 * time.Second)
				_ = p.Settle(bg, Canceled, nil)
			},
		} {
			s := Settings{FailMax: 9, SuccessesToForgive: 2, SlowCall: time.Second}
			b := New("x", s)
			play(b, "ffff")
			s.FailMax = 2
			_ = b.Update(s)
			if end(b); b.State() != Closed {
				t.Errorf("%s made it %s", name, b.State())
			}
			play(b, "f")
			is(t, b, Open)
		}
	})
}

// A success takes back a part of a failure also where there is a window.
func TestForgiveBesideAWindow(t *testing.T) {
	b := New("x", Settings{FailMax: 9, SuccessesToForgive: 3, FailureRate: 1, MinCalls: 1000})
	play(b, "ffs")
	if got := unitsOf(b.load()); got != 5 {
		t.Errorf("%d thirds of a failure, want 5", got)
	}
}

// A probe that is slow has failed if a rule about slow calls is on, also if its
// caller gave up. If none is on, a call whose caller gave up is not evidence.
func TestSlowProbes(t *testing.T) {
	gaveUp := func(b *Breaker) {
		p, _ := b.Allow()
		time.Sleep(2 * time.Second)
		_ = p.Settle(bg, Canceled, nil)
	}
	succeeded := func(b *Breaker) { play(b, "S") }
	for name, c := range map[string]struct {
		s    Settings
		end  func(*Breaker)
		want State
	}{
		"slow_rate":          {Settings{SlowRate: 0.5}, succeeded, Open},
		"bad_rate":           {Settings{BadRate: 0.5}, succeeded, Open},
		"none":               {Settings{}, succeeded, Closed},
		"slow_rate, gave up": {Settings{SlowRate: 0.5}, gaveUp, Open},
		"bad_rate, gave up":  {Settings{BadRate: 0.5}, gaveUp, Open},
		"none, gave up":      {Settings{}, gaveUp, HalfOpen},
	} {
		synctest.Test(t, func(t *testing.T) {
			c.s.SlowCall = time.Second
			b := New("x", c.s)
			_ = b.HalfOpen(Order{})
			if c.end(b); b.State() != c.want || b.Status().ProbesOut != 0 {
				t.Errorf("%s: %s with %d probes out, want %s", name, b.State(), b.Status().ProbesOut, c.want)
			}
		})
	}
}

// A virtual clock brings its own random numbers.
func TestJitterOfAVirtualClock(t *testing.T) {
	clock := vtime.New(time.Now(), func() float64 { return 0.25 })
	b := New("x", Settings{FailMax: 1, ResetTimeout: 100 * time.Second, ResetJitter: 0.2}, vtime.Option(clock).(Option))
	play(b, "f")
	if got := b.Status().UntilHalfOpen; got != 90*time.Second {
		t.Errorf("open for %s, want 90s", got)
	}
	// A hint is only lengthened.
	_ = b.Close(Order{})
	_ = b.Do(bg, func(context.Context) error { return busy{200 * time.Second} })
	if got := b.Status().UntilHalfOpen; got != 210*time.Second {
		t.Errorf("open for %s on a hint, want 3m30s", got)
	}
}

// A hint may ask for ten times ResetTimeout, or ResetMax, without an overflow.
func TestHintLimit(t *testing.T) {
	for want, s := range map[time.Duration]Settings{
		10 * time.Second: {ResetTimeout: time.Second}, 5 * time.Second: {ResetTimeout: time.Second, ResetMax: 5 * time.Second},
		math.MaxInt64 / 10 * 10: {ResetTimeout: math.MaxInt64 / 10}, math.MaxInt64: {ResetTimeout: math.MaxInt64},
	} {
		if got := hintLimit(&s); got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
	}
}
