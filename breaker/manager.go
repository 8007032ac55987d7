package breaker

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// Manager knows all breakers of an application by name, for the people who
// operate it. The zero value works, with default settings. All methods may be
// called by many goroutines at once.
type Manager struct {
	defaults  Settings
	opts      []Option
	fine      fineClock
	cap       openCap
	suspicion suspicion
	observers atomic.Int32 // those of Observe that have not stopped

	// changing serialises what changes listeners, observers and the cap of all
	// members, which may take a while. It is taken before mu. No call waits for
	// it, but one that makes a new member.
	changing  sync.Mutex
	listeners []*Listener // of all members, there and to come
	tape      *tape.Tape  // that all members record on; nil: none

	mu      sync.RWMutex // guards the fields below
	members map[string]member
	sets    []interface{ size() int } // those of the members that are sets
	shared  *compiled                 // the defaults, compiled
}

// member is a breaker or a set.
type member interface {
	Name() string
	keyed() bool                // a set
	lookup(key string) *Breaker // nil: there is none
	ids(most int) []string
	each(f func(*Breaker))
	setListener(l *Listener, on bool)
	setObserved(on bool)
	setTape(*tape.Tape)
	conf() *config
}

// NewManager makes a manager whose breakers have these settings and options
// unless they are given others. It panics when defaults are invalid.
func NewManager(defaults Settings, opts ...Option) *Manager {
	if err := defaults.Validate(); err != nil {
		panic("breaker: " + err.Error())
	}
	return &Manager{defaults: defaults, opts: opts}
}

// Breaker returns the breaker of this name, made from the defaults if there is
// none. It panics when name is invalid or is a set's, as that stands in the
// program's text.
func (m *Manager) Breaker(name string) *Breaker {
	b, ok := m.member(name, makeBreaker).(*Breaker)
	if !ok {
		panic(fmt.Sprintf("breaker: %q is a set, want SetOf", name))
	}
	return b
}

func makeBreaker(cfg *config) member { return newBreaker(cfg, "") }

// Create makes a breaker with settings of its own. opts come after the
// manager's. The error matches ErrDuplicate, ErrName or ErrSettings.
func (m *Manager) Create(name string, s Settings, opts ...Option) (*Breaker, error) {
	made, err := m.create(name, s, opts, makeBreaker)
	if err != nil {
		return nil, err
	}
	return made.(*Breaker), nil
}

// SetOf returns the set of this name, made from the defaults if there is none.
// It panics when name is invalid, or is a breaker's or that of a set with
// another type of key.
func SetOf[K comparable](m *Manager, name string) *Set[K] {
	s, ok := m.member(name, func(cfg *config) member { return newSet[K](cfg, SetOptions{}) }).(*Set[K])
	if !ok {
		var k K
		panic(fmt.Sprintf("breaker: %q is not a set with keys of type %T", name, k))
	}
	return s
}

// CreateSet makes a set with settings and limits of its own. Its errors are
// Manager.Create's.
func CreateSet[K comparable](m *Manager, name string, s Settings, o SetOptions, opts ...Option) (*Set[K], error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("breaker %q: %w", name, err)
	}
	made, err := m.create(name, s, opts, func(cfg *config) member { return newSet[K](cfg, o) })
	if err != nil {
		return nil, err
	}
	return made.(*Set[K]), nil
}

func (m *Manager) member(name string, make func(*config) member) member {
	m.mu.RLock()
	got := m.members[name]
	m.mu.RUnlock()
	if got != nil {
		return got
	}
	got, err := m.add(name, m.defaults, nil, make)
	if err != nil {
		panic("breaker: " + err.Error())
	}
	return got
}

func (m *Manager) create(name string, s Settings, opts []Option, make func(*config) member) (member, error) {
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("breaker %q: %w", name, err)
	}
	fresh := false
	got, err := m.add(name, s, opts, func(cfg *config) member {
		fresh = true
		return make(cfg)
	})
	if err == nil && !fresh {
		err = fmt.Errorf("%w: %q", ErrDuplicate, name)
	}
	return got, err
}

// add returns the member of this name, made if there is none.
func (m *Manager) add(name string, s Settings, opts []Option, make func(*config) member) (member, error) {
	if err := ValidateName(name); err != nil {
		return nil, err
	}
	cfg := newConfig(name, s, slices.Concat(m.opts, opts), m) // options are the program's: before the lock
	m.changing.Lock()
	defer m.changing.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if got := m.members[name]; got != nil {
		return got, nil
	}
	if s == m.defaults && len(opts) == 0 { // compiled once, for all that have them
		if m.shared == nil {
			m.shared = cfg.settings.Load()
		}
		cfg.settings.Store(m.shared)
	}
	for _, l := range m.listeners {
		cfg.setListener(l, true)
	}
	if m.observers.Load() > 0 {
		cfg.observe(true)
	}
	if m.tape != nil {
		cfg.tape.Store(m.tape)
		cfg.settings.Store(cfg.withTape(cfg.settings.Load()))
	}
	got := make(cfg)
	if m.members == nil {
		m.members = map[string]member{}
	}
	m.members[name] = got
	if s, ok := got.(interface{ size() int }); ok {
		m.sets = append(m.sets, s)
		m.cap.addSet(cfg.cap)
	}
	return got, nil
}

