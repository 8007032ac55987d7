package breaker

import (
	"context"
	"hash/maphash"
	"iter"
	"sync"
	"sync/atomic"
	"weak"
)

// This file is how a set finds, creates and lists the breakers of its keys, and
// how a call runs without a breaker when the set is full. How keys are evicted
// and come back is in evict.go, how evidence lapses in forget.go.

const shardCount = 64

// shard holds a part of a set's keys, so that callers with different keys seldom
// contend for a lock.
//
// mu may be taken while a Breaker.mu is held, which happens when an evicted key
// comes back. So a goroutine that holds mu must never wait for a Breaker.mu, nor
// for another shard's mu.
type shard[K comparable] struct {
	mu      sync.RWMutex
	by      shrinkingMap[K, *Breaker]              // breakers that the set keeps
	evicted shrinkingMap[K, weak.Pointer[Breaker]] // breakers that the set no longer keeps, but that may still be in use
	walks   atomic.Int32                           // walks through this shard that are under way: meanwhile no key makes room for others
	_       [4]byte                                // so that neighbouring shards do not share a cache line
}

func (s *Set[K]) hash(k K) uint64 { return maphash.Comparable(s.seed, k) }

func (s *Set[K]) shard(k K) *shard[K] { return &s.shards[s.hash(k)%shardCount] }

// find returns the breaker of k, kept or evicted, or nil. It marks the breaker
// as used at the current tick. Ticks count insertions and sweeps: between two
// of them there is no need to know which key has been idle longest. No lock is
// held.
func (s *Set[K]) find(k K) *Breaker {
	if s.hasNaN && k != k { //nolint:gocritic // a NaN
		return s.nanBreaker(k)
	}
	hash := s.hash(k)
	if b := s.lists[hash%listCount].Load().find(hash, k); b != nil {
		s.use(b)
		return b
	}
	sh := &s.shards[hash%shardCount]
	// Only for the look-up: b.mu is never taken under this lock.
	sh.mu.RLock()
	b := sh.by.m[k]
	evicted := b == nil && len(sh.evicted.m) > 0
	sh.mu.RUnlock()
	// In most sets no key is evicted, and a look-up takes only the read lock.
	if evicted {
		b = s.restore(sh, k)
	}
	if b != nil {
		s.use(b)
	}
	return b
}

// kept returns the breaker of k if the set keeps it, else nil. An evicted
// breaker may still be in use by the program.
func (s *Set[K]) kept(k K) *Breaker {
	if s.hasNaN && k != k { //nolint:gocritic // a NaN
		return s.nan.Load()
	}
	sh := s.shard(k)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.by.m[k]
}

// use marks b as used at the current tick. It reads before it writes, so that
// callers of one key do not contend for the cache line.
func (s *Set[K]) use(b *Breaker) {
	if now := s.tick.Load(); b.used.Load() != now {
		b.used.Store(now)
	}
}

// insert creates the breaker of k, after making room for it. If there is no
// room, it returns nil; or, if the caller must have a breaker, a breaker that
// is evicted from the start and that the set takes in once it has evidence. No
// lock is held.
func (s *Set[K]) insert(k K, must bool) *Breaker {
	// Before the shard's lock: making room looks at other shards.
	kept := s.reserve()
	text := keyText(k) // may run a String method, which is user code: no lock is held (I10)
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	// Another caller may have been faster: a key never has two breakers.
	b := s.existingLocked(sh, k, kept)
	if b != nil || !kept && !must {
		return b
	}
	if s.texts != nil {
		text = s.texts.claim(k, text)
	}
	b = newBreaker(s.cfg, text)
	b.used.Store(s.tick.Add(1))
	// The flag is set before anyone else can see the breaker.
	if !kept {
		b.word |= flagEvicted
		s.evictLocked(sh, k, b)
		return b
	}
	s.putLocked(sh, k, b)
	return b
}

// nanBreaker returns the one breaker shared by all keys that are not equal to
// themselves: a map cannot find such a key again. This breaker is never evicted.
func (s *Set[K]) nanBreaker(k K) *Breaker {
	if b := s.nan.Load(); b != nil {
		return b
	}
	// Of several callers at once, one wins, and all get its breaker.
	if s.nan.CompareAndSwap(nil, newBreaker(s.cfg, keyText(k))) {
		s.total.Add(1)
		// Settings or listeners may have changed since newBreaker read them.
		s.nan.Load().refresh()
	}
	return s.nan.Load()
}

// walk yields every breaker that the set keeps, and if evicted is true also those
// that it has evicted and that are still in use. No lock is held meanwhile, so a
// Breaker.mu may be taken.
//
// Keys come and go during a walk. A breaker that is in use all the time is
// yielded nevertheless: it may come back from the evicted ones, which are
// yielded first, but is not evicted, see shard.walks. One that is created
// meanwhile may be missed.
func (s *Set[K]) walk(evicted bool) iter.Seq[*Breaker] {
	return func(yield func(*Breaker) bool) {
		for i := range s.shards {
			if !s.shards[i].walk(evicted, yield) {
				return
			}
		}
		if b := s.nan.Load(); b != nil {
			yield(b)
		}
	}
}

// walk is the part of Set.walk for one shard. It returns false if yield did.
func (sh *shard[K]) walk(evicted bool, yield func(*Breaker) bool) bool {
	sh.walks.Add(1)
	defer sh.walks.Add(-1)
	if evicted {
		for _, ref := range batches(&sh.mu, &sh.evicted.m) {
			// nil: the garbage collector has taken it, and its cleanup is still
			// to run
			if b := ref.Value(); b != nil && !yield(b) {
				return false
			}
		}
	}
	for _, b := range batches(&sh.mu, &sh.by.m) {
		if !yield(b) {
			return false
		}
	}
	return true
}

