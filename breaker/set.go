package breaker

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"sync/atomic"
)

// SetOptions bounds a set. A zero field means its default.
type SetOptions struct {
	// MaxKeys is the number of healthy keys that are remembered; the longest
	// idle are forgotten first. Default 10,000.
	MaxKeys int
	// MaxEvidence is the number of keys with evidence (failures counted, not
	// closed, overridden) that are kept; none of them is ever forgotten to make
	// room. Keys beyond it share one breaker, "name/(overflow)". Default
	// 1,000,000.
	MaxEvidence int
}

// Set is a family of breakers, one for each key, with settings in common:
// PyBreaker's parameterized breaker. All methods may be called by many
// goroutines at once.
//
// A set is bounded. A key whose breaker is closed and has no evidence against
// it can be forgotten at no loss, since a new breaker would do the same (I8);
// so keys that callers invent cannot fill the memory, and cannot wash out a
// key that fails. A breaker obtained with Breaker stays usable when its key is
// forgotten: it comes back with its next use.
type Set[K comparable] struct {
	cfg      *config
	limits   SetOptions
	seed     maphash.Seed
	shards   [shardCount]shard[K]
	total    atomic.Int64 // breakers in the shards
	evidence atomic.Int64 // those of them with evidence
	inserts  atomic.Uint32

	overflow   atomic.Pointer[Breaker] // nil until MaxEvidence is met
	overflowed atomic.Uint64           // see Overflowed
}

// NewSet makes a set. It panics when name, s or o is invalid, as New does.
func NewSet[K comparable](name string, s Settings, o SetOptions, opts ...Option) *Set[K] {
	err := check(name, s)
	if err == nil {
		err = o.validate()
	}
	if err != nil {
		panic("breaker: " + err.Error())
	}
	return newSet[K](newConfig(name, s, opts, nil), o)
}

func (o SetOptions) validate() error {
	if o.MaxKeys < 0 || o.MaxEvidence < 0 {
		return fmt.Errorf("%w: SetOptions is %+v, want limits of 0 for the default, or more", ErrSettings, o)
	}
	return nil
}

// newSet makes a set of valid limits.
func newSet[K comparable](cfg *config, o SetOptions) *Set[K] {
	// At half of what fits, so that their sum fits too.
	o.MaxKeys = min(orDefault(o.MaxKeys, 10_000), math.MaxInt/2)
	o.MaxEvidence = min(orDefault(o.MaxEvidence, 1_000_000), math.MaxInt/2)
	s := &Set[K]{cfg: cfg, limits: o, seed: maphash.MakeSeed()}
	cfg.home = s
	return s
}

// Name is the set's name.
func (s *Set[K]) Name() string { return s.cfg.name }

// Overflowed is the number of times that a key found MaxEvidence met and was
// given the breaker that such keys share.
func (s *Set[K]) Overflowed() uint64 { return s.overflowed.Load() }

// Settings are the settings in common, defaults filled in.
func (s *Set[K]) Settings() Settings { return s.cfg.rules.Load().Settings }

// Exclude excludes errors for all keys from now on.
func (s *Set[K]) Exclude(ms ...Matcher) { s.cfg.exclude(ms) }

// Breaker returns the breaker of k, made if need be.
func (s *Set[K]) Breaker(k K) *Breaker {
	if b := s.find(k); b != nil {
		return b
	}
	return s.insert(k, nil)
}

// Do runs fn under the breaker of k, as Breaker.Do does.
func (s *Set[K]) Do(ctx context.Context, k K, fn func(context.Context) error) error {
	b := s.find(k)
	if b == nil {
		if s.passes() {
			return s.doUnknown(ctx, k, fn)
		}
		b = s.insert(k, nil)
	}
	return b.Do(ctx, fn)
}

// DoKey runs fn under the breaker of k, as the function Do does.
func DoKey[K comparable, T any](ctx context.Context, s *Set[K], k K, fn func(context.Context) (T, error)) (T, error) {
	if b := s.find(k); b != nil {
		return Do(ctx, b, fn)
	}
	var v T
	err := s.Do(ctx, k, func(ctx context.Context) (err error) {
		v, err = fn(ctx)
		return err
	})
	return v, err
}

// WrapKeyed makes a guarded function out of fn that takes its key from the
// argument: PyBreaker's parameterized decorator.
func WrapKeyed[K comparable, A, R any](s *Set[K], keyOf func(A) K, fn func(context.Context, A) (R, error)) func(context.Context, A) (R, error) {
	return func(ctx context.Context, a A) (R, error) {
		return DoKey(ctx, s, keyOf(a), func(ctx context.Context) (R, error) { return fn(ctx, a) })
	}
}

// doUnknown runs fn for a key without a breaker, which gets one only if there
// is something to count.
func (s *Set[K]) doUnknown(ctx context.Context, k K, fn func(context.Context) error) error {
	g := unknown[K]{set: s, key: k, epoch: s.cfg.gens.Load(), running: true}
	inserts := s.inserts.Load()
	defer g.unwind()
	err := fn(ctx)
	if err == nil && s.inserts.Load() == inserts && !bypasses.Load() {
		g.running = false // nobody has made this key a breaker meanwhile
		s.cfg.observed(Success, false)
		return nil
	}
	return g.end(ctx, err)
}

// unknown is the guard of a call that began without a breaker.
type unknown[K comparable] struct {
	set     *Set[K]
	key     K
	epoch   uint32 // the set's newest generation when it was admitted
	running bool
}

func (g *unknown[K]) end(ctx context.Context, err error) error {
	o := g.set.cfg.evidence(ctx, err)
	g.running = false
	if o == Ignored || o == Success && g.set.find(g.key) == nil {
		g.set.cfg.observed(o, false)
		return err
	}
	return g.settle(o, err)
}

func (g *unknown[K]) unwind() {
	if g.running {
		g.running = false
		_ = g.settle(Failure, errAbandoned) // the panic goes on, no error is returned
	}
}

func (g *unknown[K]) settle(o Outcome, err error) error {
	p := Permit{b: g.set.Breaker(g.key), word: withGen(g.epoch), tag: tagLate}
	return p.settle(o, err)
}

// Update changes the settings of all keys but those with settings of their
// own, as Breaker.Update does.
func (s *Set[K]) Update(n Settings) error {
	if err := n.Validate(); err != nil {
		return err
	}
	s.cfg.mu.Lock()
	defer s.cfg.mu.Unlock()
	old := s.cfg.rules.Load()
	r := s.cfg.compile(n, old.version+1)
	if r.Settings == old.Settings {
		return nil
	}
	s.cfg.rules.Store(r) // first: a breaker made from here on has them
	for _, b := range s.all() {
		b.refresh(true)
	}
	return nil
}

// AddListener adds a listener to all keys and returns what removes it again.
func (s *Set[K]) AddListener(l Listener) (remove func()) {
	s.setListener(&l, true)
	return func() { s.setListener(&l, false) }
}

func (s *Set[K]) setListener(l *Listener, on bool) {
	if on {
		s.cfg.addListener(l)
	} else {
		s.cfg.removeListener(l)
	}
	for _, b := range s.all() {
		b.refresh(false)
	}
}

// Breakers is the breaker of every key that the set remembers, in no order.
func (s *Set[K]) Breakers() []*Breaker { return s.all() }

// Status is the status of every key that the set remembers, in no order.
func (s *Set[K]) Status() []Status {
	all := s.all()
	out := make([]Status, len(all))
	for i, b := range all {
		out[i] = b.status()
	}
	return out
}
