package breaker

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What Status says about the next call and about the counts, state by state.
func TestStatusByState(t *testing.T) {
	rated := Settings{FailMax: -1, FailureRate: 0.5, MinCalls: 2, ResetTimeout: 10 * time.Second, Ramp: 10 * time.Second}
	wait := func(seconds int) string { return strings.Repeat(".", seconds) }
	const off = -1 // no rule about failures in a row
	for _, c := range []struct {
		name   string
		s      Settings
		do     func(b *Breaker)
		state  State
		admits float64
		window Counts
		until  int
	}{
		{"closed", rated, func(b *Breaker) { play(b, "ssf") }, Closed, 1, Counts{3, 1, 0, 1}, off},
		{"open", rated, func(b *Breaker) { play(b, "sf") }, Open, 0, Counts{}, off},
		{"due", rated, func(b *Breaker) { play(b, "sf"+wait(10)) }, Open, 1, Counts{}, off},
		{"half-open", rated, func(b *Breaker) { b.HalfOpen(Order{}) }, HalfOpen, 1, Counts{}, off},
		{"ramp", rated, func(b *Breaker) { play(b, "sf"+wait(10)+"s"+wait(4)) }, Closed, 0.4, Counts{}, off},
		{
			"ramp, forced closed", rated,
			func(b *Breaker) { play(b, "sf"+wait(10)+"s"+wait(4)); b.ForceClosed(Order{}) },
			ForcedClosed, 1,
			Counts{},
			off,
		},
		{"open, forced closed", rated, func(b *Breaker) { play(b, "sf"); b.ForceClosed(Order{}) }, ForcedClosed, 1, Counts{}, off},
		{"forced open", rated, func(b *Breaker) { play(b, "s"); b.ForceOpen(Order{}) }, ForcedOpen, 0, Counts{1, 0, 0, 0}, off},
		{"failures in a row", Settings{}, func(b *Breaker) { play(b, "ff") }, Closed, 1, Counts{}, 3},
		{"failures in a row, open", Settings{}, func(b *Breaker) { play(b, "fffff") }, Open, 0, Counts{}, off},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("db", c.s)
				c.do(b)
				s := b.Status()
				if s.State != c.state || s.Admitted != c.admits || s.Window != c.window || s.FailuresUntilOpen != c.until {
					t.Errorf("%s, admits %g, window %+v, %d failures until open\nwant %s, %g, %+v, %d",
						s.State, s.Admitted, s.Window, s.FailuresUntilOpen, c.state, c.admits, c.window, c.until)
				}
			})
		})
	}
}

// FailingSince is when the breaker left closed automatically, until it has
// closed again.
func TestFailingSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("b", Settings{FailMax: 1, ResetTimeout: 10 * time.Second, SuccessThreshold: 2})
		since := func(when string, want time.Time) {
			t.Helper()
			if got := b.Status().FailingSince; !got.Equal(want) {
				t.Errorf("%s: failing since %s, want %s", when, got, want)
			}
		}
		since("new", time.Time{})
		_ = b.Open(Order{})
		since("opened by an order", time.Time{})
		_ = b.HalfOpen(Order{})
		play(b, "f")
		first := time.Now()
		since("a probe failed", first)
		_ = b.Close(Order{})
		since("closed by an order", time.Time{})
		wait(time.Second)
		play(b, "f")
		first = time.Now()
		since("tripped", first)
		play(b, "..........f")
		since("a probe failed", first)
		play(b, "..........s")
		since("one of two probes passed", first)
		_ = b.ForceClosed(Order{For: time.Minute})
		since("overridden", first)
		wait(2 * time.Minute)
		since("half-open again", first)
		_ = b.Open(Order{For: time.Second})
		since("opened by an order meanwhile", first)
		if got := b.Status().Opened.FailingSince; !got.Equal(first) {
			t.Errorf("on record: failing since %s, want %s", got, first)
		}
		play(b, "..ss")
		since("recovered", time.Time{})
	})
}

// Links are in the status of a breaker, and of every key of a set.
func TestLinksAreInStatus(t *testing.T) {
	links := Links{Owner: "team payments", Runbook: "https://runbooks.example/payments"}
	var m Manager
	if _, err := m.Create("payments", Settings{}, WithLinks(links)); err != nil {
		t.Fatal(err)
	}
	set, err := CreateSet[string](&m, "tenant", Settings{}, SetOptions{}, WithLinks(links))
	if err != nil {
		t.Fatal(err)
	}
	set.Breaker("acme")
	m.Breaker("plain")
	for _, s := range m.Status() {
		if s.ID == "plain" {
			if s.Links != nil {
				t.Errorf("plain has links: %+v", s.Links)
			}
			continue
		}
		if s.Links == nil || *s.Links != links {
			t.Errorf("%s has links %+v, want %+v", s.ID, s.Links, links)
		}
		text, err := json.Marshal(s)
		if err != nil || !strings.Contains(string(text), `"links":{"owner":"team payments","runbook":"https://runbooks.example/payments"}`) {
			t.Errorf("JSON of %s: %s, %v", s.ID, text, err)
		}
	}
}

// What has lapsed under FailWithin is shown while the breaker is open: it says why.
func TestStatusOfAnOpenDatedRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 3, FailWithin: 10 * time.Second})
		play(b, "fff")
		time.Sleep(30 * time.Second)
		if got := b.Status(); got.State != Open || got.FailCount != 3 {
			t.Errorf("%s with %d failures, want open with 3", got.State, got.FailCount)
		}
	})
}
