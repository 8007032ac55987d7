package breaker

import (
	"math"
	"testing"
	"time"
)

// An open time that is as good as for ever stays so, whatever is added to it.
func TestOpenTimeOfForeverDoesNotOverflow(t *testing.T) {
	s := Settings{FailMax: 1, ResetTimeout: math.MaxInt64, ResetJitter: 0.9, ResetBackoff: 2}
	hinted := Settings{FailMax: 1, ResetMax: math.MaxInt64, ResetJitter: 0.9}
	for _, x := range []struct {
		name string
		s    Settings
		e    event
	}{
		{"ordered", s, event{kind: evOpen, draw: 0.999}},
		{"tripped", s, event{kind: evFailure, draw: 0.999}},
		{"hinted", hinted, event{kind: evFailure, draw: 0.999, hint: math.MaxInt64}},
	} {
		_, d := next(auto{}, New("x", x.s).settings(), &x.e)
		if d.openFor < 100*365*24*time.Hour {
			t.Errorf("%s: open for %s", x.name, d.openFor)
		}
	}
}
