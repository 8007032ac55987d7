package fleet

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/switchgear-go/switchgear/fleet/internal/verdict"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
)

const (
	maxMembers = 4096 // that are counted; the others beat and hear
	leaseBeats = 3    // of the coordinator's lease
	firstBeats = 1.5  // a new coordinator only listens so long
	goneBeats  = 60   // after which a silent member's report is deleted
)

// office is what a coordinator knows. It belongs to the coordinator's goroutine.
type office struct {
	term, seq uint64
	since     time.Duration
	k         *verdict.Coordinator
	stepped   time.Duration
	follows   time.Duration // when the coordinator before it was heard last
	seen      map[string]*sighting
	dropped   int // reports that could not be read
	beyond    int // members beyond maxMembers
}

// sighting is one member's newest report.
type sighting struct {
	verdict.Presence
	report *wire.Report // nil: it could not be read
	raw    []byte
}

// coordinate is the goroutine that tries to be the coordinator when there is
// none, and adds up what the members say while it is.
func (f *Fleet) coordinate(ctx context.Context) {
	for ctx.Err() == nil {
		rest(ctx, f.o.Beat/2+f.share(f.o.Beat))
		if ctx.Err() != nil || f.hears() || f.mute() {
			continue
		}
		of, err := f.lead(ctx)
		if err != nil && ctx.Err() == nil {
			f.change(func(s *State) { s.LastError = err.Error() })
		}
		if of != nil {
			f.serve(ctx, of)
		}
	}
}

// hears reports whether there is a coordinator.
func (f *Fleet) hears() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.heard.At > 0 && f.now()-f.heard.At < 2*f.o.Beat
}

// mute reports whether this member cannot beat. It must not be the coordinator
// then: it could publish without hearing the others.
func (f *Fleet) mute() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Beats == 0 || f.failures >= aloneAfter
}

// lead asks for the lease. The office goes on from the newest digest: the one
// that was heard, or that the store has.
func (f *Fleet) lead(ctx context.Context) (*office, error) {
	f.mu.Lock()
	h := f.heard
	f.mu.Unlock()
	var after uint64
	if h.digest != nil {
		after = h.digest.Term
	}
	short, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	term, err := f.store.Lead(short, f.field, after, leaseBeats*f.o.Beat)
	if err != nil || term == 0 {
		return nil, err
	}
	now := f.now()
	of := &office{term: term, since: now, stepped: now, follows: now, seen: map[string]*sighting{}, k: &verdict.Coordinator{Params: f.params}}
	if h.digest != nil {
		of.k = h.digest.Coordinator(f.params)
		if h.At > 0 {
			of.stepped, of.follows = h.At, h.At
		}
	}
	return of, nil
}

// serve is the coordinator's work, until the lease is lost or the store fails.
func (f *Fleet) serve(ctx context.Context, of *office) {
	f.change(func(s *State) { s.Coordinator = true })
	defer f.change(func(s *State) { s.Coordinator = false })
	for {
		next, err := f.tally(ctx, of)
		if ctx.Err() != nil || f.mute() || errors.Is(err, errOutnumbered) {
			// It leaves: another one need not wait for the end of the lease.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
			defer cancel()
			_ = f.store.Resign(ctx, f.field, of.term)
			return
		}
		if err != nil {
			if !errors.Is(err, ErrStale) {
				f.change(func(s *State) { s.LastError = err.Error() })
			}
			return
		}
		rest(ctx, next)
	}
}

// errOutnumbered: most members have another key, and drop what this one publishes.
var errOutnumbered = errors.New("fleet: most members have another key")

// outnumbered reports whether more members beat that have another key than this one's.
// It must not be their coordinator: each of them would be alone. A report that does
// not change is of a process that may be gone, and does not count.
func (of *office) outnumbered(f *Fleet, now time.Duration) bool {
	strangers, ours := 0, 0
	for _, s := range of.seen {
		switch {
		case !s.Moved || s.Silent(&f.params, now):
		case s.report == nil, len(f.o.Key) == 0 && wire.Signed(s.raw):
			strangers++
		default:
			ours++
		}
	}
	return strangers > ours
}

// tally adds up once, and publishes.
func (f *Fleet) tally(ctx context.Context, of *office) (next time.Duration, err error) {
	short, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	reports, orders, err := f.store.Collect(short)
	if err != nil {
		return 0, err
	}
	now := f.now()
	of.take(f, reports, now)
	if of.outnumbered(f, now) {
		return 0, errOutnumbered
	}
	next = f.o.Beat
	members := of.members(f, now)
	of.clear(f)
	// Reports may be of members that are gone. Which members are there shows within a beat
	// and a half; what goes on meanwhile stays as it is.
	if now-of.since >= time.Duration(firstBeats*float64(f.o.Beat)) {
		next = min(next, of.k.Step(now-of.stepped, members))
		of.stepped = now
		if of.k.Busy {
			next = 0
		}
		next = max(next, f.o.Beat/ticks)
	}
	of.seq++
	d := &wire.Digest{
		Term: of.term, Seq: of.seq, By: f.boot, Orders: orders, Members: len(members), Silent: of.silent(f, now),
		Quiet: of.quiet(f, now), Dropped: of.dropped, Beyond: of.beyond, Clock: of.k.Clock, Subjects: of.k.Subjects,
		Omitted: of.k.Omitted,
	}
	short, cancel = context.WithTimeout(ctx, storeTime)
	defer cancel()
	err = f.store.Publish(short, f.field, of.term, leaseBeats*f.o.Beat, f.seal.Close(wire.KindDigest, d.Append()))
	if err != nil {
		return 0, err
	}
	of.sweep(ctx, f, now)
	return next, nil
}

