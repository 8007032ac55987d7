package breaker

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The record has what decided, for each rule, and the numbers at that moment.
func TestTransitionRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Settings{FailMax: 3, FailureRate: 0.5, MinCalls: 4, SlowCall: time.Second, ResetTimeout: 10 * time.Second, ResetBackoff: 2}
		b := New("db", s)
		_ = b.Update(s) // no change, no version
		s.ResetTimeout = 20 * time.Second
		if err := b.Update(s); err != nil {
			t.Fatal(err)
		}
		play(b, "sFsf")
		h := b.History()
		if len(h) != 1 {
			t.Fatalf("history %+v", h)
		}
		got := h[0]
		want := Transition{
			Version: 3, At: time.Now(), From: Closed, To: Open, Cause: CauseFailureRate,
			Fails: 1, Counts: Counts{4, 2, 1, 2}, FailingSince: got.At, Threshold: 0.5, Window: 10 * time.Second, Errors: got.Errors,
			Attempt: 1, OpenFor: 20 * time.Second, SettingsVersion: 2,
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		if len(got.Errors) != 1 || got.Errors[0].Count != 2 || got.Errors[0].Error != errX.Error() {
			t.Errorf("errors %+v", got.Errors)
		}
	})
}

// A record contains what belongs to its transition, and nothing of others: the
// errors that opened it, the window that was judged, the probe that was slow.
func TestRecordsContainOnlyTheirOwn(t *testing.T) {
	type record struct {
		to     State
		cause  Cause
		errors int
		window time.Duration
		slow   bool
		calls  int
	}
	open := strings.Repeat(".", 60)
	for name, c := range map[string]struct {
		s    Settings
		rule bool
		do   func(b *Breaker)
		want []record
	}{
		"in a row": {
			Settings{FailMax: 2},
			false, func(b *Breaker) { play(b, "ff"+open+"s") },
			[]record{
				{Open, CauseConsecutive, 1, 0, false, 0},
				{HalfOpen, CauseElapsed, 0, 0, false, 0},
				{Closed, CauseProbesPassed, 0, 0, false, 0},
			},
		},
		"rate": {
			Settings{FailMax: -1, FailureRate: 0.5, MinCalls: 2},
			false, func(b *Breaker) { play(b, "sf"+open+"fff") },
			[]record{
				{Open, CauseFailureRate, 1, 10 * time.Second, false, 2},
				{HalfOpen, CauseElapsed, 0, 10 * time.Second, false, 0},
				{Open, CauseProbeFailed, 1, 10 * time.Second, false, 0},
			},
		},
		"rate of calls": {
			Settings{FailMax: -1, FailureRate: 0.5, WindowCalls: 2},
			false, func(b *Breaker) { play(b, "sf") },
			[]record{{Open, CauseFailureRate, 1, 0, false, 2}},
		},
		"slow": {
			Settings{FailMax: -1, SlowCall: time.Second, SlowRate: 0.5, MinCalls: 2},
			false, func(b *Breaker) { play(b, "sS"+open+"S") },
			[]record{
				{Open, CauseSlowRate, 0, 10 * time.Second, false, 2}, // the rate shows the slow calls
				{HalfOpen, CauseElapsed, 0, 10 * time.Second, false, 0},
				{Open, CauseProbeFailed, 0, 10 * time.Second, true, 0},
			},
		},
		"own rule": {
			Settings{FailMax: -1},
			true, func(b *Breaker) { play(b, "f") },
			[]record{{Open, CauseRule, 1, 10 * time.Second, false, 1}},
		},
		"ordered, far from its limit": {
			Settings{},
			false, func(b *Breaker) { b.HalfOpen(Order{}); play(b, "f") },
			[]record{
				{HalfOpen, CauseOrder, 0, 0, false, 0},
				{Open, CauseProbeFailed, 1, 0, false, 0},
			},
		},
		"ordered": {
			Settings{FailMax: 2},
			false, func(b *Breaker) { play(b, "f"); b.Open(Order{}); b.HalfOpen(Order{}); play(b, "f") },
			[]record{
				{Open, CauseOrder, 0, 0, false, 0},
				{HalfOpen, CauseOrder, 0, 0, false, 0},
				{Open, CauseProbeFailed, 1, 0, false, 0},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var opts []Option
				if c.rule {
					opts = append(opts, WithRule("one", func(c Counts) bool { return c.Failures > 0 }))
				}
				b := New("db", c.s, opts...)
				c.do(b)
				var got []record
				for _, h := range b.History() {
					got = append(got, record{h.To, h.Cause, len(h.Errors), h.Window, h.Slow, h.Counts.Calls})
				}
				for i := range max(len(got), len(c.want)) {
					if i >= len(got) || i >= len(c.want) || got[i] != c.want[i] {
						t.Fatalf("record %d of\n%+v\nwant\n%+v", i+1, got, c.want)
					}
				}
			})
		})
	}
}
