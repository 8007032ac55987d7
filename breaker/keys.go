package breaker

import (
	"context"
	"hash/maphash"
	"sync"
	"weak"
)

const shardCount = 64

// shard is a part of a set's keys, so that callers of different keys seldom
// meet.
//
// Its lock may be taken while a breaker's is held, when an evicted key comes
// back; so a holder of a shard's lock never waits for a breaker's, nor for
// another shard's.
type shard[K comparable] struct {
	mu      sync.RWMutex
	by      map[K]*Breaker
	evicted map[K]weak.Pointer[Breaker]
	_       [24]byte
}

func (s *Set[K]) shard(k K) *shard[K] {
	return &s.shards[maphash.Comparable(s.seed, k)%shardCount]
}

// find is the breaker of k, or nil. It notes the use, in ticks: while nothing is
// inserted and no time passes, no one needs to know who is idle longest.
func (s *Set[K]) find(k K) *Breaker {
	if s.hasNaN && k != k { //nolint:gocritic // a NaN
		return s.nanBreaker(k)
	}
	sh := s.shard(k)
	sh.mu.RLock()
	b := sh.by[k]
	evicted := b == nil && len(sh.evicted) > 0
	sh.mu.RUnlock()
	if evicted {
		b = s.comeBack(sh, k)
	}
	if b != nil {
		s.use(b)
	}
	return b
}

// kept is the breaker of k, or nil if the set does not keep it: it may still be
// held by the program.
func (s *Set[K]) kept(k K) *Breaker {
	if s.hasNaN && k != k { //nolint:gocritic // a NaN
		return s.nan.Load()
	}
	sh := s.shard(k)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.by[k]
}

func (s *Set[K]) use(b *Breaker) {
	if now := s.tick.Load(); b.used.Load() != now {
		b.used.Store(now)
	}
}

// insert makes the breaker of k. It makes room first; where there is none, it
// returns nil, or if the caller must have a breaker, one that the set does not
// keep until it has evidence.
func (s *Set[K]) insert(k K, must bool) *Breaker {
	kept := s.reserve()
	text := keyText(k) // user code, perhaps: before the lock
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b := s.thereLocked(sh, k, kept)
	if b != nil || !kept && !must {
		return b
	}
	if s.texts != nil {
		text = s.texts.claim(k, text)
	}
	b = newBreaker(s.cfg, text)
	b.used.Store(s.tick.Add(1))
	if !kept {
		b.word |= flagEvicted
		s.evictLocked(sh, k, b)
		return b
	}
	if sh.by == nil {
		sh.by = make(map[K]*Breaker)
	}
	sh.by[k] = b
	return b
}

// nanBreaker is the one breaker of all keys that differ from themselves: no map
// finds such a key again.
func (s *Set[K]) nanBreaker(k K) *Breaker {
	if b := s.nan.Load(); b != nil {
		return b
	}
	if s.nan.CompareAndSwap(nil, newBreaker(s.cfg, keyText(k))) {
		s.total.Add(1)
	}
	return s.nan.Load()
}

// each calls f with every breaker that the set keeps. f runs without a lock.
func (s *Set[K]) each(f func(*Breaker)) { s.eachOf(f, false) }

// alive is every breaker of the set that is still in use, kept or evicted.
func (s *Set[K]) alive() (all []*Breaker) {
	s.eachOf(func(b *Breaker) { all = append(all, b) }, true)
	return all
}

func (s *Set[K]) eachOf(f func(*Breaker), evicted bool) {
	var some []*Breaker
	for i := range s.shards {
		sh := &s.shards[i]
		some = some[:0]
		sh.mu.RLock()
		for _, b := range sh.by {
			some = append(some, b)
		}
		if evicted {
			for _, ref := range sh.evicted {
				if b := ref.Value(); b != nil {
					some = append(some, b)
				}
			}
		}
		sh.mu.RUnlock()
		for _, b := range some {
			f(b)
		}
	}
	if b := s.nan.Load(); b != nil {
		f(b)
	}
}

// lookup is the remembered breaker whose key has this text, or nil.
func (s *Set[K]) lookup(text string) *Breaker {
	if b := s.nan.Load(); b != nil && b.key == text {
		return b
	}
	var k K
	var ok bool
	if s.texts != nil {
		k, ok = s.texts.key(text)
	} else {
		k, ok = parseKey[K](text)
	}
	if !ok {
		return nil
	}
	return s.kept(k)
}

// ids is up to most ids that the set remembers.
func (s *Set[K]) ids(most int) (out []string) {
	s.each(func(b *Breaker) {
		if len(out) < most {
			out = append(out, b.ID())
		}
	})
	return out
}

// A key that is unknown to a full set need not get a breaker for each call. It
// runs without one, as a breaker without evidence would let it run, and gets one
// only if there is something to count.

// passes reports whether an unknown key may run without a breaker: the set is
// full, and no rule or listener needs to hear of a success.
func (s *Set[K]) passes() bool {
	return s.healthy() >= int64(s.limits.MaxKeys) &&
		s.cfg.settings.Load().passes() && s.cfg.listenerFlags() == 0
}

// passes reports whether no rule needs to hear of a success.
func (r *compiled) passes() bool {
	flags := r.flags &^ flagCheckCtx
	if r.SlowCall <= 0 {
		flags &^= flagsTaped // recording alone makes no key worth keeping
	}
	return flags == 0
}

// countUnkept counts a call that ran without a breaker.
func (c *config) countUnkept(o Outcome) {
	c.calls.Load().count(o, false)
	if t := c.tape.Load(); t != nil {
		t.Unkept()
	}
}

func (s *Set[K]) healthy() int64 { return s.total.Load() - s.evidence.Load() }

func (s *Set[K]) doUnknown(ctx context.Context, k K, fn func(context.Context) error) error {
	g := unknown[K]{set: s, key: k, over: ctx != nil && ctx.Err() != nil, running: true}
	inserts := s.tick.Load()
	defer g.unwind()
	err := fn(ctx)
	if err == nil && s.tick.Load() == inserts {
		g.running = false // this key has been made no breaker meanwhile
		s.cfg.countUnkept(Success)
		return nil
	}
	return g.end(ctx, err)
}

// unknown is the guard of a call that began without a breaker.
type unknown[K comparable] struct {
	set     *Set[K]
	key     K
	over    bool // its context was over before it began
	running bool
}

func (g *unknown[K]) end(ctx context.Context, err error) error {
	o := Success
	if err != nil {
		o = g.set.cfg.outcome(nil, ctx, err)
	}
	g.running = false
	return g.settle(o, err)
}

func (g *unknown[K]) unwind() {
	if g.running {
		g.running = false
		_ = g.settle(Failure, errAbandoned) // the panic goes on, no error is returned
	}
}

// settle counts the outcome for the key's first period: it had no breaker when
// the call began, so one that was made since and has moved is in another one
// (I1). The one exception is a breaker that was made, moved and was forgotten
// again while the call ran: the outcome then counts for the next one.
func (g *unknown[K]) settle(o Outcome, err error) error {
	b := g.set.find(g.key)
	if b == nil && o == Failure && !g.over {
		if b = g.set.insert(g.key, false); b == nil {
			g.set.overflow.Add(1)
		}
	}
	if b == nil {
		g.set.cfg.countUnkept(o)
		return err
	}
	p := Permit{b: b, tag: tagChecked}
	if g.over {
		p.tag |= tagIgnored
	}
	return p.settle(o, err)
}
