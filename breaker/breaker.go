package breaker

import (
	"sync"
	"sync/atomic"
	"time"
)

// Breaker guards the calls to one integration point. Make one with New, keep
// it for the life of the program, and share it: all methods may be called by
// many goroutines at once, and calls run in parallel. It owns no goroutine and
// needs no closing.
type Breaker struct {
	// word is read and written as an atomic. It is no atomic.Uint64, whose
	// methods cost Allow and Done their inlining; being first, it is aligned on
	// 32-bit machines too.
	word uint64
	// mu guards what cold says it guards, and most writes of word: see lockfree.go.
	// It is held for some instructions at a time, and never while user code runs
	// (I10).
	mu   sync.Mutex
	cold atomic.Pointer[cold]   // made at the first need, then for good
	win  atomic.Pointer[window] // nil when no rule needs one
	cfg  *config
	key  string
	used atomic.Uint32 // the set's idle clock when it was last seen
}

// cold is what a breaker needs from its first trip on, or its first order.
type cold struct {
	reject atomic.Pointer[OpenError] // what rejected calls get now
	own    atomic.Pointer[rules]     // of a keyed breaker whose settings are not its set's

	// Breaker.mu guards the rest.
	oks       int         // probe successes in this half-open
	attempt   int         // open periods in a row
	since     time.Time   // when the effective state began
	last      Transition  // what began it; the history may have no room for it any more
	why       *Transition // a copy of last, made when somebody asks, for all who do
	openUntil time.Time
	dueTimer  *time.Timer
	probes    probes
	ramp      *ramp
	override  *override
	listeners []*Listener // of a keyed breaker, beside its set's
	errors    errorRing
	past      history
	tally     tally
	changes   uint64 // transitions, orders and changes of settings so far
	queue     queue
	bypassed  uint64
	bypass    string
	gone      any    // *K: its key, while its set has forgotten it
	goneAt    uint32 // the set's newest generation then
}

// New makes a closed breaker. It panics when name or s is invalid, as both
// stand in the program's text; Settings.Validate tells beforehand.
func New(name string, s Settings, opts ...Option) *Breaker {
	if err := check(name, s); err != nil {
		panic("breaker: " + err.Error())
	}
	return newBreaker(newConfig(name, s, opts, nil), "")
}

func check(name string, s Settings) error {
	if err := checkName(name); err != nil {
		return err
	}
	return s.Validate()
}

func newBreaker(cfg *config, key string) *Breaker {
	b := &Breaker{cfg: cfg, key: key}
	b.start(0)
	return b
}

// start sets the first word. Nobody else knows b yet, or mu is held.
func (b *Breaker) start(gen uint32) {
	r := b.rules()
	if r.flags&flagCounted != 0 {
		b.win.Store(newWindow(gen, &r.Settings, b.cfg.clocks))
	}
	b.store(withGen(gen) | b.flags(r))
}

func (b *Breaker) load() uint64   { return atomic.LoadUint64(&b.word) }
func (b *Breaker) store(w uint64) { atomic.StoreUint64(&b.word, w) }

// rules are the settings in effect.
func (b *Breaker) rules() *rules {
	if c := b.cold.Load(); c != nil {
		if own := c.own.Load(); own != nil {
			return own
		}
	}
	return b.cfg.rules.Load()
}

// flags are the bits of the word that settings and listeners decide.
func (b *Breaker) flags(r *rules) uint64 {
	f := r.flags | b.cfg.listenerFlags()
	if n := b.cfg.calls.Load(); n != nil && n.on.Load() {
		f |= flagObserved
	}
	if c := b.cold.Load(); c != nil {
		for _, l := range c.listeners {
			f |= l.flags()
		}
	}
	return f
}

// coldLocked is the cold part, made if need be. mu is held.
func (b *Breaker) coldLocked() *cold {
	c := b.cold.Load()
	if c == nil {
		c = new(cold)
		b.cold.Store(c)
	}
	return c
}

// Name is the breaker's name; for a keyed breaker, its set's.
func (b *Breaker) Name() string { return b.cfg.name }

// Key is the key of a keyed breaker, else "".
func (b *Breaker) Key() string { return b.key }

// ID is what an operator calls it: Name, or Name/Key for a keyed breaker.
func (b *Breaker) ID() string {
	if b.cfg.home != nil {
		return b.cfg.name + "/" + b.key
	}
	return b.cfg.name
}

// State is what the next call meets: the override if there is one, else the
// automatic state. A breaker whose open time is over stays Open until a call
// comes to probe.
func (b *Breaker) State() State { return effective(b.current().load()) }

// FailCount is the number of consecutive failures.
func (b *Breaker) FailCount() int { return failsOf(b.current().load()) }

// Settings are the settings in effect, defaults filled in.
func (b *Breaker) Settings() Settings {
	return b.current().rules().Settings
}

// current is b, or the breaker that stands for it since its set forgot it.
func (b *Breaker) current() *Breaker {
	if b.load()&flagGone != 0 {
		return b.cfg.home.adopt(b)
	}
	return b
}

// Update changes the settings while calls run: all of them or, when s is
// invalid, none. State and evidence are kept; only a window whose span changes
// starts again. It never closes an open breaker, and an open time under way
// stays as it was chosen. Calls in flight are timed by the SlowCall they
// started under. For a keyed breaker it makes an override of its set's.
func (b *Breaker) Update(s Settings) error {
	_, err := b.UpdateIf(s, 0)
	return err
}

// UpdateIf is Update on condition that the breaker's version is still this one
// (0: whatever it is); else the error matches ErrVersion. The receipt tells the
// versions before and after, which are the same when nothing had to change.
func (b *Breaker) UpdateIf(s Settings, version uint64) (Receipt, error) {
	if err := s.Validate(); err != nil {
		return Receipt{}, err
	}
	var p Permit
	b = b.lockCurrent(&p)
	defer b.mu.Unlock()
	found := b.versionLocked()
	if version != 0 && version != found {
		return Receipt{}, b.changed(found, version)
	}
	state := effective(b.load())
	receipt := Receipt{ID: b.ID(), Before: state, After: state, From: found, Version: found}
	old := b.rules()
	r := b.cfg.compile(s, old.version+1)
	if r.Settings == old.Settings {
		return receipt, nil
	}
	if b.cfg.home != nil {
		b.coldLocked().own.Store(r)
	} else {
		b.cfg.rules.Store(r)
	}
	b.refreshLocked()
	b.coldLocked().changes++
	receipt.Version = b.versionLocked()
	return receipt, nil
}

// refresh follows a change of the set's listeners, or of its settings.
func (b *Breaker) refresh(settings bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.cold.Load(); settings && (c == nil || c.own.Load() == nil) {
		b.coldLocked().changes++
	}
	b.refreshLocked()
}

// refreshLocked brings window and flags in line with the settings and
// listeners. It reads those of now, under mu, and compares them with the window
// itself: whoever made the change, the last to refresh has seen all of them. mu
// is held.
func (b *Breaker) refreshLocked() {
	r := b.rules()
	w := b.load()
	flags := b.flags(r)
	switch win := b.win.Load(); {
	case r.flags&flagCounted == 0:
		b.win.Store(nil)
	case win == nil || !win.spans(&r.Settings):
		b.win.Store(newWindow(genOf(w), &r.Settings, b.cfg.clocks))
	case win.clean():
		flags &^= flagCounted
	}
	b.edit(flagWatched|flagTimed|flagCounted|flagObserved, flags)
}
