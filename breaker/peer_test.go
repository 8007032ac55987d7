package breaker

import (
	"errors"
	"strings"
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
			if err != nil || r.ID != "x" || r.Before != before.State || r.After != c.want || r.From != before.Version || r.Version != b.Status().Version {
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

// A verdict without an open time, or on a breaker that has changed since, is an
// error and changes nothing.
func TestPeerOpenErrors(t *testing.T) {
	b := New("x", Settings{})
	_ = b.Open(Order{})
	_ = b.Close(Order{})
	for _, c := range []struct {
		version uint64
		d       time.Duration
		want    error
		text    string
	}{
		{3, 0, ErrOrder, "invalid order: open for 0s, want a positive duration"},
		{3, -1, ErrOrder, "invalid order: open for -1ns, want a positive duration"},
		{2, time.Second, ErrVersion, "breaker has changed: x is at version 3, the order was for 2"},
	} {
		r, err := b.Peer().Open(c.version, c.d, Peers{}, Counts{})
		if !errors.Is(err, c.want) || err.Error() != c.text || r != (Receipt{}) {
			t.Errorf("version %d for %s: %+v, %v; want %s", c.version, c.d, r, err, c.text)
		}
		is(t, b, Closed)
	}
}

// Hold moves the end of the open time, both ways, for those who were rejected and
// those who wait, also when it was over already. Behind forced-open calls are
// still rejected.
func TestPeerHold(t *testing.T) {
	for name, before := range map[string]func(*Breaker){
		"open":                 func(*Breaker) {},
		"a call was rejected":  func(b *Breaker) { play(b, "s") },
		"its time was over":    func(b *Breaker) { play(b, "s."); wait(time.Second) },
		"over, without a call": func(*Breaker) { wait(time.Minute) },
	} {
		synctest.Test(t, func(t *testing.T) {
			m, bs := crew(t, 2)
			m.CapOpen(0.5)
			b := bs[0]
			_ = b.Open(Order{For: 2 * time.Second})
			before(b)
			began := time.Now()
			if !b.Peer().Hold(b.Status().Version, time.Hour) {
				t.Fatalf("%s: not held", name)
			}
			var rejected *OpenError
			for range 2 {
				if err := b.Do(bg, nop); !errors.As(err, &rejected) || rejected.RetryAfter() != time.Hour {
					t.Errorf("%s: %v, want a rejection for an hour", name, err)
				}
			}
			play(bs[1], "f")
			is(t, bs[1], Closed) // it holds a place for that hour
			ready := make(chan time.Duration)
			go func() { _ = b.WaitReady(bg); ready <- time.Since(began) }()
			wait(time.Minute)
			if !b.Peer().Hold(b.Status().Version, time.Minute) {
				t.Errorf("%s: not held again", name)
			}
			if got := <-ready; got != 2*time.Minute {
				t.Errorf("%s: ready after %s, want 2m", name, got)
			}
			play(b, "s")
			is(t, b, Closed)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{})
		_ = b.Open(Order{For: time.Second})
		_ = b.ForceOpen(Order{})
		if !b.Peer().Hold(b.Status().Version, 0) {
			t.Error("not held behind forced-open")
		}
		if err := b.Do(bg, nop); !errors.Is(err, ErrOpen) {
			t.Errorf("behind forced-open: %v", err)
		}
	})
}

// A breaker that is not open, or has changed, is not held.
func TestPeerHoldsNot(t *testing.T) {
	for name, before := range map[string]func(*Breaker) (version uint64){
		"closed":    func(b *Breaker) uint64 { return b.Status().Version },
		"half-open": func(b *Breaker) uint64 { _ = b.HalfOpen(Order{}); return b.Status().Version },
		"changed":   func(b *Breaker) uint64 { _ = b.Open(Order{For: time.Second}); return b.Status().Version - 1 },
	} {
		b := New("x", Settings{})
		version := before(b)
		was := b.Status()
		if b.Peer().Hold(version, time.Hour) {
			t.Errorf("%s: held", name)
		}
		if is := b.Status(); is.State != was.State || is.UntilHalfOpen > time.Second {
			t.Errorf("%s: it was %s and is %s for %s", name, was.State, is.State, is.UntilHalfOpen)
		}
	}
}

// Behind an override only the automatic state opens, and the cap holds this
// opening back like any other.
func TestPeerOpenKeepsOverridesAndTheCap(t *testing.T) {
	b := New("a", Settings{})
	b.ForceClosed(Order{})
	if _, err := b.Peer().Open(b.Status().Version, time.Second, Peers{}, Counts{}); err != nil {
		t.Fatal(err)
	}
	is(t, b, ForcedClosed)
	if s := b.Status(); s.Auto != Open {
		t.Errorf("behind the override it is %s", s.Auto)
	}
	m, all := crew(t, 4)
	m.CapOpen(0.5)
	opened := 0
	for _, b := range all {
		r, err := b.Peer().Open(b.Status().Version, time.Second, Peers{}, Counts{})
		if err != nil {
			t.Fatal(err)
		}
		if r.After == Open {
			opened++
		}
	}
	if opened != 2 {
		t.Errorf("%d of 4 opened, want the 2 that the cap allows", opened)
	}
}

// A fleet never waits for a listener.
func TestPeerOpenDoesNotWaitForListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		b := New("a", Settings{}, WithListener(Listener{StateChange: func(*Breaker, Transition) { <-release }}))
		if _, err := b.Peer().Open(1, time.Second, Peers{}, Counts{}); err != nil {
			t.Fatal(err)
		}
		is(t, b, Open)
		close(release)
	})
}

