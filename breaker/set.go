package breaker

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"reflect"
	"sync/atomic"
	"time"
)

// SetOptions bounds a set. A zero field means its default.
type SetOptions struct {
	// MaxKeys is the number of healthy keys that are remembered; the longest
	// idle are forgotten first. Default 10,000.
	MaxKeys int
	// MaxEvidence is the number of further keys that are remembered because they
	// are not plainly healthy: with failures on count, not closed, overridden,
	// with a history, or with settings or listeners of their own. When
	// MaxKeys+MaxEvidence keys are remembered, a further one that fails takes the
	// place of the longest idle. Default 100,000.
	MaxEvidence int
	// MaxHistory bounds what is kept for people to read: so many healthy keys are
	// remembered for their history alone, the longest idle are forgotten first,
	// and so many transitions are kept beside the newest one of each key. Default
	// 10,000, some 10 MB.
	MaxHistory int
	// Retention is how long a key may be idle until what is known of it lapses:
	// its failures, its history, and that it is open. Overrides never lapse, nor
	// do settings, listeners and matchers of its own. Default 24 hours, so that
	// it outlasts a night, and work that is done once a day.
	Retention time.Duration
	// CapOpen is the share of the remembered keys that may be open at once, see
	// Manager.CapOpen. In (0, 1]. Default: the manager's, if it has one.
	CapOpen float64
}

func (o SetOptions) validate() error {
	bad := func(field string, got any, want string) error {
		return &SettingsError{Field: "SetOptions." + field, Value: fmt.Sprint(got), Want: want}
	}
	switch {
	case o.MaxKeys < 0:
		return bad("MaxKeys", o.MaxKeys, "1 or more, or 0 for the default")
	case o.MaxEvidence < 0:
		return bad("MaxEvidence", o.MaxEvidence, "1 or more, or 0 for the default")
	case o.MaxHistory < 0:
		return bad("MaxHistory", o.MaxHistory, "1 or more, or 0 for the default")
	case o.Retention < 0:
		return bad("Retention", o.Retention, "more than 0, or 0 for the default")
	case !(o.CapOpen >= 0 && o.CapOpen <= 1):
		return bad("CapOpen", o.CapOpen, "a share in (0, 1], or 0 for the manager's")
	}
	return nil
}

func (o SetOptions) withDefaults() SetOptions {
	// At half of what fits, so that their sum fits too.
	o.MaxKeys = min(orDefault(o.MaxKeys, 10_000), math.MaxInt/2)
	o.MaxEvidence = min(orDefault(o.MaxEvidence, 100_000), math.MaxInt/2)
	o.MaxHistory = orDefault(o.MaxHistory, 10_000)
	o.Retention = orDefault(o.Retention, 24*time.Hour)
	return o
}