// lookup returns the breaker whose key has this text, if the set keeps it, else
// nil.
func (s *Set[K]) lookup(text string) *Breaker {
	// No map holds this breaker.
	if b := s.nan.Load(); b != nil && b.key == text {
		return b
	}
	var k K
	var ok bool
	// The text of a key identifies it if it can be parsed back; otherwise texts
	// knows which key has which text.
	if s.texts != nil {
		k, ok = s.texts.key(text)
	} else {
		k, ok = parseKey[K](text)
	}
	if !ok {
		return nil
	}
	// kept, not find: looking must neither create nor restore a breaker (I12).
	return s.kept(k)
}

// BreakerOf returns the breaker of the key with this text, and creates it if
// necessary. The error matches ErrUnknown if the text does not identify a key:
// the keys are neither strings nor plain integers, and none that the set keeps
// has this text.
func (s *Set[K]) BreakerOf(text string) (*Breaker, error) {
	if b := s.lookup(text); b != nil {
		return b, nil
	}
	if s.texts == nil {
		if k, ok := parseKey[K](text); ok {
			return s.Breaker(k), nil
		}
	}
	return nil, &UnknownError{ID: joinID(s.Name(), text)}
}

// ids returns the ids of at most most breakers that the set keeps.
func (s *Set[K]) ids(most int) (out []string) {
	for b := range s.walk(false) {
		if len(out) == most {
			break
		}
		out = append(out, b.ID())
	}
	return out
}

// An unknown key of a full set does not get a breaker for each call. Its call
// runs without one, just as a breaker without evidence would let it run, and
// gets a breaker afterwards if there is something to count. So keys that
// clients invent cost no memory as long as their calls succeed.

// passes reports whether the call of an unknown key may run without a breaker:
// the set is full, and no rule, listener or observer needs to see successes.
func (s *Set[K]) passes() bool {
	// flagCheckCtx does not matter: doUntracked checks the context itself.
	return s.healthy() >= int64(s.limits.MaxKeys) &&
		s.cfg.settings.Load().passes() && s.cfg.listenerFlags() == 0
}

// passes reports whether no rule needs to see successes. A recording alone does
// not need them: it counts the calls of such keys.
func (r *compiled) passes() bool {
	flags := r.flags &^ flagCheckCtx
	if r.SlowCall <= 0 {
		flags &^= flagsTaped
	}
	return flags == 0
}

// countUntracked counts a call that ran without a breaker.
func (c *config) countUntracked(o Outcome) {
	c.calls.Load().count(o, false, untimed)
	if t := c.tape.Load(); t != nil {
		t.Untracked()
	}
}

// healthy returns the number of kept breakers without evidence.
func (s *Set[K]) healthy() int64 { return s.total.Load() - s.evidence.Load() }

// doUntracked is Do for a key without a breaker. If the call succeeds and
// nothing was inserted meanwhile, there is nothing to look up.
func (s *Set[K]) doUntracked(ctx context.Context, k K, fn func(context.Context) error) error {
	g := untrackedCall[K]{set: s, key: k, over: ctx != nil && ctx.Err() != nil, running: true}
	inserts := s.tick.Load()
	defer g.unwind()
	err := fn(ctx)
	if err == nil && s.tick.Load() == inserts {
		g.running = false // nothing was inserted meanwhile, so this key still has no breaker
		s.cfg.countUntracked(Success)
		return nil
	}
	return g.end(ctx, err)
}

// untrackedCall settles a call that began without a breaker, exactly once, as
// settleOnce does for a permit.
type untrackedCall[K comparable] struct {
	set     *Set[K]
	key     K
	over    bool // the context was over before the call began
	running bool // there is no outcome yet
}

// end classifies the error. No key has matchers of its own here: a key with its
// own matchers has a breaker.
func (g *untrackedCall[K]) end(ctx context.Context, err error) error {
	o := Success
	if err != nil {
		o = g.set.cfg.outcome(nil, ctx, errOf(ctx), err)
	}
	// As in settleOnce: settle may run listeners, which may exit the goroutine.
	g.running = false
	return g.settle(ctx, o, err)
}

// unwind is deferred, and counts a failure for a call that did not return.
func (g *untrackedCall[K]) unwind() {
	if g.running {
		_ = g.settle(nil, Failure, errAbandoned) //nolint:staticcheck // the panic continues: no context, and no error is returned
	}
}

// settle counts the outcome in the first period of the key's breaker, because
// the key had no breaker when the call began. If one was created since and has
// moved, it is in another period, and the outcome does not count (I1). There is
// one exception: if that breaker was created, moved and was forgotten while the
// call ran, the outcome counts for the breaker created next.
func (g *untrackedCall[K]) settle(ctx context.Context, o Outcome, err error) error {
	if g.over {
		o = Ignored // (I4)
	}
	b := g.set.find(g.key)
	// Only a failure is evidence that is worth a breaker (I8). A full set may
	// still refuse one; then Overflowed counts the failure that was lost.
	if b == nil && o == Failure {
		if b = g.set.insert(g.key, false); b == nil {
			g.set.overflow.Add(1)
		}
	}
	if b == nil {
		g.set.cfg.countUntracked(o)
		return err
	}
	// The zero word has generation 0: the first period of a breaker.
	p := Permit{b: b, tag: tagChecked}
	return p.settle(ctx, o, err)
}
