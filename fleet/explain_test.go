package fleet_test

import (
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/ops"
)

func TestExplainInWords(t *testing.T) {
	some := func(n int, p fleet.Process) (out []fleet.Process) {
		for i := range n {
			p.Member = "pod-" + string(rune('0'+i))
			out = append(out, p)
		}
		return out
	}
	for _, test := range []struct {
		b    fleet.Breaker
		want string
	}{
		{fleet.Breaker{}, "db is closed in all 8 processes."},
		{fleet.Breaker{States: map[breaker.State]int{breaker.Closed: 1}}, "db is closed in its one process."},
		{fleet.Breaker{States: map[breaker.State]int{breaker.Open: 1}}, "db is open in 1 of 1 process."},
		{fleet.Breaker{Processes: some(1, fleet.Process{Advised: true})}, "db is closed in all 8 processes. pod-0 only advises, and would be open."},
		{fleet.Breaker{Processes: some(2, fleet.Process{Advised: true})}, "db is closed in all 8 processes. pod-0 and pod-1 only advise, and would be open."},
		{fleet.Breaker{Processes: some(3, fleet.Process{Overruled: true})}, "db is closed in all 8 processes. pod-0, pod-1 and pod-2 stay closed against the verdict, because their own calls succeed."},
		{fleet.Breaker{Processes: some(1, fleet.Process{Overruled: true})}, "db is closed in all 8 processes. pod-0 stays closed against the verdict, because its own calls succeed."},
		{fleet.Breaker{Processes: some(4, fleet.Process{Tripped: true})}, "db is closed in all 8 processes. pod-0, pod-1, pod-2 and 1 other were opened by their own rules alone."},
		{fleet.Breaker{Processes: some(8, fleet.Process{Tripped: true})}, "db is closed in all 8 processes. pod-0, pod-1, pod-2 and 5 others were opened by their own rules alone."},
		{
			fleet.Breaker{Drift: map[string][]fleet.DriftValue{
				"reset_timeout": {{Value: "10s", Count: 2}, {Value: "1m0s", Count: 2, Members: []string{"pod-0", "pod-1"}}},
				"fail_max":      {{Value: "5", Count: 1}, {Value: "9", Count: 1, Members: []string{"pod-1"}}},
			}},
			"db is closed in all 8 processes. Its setting fail_max is 5 in 1 process and 9 in pod-1. Its setting reset_timeout is 10s in 2 processes and 1m0s in pod-0, pod-1.",
		},
		{
			fleet.Breaker{Verdicts: []fleet.Verdict{{
				Scope: "the fleet", OpenFor: ops.Duration(time.Hour), Next: ops.Duration(90 * time.Second), Attempt: 1,
				Counts: breaker.Counts{Calls: 20, Failures: 19}, Peers: breaker.Peers{Span: 4 * time.Second, Against: 2, Reporting: 3},
			}}},
			"db is closed in all 8 processes. A verdict has held the fleet open for 1h: 19 of 20 calls failed in the last 4s at 2 of 3 processes of the fleet. The fleet's next probe is in 1m30s (1 has failed).",
		},
		{
			fleet.Breaker{Verdicts: []fleet.Verdict{{
				Scope: "zone a", OpenFor: ops.Duration(90 * time.Minute), Attempt: 2,
				Counts: breaker.Counts{Calls: 20, Slow: 19}, Peers: breaker.Peers{Span: 16 * time.Second, Against: 2, Reporting: 2, Slow: true},
			}}},
			"db is closed in all 8 processes. A verdict has held zone a open for 1h30m: 19 of 20 calls were slow in the last 16s at 2 of 2 processes of zone a. The fleet's next probe is due (2 have failed).",
		},
	} {
		test.b.ID = "db"
		if test.b.States == nil {
			test.b.States = map[breaker.State]int{breaker.Closed: 8}
		}
		if got := test.b.Explain(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}
