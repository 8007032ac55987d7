package verdict

import "time"

// steps of each span of a Window. One is under way, so a span holds between
// seven eighths of its time and all of it.
const steps = 8

// Window is what one breaker's calls came to in the last Spans. It takes 300
// bytes. Times are monotonic, since any start; they must not go back.
type Window struct {
	spans [SpanCount]struct {
		at    int64 // number of the newest step
		steps [steps]cell
	}
}

// cell is Evidence in less space. A step of a minute's span is 7.5 s: it holds
// half a billion calls a second.
type cell struct{ calls, failures, slow uint32 }

// Add counts calls that ended at now.
func (w *Window) Add(now time.Duration, e Evidence) {
	if e.Calls == 0 {
		return
	}
	for i := range w.spans {
		s := &w.spans[i]
		at := step(now, i)
		w.turn(i, at)
		c := &s.steps[at%steps]
		c.calls += uint32(e.Calls)
		c.failures += uint32(e.Failures)
		c.slow += uint32(e.Slow)
	}
}

// turn makes step at the newest one: those between are empty.
func (w *Window) turn(i int, at int64) {
	s := &w.spans[i]
	for n := min(at-s.at, steps); n > 0; n-- {
		s.steps[(at-n+1)%steps] = cell{}
	}
	s.at = max(s.at, at)
}

func step(now time.Duration, span int) int64 { return int64(now / (Spans[span] / steps)) }

// Sums is what the spans hold at now.
func (w *Window) Sums(now time.Duration) (out [SpanCount]Evidence) {
	for i := range w.spans {
		s := &w.spans[i]
		oldest := step(now, i) - steps + 1
		for at := max(oldest, s.at-steps+1, 0); at <= s.at; at++ {
			c := s.steps[at%steps]
			out[i] = out[i].Add(Evidence{int(c.calls), int(c.failures), int(c.slow)})
		}
	}
	return out
}

// Clear forgets everything.
func (w *Window) Clear() { *w = Window{} }
