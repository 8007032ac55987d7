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

// config is what the breakers of a set have in common; a breaker of its own
// has one to itself, so it is kept small.
type config struct {
	name     string
	settings atomic.Pointer[compiled]
	*options // never changed once the breaker is made

	mu        sync.Mutex // serialises the writers of settings, of the next two, and of calls
	matchers  atomic.Pointer[matchers]
	listeners atomic.Pointer[[]*Listener]

	clock   *vtime.Source             // nil: the real time
	fine    *fineClock                // its own, or its manager's
	home    home                      // the set of a keyed breaker
	manager *Manager                  // nil: none
	cap     *openCap                  // its set's or manager's; nil: none
	calls   atomic.Pointer[callCount] // nil: never observed
	tape    atomic.Pointer[tape.Tape] // nil: calls are not recorded
	panics  atomic.Uint32             // panics of the program's functions, recovered
}

// home is the set that a keyed breaker belongs to.
type home interface {
	// noteWord follows each change of a key's word: it counts the keys that have
	// evidence, and takes one back that is evicted and has some again. The
	// breaker's lock may be held.
	noteWord(b *Breaker, was, is uint64)
	// noteRecord counts a record of a key's history beside its newest, and reports
	// whether there is room for it.
	noteRecord() bool
	// versionFloor is the highest version of a key that was forgotten.
	versionFloor() uint64
	// forgotten raises that, and gives back the records of a key's history.
	forgotten(version uint64, records int)
	// retention is how long a key may be idle.
	retention() time.Duration
}

// newConfig is that of a new breaker or set; m is its manager, or nil.
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
	if s == (Settings{}) && c.options == &noOptions {
		c.settings.Store(plainDefaults())
	} else {
		c.settings.Store(c.compile(s, 1))
	}
	return c
}

// addMatchers adds to those of all breakers that share the configuration.
func (c *config) addMatchers(excluded, ignored []Matcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.matchers.Store(c.matchers.Load().with(excluded, ignored))
}

func (c *config) setListener(l *Listener, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := without(c.watchers(), l)
	if on {
		all = append(all, l)
	}
	c.listeners.Store(&all)
}

func (c *config) watchers() []*Listener {
	if p := c.listeners.Load(); p != nil {
		return *p
	}
	return nil
}

// listenerFlags are the bits of the word that the listeners decide.
func (c *config) listenerFlags() (f uint64) {
	for _, l := range c.watchers() {
		f |= l.flags()
	}
	return f
}

// without is a new slice: readers may hold the old one.
func without[T comparable](all []T, x T) []T {
	return slices.DeleteFunc(slices.Clone(all), func(y T) bool { return y == x })
}
