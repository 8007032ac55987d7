package fleet

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
)

// Limits of what a member reports of the past (F11).
const (
	maxPast   = 32  // transitions
	maxWhy    = 240 // bytes of each one's summary
	pastPause = 5 * time.Second
)

// past is what the breakers of this process went through last.
type past struct {
	mu    sync.Mutex // guards the fields below; no other lock is taken under it
	items []wire.Past
}

// add takes in a transition, on the goroutine of the call or order that made it.
func (p *past) add(f *Fleet, id string, t *breaker.Transition) {
	if t.Shadow || len(id) > wire.MaxID || !f.o.Only(nameOf(id)) {
		return
	}
	p.mu.Lock()
	p.items = append(p.items, wire.Past{ID: id, At: t.At, From: t.From, To: t.To, Cause: t.Cause, Why: cut(t.Summary(), maxWhy)})
	if n := len(p.items); n > maxPast {
		p.items = slices.Delete(p.items, 0, n-maxPast)
	}
	p.mu.Unlock()
	poke(f.older)
}

func (p *past) all() []wire.Past {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.items)
}

// chronicle is the goroutine that reports the transitions of the breakers: soon
// after something happened, and again from time to time, as the store may lose it.
func (f *Fleet) chronicle(ctx context.Context) {
	pause := inventoryAge
	for {
		timer := time.NewTimer(pause)
		select {
		case <-f.older:
			rest(ctx, f.share(f.o.Beat)) // what belongs together goes together
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
		pause = inventoryAge
		items := f.past.all()
		if len(items) == 0 {
			continue
		}
		message, err := f.seal.CloseRecord(wire.KindHistory, wire.History{Member: f.o.Member, Zone: f.o.Zone, Past: items})
		for errors.Is(err, wire.ErrSize) { // ids and errors full of what JSON escapes
			items = items[len(items)/2+1:]
			message, err = f.seal.CloseRecord(wire.KindHistory, wire.History{Member: f.o.Member, Zone: f.o.Zone, Past: items})
		}
		if err == nil {
			err = f.put(ctx, HistoryTable, f.field, message)
		}
		if err != nil {
			pause = pastPause
			continue
		}
		rest(ctx, pastPause) // no more often than that
	}
}

// Past is a transition of one process's breaker.
type Past struct {
	Member string        `json:"member"`
	Zone   string        `json:"zone,omitempty"`
	ID     string        `json:"id"`
	At     time.Time     `json:"at"` // by the clock of that process
	From   breaker.State `json:"from"`
	To     breaker.State `json:"to"`
	Cause  breaker.Cause `json:"cause"`
	Why    string        `json:"why"`
}

// History returns what the breaker with this id, or all for "", went through in
// all processes that have not left: the last 32 transitions of each process, the
// newest first. Times are by the clock of each process.
func (g *Group) History(ctx context.Context, id string) ([]Past, error) {
	all, err := g.store.All(ctx, HistoryTable)
	if err != nil {
		return nil, err
	}
	out := []Past{}
	for _, raw := range all {
		var h wire.History
		if g.seal.OpenRecord(wire.KindHistory, raw, &h) != nil {
			continue
		}
		for _, p := range h.Past[:min(len(h.Past), maxPast)] {
			if id == "" || p.ID == id {
				out = append(out, Past{Member: h.Member, Zone: h.Zone, ID: p.ID, At: p.At, From: p.From, To: p.To, Cause: p.Cause, Why: p.Why})
			}
		}
	}
	slices.SortFunc(out, func(a, b Past) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Member, b.Member)) })
	return out, nil
}
