package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// The wall clock is stepped by an hour, forwards or back, in a process with
// breakers. No open time, override, lease or window ends earlier or later
// because of it (I9), and the audit log verifies.
func TestWallClockSteps(t *testing.T) {
	t.Parallel()
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			t.Parallel()
			const short = 3 * time.Second
			p := at(shortTemp(t), "opens", "forced", "probed", "rated")
			p.Settings = breaker.Settings{
				FailMax: 3, FailureRate: 0.5, MinCalls: 4, Window: time.Minute, ResetTimeout: short, ProbeTimeout: short,
			}
			o := start(t, p)
			began := time.Now()
			for range 3 {
				o.tell("fail", "opens")
			}
			o.wants("opens", "open")
			done(t, o.viaSocket("force-open", "forced", "--reason", "drill", "--for", short.String())...)
			done(t, o.viaSocket("half-open", "probed")...)
			if err := o.tell("hang", "probed"); err != "<nil>" {
				t.Fatal(err)
			}
			o.tell("call", "rated")
			o.tell("fail", "rated")

			if err := o.tell("step", step.String()); err != "<nil>" {
				needs(t, "a processor whose clock can be stepped", errors.New(err))
			}
			if took := time.Since(began); took > short/2 {
				t.Skipf("SKIP: needs a machine that is less busy, %s had passed before the step", took)
			}
			// Nothing ended early.
			for _, name := range []string{"opens", "forced", "probed"} {
				if got := o.tell("call", name); got != "rejected" {
					t.Errorf("a call of %s %s right behind the step, want it rejected", name, got)
				}
			}
			var s breaker.Status
			must(t, json.Unmarshal([]byte(o.tell("status", "opens")), &s))
			if s.UntilHalfOpen <= 0 || s.UntilHalfOpen > short {
				t.Errorf("a probe may run in %s, want within %s", s.UntilHalfOpen, short)
			}
			// The window still holds what it held before the step.
			o.tell("call", "rated")
			o.tell("fail", "rated")
			o.wants("rated", "open")
			text := done(t, o.viaSocket("explain", "forced")...)
			_, left, _ := strings.Cut(text, "rejected for another ")
			left, _, _ = strings.Cut(left, ";")
			if d, err := time.ParseDuration(left); err != nil || d <= 0 || d > short {
				t.Errorf("explain says %q, want what is left of %s", text, short)
			}

			// And nothing ends late.
			<-time.After(time.Until(began.Add(short + time.Second)))
			o.wants("forced", "closed")
			for _, name := range []string{"opens", "forced", "probed", "rated"} {
				if got := o.tell("call", name); got != "ran" {
					t.Errorf("%s after its time a call of %s is %s", time.Second, name, got)
				}
			}
			o.wants("opens", "closed")
			done(t, o.viaSocket("close", "rated")...)
			all, report := o.recorded()
			if moved := report.To.Sub(report.From); report.Missed > 0 || moved.Round(time.Minute) != step {
				t.Errorf("the audit log's times moved by %s, want %s: %+v", moved, step, report)
			}
			if text := done(t, "switchgear", "audit", "verify", o.Audit); !strings.HasPrefix(text, fmt.Sprintf("%d orders verified", len(all))) {
				t.Error(text)
			}
			o.ends()
		})
	}
}
