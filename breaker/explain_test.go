package breaker

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What an operator reads, for every rule and every state.
func TestExplain(t *testing.T) {
	rate := Settings{FailMax: -1, FailureRate: 0.5, MinCalls: 4}
	forced := Order{Actor: "ana", Reason: "INC-42", For: 30 * time.Minute}
	rep := strings.Repeat
	for _, c := range []struct {
		name string
		s    Settings
		do   func(b *Breaker)
		want string
	}{
		{"new", Settings{}, func(*Breaker) {}, "db is closed and has never opened. It opens on 5 more failures in a row."},
		{"some failures", Settings{}, func(b *Breaker) { play(b, "ffff") }, "db is closed and has never opened. It opens on 1 more failure in a row."},
		{"no rule", Settings{FailMax: -1}, func(*Breaker) {}, "db is closed and has never opened. No rule in its settings can open it."},
		{
			"rates",
			Settings{FailureRate: 0.5, SlowCall: time.Second, SlowRate: 0.25, MinCalls: 10},
			func(b *Breaker) { play(b, "sfS") },
			"db is closed and has never opened. It opens on 5 more failures in a row, " +
				"or when 50% of at least 10 calls have failed (now 1 of 3), or when 25% of at least 10 calls were slow (now 1 of 3).",
		},
		{
			"confidence",
			Settings{FailMax: -1, FailureRate: 0.5, Confidence: 0.95},
			func(b *Breaker) { play(b, "ff") },
			"db is closed and has never opened. It opens when it is 95% sure that more than 50% of calls fail (now 2 of 2).",
		},
		{
			"consecutive",
			Settings{FailMax: 2},
			func(b *Breaker) { play(b, "ff.....") },
			"db has been open for 5s: 2 failures in a row; last error: connection refused. Every call is rejected; a probe may run in 55s.",
		},
		{
			"one failure",
			Settings{FailMax: 1},
			func(b *Breaker) { play(b, "f") },
			"db has been open for 0s: 1 failure in a row; last error: connection refused. Every call is rejected; a probe may run in 1m.",
		},
		{
			"failure rate", rate, func(b *Breaker) { play(b, "sfsf..") },
			"db has been open for 2s: 2 of 4 calls failed in the last 10s (limit 50%); last error: connection refused. Every call is rejected; a probe may run in 58s.",
		},
		{
			"failure rate of calls",
			Settings{FailMax: -1, FailureRate: 0.5, WindowCalls: 4},
			func(b *Breaker) { play(b, "sfsf") },
			"db has been open for 0s: 2 of the last 4 calls failed (limit 50%); last error: connection refused. Every call is rejected; a probe may run in 1m.",
		},
		{
			"sure",
			Settings{FailMax: -1, FailureRate: 0.5, Confidence: 0.95},
			func(b *Breaker) { play(b, "ffffffff") },
			"db has been open for 0s: 8 of 8 calls failed in the last 1s, enough to be sure that more than 50% do; last error: connection refused. Every call is rejected; a probe may run in 1m.",
		},
		{
			"slow",
			Settings{FailMax: -1, SlowCall: 2 * time.Second, SlowRate: 0.5, MinCalls: 4},
			func(b *Breaker) { play(b, "sSsS") },
			"db has been open for 0s: 2 of 4 calls were slow in the last 10s (limit 50%). Every call is rejected; a probe may run in 1m.",
		},
		{
			"own rule",
			Settings{FailMax: -1},
			func(b *Breaker) { play(b, "sfff") },
			`db has been open for 0s: the rule "three" is met: 3 of 4 calls failed, 0 were slow; last error: connection refused. Every call is rejected; a probe may run in 1m.`,
		},
		{
			"due",
			Settings{FailMax: 1},
			func(b *Breaker) { play(b, "f"+rep(".", 70)) },
			"db has been open for 1m10s: 1 failure in a row; last error: connection refused. Its open time is over; the next call is a probe.",
		},
		{
			"probe failed",
			Settings{FailMax: 1, ResetBackoff: 2},
			func(b *Breaker) { play(b, "f"+rep(".", 60)+"f") },
			"db has been open for 0s: the probe failed; last error: connection refused. It has been failing for 1m. Every call is rejected; a probe may run in 2m (attempt 2).",
		},
		{
			"due again",
			Settings{FailMax: 1},
			func(b *Breaker) { play(b, "f"+rep(".", 60)+"f"+rep(".", 60)) },
			"db has been open for 1m: the probe failed; last error: connection refused. It has been failing for 2m. Its open time is over; the next call is a probe (attempt 2).",
		},
		{
			"half-open",
			Settings{FailMax: 1, Probes: 2, SuccessThreshold: 3},
			func(b *Breaker) {
				play(b, "f"+rep(".", 60)+"s")
				_, _ = b.Allow()
			},
			"db has been half-open for 0s: the open time had passed and a call arrived. It opened 1m ago: 1 failure in a row; last error: connection refused. 1 of 2 probes are running, the first for 0s; 1 of 3 have succeeded. One failure opens it again.",
		},
		{
			"the probe hangs",
			Settings{FailMax: 1},
			func(b *Breaker) {
				play(b, "f"+rep(".", 60))
				_, _ = b.Allow()
				time.Sleep(8 * time.Second)
			},
			"db has been half-open for 8s: the open time had passed and a call arrived. It opened 1m8s ago: 1 failure in a row; last error: connection refused. The probe has been running for 8s; another may run in 52s. One failure opens it again.",
		},
		{
			"the probe has outlasted its lease",
			Settings{FailMax: 1},
			func(b *Breaker) {
				play(b, "f"+rep(".", 60))
				_, _ = b.Allow()
				time.Sleep(90 * time.Second)
			},
			"db has been half-open for 1m30s: the open time had passed and a call arrived. It opened 2m30s ago: 1 failure in a row; last error: connection refused. A probe has been running for 1m30s; the next call is another probe. One failure opens it again.",
		},
		{
			"score",
			Settings{FailMax: 4, SuccessesToForgive: 2},
			func(b *Breaker) { play(b, "ffsfsff") },
			"db has been open for 0s: 4 failures, where 2 successes make up for one; last error: connection refused. Every call is rejected; a probe may run in 1m.",
		},
		{
			"score, still closed",
			Settings{FailMax: 4, SuccessesToForgive: 2},
			func(b *Breaker) { play(b, "ffs") },
			"db is closed and has never opened. It opens on 3 more failures, where 2 successes make up for one.",
		},
		{
			"bad rate",
			Settings{FailMax: -1, SlowCall: 2 * time.Second, BadRate: 0.5, MinCalls: 4},
			func(b *Breaker) { play(b, "ssfS") },
			"db has been open for 0s: 2 of 4 calls failed or were slow in the last 10s (limit 50%); last error: connection refused. Every call is rejected; a probe may run in 1m.",
		},
		{
			"each rule",
			Settings{FailMax: 5, FailureRate: 0.5, SlowCall: time.Second, SlowRate: 0.4, BadRate: 0.6, MinCalls: 10},
			func(b *Breaker) { play(b, "ssfS") },
			"db is closed and has never opened. It opens on 5 more failures in a row, or when 50% of at least 10 calls have failed (now 1 of 4), or when 40% of at least 10 calls were slow (now 1 of 4), or when 60% of at least 10 calls have failed or were slow (now 2 of 4).",
		},
		{
			"two of two probes are running",
			Settings{FailMax: 1, Probes: 2, ProbeTimeout: 5 * time.Second},
			func(b *Breaker) {
				play(b, "f"+rep(".", 60))
				for range 2 {
					_, _ = b.Allow()
					time.Sleep(time.Second)
				}
			},
			"db has been half-open for 2s: the open time had passed and a call arrived. It opened 1m2s ago: 1 failure in a row; last error: connection refused. 2 of 2 probes are running, the first for 2s; another may run in 3s. One failure opens it again.",
		},
		{
			"closed again",
			Settings{FailMax: 1},
			func(b *Breaker) { play(b, "f"+rep(".", 60)+"s...") },
			"db has been closed for 3s: the probe succeeded. It opens on 1 more failure in a row.",
		},
		{
			"closed again by probes",
			Settings{FailMax: 2, SuccessThreshold: 2},
			func(b *Breaker) { play(b, "ff"+rep(".", 60)+"ss...") },
			"db has been closed for 3s: 2 probes succeeded. It opens on 2 more failures in a row.",
		},
		{
			"ramp",
			Settings{FailMax: 1, Ramp: 10 * time.Second},
			func(b *Breaker) { play(b, "f"+rep(".", 60)+"s...") },
			"db has been closed for 3s: the probe succeeded. It admits 30% of the calls now, and gradually more. It opens on 1 more failure in a row.",
		},
		{
			"opened by order",
			Settings{},
			func(b *Breaker) { b.Open(forced) },
			`db has been open for 0s: opened by ana ("INC-42"). Every call is rejected; a probe may run in 30m.`,
		},
		{
			"ordered without an actor",
			Settings{},
			func(b *Breaker) { b.Open(Order{}) },
			"db has been open for 0s: opened by an unknown actor. Every call is rejected; a probe may run in 1m.",
		},
		{
			"forced open",
			Settings{},
			func(b *Breaker) { b.ForceOpen(forced); time.Sleep(18 * time.Minute) },
			`db was forced open 18m ago by ana ("INC-42"). Every call is rejected for another 12m; its automatic state is closed and cannot change without calls.`,
		},
		{
			"forced closed",
			Settings{FailMax: 2},
			func(b *Breaker) { b.ForceClosed(Order{Actor: "ana"}); play(b, "ff") },
			"db was forced closed 0s ago by ana. Every call is admitted until the override is released; its automatic state is open.",
		},
		{
			"override ended",
			Settings{},
			func(b *Breaker) { b.ForceOpen(forced); time.Sleep(time.Hour) },
			"db has been closed for 30m: the override expired. It opens on 5 more failures in a row.",
		},
		{
			"released over open",
			Settings{},
			func(b *Breaker) { b.Open(forced); b.ForceClosed(forced); b.Release(Order{Actor: "bob"}) },
			`db has been half-open for 0s: released by bob. It opened 0s ago: opened by ana ("INC-42"). The next call is a probe. One failure opens it again.`,
		},
		{
			"less patience than failures",
			Settings{},
			func(b *Breaker) { play(b, "fff"); _ = b.Update(Settings{FailMax: 2}) },
			"db is closed and has never opened. It opens on 1 more failure in a row.",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var opts []Option
				if c.name == "own rule" {
					opts = append(opts, WithRule("three", func(c Counts) bool { return c.Failures >= 3 }))
				}
				b := New("db", c.s, opts...)
				c.do(b)
				synctest.Wait()
				s := b.Status()
				if got := s.Explain(); got != c.want {
					t.Errorf("got:  %s\nwant: %s", got, c.want)
				}
			})
		})
	}
}

func TestHumanDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                  "0s",
		0:                             "0s",
		1_499 * time.Microsecond:      "1ms",
		98_765 * time.Microsecond:     "99ms",
		345_678 * time.Microsecond:    "350ms",
		time.Second:                   "1s",
		1_234 * time.Millisecond:      "1.2s",
		9_876_543 * time.Microsecond:  "9.9s",
		10_040 * time.Millisecond:     "10s",
		12_345 * time.Millisecond:     "12s",
		time.Minute:                   "1m",
		61_600 * time.Millisecond:     "1m2s",
		130 * time.Second:             "2m10s",
		time.Hour:                     "1h",
		70 * time.Minute:              "1h10m",
		10 * time.Hour:                "10h",
		3*time.Hour + 310*time.Second: "3h5m",
	} {
		if got := human(d); got != want {
			t.Errorf("%s is shown as %s, want %s", d, got, want)
		}
	}
}

// A Status that a program has assembled, or has read from the output of an
// older version, may lack fields that a breaker's own Status has.
func TestExplainWithoutARecord(t *testing.T) {
	s := Status{ID: "db", State: Open}
	if next := s.Next(); next != "Its open time is over; the next call is a probe." {
		t.Errorf("next: %s", next)
	}
}

// The parts of which Explain consists.
func TestExplainParts(t *testing.T) {
	b := New("db", Settings{FailMax: 1})
	s := b.Status()
	if s.Why() != "" || s.Next() != "It opens on 1 more failure in a row." {
		t.Errorf("new: %q, %q", s.Why(), s.Next())
	}
	b.ForceOpen(Order{Actor: "ana", Reason: "a: b. c", For: time.Hour})
	s = b.Status()
	if got, want := s.Why(), `forced open by ana ("a: b. c")`; got != want {
		t.Errorf("Why() = %q, want %q", got, want)
	}
	if text := s.Explain(); !strings.HasSuffix(text, `by ana ("a: b. c"). `+s.Next()) {
		t.Errorf("%q does not end with %q", text, s.Next())
	}
}
