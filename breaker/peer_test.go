package breaker

import (
	"testing"
	"testing/synctest"
	"time"
)

// The verdict of a fleet opens a closed breaker, with its evidence on record, and
// leaves any other as it is.
func TestPeerOpen(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*Breaker)
		want   State
		fails  int
	}{
		"closed":    {func(b *Breaker) { play(b, "ff") }, Open, 2},
		"open":      {func(b *Breaker) { play(b, "fff") }, Open, 3},
		"half-open": {func(b *Breaker) { play(b, "fff."); _, _ = b.Allow() }, HalfOpen, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("x", Settings{FailMax: 3, ResetTimeout: time.Second})
			c.before(b)
			before := b.Status()
			r, err := b.Peer().Open(before.Version, time.Hour, Peers{Scope: "fleet", Against: 2, Reporting: 3}, Counts{Calls: 9, Failures: 8})
			if err != nil || r.Before != before.State || r.After != c.want {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
			s := b.Status()
			if s.State != c.want || s.FailCount != c.fails || s.ProbesOut != before.ProbesOut {
				t.Errorf("%s: %s with %d failures and %d probes out, want %s with %d and %d", name, s.State, s.FailCount, s.ProbesOut, c.want, c.fails, before.ProbesOut)
			}
			moved := before.State == Closed
			if got := s.Transition; moved && (got.Cause != CauseFleet || got.Fails != 2 || got.OpenFor != time.Hour || got.Peers.Against != 2) {
				t.Errorf("%s: the record is %+v", name, got)
			}
			if (r.Version != r.From) != moved {
				t.Errorf("%s: from version %d to %d", name, r.From, r.Version)
			}
		})
	}
}
