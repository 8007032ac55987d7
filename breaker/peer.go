package breaker

import (
	"fmt"
	"time"
)

// Peer is how the processes of a fleet act on a breaker, see package fleet.
// Programs have no use for it: what it does is automatic, bounded and undone by
// itself, where an order is a person's.
type Peer struct{ b *Breaker }

// Peer returns the breaker as package fleet sees it.
func (b *Breaker) Peer() Peer { return Peer{b} }

// Open opens a closed breaker for d, on evidence that other processes have
// counted: CauseFleet, with peers and counts in the record. version is the one
// that was judged: a breaker that has moved since is left alone, and the error
// matches ErrVersion. One that is not closed, or that CapOpen holds back, stays
// as it is, and the receipt says so.
func (p Peer) Open(version uint64, d time.Duration, peers Peers, counts Counts) (Receipt, error) {
	if d <= 0 {
		return Receipt{}, fmt.Errorf("%w: open for %s, want a time above 0", ErrOrder, d)
	}
	b := p.b
	b.mu.Lock()
	defer b.deliver() // after mu
	defer b.mu.Unlock()
	found := b.versionLocked()
	if version != found {
		return Receipt{}, b.staleLocked(found, version)
	}
	r := Receipt{ID: b.ID(), Before: effective(b.load()), From: found}
	b.stepLocked(&event{kind: evPeers, dur: d, counts: counts}, b.cfg.clock.Now(), &Transition{Peers: &peers})
	r.After, r.Version = effective(b.load()), b.versionLocked()
	return r, nil
}

// Hold moves the end of the open time of a breaker that is open at this version
// to d from now; with d <= 0 the next call may probe. It is no transition. It
// reports false, having done nothing, for a breaker that has moved.
func (p Peer) Hold(version uint64, d time.Duration) bool {
	b := p.b
	b.mu.Lock()
	defer b.deliver()
	defer b.mu.Unlock()
	w := b.load()
	if version != b.versionLocked() || stateOf(w) != Open {
		return false
	}
	c := b.cold.Load()
	now := b.cfg.clock.Now()
	c.openUntil = now.Add(max(0, d))
	stopTimer(&c.dueTimer)
	c.reject.Store(nil)
	b.cfg.cap.moved(b, Open, c.openUntil)
	w &^= flagDue
	if w&flagForcedOpen == 0 {
		w &^= flagReject // the next call sets the timer anew
	}
	b.setWord(w)
	if b.cfg.wantsReady(c) {
		b.startTimerLocked(w)
	}
	c.signalLocked()
	return true
}