func TestPeerWatch(t *testing.T) {
	s := NewSet[string]("tenant", Settings{}, SetOptions{})
	b := s.Breaker("acme")
	play(b, "f")
	if got := b.Peer().Calls(); got != (Calls{}) {
		t.Errorf("counted without being watched: %+v", got)
	}
	b.Peer().Watch(true)
	b.Peer().Watch(true)
	play(b, "sfs")
	play(s.Breaker("other"), "s")
	if got := b.Peer().Calls(); got != (Calls{Successes: 2, Failures: 1}) {
		t.Errorf("counted %+v, want 2 and 1", got)
	}
	b.Peer().Watch(false)
	play(b, "s")
	if got := b.Peer().Calls(); got != (Calls{}) {
		t.Errorf("after the watch %+v", got)
	}
}

// The record of a verdict says what it was decided by, in the fleet and here.
func TestPeerOpenOnRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("payments", Settings{})
		p := Peers{Scope: "zone b", Epoch: 7, Span: 4 * time.Second, Against: 22, Reporting: 24, Own: Counts{Calls: 1, Failures: 1}}
		sum := Counts{Calls: 61, Failures: 58, Slow: 12}
		if _, err := b.Peer().Open(b.Status().Version+1, time.Second, p, sum); !errors.Is(err, ErrVersion) {
			t.Errorf("of another version: %v, want ErrVersion", err)
		}
		if _, err := b.Peer().Open(b.Status().Version, 0, p, sum); !errors.Is(err, ErrOrder) {
			t.Errorf("for no time: %v, want ErrOrder", err)
		}
		is(t, b, Closed)
		r, err := b.Peer().Open(b.Status().Version, 2*time.Second, p, sum)
		if err != nil || r.Before != Closed || r.After != Open || r.Version == r.From {
			t.Fatalf("%+v, %v", r, err)
		}
		s := b.Status()
		if got, want := s.Transition.Summary(), "58 of 61 calls failed in the last 4s at 22 of 24 processes of zone b; here 1 of 1"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		failed := Transition{Cause: CauseFleet, Peers: &p, Counts: sum, Errors: []ErrorSample{{Error: "refused"}}}
		if got, want := failed.Summary(), "; here 1 of 1; last error: refused"; !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want it to end in %q", got, want)
		}
		p.Slow = true
		slow := Transition{Cause: CauseFleet, Peers: &p, Counts: sum}
		if got, want := slow.Summary(), "12 of 61 calls were slow in the last 4s at 22 of 24 processes of zone b; here 0 of 1"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if s.Transition.Cause != CauseFleet || s.Transition.Attempt != 0 || s.UntilHalfOpen != 2*time.Second {
			t.Errorf("cause %s, attempt %d, open for %s", s.Transition.Cause, s.Transition.Attempt, s.UntilHalfOpen)
		}
		// An open one stays as it is.
		r, err = b.Peer().Open(s.Version, time.Hour, p, sum)
		if err != nil || r.Version != r.From || b.Status().UntilHalfOpen != 2*time.Second {
			t.Errorf("opened again: %+v, %v", r, err)
		}
	})
}

// Without a goroutine that waits, an open time that Hold has moved ends when a
// call comes after it, or when a listener is to hear of it.
func TestPeerHoldEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{})
		_ = b.Open(Order{For: time.Minute})
		for range 2 { // the first one prepares the rejection of the second
			play(b, "s")
		}
		for _, d := range []time.Duration{time.Hour, time.Second, 0} {
			if !b.Peer().Hold(b.Status().Version, d) {
				t.Fatalf("not held for %s", d)
			}
			if d > 0 {
				time.Sleep(d - 1)
				play(b, "ss")
				is(t, b, Open)
			}
		}
		play(b, "s")
		is(t, b, Closed)
	})
	synctest.Test(t, func(t *testing.T) {
		var ready []time.Duration
		began := time.Now()
		b := New("x", Settings{}, WithListener(Listener{Ready: func(*Breaker) { ready = append(ready, time.Since(began)) }}))
		_ = b.Open(Order{For: time.Minute})
		b.Peer().Hold(b.Status().Version, time.Hour)
		wait(2 * time.Hour)
		if len(ready) != 1 || ready[0] != time.Hour {
			t.Errorf("Ready was called after %v, want once after 1h", ready)
		}
	})
}
