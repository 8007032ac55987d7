package breakertest

import (
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/replay"
)

// ReplayLimit is what settings must do with a recorded outage. A zero field sets
// no limit. Where a figure depends on calls that have no outcome, because they
// were rejected when they were recorded, the unfavourable end of its range must
// meet the limit; see replay.Trust.
type ReplayLimit struct {
	// Detect is the longest time from the beginning of an outage until a breaker
	// opens for it. None may be missed.
	Detect time.Duration
	// Recovery is the longest time from the end of an outage until the breaker is
	// closed.
	Recovery time.Duration
	// FalseTrips is the number of trips without an outage that is allowed; use
	// NoFalseTrips for none.
	FalseTrips int
	// FalseRejects is the number of calls that may be rejected outside outages
	// although they would have succeeded.
	FalseRejects int
}

// NoFalseTrips is a ReplayLimit.FalseTrips of none.
const NoFalseTrips = -1

// AssertReplay replays a recording (see replay.Record and "switchgear record")
// under settings, and fails the test if they do not meet the limit, or if the
// recording holds no outage. Unlike scenarios it needs no synctest bubble.
func AssertReplay(t testing.TB, file string, s breaker.Settings, limit ReplayLimit) {
	t.Helper()
	trace, err := replay.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := replay.Run(t.Context(), trace, replay.RunOptions{}, replay.With("these settings", s))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Episodes) == 0 {
		t.Fatalf("%s holds no outage to replay", file)
	}
	x := &r.Results[0]
	over := func(key string, most float64, what string) {
		t.Helper()
		if f := x.Figure(key); f.High > most {
			t.Errorf("%s: %s is %s (%s), want at most %v", file, what, f.Text(), f.Trust, most)
		}
	}
	if limit.Detect > 0 {
		over("missed", 0, "the number of outages that are missed")
		over("delay_max_seconds", limit.Detect.Seconds(), "the longest time in seconds until it opens")
	}
	if limit.Recovery > 0 {
		over("recovery_max_seconds", limit.Recovery.Seconds(), "the longest time in seconds until it closes again")
	}
	if limit.FalseTrips != 0 {
		over("false_trips", float64(max(0, limit.FalseTrips)), "the number of trips without an outage")
	}
	if limit.FalseRejects > 0 {
		over("false_rejects_out", float64(limit.FalseRejects), "the number of good calls rejected outside outages")
	}
}