// Remove takes a breaker or a set out of the manager: it is not shown any more,
// and its name is free. A program that still holds it may go on with it. It
// reports false when there is none of this name.
func (m *Manager) Remove(name string) bool {
	m.changing.Lock()
	defer m.changing.Unlock()
	m.mu.Lock()
	got := m.members[name]
	delete(m.members, name)
	if s, ok := got.(interface{ size() int }); ok {
		m.sets = without(m.sets, s)
	}
	m.mu.Unlock()
	if got == nil {
		return false
	}
	for _, l := range m.listeners {
		got.setListener(l, false)
	}
	if m.observers.Load() > 0 {
		got.setObserved(false)
	}
	if m.tape != nil {
		got.setTape(nil)
	}
	if c := got.conf().cap; c != &m.cap {
		m.cap.removeSet(c)
	}
	got.each(func(b *Breaker) { m.cap.moved(b, Closed, b.cfg.clock.Now()) })
	return true
}

// Lookup finds the breaker of an id, "name" or "name/key", and never makes
// one (I12). The error is an *UnknownError, with the nearest ids there are.
func (m *Manager) Lookup(id string) (*Breaker, error) {
	name, key, keyed := strings.Cut(id, "/")
	m.mu.RLock()
	got := m.members[name]
	m.mu.RUnlock()
	if got != nil && got.keyed() == keyed {
		if b := got.lookup(key); b != nil {
			return b, nil
		}
	}
	return nil, &UnknownError{ID: id, Near: m.near(id, got)}
}

// AnySet is a set whose type of key does not matter.
type AnySet interface {
	Name() string
	Len() int
	Settings() Settings
	Version() uint64
	Update(Settings) error
	UpdateIf(s Settings, version uint64) (Receipt, error)
	Status() []Status
	Breakers() []*Breaker
	WithEvidence() []*Breaker
}

// LookupSet finds the set of a name, and never makes one. The error is
// Lookup's.
func (m *Manager) LookupSet(name string) (AnySet, error) {
	m.mu.RLock()
	got := m.members[name]
	m.mu.RUnlock()
	if s, ok := got.(AnySet); ok {
		return s, nil
	}
	return nil, &UnknownError{ID: name, Near: m.near(name, nil)}
}

// Apply carries out an order on the breaker of an id, as Breaker.Apply does.
func (m *Manager) Apply(id string, o Order) (Receipt, error) {
	b, err := m.Lookup(id)
	if err != nil {
		return Receipt{}, err
	}
	return b.Apply(o)
}

// Status is the status of every breaker and of every key that is remembered,
// sorted by ID. It stops no call.
func (m *Manager) Status() []Status {
	type named struct {
		id string
		b  *Breaker
	}
	var all []named
	for _, b := range m.Breakers() {
		all = append(all, named{b.ID(), b})
	}
	// Sorted before they are asked: a Status is large to move about.
	slices.SortFunc(all, func(a, b named) int { return strings.Compare(a.id, b.id) })
	out := make([]Status, len(all))
	for i, x := range all {
		out[i] = x.b.Status()
	}
	return out
}

// AddListener adds a listener to every breaker and set, those included that
// are made later, and returns what removes it again. One that hears of state
// changes and reminders alone costs calls nothing.
func (m *Manager) AddListener(l Listener) (remove func()) {
	m.setListener(&l, true)
	return func() { m.setListener(&l, false) }
}

func (m *Manager) setListener(l *Listener, on bool) {
	m.changing.Lock()
	defer m.changing.Unlock()
	m.listeners = without(m.listeners, l)
	if on {
		m.listeners = append(m.listeners, l)
	}
	for _, x := range m.all() {
		x.setListener(l, on)
	}
}

// Breakers is every breaker, and that of every key which is remembered, in no
// order.
func (m *Manager) Breakers() (out []*Breaker) {
	for _, x := range m.all() {
		x.each(func(b *Breaker) { out = append(out, b) })
	}
	return out
}

// Len is the number of breakers, that of every key which is remembered
// included. However many they are, it costs next to nothing: it looks at sets
// alone.
func (m *Manager) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := len(m.members) - len(m.sets)
	for _, s := range m.sets {
		n += s.size()
	}
	return n
}

// CapOpen limits the share of the manager's breakers and sets that may be open
// at once, and the share of the keys of each set unless SetOptions says
// otherwise. One that would trip beyond it stays closed and goes on counting;
// Status says so, and a Listener hears of it.
//
// Those that reject calls count: open ones until their open time is over,
// half-open ones while probes are out, whether by themselves or by order. A set
// counts as open when half of its keys do. One may be open whatever the share,
// and orders are not limited. 0, the default, is no limit.
func (m *Manager) CapOpen(share float64) {
	m.changing.Lock()
	defer m.changing.Unlock()
	m.cap.limit(share, m.Breakers())
}

// count is the number of breakers and sets; 0 and
// false when that of this configuration is none of them any more.
func (m *Manager) count(c *config) (n int, member bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if got := m.members[c.name]; got == nil || got.conf() != c {
		return 0, false
	}
	return len(m.members), true
}

func (m *Manager) all() []member {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]member, 0, len(m.members))
	for _, x := range m.members {
		out = append(out, x)
	}
	return out
}

func (b *Breaker) each(f func(*Breaker)) { f(b) }

func (b *Breaker) keyed() bool { return false }
func (s *Set[K]) keyed() bool  { return true }

func (b *Breaker) lookup(string) *Breaker { return b }
func (b *Breaker) ids(int) []string       { return []string{b.ID()} }

// size is the number of breakers.
func (s *Set[K]) size() int { return s.Len() }
