package view_test

import (
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// page has a breaker in every state, and a set.
func page() *view.Page {
	status := func(s breaker.Status) ops.Status {
		s.Name, s.Key, _ = strings.Cut(s.ID, "/")
		if s.Admitted == 0 {
			s.Admitted = 1
		}
		s.Settings = breaker.Settings{Probes: 2, SuccessThreshold: 3}.WithDefaults()
		return ops.Status{Status: s}
	}
	o := ops.Overview{
		Breakers: []ops.Status{
			status(breaker.Status{
				ID: "payments", State: breaker.Open, Auto: breaker.Open, Since: now.Add(-130 * time.Second), UntilHalfOpen: 18 * time.Second, TripsDay: 3, FailCount: 9,
				Transition: &breaker.Transition{
					Cause: breaker.CauseFailureRate, Counts: breaker.Counts{Calls: 99, Failures: 87}, Threshold: 0.5, Window: 10 * time.Second,
					Errors: []breaker.ErrorSample{{Error: "timeout\x1b[2J", Count: 80}}, Attempt: 2,
				},
			}),
			status(breaker.Status{ID: "due", State: breaker.Open, Auto: breaker.Open, Transition: &breaker.Transition{Cause: breaker.CauseProbeFailed, SuspectLocal: true}}),
			status(breaker.Status{ID: "search", State: breaker.HalfOpen, Auto: breaker.HalfOpen, Since: now.Add(-4 * time.Second), ProbesOut: 2, ProbeSuccesses: 1}),
			status(breaker.Status{ID: "mail", State: breaker.Closed, FailCount: 2, FailuresUntilOpen: 3, Window: breaker.Counts{Calls: 40, Failures: 2, Slow: 1}}),
			status(breaker.Status{ID: "geo", State: breaker.Closed, Admitted: 0.4, Since: now.Add(-time.Second)}),
			status(breaker.Status{
				ID: "stock", State: breaker.ForcedOpen, Auto: breaker.Closed,
				Override: &breaker.Override{State: breaker.ForcedOpen, Actor: "ana", Reason: "INC-42 vendor maintenance", Since: now.Add(-18 * time.Minute), Expires: now.Add(12 * time.Minute)},
			}),
			status(breaker.Status{
				ID: "tax", State: breaker.ForcedClosed, Auto: breaker.Open,
				Override: &breaker.Override{State: breaker.ForcedClosed, Since: now.Add(-50 * time.Hour)},
			}),
			status(breaker.Status{ID: "well", State: breaker.Closed}),
		},
		Sets: []ops.Set{{
			Name: "ledger", Keys: 412, States: map[string]int{"closed": 410, "open": 2},
			Worst: []ops.Status{status(breaker.Status{ID: "ledger/eu-1", State: breaker.Open, Auto: breaker.Open, Since: now.Add(-time.Minute), UntilHalfOpen: time.Minute})},
		}},
	}
	plots := map[string]ops.Plot{"payments": {
		Step: ops.Duration(30 * time.Second), Success: []uint32{900, 6, 6}, Failure: []uint32{0, 80, 7}, Rejected: []uint32{0, 0, 1904},
	}}
	p := new(view.Page)
	p.AddOverview("shop/7", &o, plots, nil)
	return p
}

func TestTableOfEveryState(t *testing.T) {
	for _, tt := range []struct {
		width int
		want  string
	}{
		{0, `
ID           STATE          AUTO    SINCE  NEXT              60s OK/FAIL/REJ  WINDOW N/FAIL/SLOW  TRIPS/24h  WHY
payments     OPEN                   2m10s  probe in 18s           12/87/1904                              3  attempt 2: 87 of 99 calls failed in the last 10s (limit 50%); last error: timeout\x1b[2J
due          OPEN                          next call probes                                                  many opened at once, look here first: the probe failed
ledger/*                                                                                                     412 keys: 2 open, 410 closed
ledger/eu-1  OPEN                      1m  probe in 1m
tax          FORCED-CLOSED  OPEN     2d2h  until released                                                    unknown who and why
stock        FORCED-OPEN    closed    18m  ends in 12m                                                       by ana: "INC-42 vendor maintenance"
search       HALF-OPEN                 4s  2 of 2 probing                                                    probes succeeded: 1 of 3
mail         closed                                                                       40/2/1             2 failed in a row, opens at 5
geo          closed                    1s  admits 40%
well         closed
`},
		{100, `
ID           STATE          AUTO    SINCE  NEXT              WHY
payments     OPEN                   2m10s  probe in 18s      attempt 2: 87 of 99 calls failed in th…
due          OPEN                          next call probes  many opened at once, look here first: …
ledger/*                                                     412 keys: 2 open, 410 closed
ledger/eu-1  OPEN                      1m  probe in 1m
tax          FORCED-CLOSED  OPEN     2d2h  until released    unknown who and why
stock        FORCED-OPEN    closed    18m  ends in 12m       by ana: "INC-42 vendor maintenance"
search       HALF-OPEN                 4s  2 of 2 probing    probes succeeded: 1 of 3
mail         closed                                          2 failed in a row, opens at 5
geo          closed                    1s  admits 40%
well         closed
`},
		{50, `
ID           STATE          WHY
payments     OPEN           attempt 2: 87 of 99 c…
due          OPEN           many opened at once, …
ledger/*                    412 keys: 2 open, 410…
`},
	} {
		got := ansi.Strip(view.Table(page().Lines(view.Worst, ""), false, now).String(tt.width))
		if tt.width == 50 { // the rest is alike
			got = strings.Join(strings.SplitAfter(got, "\n")[:4], "")
		}
		if got != tt.want[1:] {
			t.Errorf("%d columns:\n%s\nwant\n%s", tt.width, got, tt.want[1:])
		}
	}
}

func TestLinesAreSortedAndFound(t *testing.T) {
	for _, tt := range []struct {
		by   view.Order
		text string
		want string
	}{
		{view.ByID, "", "due geo ledger/* ledger/eu-1 mail payments search stock tax well"},
		{view.Trips, "pay", "payments"},
		{view.Busy, "open", "payments due ledger/* ledger/eu-1 search stock"},
		{view.Newest, "l", "geo search ledger/* ledger/eu-1 mail"},
		{view.ByID, "SHOP/7", "due geo ledger/* ledger/eu-1 mail payments search stock tax well"},
		{view.ByID, "nothing", ""},
	} {
		var ids []string
		for _, l := range page().Lines(tt.by, tt.text) {
			ids = append(ids, l.ID)
		}
		got := strings.Join(ids, " ")
		if tt.by == view.Newest {
			ids = ids[:min(len(ids), 2)]
			got, tt.want = strings.Join(ids, " "), "geo search"
		}
		if got != tt.want {
			t.Errorf("by %s with %q: %s, want %s", tt.by, tt.text, got, tt.want)
		}
	}
}