// cleared is an id that was closed by order, and when.
type cleared struct {
	id string
	at time.Duration
}

// clear makes a fresh start where people closed a breaker: older evidence must not
// undo that.
func (of *office) clear(f *Fleet) {
	for {
		select {
		case c := <-f.clears:
			if c.at < of.follows {
				continue // the coordinator before it has seen to that
			}
			id := c.id
			for subject := range of.k.Subjects {
				if id == subject || id == "*" || prefixOf(id, subject) {
					of.k.Clear(subject)
				}
			}
		default:
			return
		}
	}
}

// take takes in the reports. What cannot be read is counted, and is a member
// without a voice (F13).
func (of *office) take(f *Fleet, reports map[string][]byte, now time.Duration) {
	of.dropped, of.beyond = 0, 0
	for field := range of.seen {
		if _, ok := reports[field]; !ok {
			delete(of.seen, field) // it has left
		}
	}
	for field, raw := range reports {
		s := of.seen[field]
		if s != nil && bytes.Equal(s.raw, raw) {
			if s.report == nil {
				of.dropped++
			}
			continue
		}
		if s == nil && len(of.seen) >= maxMembers {
			of.beyond++
			continue
		}
		n := &sighting{raw: raw}
		if s != nil {
			n.Presence = s.Presence
		}
		body, err := f.seal.Open(wire.KindReport, raw)
		if err == nil {
			n.report, err = wire.ReadReport(body)
		}
		if err != nil {
			of.dropped++
			f.dropped(err)
			n.report, n.At, n.Moved = nil, now, s != nil
		} else if !n.Hear(now, n.report.Boot, n.report.Seq) {
			continue // a replay
		} else {
			n.Name, n.Interval = n.report.Member, n.report.Interval
			n.Moved = n.Moved || field == f.field
		}
		of.seen[field] = n
	}
}

// newest are the members that began last under each name.
func (of *office) newest() map[string]*verdict.Presence {
	newest := map[string]*verdict.Presence{}
	for _, s := range of.seen {
		if n := newest[s.Name]; n == nil || n.Since < s.Since {
			newest[s.Name] = &s.Presence
		}
	}
	return newest
}

// members are those whose reports keep coming, with what they say.
func (of *office) members(f *Fleet, now time.Duration) (out []verdict.Member) {
	ids := map[uint64]string{}
	for id := range of.k.Subjects {
		ids[wire.Hash(id)] = id
	}
	boots := map[uint64]bool{}
	newest := of.newest()
	var alive []*wire.Report
	for _, s := range of.seen {
		if s.report == nil || !s.Moved || s.Silent(&f.params, now) || boots[s.Boot] || s.Replaced(newest[s.Name]) {
			continue
		}
		boots[s.Boot] = true // one process has one voice (F3)
		alive = append(alive, s.report)
		for i := range s.report.Claims {
			id := s.report.Claims[i].ID
			ids[wire.Hash(id)] = id
		}
	}
	for _, r := range alive {
		m := verdict.Member{ID: r.Boot, Zone: r.Zone, Clock: r.Clock, Partial: r.Partial, Claims: r.Claims}
		for _, w := range r.Well {
			// A hash without a name is a breaker that no member complains about.
			if id, ok := ids[w.Hash]; ok {
				m.Claims = append(m.Claims[:len(m.Claims):len(m.Claims)], wellClaim(id, &w))
			}
		}
		out = append(out, m)
	}
	return out
}

func wellClaim(id string, w *wire.Well) verdict.Claim {
	c := verdict.Claim{ID: id, Well: true, SlowRule: w.SlowRule}
	for i, n := range w.Calls {
		c.Spans[i].Calls = n
	}
	return c
}

// quiet are those whose reports have stopped coming.
func (of *office) quiet(f *Fleet, now time.Duration) (out []wire.Quiet) {
	for _, s := range of.seen {
		if s.report != nil && s.Silent(&f.params, now) && len(out) < wire.MaxQuiet {
			out = append(out, wire.Quiet{Boot: s.report.Boot, For: now - s.At})
		}
	}
	return out
}

func (of *office) silent(f *Fleet, now time.Duration) (n int) {
	for _, s := range of.seen {
		if s.report != nil && s.Silent(&f.params, now) {
			n++
		}
	}
	return n
}

// sweep deletes reports of members that are long gone, or are silent and have started
// again under the same name, if they have not come back meanwhile.
func (of *office) sweep(ctx context.Context, f *Fleet, now time.Duration) {
	newest := of.newest()
	for field, s := range of.seen {
		again := s.Silent(&f.params, now) && s.Replaced(newest[s.Name])
		if now-s.At < goneBeats*f.o.Beat && !again {
			continue
		}
		short, cancel := context.WithTimeout(ctx, storeTime)
		err := f.store.Drop(short, ReportTable, field, s.raw)
		for _, t := range []Table{InventoryTable, HistoryTable} {
			if err == nil {
				err = f.store.Drop(short, t, field, nil)
			}
		}
		cancel()
		if err != nil {
			return
		}
		delete(of.seen, field)
	}
}
