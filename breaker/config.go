package breaker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
	"github.com/switchgear-go/switchgear/internal/vtime"
)

func init() {
	vtime.Option = func(v *vtime.Source) any { return Option(func(c *config) { c.clock = v }) }
}

// config is what the breakers of a set have in common. A breaker that belongs
// to no set has a config to itself, so a config is kept small.
type config struct {
	name     string
	settings atomic.Pointer[compiled]
	program  *compiled // the settings that it was created with
	*options           // never changed once the breaker exists

	mu        sync.Mutex // serialises writers of settings, matchers, listeners and calls
	matchers  atomic.Pointer[matchers]
	listeners atomic.Pointer[[]*Listener]

	clock   *vtime.Source             // nil: the real time
	fine    *fineClock                // its own or its manager's
	owner   owner                     // the set of a keyed breaker, else nil
	manager *Manager                  // nil if there is none
	cap     *openCap                  // the set's or the manager's; nil if there is none
	calls   atomic.Pointer[callCount] // nil if calls have never been observed
	tape    atomic.Pointer[tape.Tape] // nil if calls are not recorded
	shadows atomic.Pointer[shadows]   // nil if there has never been a shadow
	panics  atomic.Uint32             // panics in the program's functions that were recovered
}

// owner is the set that a keyed breaker belongs to. It hides the type of the
// keys.
type owner interface {
	// noteWord is called after each change of a key's word. It counts the keys
	// that have evidence, and takes back an evicted key that has some again.
	// Breaker.mu may be held.
	noteWord(b *Breaker, was, is uint64)
	// noteRecord counts one more record in a key's history, and reports whether
	// the set's budget has room for it. The newest record of a key is not
	// counted.
	noteRecord() bool
	// versionFloor returns the highest version of a key that was forgotten.
	versionFloor() uint64
	// forgotten raises versionFloor to version, and returns the records of a
	// key's history to the budget.
	forgotten(version uint64, records int)
	Shadows() []ShadowStatus
	// retention returns how long a key may be idle before its evidence lapses.
	retention() time.Duration
}

// newConfig returns the config of a new breaker or set; m is its manager, or
// nil.
func newConfig(name string, s Settings, opts []Option, m *Manager) *config {
	c := &config{name: name, options: &noOptions, manager: m}
	if len(opts) > 0 {
		c.options = new(options)
	}
	for _, opt := range opts {
		opt(c)
	}
	switch {
	case m != nil:
		c.fine, c.cap = &m.fine, &m.cap
	default:
		c.fine = new(fineClock)
	}
	c.program = c.compileNew(s)
	c.settings.Store(c.program)
	return c
}

// addMatchers adds matchers for all breakers that share the config.
func (c *config) addMatchers(excluded, ignored []Matcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.matchers.Store(c.matchers.Load().with(excluded, ignored))
}

// setListener adds or removes a listener for all breakers that share the config.
func (c *config) setListener(l *Listener, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := without(c.watchers(), l)
	if on {
		all = append(all, l)
	}
	c.listeners.Store(&all)
}

// watchers returns the listeners of all breakers that share the config.
func (c *config) watchers() []*Listener {
	if p := c.listeners.Load(); p != nil {
		return *p
	}
	return nil
}

// listenerFlags returns the bits of the word that these listeners decide.
func (c *config) listenerFlags() (f uint64) {
	for _, l := range c.watchers() {
		f |= l.flags()
	}
	return f
}

// without returns all except x, in a new slice, because readers may hold the
// old one.
func without[T comparable](all []T, x T) []T {
	return slices.DeleteFunc(slices.Clone(all), func(y T) bool { return y == x })
}
