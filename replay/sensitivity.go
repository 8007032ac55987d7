package replay

import (
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// sensitivity finds out whether calls in flight rise together with failures or
// with the time that calls take, from ten seconds before each episode to its first
// rejected call: rank correlation over bins of 100 ms.
type sensitivity struct {
	spans []span
	list  []*Episode // for each of spans
	next  int        // the first that has not begun
	now   []*loadBins
}

// loadBins are those of one episode.
type loadBins struct {
	of       *Episode
	from, to time.Duration
	bins     map[int64]*loadBin
}

type loadBin struct{ flight, bad, took, n float64 }

const (
	beforeEpisode = 10 * time.Second
	enoughBins    = 20
	strongly      = 0.5
)

// add adds a call, in the order of their ends.
func (s *sensitivity) add(c *tape.Call) {
	for s.next < len(s.spans) && s.spans[s.next].began-beforeEpisode <= c.Ended {
		x := s.spans[s.next]
		s.now = append(s.now, &loadBins{of: s.list[s.next], from: x.began - beforeEpisode, to: x.endedBy, bins: map[int64]*loadBin{}})
		s.next++
	}
	if len(s.now) == 0 {
		return
	}
	kept := s.now[:0]
	for _, b := range s.now {
		if c.What.Kind() == tape.Rejected || c.Ended > b.to {
			b.finish()
			continue
		}
		b.add(c)
		kept = append(kept, b)
	}
	s.now = kept
}

func (s *sensitivity) finish() {
	for _, b := range s.now {
		b.finish()
	}
	s.now = nil
}

func (b *loadBins) bin(at time.Duration) *loadBin {
	k := int64(at / binWidth)
	if b.bins[k] == nil {
		b.bins[k] = &loadBin{}
	}
	return b.bins[k]
}

func (b *loadBins) add(c *tape.Call) {
	if !known(c) || c.Began == 0 {
		return
	}
	x := b.bin(c.Ended)
	x.n++
	x.took += float64(c.Ended - c.Began)
	if c.What.Outcome() == uint8(breaker.Failure) {
		x.bad++
	}
	for at := max(c.Began, b.from) / binWidth * binWidth; at <= c.Ended; at += binWidth {
		b.bin(at).flight++
	}
}

func (b *loadBins) finish() {
	var flight, bad, took []float64
	for _, x := range b.bins {
		if x.n > 0 {
			flight, bad, took = append(flight, x.flight), append(bad, x.bad/x.n), append(took, x.took/x.n)
		}
	}
	b.of.LoadSensitive = len(flight) >= enoughBins && (rankCorrelation(flight, bad) > strongly || rankCorrelation(flight, took) > strongly)
}
