package breaker

import (
	"fmt"
	"testing"
)

// The texts of the error types.
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