// Set is a family of breakers, one for each key, with settings in common:
// PyBreaker's parameterized breaker. All methods may be called by many
// goroutines at once.
//
// A set is bounded, so that keys which callers invent cannot fill the memory. A
// key whose breaker is plainly healthy can be forgotten at no loss, as a new
// breaker would do the same (I8). What is known of other keys lapses when they
// have been idle for SetOptions.Retention, or when the set is full, and then of
// the longest idle first.
//
// A key never has two breakers: one that the program still holds, or that has a
// call in flight, is the one that its key gets again.
type Set[K comparable] struct {
	cfg    *config
	limits SetOptions
	seed   maphash.Seed
	texts  *keyTexts[K]            // nil: the text of a key says which it is
	hasNaN bool                    // keys may differ from themselves
	nan    atomic.Pointer[Breaker] // the one breaker of those

	shards   [shardCount]shard[K]
	evicted  evicted[K]
	sweeper  sweeper
	total    atomic.Int64  // breakers in the shards
	evidence atomic.Int64  // those with evidence
	light    atomic.Int64  // those with nothing but a history, or bad calls in the window
	records  atomic.Int64  // kept for History, beside the newest of each key
	tick     atomic.Uint32 // counts insertions and sweeps, to say who is idle
	floor    atomic.Uint64 // the highest version that was forgotten
	overflow atomic.Uint64 // see Overflowed
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

// newSet makes a set of valid limits.
func newSet[K comparable](cfg *config, o SetOptions) *Set[K] {
	s := &Set[K]{cfg: cfg, limits: o.withDefaults(), seed: maphash.MakeSeed()}
	if !uniqueText[K]() {
		s.texts = new(keyTexts[K])
	}
	s.hasNaN = hasNaN(reflect.TypeFor[K]())
	cfg.home = s
	cfg.cap = &openCap{parent: cfg.cap, keys: s.Len}
	cfg.cap.limit(o.CapOpen, nil)
	return s
}

// Name is the set's name.
func (s *Set[K]) Name() string { return s.cfg.name }

// Len is the number of keys that the set remembers.
func (s *Set[K]) Len() int { return int(s.total.Load()) }

// Overflowed is the number of times that the set was full and what was known of
// a key gave way to a key that failed, or that a failure counted nowhere because
// no key could give way.
func (s *Set[K]) Overflowed() uint64 { return s.overflow.Load() }

// Settings are the settings in common, defaults filled in.
func (s *Set[K]) Settings() Settings { return s.cfg.settings.Load().Settings }

// Version is 1, and grows with every change of the settings in common.
func (s *Set[K]) Version() uint64 { return s.cfg.settings.Load().version }

// Exclude excludes errors for all keys from now on, beside those excluded
// already: they count as successes.
func (s *Set[K]) Exclude(ms ...Matcher) { s.cfg.addMatchers(ms, nil) }

// Ignore ignores errors for all keys from now on, beside those ignored already:
// they are no evidence.
func (s *Set[K]) Ignore(ms ...Matcher) { s.cfg.addMatchers(nil, ms) }

// Breaker returns the breaker of k, made if need be.
func (s *Set[K]) Breaker(k K) *Breaker {
	if b := s.find(k); b != nil {
		return b
	}
	return s.insert(k, true)
}

// Lookup returns the breaker of k, and makes none: it reports false where k is
// not remembered.
func (s *Set[K]) Lookup(k K) (*Breaker, bool) {
	b := s.kept(k)
	return b, b != nil
}

// Allow asks for one call under the breaker of k, as Breaker.Allow does.
func (s *Set[K]) Allow(k K) (Permit, error) { return s.Breaker(k).Allow() }

// AllowContext asks for one call under the breaker of k, as
// Breaker.AllowContext does.
func (s *Set[K]) AllowContext(ctx context.Context, k K) (Permit, error) {
	return s.Breaker(k).AllowContext(ctx)
}

// Do runs fn under the breaker of k, as Breaker.Do does.
func (s *Set[K]) Do(ctx context.Context, k K, fn func(context.Context) error) error {
	b := s.find(k)
	if b == nil && !s.passes() {
		b = s.insert(k, false)
	}
	if b == nil {
		return s.doUnknown(ctx, k, fn)
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

// WrapKey makes a guarded function out of fn that takes its key from the
// argument: PyBreaker's parameterized decorator.
func WrapKey[K comparable, A, R any](s *Set[K], keyOf func(A) K, fn func(context.Context, A) (R, error)) func(context.Context, A) (R, error) {
	return func(ctx context.Context, a A) (R, error) {
		return DoKey(ctx, s, keyOf(a), func(ctx context.Context) (R, error) { return fn(ctx, a) })
	}
}

// Update changes the settings of all keys but those with settings of their
// own, as Breaker.Update does.
func (s *Set[K]) Update(n Settings) error {
	_, err := s.UpdateIf(n, 0)
	return err
}

// UpdateIf is Update on condition that the set's version is still this one (0:
// whatever it is); else the error matches ErrVersion.
func (s *Set[K]) UpdateIf(n Settings, version uint64) (Receipt, error) {
	if err := n.Validate(); err != nil {
		return Receipt{}, err
	}
	s.cfg.mu.Lock()
	defer s.cfg.mu.Unlock()
	old := s.cfg.settings.Load()
	r := Receipt{ID: s.Name() + "/" + allKeys, From: old.version, Version: old.version}
	if version != 0 && version != old.version {
		return Receipt{}, fmt.Errorf("%w: the settings of %s are at version %d, the order was for %d", ErrVersion, s.Name(), old.version, version)
	}
	compiled := s.cfg.compile(n, old.version+1)
	if compiled.Settings == old.Settings {
		return r, nil
	}
	s.cfg.settings.Store(compiled) // first: a breaker made from here on has them
	s.refresh()
	compiled.recordUpdated(s)
	r.Version = compiled.version
	return r, nil
}

// AddListener adds a listener to all keys and returns what removes it again.
func (s *Set[K]) AddListener(l Listener) (remove func()) {
	s.setListener(&l, true)
	return func() { s.setListener(&l, false) }
}

func (s *Set[K]) setListener(l *Listener, on bool) {
	s.cfg.setListener(l, on)
	if l.flags() != 0 {
		s.refresh()
	}
}

// refresh brings all breakers in line with settings, listeners and observers,
// also those that the program alone still holds.
func (s *Set[K]) refresh() {
	for _, b := range s.alive() {
		b.refresh()
	}
}

// Breakers is the breaker of every key that the set remembers, in no order.
func (s *Set[K]) Breakers() (out []*Breaker) {
	out = make([]*Breaker, 0, s.total.Load()+1)
	s.each(func(b *Breaker) { out = append(out, b) })
	return out
}

// WithEvidence is the breakers among them that have something to say: failures
// on count, a state that is not closed, or a history.
func (s *Set[K]) WithEvidence() (out []*Breaker) {
	s.each(func(b *Breaker) {
		if b.load()&evidenceMask != 0 {
			out = append(out, b)
		}
	})
	return out
}

// Status is the status of every key that the set remembers, in no order.
func (s *Set[K]) Status() []Status {
	all := s.Breakers()
	out := make([]Status, len(all))
	for i, b := range all {
		out[i] = b.Status()
	}
	return out
}
