package verdict

import (
	"testing"
	"time"
)

func TestGuilty(t *testing.T) {
	p := params()
	for _, c := range []struct {
		name string
		t    Tally
		want bool
	}{
		{"no one", Tally{}, false},
		{"one process, however sure", Tally{Evidence{20, 20, 0}, 1, 1}, false},
		{"two, and no doubt", Tally{Evidence{10, 10, 0}, 2, 2}, true},
		{"two, and too few calls", Tally{Evidence{6, 6, 0}, 2, 2}, false},
		{"seven calls are enough", Tally{Evidence{7, 7, 0}, 2, 2}, true},
		{"less than half of those that report", Tally{Evidence{100, 80, 0}, 4, 10}, false},
		{"half of them", Tally{Evidence{100, 80, 0}, 5, 10}, true},
		{"as many failures as may be", Tally{Evidence{100, 50, 0}, 5, 10}, false},
	} {
		if got := p.guilty(&c.t, Failing, 0.5); got != c.want {
			t.Errorf("%s: guilty is %v, want %v", c.name, got, c.want)
		}
	}
	slow := Tally{Evidence{20, 0, 18}, 3, 3}
	if p.guilty(&slow, Failing, 0.5) || !p.guilty(&slow, Slow, 0.5) || p.guilty(&slow, Slow, 0) {
		t.Error("slow calls matter where there is a rate for them, and only there")
	}
}

func TestObeys(t *testing.T) {
	p := params()
	all := Evidence{100, 95, 0}
	for _, c := range []struct {
		name string
		own  Evidence
		zone *Evidence
		want bool
	}{
		{"no evidence of its own", Evidence{}, nil, true},
		{"a few good calls", Evidence{3, 0, 0}, nil, true},
		{"as many good ones as peers are worth", Evidence{10, 0, 0}, nil, false},
		{"it fails as well", Evidence{20, 20, 0}, nil, true},
		{"its zone is well", Evidence{}, &Evidence{20, 0, 0}, false},
		{"its zone is well, and it is not", Evidence{10, 10, 0}, &Evidence{20, 0, 0}, true},
		{"its zone knows nothing", Evidence{}, &Evidence{}, true},
	} {
		if got := p.obeys(c.own, c.zone, &all, Failing, 0.5); got != c.want {
			t.Errorf("%s: obeys is %v, want %v", c.name, got, c.want)
		}
	}
}

func TestCapped(t *testing.T) {
	for _, c := range []struct{ in, want Evidence }{
		{Evidence{20, 20, 3}, Evidence{20, 20, 3}},
		{Evidence{40, 19, 40}, Evidence{20, 9, 20}}, // rounded down
		{Evidence{1_000_000, 1, 0}, Evidence{20, 0, 0}},
	} {
		if got := c.in.Capped(20); got != c.want {
			t.Errorf("%v capped at 20 is %v, want %v", c.in, got, c.want)
		}
	}
}

// Failures are told at once and successes with the beat: a span that holds few
// beats sees more failures than there are.
func TestSpansHoldFourBeats(t *testing.T) {
	if p := params(); Spans[0] < 4*p.Beat {
		t.Errorf("the shortest span is %s, want at least four beats of %s", Spans[0], p.Beat)
	}
}

func TestWindow(t *testing.T) {
	var w Window
	w.Add(time.Second, Evidence{10, 5, 1})
	w.Want(time.Second, 12)
	for _, c := range []struct {
		now  time.Duration
		want [SpanCount]int
	}{
		{time.Second, [SpanCount]int{10, 10, 10}},
		{4 * time.Second, [SpanCount]int{10, 10, 10}},
		{6 * time.Second, [SpanCount]int{0, 10, 10}},
		{18 * time.Second, [SpanCount]int{0, 0, 10}},
		{70 * time.Second, [SpanCount]int{0, 0, 0}},
	} {
		got := w.Sums(c.now)
		for i := range got {
			if got[i].Calls != c.want[i] {
				t.Errorf("after %s the span of %s has %d calls, want %d", c.now, Spans[i], got[i].Calls, c.want[i])
			}
		}
	}
	if w.Demand(2*time.Second) != 12 || w.Demand(20*time.Second) != 0 {
		t.Error("demand is that of the last 16 s")
	}
	w.Add(100*time.Second, Evidence{4, 3, 0}) // after a pause longer than every span
	if got := w.Sums(100 * time.Second); got[2] != (Evidence{4, 3, 0}) {
		t.Errorf("after a pause a minute has %v, want the new calls alone", got[2])
	}
	w.Forgive()
	if got := w.Sums(100 * time.Second); got[0] != (Evidence{1, 0, 0}) {
		t.Errorf("forgiven: %v, want the calls that went well", got[0])
	}
}
