package breaker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
	"github.com/switchgear-go/switchgear/internal/vtime"
)

// Breaker guards the calls to one integration point: a service, a database, a
// queue. Create one with New, keep it for the life of the program, and share
// it. All methods may be called by many goroutines at once, and calls run in
// parallel. A Breaker has no goroutine of its own and need not be closed.
//
// The zero Breaker guards nothing: every call runs, and no call is judged.
type Breaker struct {
	// word is accessed atomically. It is not an atomic.Uint64, because the
	// calls of its methods would keep Allow and Done from being inlined. As the
	// first field it is 64-bit aligned on 32-bit machines, too.
	word uint64
	// mu guards the fields of cold as noted there, and most writes of word, see
	// word.go. It is held for a few instructions at a time, never while user
	// code runs (I10).
	mu   sync.Mutex
	cold atomic.Pointer[cold]   // nil until the breaker first needs it; never changed afterwards
	win  atomic.Pointer[window] // nil if no rule needs a window
	cfg  *config
	key  string        // the text of the key of a keyed breaker, as in its ID
	used atomic.Uint32 // keyed breaker: the tick of its set when it was last used
	// extra holds what a failure counts in word, see compiled.failUnit, in its
	// low byte, which mu guards, and the breaker's number on a tape above it, see
	// recording.go. They share a word to keep a breaker at 64 bytes.
	extra atomic.Uint32
}

const (
	extraUnit   = 0xff // the bits of the unit
	extraNumber = 8    // the shift of the number
)

// cold is the part of a breaker that it needs from its first trip or order on.
// Most breakers never trip, so it is allocated when it is needed.
type cold struct {
	reject atomic.Pointer[OpenError] // the error for calls that are rejected now; nil: not prepared yet
	// Of a keyed breaker: its own settings, which replace those of its set, and
	// its own matchers, listeners and counters, which are added to those of its
	// set.
	own       atomic.Pointer[compiled]
	matchers  atomic.Pointer[matchers]
	listeners atomic.Pointer[[]*Listener]
	calls     atomic.Pointer[callCount]
	rejected  atomic.Uint64 // rejected calls that are not on the tape yet, see recording.go
	shadows   atomic.Pointer[watching]
	place     end // held under the cap, whose lock guards it

	// Breaker.mu guards the rest.

	// The automatic layer, together with the word.
	successes int          // successful probes in this half-open period
	attempt   int          // open periods in a row, for the backoff
	openUntil time.Time    // the end of the open time
	dueTimer  *vtime.Timer // fires at openUntil; nil: not set
	probes    probes
	ramp      *ramp     // nil: not in a ramp
	rowBegan  time.Time // the first of the counted failures, see FailFor
	rowLast   time.Time // the last of them, see FailWithin

	override *override
	trace    tape.Trace    // of the transition that is being made, for a recording
	changed  chan struct{} // closed to make WaitReady look again; nil if no goroutine waits

	// For people to read.
	version  uint64      // see versionLocked; 0: no change yet
	since    time.Time   // when the effective state began
	last     *Transition // the transition that began it
	opened   *Transition // the last transition that opened the breaker, while it is not closed
	failing  time.Time   // when the breaker left closed, while it has not closed again
	heldBack heldBack
	errors   errorRing
	past     history
	tally    tally
	bypassed uint64 // calls admitted because of WithBypass
	bypass   string // the reason given with the newest of them

	queue queue
}

// New returns a closed breaker. It panics if name or s is invalid, because both
// are usually written in the program's source. Use ValidateName and
// Settings.Validate to check values that come from elsewhere.
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

// newBreaker returns a closed breaker that nothing else refers to yet.
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

// unit returns what a failure counts in word now. While Update is under way it
// differs from that of the settings.
func (b *Breaker) unit() int { return int(b.extra.Load() & extraUnit) }

// settings returns the settings in effect, compiled.
func (b *Breaker) settings() *compiled {
	if c := b.cold.Load(); c != nil {
		if own := c.own.Load(); own != nil {
			return own
		}
	}
	return b.cfg.settings.Load()
}

// coldLocked returns the cold part, and creates it if necessary. mu is held.
func (b *Breaker) coldLocked() *cold {
	c := b.cold.Load()
	if c == nil {
		c = new(cold)
		b.cold.Store(c)
	}
	return c
}

// Name returns the breaker's name. The name of a keyed breaker is that of its
// set.
func (b *Breaker) Name() string { return b.cfg.name }

// Key returns the key of a keyed breaker as it appears in ID, else "".
func (b *Breaker) Key() string { return b.key }

// ID returns the text by which operators and Manager.Lookup identify the
// breaker: its Name, or Name/Key for a keyed breaker.
func (b *Breaker) ID() string {
	if b.cfg.owner != nil {
		return b.cfg.name + "/" + b.key
	}
	return b.cfg.name
}

// State returns the effective state, which applies to the next call: the
// override if there is one, else the automatic state. A breaker whose open time
// is over stays Open until a call arrives and probes.
func (b *Breaker) State() State { return effective(b.load()) }

// FailCount returns the number of failures that count toward Settings.FailMax:
// the consecutive failures so far, or with SuccessesToForgive the failures that
// successes have not made up for, rounded up. Failures that have lapsed under
// FailWithin are not included.
func (b *Breaker) FailCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.settings()
	if r.FailWithin > 0 && b.rowLapsedLocked(r, b.cfg.clock.Now()) {
		return 0
	}
	return r.failures(b.unitsLocked(b.load(), r))
}

// ProgramSettings returns the settings that the breaker, or its set, was created
// with, with defaults filled in: those that neither Update nor an operator has
// changed.
func (b *Breaker) ProgramSettings() Settings { return b.cfg.program.Settings }

// Settings returns the settings in effect, with defaults filled in.
func (b *Breaker) Settings() Settings { return b.settings().Settings }
