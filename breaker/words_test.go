package breaker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What the types call themselves.
func TestWords(t *testing.T) {
	b := New("db", Settings{FailMax: 1}, WithErrorOnTrip())
	trip := b.Do(t.Context(), broken)
	for _, c := range []struct{ got, want string }{
		{fmt.Sprint(Success, Failure, Ignored), "success failure ignored"},
		{fmt.Sprint(Closed, Open, HalfOpen, ForcedOpen, ForcedClosed, State(9)), "closed open half-open forced-open forced-closed state(9)"},
		{fmt.Sprint(ErrorIs(errX), ErrorAs[*OpenError](), ErrorIf(func(error) bool { return false })), "is connection refused as *breaker.OpenError if a predicate says so"},
		{trip.Error(), "db: circuit breaker is open: 1 failure in a row; last error: connection refused (this call opened it: connection refused)"},
		{(&UnknownError{ID: "x"}).Error(), `unknown breaker "x"`},
		{(&Transition{Cause: "new"}).Summary(), "new"},
		{(&Transition{Cause: CauseProbesPassed, Fails: 3}).Summary(), "3 probes succeeded"},
		{(&Transition{Cause: CauseExpired}).Summary(), "the override expired"},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}

func TestStateAsText(t *testing.T) {
	for s := Closed; s <= ForcedClosed; s++ {
		text, err := json.Marshal(s)
		var back State
		if err == nil {
			err = json.Unmarshal(text, &back)
		}
		if err != nil || back != s {
			t.Errorf("%s was written as %s and read as %s: %v", s, text, back, err)
		}
	}
	var s State
	if err := json.Unmarshal([]byte(`"ajar"`), &s); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("an unknown state: %v", err)
	}
}

// The rejection says in which state, and when to come again where that is
// known.
func TestRejectionInEachState(t *testing.T) {
	for _, c := range []struct {
		prepare func(*Breaker)
		state   State
		text    string
		after   time.Duration
	}{
		{func(b *Breaker) { b.Open(Order{}) }, Open, "db: circuit breaker is open: opened by an unknown actor", time.Minute},
		{func(b *Breaker) { b.HalfOpen(Order{}); _, _ = b.Allow() }, HalfOpen, "db: circuit breaker is open (half-open, waiting for a probe): set half-open by an unknown actor", time.Minute},
		{func(b *Breaker) { b.ForceOpen(Order{Actor: "ana"}) }, ForcedOpen, "db: circuit breaker is open (forced): forced open by ana", 0},
		{func(b *Breaker) { b.ForceOpen(Order{Actor: "ana", For: time.Hour}) }, ForcedOpen, "db: circuit breaker is open (forced): forced open by ana", time.Hour},
		{func(b *Breaker) { b.HalfOpen(Order{}); play(b, "s") }, Closed, "db: circuit breaker is open (closed again, admitting calls gradually): the probe succeeded", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("db", Settings{Ramp: time.Hour})
			c.prepare(b)
			var open *OpenError
			if err := b.Do(t.Context(), nop); !errors.As(err, &open) {
				t.Fatalf("%s: %v", c.state, err)
			}
			if open.State != c.state || open.Error() != c.text || open.RetryAfter() != c.after {
				t.Errorf("%s: %s, after %s\nwant %s: %s, after %s", open.State, open, open.RetryAfter(), c.state, c.text, c.after)
			}
		})
	}
	if again := New("x", Settings{}).Do(context.Background(), nop); again != nil {
		t.Error(again)
	}
}
