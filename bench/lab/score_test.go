package lab

import (
	"math"
	"testing"
	"time"
)

// scripted is a breaker that opens and closes at given times, and while open
// lets every fourth call run.
type scripted struct {
	open  [][2]time.Duration
	asked int
}

func (s *scripted) closed(now time.Duration) bool {
	for _, o := range s.open {
		if now >= o[0] && now < o[1] {
			return false
		}
	}
	return true
}

func (s *scripted) allow(now time.Duration, _ int) bool {
	if s.closed(now) {
		return true
	}
	s.asked++
	return s.asked%4 == 0
}

func (*scripted) done(time.Duration, int, bool) {}

// A call a second, each takes 0.1 s, all fail from 100 s to 120 s and from 200 s
// to 220 s. The breaker opens at 105 s until 124 s, and for nothing at 150 s
// until 154 s. It misses the second outage.
func TestScore(t *testing.T) {
	s := &script{scene: &scene{span: day, fail: 0.1, sick: []episode{{100 * time.Second, 120 * time.Second}, {200 * time.Second, 220 * time.Second}}}}
	sick := during(s.sick, 1, 0)
	for i := range 300 {
		at := time.Duration(i) * time.Second
		s.calls = append(s.calls, call{at, at + time.Second/10, sick(float64(i)) > 0})
	}
	s.order()
	b := &scripted{open: [][2]time.Duration{{105 * time.Second, 124 * time.Second}, {150 * time.Second, 154 * time.Second}}}
	got := playSteps(s, b, func(time.Duration) {}).score()
	want := row{
		Calls: 300, Episodes: 2, Found: 1,
		Delay: 5, DelayMax: 5,
		Failed:      5,              // at 100 s to 104 s
		FalseTrips:  1,              // in a day
		RejectedOut: 100 * 6. / 260, // of 4 and 4, one each ran
		Wasted:      100 * 28. / 40, // 5, 3 of 15, and 20 of the second
		Waited:      28 * 0.1 / 40,
		Probes:      5 * 60 / 23., // 3 in the outage, 1 after it, 1 for nothing
		Recovery:    4,
	}
	_, gots := got.fields()
	names, wants := want.fields()
	for i := range gots {
		if math.Abs(deref(gots[i])-deref(wants[i])) > 1e-6 {
			t.Errorf("%s is %v, want %v", names[i], deref(gots[i]), deref(wants[i]))
		}
	}
}
