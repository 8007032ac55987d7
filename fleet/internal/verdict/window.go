package verdict

import "time"

// steps of each span of a Window. One is under way, so a span holds between
// seven eighths of its time and all of it.
const steps = 8

// Window is what one breaker's calls came to in the last Spans. It takes 400
// bytes. Times are monotonic, since any start; they must not go back.
type Window struct {
	spans  [SpanCount]ring
	demand ring // calls wanted, over Spans[1]
}

// ring is the steps of one span.
type ring struct {
	at    int64 // number of the newest step
	steps [steps]cell
}

// cell is Evidence in less space. A step of a minute's span is 7.5 s: it holds
// half a billion calls a second.
type cell struct{ calls, failures, slow uint32 }

// Add counts calls that ended at now.
func (w *Window) Add(now time.Duration, e Evidence) {
	for i := range w.spans {
		w.spans[i].add(step(now, i), e)
	}
}

// Want counts calls that were wanted at now, those included that were rejected.
func (w *Window) Want(now time.Duration, calls int) {
	w.demand.add(step(now, 1), Evidence{Calls: calls})
}

func (r *ring) add(at int64, e Evidence) {
	if e.Calls == 0 {
		return
	}
	for n := min(at-r.at, steps); n > 0; n-- { // the steps between are empty
		r.steps[(at-n+1)%steps] = cell{}
	}
	r.at = max(r.at, at)
	c := &r.steps[at%steps]
	c.calls += uint32(e.Calls)
	c.failures += uint32(e.Failures)
	c.slow += uint32(e.Slow)
}

func (r *ring) sum(now int64) (out Evidence) {
	for at := max(now-steps+1, r.at-steps+1, 0); at <= r.at; at++ {
		c := r.steps[at%steps]
		out = out.Add(Evidence{int(c.calls), int(c.failures), int(c.slow)})
	}
	return out
}

func step(now time.Duration, span int) int64 { return int64(now / (Spans[span] / steps)) }

// Sums is what the spans hold at now.
func (w *Window) Sums(now time.Duration) (out [SpanCount]Evidence) {
	for i := range w.spans {
		out[i] = w.spans[i].sum(step(now, i))
	}
	return out
}

// Demand is the number of calls wanted in Spans[1].
func (w *Window) Demand(now time.Duration) int { return w.demand.sum(step(now, 1)).Calls }

// Clear forgets how calls ended.
func (w *Window) Clear() { w.spans = [SpanCount]ring{} }

// Forgive forgets the calls that went wrong.
func (w *Window) Forgive() {
	for i := range w.spans {
		for j := range w.spans[i].steps {
			c := &w.spans[i].steps[j]
			*c = cell{calls: c.calls - max(c.failures, c.slow)}
		}
	}
}
