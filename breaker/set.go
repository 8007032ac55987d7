package breaker

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"reflect"
	"slices"
	"sync/atomic"
	"time"
)

// SetOptions limits a set. A zero field means its default.
type SetOptions struct {
	// MaxKeys is the number of healthy keys that the set remembers. Beyond it,
	// the set forgets the healthy keys that have been idle longest. Default
	// 10,000.
	MaxKeys int
	// MaxEvidence is the number of keys that the set remembers in addition,
	// because they are not healthy: they have counted failures, are not closed,
	// are overridden, or have a history, settings or listeners of their own.
	// When the set remembers MaxKeys+MaxEvidence keys, another key that fails
	// replaces the one that has been idle longest. Keys that are overridden, or
	// have settings, listeners or matchers of their own, never make room for
	// others, and are remembered beyond this limit. Default 100,000.
	MaxEvidence int
	// MaxHistory limits what is kept for people to read: the number of keys
	// that are healthy except for their history, and the number of transitions
	// kept in addition to the newest one of each key. Beyond it, the set
	// forgets the histories of the keys that have been idle longest. Default
	// 10,000, about 10 MB.
	MaxHistory int
	// Retention is how long a key must be idle before its evidence lapses: its
	// failures, its history, and that it is open. Overrides and a key's own
	// settings, listeners and matchers never lapse. Default 24 hours, which
	// outlasts a night, and the pause between two runs of a daily job.
	Retention time.Duration
	// CapOpen limits the share of the remembered keys that may be open at the
	// same time, see Manager.CapOpen. In (0, 1]. Default: the manager's, if
	// there is one.
	CapOpen float64
}

// validate returns the error for the first field that is out of range.
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

// withDefaults returns o with its zero fields filled in.
func (o SetOptions) withDefaults() SetOptions {
	// Half of the largest int, so that the sum of both does not overflow.
	o.MaxKeys = min(orDefault(o.MaxKeys, 10_000), math.MaxInt/2)
	o.MaxEvidence = min(orDefault(o.MaxEvidence, 100_000), math.MaxInt/2)
	o.MaxHistory = orDefault(o.MaxHistory, 10_000)
	o.Retention = orDefault(o.Retention, 24*time.Hour)
	return o
}

// Set is a family of breakers, one for each key, with common settings. It is
// the counterpart of PyBreaker's parameterized breaker. All methods may be
// called by many goroutines at once.
//
// A set is bounded, so that keys that clients invent cannot exhaust the memory.
// A key whose breaker is healthy can be forgotten without loss, because a new
// breaker would behave in the same way. The evidence of other keys lapses when
// they have been idle for SetOptions.Retention, or when the set is full; then
// the keys that have been idle longest lose theirs first.
//
// A key never has two breakers. As long as the program holds the breaker of a
// key, or a call runs under it, the key gets the same breaker again, even if
// the set has forgotten it meanwhile.
type Set[K comparable] struct {
	cfg    *config
	limits SetOptions
	seed   maphash.Seed
	texts  *keyTexts[K]            // nil if the text of a key identifies it
	hasNaN bool                    // keys may be unequal to themselves
	nan    atomic.Pointer[Breaker] // the one breaker of all keys that are

	lists       [listCount]atomic.Pointer[keyList[K]] // changed under the lock of the shard that their keys are in
	shards      [shardCount]shard[K]
	evicted     evicted[K]
	sweeper     sweeper
	total       atomic.Int64  // breakers in the shards, and places reserved
	evidence    atomic.Int64  // breakers with evidence
	historyOnly atomic.Int64  // breakers with no evidence except flagKept: a history, bad calls in the window
	records     atomic.Int64  // transitions kept, except the newest of each key
	tick        atomic.Uint32 // counts insertions and sweeps, to find out which key has been idle longest
	floor       atomic.Uint64 // the highest version that was forgotten
	overflow    atomic.Uint64 // see Overflowed
}

// NewSet returns an empty set. It panics if name, s or o is invalid, as New
// does.
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

// newSet returns a set with valid options.
func newSet[K comparable](cfg *config, o SetOptions) *Set[K] {
	s := &Set[K]{cfg: cfg, limits: o.withDefaults(), seed: maphash.MakeSeed()}
	if !uniqueText[K]() {
		s.texts = &keyTexts[K]{seed: s.seed}
	}
	s.hasNaN = hasNaN(reflect.TypeFor[K]())
	cfg.owner = s
	cfg.cap = &openCap{parent: cfg.cap, keys: s.Len}
	cfg.cap.limit(o.CapOpen, nil)
	return s
}

// Name returns the set's name.
func (s *Set[K]) Name() string { return s.cfg.name }

// Len returns the number of keys that the set remembers.
func (s *Set[K]) Len() int { return int(s.total.Load()) }

// Overflowed returns how many times the set was full and lost evidence: a key
// lost its own to make room for a key that failed, or the failure was not
// counted because no key could make room. If it grows, increase
// SetOptions.MaxEvidence.
func (s *Set[K]) Overflowed() uint64 { return s.overflow.Load() }

// Settings returns the common settings, with defaults filled in.
func (s *Set[K]) Settings() Settings { return s.cfg.settings.Load().Settings }

// ProgramSettings returns the common settings that the set was created with, with
// defaults filled in.
func (s *Set[K]) ProgramSettings() Settings { return s.cfg.program.Settings }

