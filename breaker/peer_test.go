package breaker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPeerOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("payments", Settings{})
		p := Peers{Scope: "zone b", Epoch: 7, Span: 4 * time.Second, Against: 22, Reporting: 24, Here: Counts{Calls: 1, Failures: 1}}
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

func TestPeerHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("a", Settings{FailMax: 1, ResetTimeout: 10 * time.Second})
		if b.Peer().Hold(b.Status().Version, time.Second) {
			t.Error("a closed breaker was held")
		}
		play(b, "f")
		version := b.Status().Version
		play(b, "f") // rejected: the timer is set, and the error made
		for _, d := range []time.Duration{4 * time.Second, 20 * time.Second} {
			if !b.Peer().Hold(version, d) || b.Status().UntilHalfOpen != d {
				t.Errorf("held for %s, and the next probe is in %s", d, b.Status().UntilHalfOpen)
			}
			var open *OpenError
			if _, err := b.Allow(); !errors.As(err, &open) || open.RetryAfter() != d {
				t.Errorf("held for %s, and the rejection says %v", d, err)
			}
		}
		wait(19 * time.Second)
		if _, err := b.Allow(); err == nil {
			t.Error("probed before the end of the hold")
		}
		wait(time.Second)
		if p, err := b.Allow(); err != nil {
			t.Errorf("no probe after the end of the hold: %v", err)
		} else {
			p.Done(errX)
		}
		if b.Peer().Hold(version, 0) {
			t.Error("held a breaker that has moved")
		}
		if !b.Peer().Hold(b.Status().Version, 0) {
			t.Error("not held")
		}
		if p, err := b.Allow(); err != nil {
			t.Errorf("let go, and no probe: %v", err)
		} else {
			p.Done(nil)
		}
		is(t, b, Closed)
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
