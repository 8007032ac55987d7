package breaker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// play makes one call for each letter: s succeeds, f fails, S and F do so
// slowly (2 s), i is no evidence, . waits a second.
func play(b *Breaker, script string) {
	for _, c := range script {
		switch c {
		case '.':
			time.Sleep(time.Second)
			synctest.Wait() // for the breaker's own timers
			continue
		case 'i':
			if p, err := b.Allow(); err == nil {
				p.Ignore()
			}
			continue
		}
		_ = b.Do(context.Background(), func(context.Context) error {
			if c == 'S' || c == 'F' {
				time.Sleep(2 * time.Second)
			}
			if c == 'f' || c == 'F' {
				return errX
			}
			return nil
		})
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

// A rate written in decimals is met by the calls that make it, for every such
// rate: 7 of 100 is 0.07, although 0.07*100 is more than 7.
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

// A rule of the program's own is given what the window holds, after each
// failure and each slow call, and nothing else.
func TestOwnRule(t *testing.T) {
	var asked []Counts
	ask := WithRule("never", func(c Counts) bool { asked = append(asked, c); return false })
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: -1, SlowCall: time.Second}, ask)
		play(b, "ssfisSF")
		want := []Counts{{3, 1, 0, 1}, {5, 1, 1, 2}, {6, 2, 2, 3}}
		if fmt.Sprint(asked) != fmt.Sprint(want) {
			t.Errorf("asked %v, want %v", asked, want)
		}
		asked = nil
		b.HalfOpen(Order{})
		play(b, "f")
		is(t, b, Open)
		if len(asked) > 0 {
			t.Errorf("asked %v while half-open", asked)
		}
	})
}

func TestOwnRules(t *testing.T) {
	over := func(n int) func(Counts) bool { return func(c Counts) bool { return c.Failures > n } }
	for _, c := range []struct {
		name  string
		s     Settings
		rules []Option
		fails int    // until it opens
		rule  string // on record
	}{
		{"one", Settings{FailMax: -1}, []Option{WithRule("over 3", over(3))}, 4, "over 3"},
		{"the first that is met", Settings{FailMax: -1}, []Option{WithRule("over 5", over(5)), WithRule("over 3", over(3))}, 4, "over 3"},
		{"beside FailMax", Settings{FailMax: 2}, []Option{WithRule("over 3", over(3))}, 2, ""},
		{"over the last calls", Settings{FailMax: -1, WindowCalls: 3}, []Option{WithRule("over 3", over(3))}, 0, ""},
		{"one that panics", Settings{FailMax: 6}, []Option{WithRule("bug", func(Counts) bool { panic("bug") })}, 6, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := New("x", c.s, c.rules...)
			ran := 0
			for range 20 {
				_ = b.Do(t.Context(), func(context.Context) error { ran++; return errX })
			}
			if c.fails == 0 {
				is(t, b, Closed)
				return
			}
			h := b.History()
			if ran != c.fails || len(h) != 1 || h[0].Rule != c.rule || (h[0].Cause == CauseRule) != (c.rule != "") {
				t.Errorf("%d calls ran, history %+v", ran, h)
			}
		})
	}
}

// A rule may take its time: no lock is held, and what happens meanwhile counts.
func TestOwnRuleRunsOutsideTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: -1}, WithRule("slow", func(Counts) bool { time.Sleep(time.Minute); return true }))
		began := time.Now()
		go play(b, "f")
		synctest.Wait()
		play(b, "s")
		b.Open(Order{})
		b.Close(Order{}) // a new stretch: the rule's answer is about the old one
		if d := time.Since(began); d > 0 {
			t.Errorf("others waited %s for the rule", d)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		is(t, b, Closed)
	})
}