// Version returns the version of the common settings. It is 1 at first, and
// grows with every change.
func (s *Set[K]) Version() uint64 { return s.cfg.settings.Load().version }

// Exclude makes errors count as successes for all keys from now on, in addition
// to those excluded already.
func (s *Set[K]) Exclude(ms ...Matcher) { s.cfg.addMatchers(ms, nil) }

// Ignore makes errors count as no evidence for all keys from now on, in
// addition to those ignored already.
func (s *Set[K]) Ignore(ms ...Matcher) { s.cfg.addMatchers(nil, ms) }

// Breaker returns the breaker of k, and creates it if necessary.
func (s *Set[K]) Breaker(k K) *Breaker {
	if b := s.find(k); b != nil {
		return b
	}
	return s.insert(k, true)
}

// Lookup returns the breaker of k if the set remembers k. It never creates one.
func (s *Set[K]) Lookup(k K) (*Breaker, bool) {
	b := s.kept(k)
	return b, b != nil
}

// Allow asks to make one call under the breaker of k, as Breaker.Allow does.
func (s *Set[K]) Allow(k K) (Permit, error) { return s.Breaker(k).Allow() }

// AllowContext asks to make one call under the breaker of k, as
// Breaker.AllowContext does.
func (s *Set[K]) AllowContext(ctx context.Context, k K) (Permit, error) {
	return s.Breaker(k).AllowContext(ctx)
}

// Do runs fn under the breaker of k, as Breaker.Do does. A full set runs the
// call of a key that it does not remember without a breaker, and creates one if
// the call fails.
func (s *Set[K]) Do(ctx context.Context, k K, fn func(context.Context) error) error {
	b := s.find(k)
	if b == nil && !s.passes() {
		b = s.insert(k, false)
	}
	if b == nil {
		return s.doUntracked(ctx, k, fn)
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

// WrapKey returns fn guarded by s, where keyOf returns the key for an argument.
// It is the counterpart of PyBreaker's parameterized decorator.
func WrapKey[K comparable, A, R any](s *Set[K], keyOf func(A) K, fn func(context.Context, A) (R, error)) func(context.Context, A) (R, error) {
	return func(ctx context.Context, a A) (R, error) {
		return DoKey(ctx, s, keyOf(a), func(ctx context.Context) (R, error) { return fn(ctx, a) })
	}
}

// Update changes the settings of all keys, except those with settings of their
// own, as Breaker.Update does.
func (s *Set[K]) Update(n Settings) error {
	_, err := s.UpdateIf(n, 0)
	return err
}

// UpdateIf is like Update, but changes the settings only if the set's version
// is version; 0 means any version. Otherwise the error matches ErrVersion.
func (s *Set[K]) UpdateIf(n Settings, version uint64) (Receipt, error) {
	if err := n.Validate(); err != nil {
		return Receipt{}, err
	}
	s.cfg.mu.Lock()
	defer s.cfg.mu.Unlock()
	return s.updateLocked(n, version)
}

// updateLocked is UpdateIf for valid settings. s.cfg.mu is held.
func (s *Set[K]) updateLocked(n Settings, version uint64) (Receipt, error) {
	old := s.cfg.settings.Load()
	r := Receipt{ID: s.Name() + "/" + allKeys, From: old.version, Version: old.version}
	if version != 0 && version != old.version {
		return Receipt{}, fmt.Errorf("%w: the settings of %s are at version %d, the order was for %d", ErrVersion, s.Name(), old.version, version)
	}
	compiled := s.cfg.compile(n, old.version+1)
	if compiled.Settings == old.Settings {
		return r, nil
	}
	s.cfg.settings.Store(compiled) // before refresh, so that no breaker created meanwhile misses them
	s.refresh()
	compiled.recordUpdated(s)
	r.Version = compiled.version
	return r, nil
}

// AddListener adds a listener to all keys, and returns a function that removes
// it.
func (s *Set[K]) AddListener(l Listener) (remove func()) {
	s.setListener(&l, true)
	return func() { s.setListener(&l, false) }
}

func (s *Set[K]) setListener(l *Listener, on bool) {
	s.cfg.setListener(l, on)
	if l.flags() != 0 || l.Ready != nil {
		s.refresh()
	}
}

// refresh brings all breakers up to date with settings, listeners and observers,
// including evicted ones that the program still holds.
func (s *Set[K]) refresh() {
	for b := range s.walk(true) {
		b.refresh()
	}
}

// Breakers returns the breaker of every key that the set remembers, in no
// particular order.
func (s *Set[K]) Breakers() (out []*Breaker) {
	out = make([]*Breaker, 0, s.total.Load()+1)
	return slices.AppendSeq(out, s.walk(false))
}

// WithEvidence returns those of Breakers that are not healthy: they have
// counted failures, are not closed, are overridden, or have a history, settings
// or listeners of their own.
func (s *Set[K]) WithEvidence() (out []*Breaker) {
	for b := range s.walk(false) {
		if b.load()&evidenceMask != 0 {
			out = append(out, b)
		}
	}
	return out
}

// Status returns the status of every key that the set remembers, in no
// particular order.
func (s *Set[K]) Status() []Status {
	all := s.Breakers()
	out := make([]Status, len(all))
	for i, b := range all {
		out[i] = b.Status()
	}
	return out
}
