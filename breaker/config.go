package breaker

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Option gives a breaker or a set what cannot stand in a file: code. Options
// never change; listeners and exclusions have methods of their own for that.
type Option func(*config)

// config is what the breakers of a set have in common; a breaker of its own
// has one to itself, so it is kept small.
type config struct {
	name     string
	rules    atomic.Pointer[rules]
	*options // never changed once the breaker is made

	mu        sync.Mutex // serialises the writers of the two below, and of calls
	excluded  atomic.Pointer[[]Matcher]
	listeners atomic.Pointer[[]*Listener]

	own    clocks
	clocks *clocks                   // its own, or its manager's
	gens   atomic.Uint32             // the last generation given out, see Set.Do
	panics atomic.Uint32             // panics of the program's functions, recovered
	home   home                      // the set of a keyed breaker
	crowd  *crowd                    // the manager's view of who else is open
	calls  atomic.Pointer[callCount] // nil: nobody ever observed them
}

// options are what only code can say.
type options struct {
	classify    func(context.Context, error) Outcome // nil: exclusions, then byDefault
	openError   func(*OpenError) error
	errorOnTrip bool
	noHistory   bool
	logger      *slog.Logger
	custom      []customRule
}

// noOptions is those of every breaker that is given none.
var noOptions options

// home is the set that a keyed breaker belongs to.
type home interface {
	// adopt returns the breaker that now stands for a forgotten one: itself,
	// remembered again, or the one made since.
	adopt(*Breaker) *Breaker
	// succeeded reports whether there is one; a success brings none about.
	succeeded(*Breaker) bool
	// noteEvidence counts the keys with evidence up or down.
	noteEvidence(int64)
}

type customRule struct {
	name string
	open func(Counts) bool
}

// rules are settings in effect, with what the fast path wants of them.
type rules struct {
	Settings
	version uint64
	flags   uint64 // flagTimed, flagCounted
	timer   *clock // what times the calls; nil: nothing does
	exact   bool   // SlowCall is too short for the coarse clock
}

// due is when a call that begins now will be slow, on the clock that times it.
// 0: the settings have just changed, and calls are not timed any more.
func (r *rules) due() time.Duration {
	if r.timer == nil {
		return 0
	}
	return r.timer.now(r.exact) + r.SlowCall
}

// early reports whether a glance at the clock shows that a call with this due
// is not slow. It is small enough to be inlined; late is the rest of it.
func (r *rules) early(due time.Duration) bool {
	step, ok := r.timer.glance()
	return ok && !r.exact && time.Duration(step)*fineStep < due
}

func (r *rules) late(due time.Duration) bool { return r.timer.now(r.exact) >= due }

// WithListener adds listeners; AddListener does so later.
func WithListener(ls ...Listener) Option {
	return func(c *config) {
		for _, l := range ls {
			c.addListener(&l)
		}
	}
}

// WithExcluded excludes errors; Exclude does so later.
func WithExcluded(ms ...Matcher) Option {
	return func(c *config) { c.exclude(ms) }
}

// WithClassifier replaces the classification of errors, exclusions and
// cancelled contexts included. It is called for every error that is not nil,
// never with nil, with the call's context (context.Background for Allow and
// Done), on many goroutines at once, outside every lock. Where it panics, the
// call counts as a failure.
func WithClassifier(f func(ctx context.Context, err error) Outcome) Option {
	return func(c *config) { c.classify = f }
}

// WithOpenError replaces the error of rejected calls. f runs at each of them,
// on the caller's goroutine, outside every lock; what it returns should wrap
// the OpenError if callers are to find ErrOpen in it. Where it panics or returns
// nil, the caller gets the OpenError itself.
func WithOpenError(f func(*OpenError) error) Option {
	return func(c *config) { c.openError = f }
}

// WithErrorOnTrip makes the call that trips the breaker return an error that
// matches ErrOpen as well as its own. Without it that call returns its own
// error alone, because it ran.
func WithErrorOnTrip() Option {
	return func(c *config) { c.errorOnTrip = true }
}

// WithLogger logs each transition as one line: Warn for one that opens, Info
// for the others. Calls are not logged.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) { c.logger = l }
}

// WithRule adds a rule of the program's own. After each failure and each slow
// call of a closed breaker, open is given what the window holds, that call
// included; true opens it. It must be a pure function of its argument; it runs
// on many goroutines at once, outside every lock. name stands in the record.
func WithRule(name string, open func(Counts) bool) Option {
	return func(c *config) { c.custom = append(c.custom, customRule{name, open}) }
}

// WithoutHistory keeps no record of past transitions but the newest, for
// programs with very many breakers that trip often.
func WithoutHistory() Option {
	return func(c *config) { c.noHistory = true }
}

// newConfig is that of a new breaker or set; m is its manager, or nil.
func newConfig(name string, s Settings, opts []Option, m *Manager) *config {
	c := &config{name: name, options: &noOptions}
	if len(opts) > 0 {
		c.options = new(options)
	}
	for _, opt := range opts {
		opt(c)
	}
	c.clocks = &c.own
	if m != nil {
		c.clocks, c.crowd = &m.clocks, &m.crowd
	}
	c.rules.Store(c.compile(s, 1))
	return c
}

// compile fills in the defaults of valid settings and derives the flags.
func (c *config) compile(s Settings, version uint64) *rules {
	r := rules{Settings: s.withDefaults(), version: version}
	if r.windowed(len(c.custom) > 0) {
		r.flags |= flagCounted
	}
	if r.SlowCall > 0 {
		r.flags |= flagTimed
		r.exact = r.SlowCall < exactBelow
		r.timer = c.clocks.of(fineStep)
		return &r
	}
	return shared(r)
}

func (c *config) exclude(ms []Matcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var old []Matcher
	if p := c.excluded.Load(); p != nil {
		old = *p
	}
	all := slices.Concat(old, ms)
	c.excluded.Store(&all)
}

func (c *config) addListener(l *Listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := append(slices.Clone(c.watchers()), l)
	c.listeners.Store(&all)
}

func (c *config) removeListener(l *Listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(c.watchers()), func(x *Listener) bool { return x == l })
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

// evidence is what a call that ended with err counts as; work that is marked to
// bypass is none.
func (c *config) evidence(ctx context.Context, err error) Outcome {
	if bypasses.Load() && bypassing(ctx) == bypassPlain {
		return Ignored
	}
	if err == nil {
		return Success
	}
	return c.outcome(ctx, err)
}

// outcome classifies err, which is not nil. User code runs: no lock is held
// (I10), and a panic in it makes a failure.
func (c *config) outcome(ctx context.Context, err error) (o Outcome) {
	defer func() {
		if p := recover(); p != nil {
			c.caught("classifier", p)
			o = Failure
		}
	}()
	if c.classify != nil {
		return min(c.classify(ctx, err), Ignored) // what is no Outcome is no evidence
	}
	if p := c.excluded.Load(); p != nil {
		for _, m := range *p {
			if m.match(err) {
				return Success
			}
		}
	}
	return byDefault(ctx, err)
}
