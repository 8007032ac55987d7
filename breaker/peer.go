package breaker

import (
	"fmt"
	"time"
)

// Peer is the interface of a breaker to package fleet, through which the
// processes of a fleet act on it. Programs do not need it. What it does is
// automatic, limited in time and reversible; people use orders instead.
type Peer struct{ b *Breaker }

// Peer returns the breaker as package fleet uses it.
func (b *Breaker) Peer() Peer { return Peer{b} }

// Open opens a closed breaker for d, because of evidence that other processes
// have counted. The record has CauseFleet, peers and counts. version is the
// version that the decision was based on: if the breaker has changed since, it
// stays as it is, and the error matches ErrVersion. A breaker that is not
// closed, or that CapOpen holds back, also stays as it is, and the receipt
// shows that. Like Apply, it waits for no listener.
func (p Peer) Open(version uint64, d time.Duration, peers Peers, counts Counts) (Receipt, error) {
	if d <= 0 {
		return Receipt{}, fmt.Errorf("%w: open for %s, want a positive duration", ErrOrder, d)
	}
	b := p.b
	defer func() { // after mu is released (I10)
		if b.undelivered() {
			go b.deliver()
		}
	}()
	b.mu.Lock()
	defer b.mu.Unlock()
	// The verdict is about the breaker as the fleet saw it. An order or a probe
	// since then wins (I5).
	found := b.versionLocked()
	if version != found {
		return Receipt{}, b.staleLocked(found, version)
	}
	r := Receipt{ID: b.ID(), Before: effective(b.load()), From: found}
	// next decides what the evidence does in each state, and the cap holds it back
	// as it does the breaker's own trips.
	b.stepLocked(&event{kind: evPeers, dur: d, counts: counts}, b.cfg.clock.Now(), &Transition{Peers: &peers})
	r.After, r.Version = effective(b.load()), b.versionLocked()
	return r, nil
}

// Hold moves the end of the open time to d from now, if the breaker is open at
// this version; if d is 0 or less, the next call may probe. This is not a
// transition. Hold returns false, and has changed nothing, if the breaker has
// changed.
func (p Peer) Hold(version uint64, d time.Duration) bool {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.load()
	// Behind an override as well: the automatic state continues there.
	if version != b.versionLocked() || stateOf(w) != Open {
		return false
	}
	c := b.cold.Load()
	now := b.cfg.clock.Now()
	c.openUntil = now.Add(max(0, d))
	// A timer that fires nevertheless finds that openUntil has not been reached.
	stopTimer(&c.dueTimer)
	c.reject.Store(nil) // its RetryAfter is the end from before
	// The place among the open breakers lasts as long as the breaker rejects.
	b.cfg.cap.moved(b, c.rejectsUntil(w))
	w &^= flagDue
	if w&flagForcedOpen == 0 {
		w &^= flagReject // the next rejected call sets the timer again
	}
	b.setWord(w)
	if b.cfg.wantsReady(c) {
		b.startTimerLocked(w) // also for goroutines in WaitReady
	}
	return true
}
