package breaker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
	"github.com/switchgear-go/switchgear/internal/vtime"
)

// Breaker guards the calls to one integration point. Make one with New, keep
// it for the life of the program, and share it: all methods may be called by
// many goroutines at once, and calls run in parallel. It owns no goroutine and
// needs no closing. The zero Breaker guards nothing: every call runs, and none is
// judged.
type Breaker struct {
	// word is read and written as an atomic. It is no atomic.Uint64, whose
	// methods cost Allow and Done their inlining; being first, it is aligned on
	// 32-bit machines too.
	word uint64
	// mu guards what cold says it guards, and most writes of word: see word.go.
	// It is held for some instructions at a time, and never while user code runs
	// (I10).
	mu   sync.Mutex
	cold atomic.Pointer[cold]   // made at the first need, then for good
	win  atomic.Pointer[window] // nil when no rule needs one
	cfg  *config
	key  string        // of a keyed breaker: the key as it stands in an id
	used atomic.Uint32 // of a keyed breaker: the set's tick when it was last looked up
	// extra is what a failure counts in word, see compiled.failUnit, in its low
	// byte, which mu guards; above it the breaker's number on a tape, see
	// recording.go.
	extra atomic.Uint32
}

const (
	extraUnit   = 0xff
	extraNumber = 8
)

// cold is what a breaker needs from its first trip on, or its first order.
type cold struct {
	reject atomic.Pointer[OpenError] // what rejected calls get now; nil: to be made
	// Of a keyed breaker: settings in place of its set's, and errors, listeners
	// and counters beside them.
	own       atomic.Pointer[compiled]
	matchers  atomic.Pointer[matchers]
	listeners atomic.Pointer[[]*Listener]
	calls     atomic.Pointer[callCount]
	rejected  atomic.Uint64 // calls turned away that are not on the tape yet, see recording.go

	// Breaker.mu guards the rest.

	// The automatic layer, beside what the word says.
	oks       int       // probe successes in this half-open period
	attempt   int       // open periods in a row
	openUntil time.Time // end of the open time
	dueTimer  *vtime.Timer
	probes    probes
	ramp      *ramp
	rowBegan  time.Time // the first failure of the row on count, and the last; see FailFor and FailWithin
	rowLast   time.Time

	override *override
	trace    tape.Trace    // of the transition under way, for recordings
	changed  chan struct{} // closed when WaitReady should look again; nil: no one waits

	// What is kept for people.
	version  uint64      // see versionLocked; 0: nothing has changed yet
	since    time.Time   // when the effective state began
	last     *Transition // what began it
	opened   *Transition // what opened it last, while it is not closed
	failing  time.Time   // when it left closed, while it has not closed again
	heldBack heldBack
	errors   errorRing
	past     history
	tally    tally
	bypassed uint64
	bypass   string

	queue queue
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
	if err := ValidateName(name); err != nil {
		return err
	}
	return s.Validate()
}

// newBreaker makes a closed breaker that nothing else knows yet.
func newBreaker(cfg *config, key string) *Breaker {
	b := &Breaker{cfg: cfg, key: key}
	r := b.settings()
	if r.flags&flagCounted != 0 {
		b.win.Store(newWindow(0, r))
	}
	b.word = b.flags(r)
	b.extra.Store(uint32(r.failUnit))
	return b
}

// settings are the settings in effect, compiled.
func (b *Breaker) settings() *compiled {
	if c := b.cold.Load(); c != nil {
		if own := c.own.Load(); own != nil {
			return own
		}
	}
	return b.cfg.settings.Load()
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

// Key is the key of a keyed breaker as it stands in ID, else "".
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
func (b *Breaker) State() State { return effective(b.load()) }

// FailCount is the number of failures on count: those in a row, less what
// successes have made up for under SuccessesToForgive (a fraction counts as a
// whole one), without those that have lapsed under FailWithin.
func (b *Breaker) FailCount() int {
	r := b.settings()
	if r.FailWithin > 0 {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.rowLapsedLocked(r, b.cfg.clock.Now()) {
			return 0
		}
	}
	return r.failures(unitsOf(b.load()))
}

// Settings are the settings in effect, defaults filled in.
func (b *Breaker) Settings() Settings { return b.settings().Settings }
