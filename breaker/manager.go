package breaker

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// Manager holds the breakers and sets of an application by name, so that people
// can list and operate them. The zero value is ready to use, with default
// settings. All methods may be called by many goroutines at once.
type Manager struct {
	defaults  Settings
	opts      []Option
	fine      fineClock
	cap       openCap
	suspicion suspicion
	observers atomic.Int32 // calls of Observe that have not been stopped

	// changing serialises changes of the listeners, observers, cap and shadows of
	// all members, which may take seconds. It is taken before mu. No call waits
	// for it: a change first goes into the fields below, which a new member
	// follows, and then to the members that exist.
	changing sync.Mutex

	mu        sync.RWMutex    // guards the fields below; to write the next three, changing is held, too
	listeners []*Listener     // of all members, present and future; never changed in place
	tape      *tape.Tape      // that all members record on; nil if none
	shadows   []plannedShadow // of all members, present and future; never changed in place
	members   map[string]member
	sets      []interface{ size() int } // the members that are sets
	shared    *compiled                 // the defaults, compiled; nil until a member needs them

	onCreate []*func(name string) // never changed in place
}

// member is a breaker or a set.
type member interface {
	keyed() bool                // it is a set
	lookup(key string) *Breaker // nil if there is none
	ids(most int) []string
	walk(evicted bool) iter.Seq[*Breaker]
	setListener(l *Listener, on bool)
	setObserved(on bool)
	setTape(*tape.Tape)
	shadowed
}

// NewManager returns a manager whose breakers have these settings and options
// unless they are created with others. It panics if defaults are invalid.
func NewManager(defaults Settings, opts ...Option) *Manager {
	if err := defaults.Validate(); err != nil {
		panic("breaker: " + err.Error())
	}
	return &Manager{defaults: defaults, opts: opts}
}

// Breaker returns the breaker with this name, and creates it with the manager's
// defaults if necessary. It panics if name is invalid or is the name of a set.
// Use Create for a name that is not written in the program's source.
func (m *Manager) Breaker(name string) *Breaker {
	b, ok := m.member(name, makeBreaker).(*Breaker)
	if !ok {
		panic(fmt.Sprintf("breaker: %q is a set, use SetOf", name))
	}
	return b
}

func makeBreaker(cfg *config) member { return newBreaker(cfg, "") }

// Create creates a breaker with settings of its own. opts are applied after the
// manager's options. The error matches ErrDuplicate, ErrName or ErrSettings.
func (m *Manager) Create(name string, s Settings, opts ...Option) (*Breaker, error) {
	made, err := m.create(name, s, opts, makeBreaker)
	if err != nil {
		return nil, err
	}
	return made.(*Breaker), nil
}

// SetOf returns the set with this name, and creates it with the manager's
// defaults if necessary. It panics if name is invalid, or is the name of a
// breaker or of a set with another key type.
func SetOf[K comparable](m *Manager, name string) *Set[K] {
	s, ok := m.member(name, func(cfg *config) member { return newSet[K](cfg, SetOptions{}) }).(*Set[K])
	if !ok {
		var k K
		panic(fmt.Sprintf("breaker: %q is not a set with keys of type %T", name, k))
	}
	return s
}

// CreateSet creates a set with settings and limits of its own. opts are applied
// after the manager's options. The error matches ErrDuplicate, ErrName or
// ErrSettings.
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

// member returns the member with this name, and creates it with the defaults if
// necessary.
func (m *Manager) member(name string, make func(*config) member) member {
	m.mu.RLock()
	got := m.members[name]
	m.mu.RUnlock()
	if got != nil {
		return got
	}
	got, _, err := m.add(name, m.defaults, nil, make)
	if err != nil {
		panic("breaker: " + err.Error())
	}
	return got
}

// create creates a member, and fails if the name is taken.
func (m *Manager) create(name string, s Settings, opts []Option, make func(*config) member) (member, error) {
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("breaker %q: %w", name, err)
	}
	got, made, err := m.add(name, s, opts, make)
	if err == nil && !made {
		err = fmt.Errorf("%w: %q", ErrDuplicate, name)
	}
	return got, err
}

// add returns the member with this name. If there is none, make creates it.
func (m *Manager) add(name string, s Settings, opts []Option, make func(*config) member) (got member, created bool, err error) {
	if err := ValidateName(name); err != nil {
		return nil, false, err
	}
	cfg := newConfig(name, s, slices.Concat(m.opts, opts), m) // options are user code: before the lock (I10)
	got, created = m.addLocking(cfg, s == m.defaults && len(opts) == 0, make)
	if created {
		m.created(name)
	}
	return got, created, nil
}

// addLocking creates the member with this configuration unless its name is
// taken. plain means that it has the manager's own settings and options.
func (m *Manager) addLocking(cfg *config, plain bool, make func(*config) member) (got member, created bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if got := m.members[cfg.name]; got != nil {
		return got, false
	}
	if plain { // compiled once, for all members that have them
		if m.shared == nil {
			m.shared = cfg.program
		}
		cfg.program = m.shared
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
	}
	for _, p := range m.shadows {
		_ = cfg.addShadowLocked(newShadow(cfg, p.name, p.settings)) // there is room: they are its only ones
	}
	if m.tape != nil || len(m.shadows) > 0 {
		cfg.settings.Store(cfg.observed(cfg.settings.Load()))
	}
	got = make(cfg)
	if m.members == nil {
		m.members = map[string]member{}
	}
	m.members[cfg.name] = got
	if s, ok := got.(interface{ size() int }); ok {
		m.sets = append(m.sets, s)
		m.cap.addSet(cfg.cap)
	}
	return got, true
}

// OnCreate calls f with the name of each breaker and set that is created from
// now on, until remove is called. f runs on the goroutine that creates it,
// before that goroutine can use it, with no lock held; another goroutine may
// already be using it. This is where an operations plane applies what people
// ordered before the process was restarted. A panic in f reaches the caller.
func (m *Manager) OnCreate(f func(name string)) (remove func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onCreate = append(m.onCreate, &f)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.onCreate = without(m.onCreate, &f)
	}
}

func (m *Manager) created(name string) {
	m.mu.RLock()
	all := m.onCreate
	m.mu.RUnlock()
	for _, f := range all {
		(*f)(name)
	}
}

// Remove removes a breaker or a set from the manager: it is no longer listed,
// and its name is free. A program that still holds it may continue to use it.
// Remove returns false if there is no member with this name.
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
	for _, p := range m.shadows {
		removeShadow(got, p.name, nil)
	}
	if b, ok := got.(*Breaker); ok {
		m.cap.moved(b, time.Time{})
	} else {
		m.cap.removeSet(got.conf().cap) // its keys remain limited among themselves
	}
	return true
}

// Lookup returns the breaker with this id, "name" or "name/key". It never
// creates one. If there is none, the error is an *UnknownError with the nearest
// ids.
func (m *Manager) Lookup(id string) (*Breaker, error) {
	name, key, keyed := strings.Cut(id, "/")
	m.mu.RLock()
	got := m.members[name]
	m.mu.RUnlock()
	// Neither call creates a breaker: an unknown id is an error (I12).
	if got != nil && got.keyed() == keyed {
		if b := got.lookup(key); b != nil {
			return b, nil
		}
	}
	return nil, &UnknownError{ID: id, Near: m.near(id, got)}
}

// AnySet is a Set with keys of any type.
type AnySet interface {
	Name() string
	Len() int
	Settings() Settings
	Version() uint64
	ProgramSettings() Settings
	BreakerOf(keyText string) (*Breaker, error)
	Update(Settings) error
	UpdateIf(s Settings, version uint64) (Receipt, error)
	Shadow(name string, s Settings) error
	Unshadow(name string) bool
	Shadows() []ShadowStatus
	Promote(shadow string, version uint64) (Receipt, error)
	Status() []Status
	Breakers() []*Breaker
	WithEvidence() []*Breaker
}

// LookupSet returns the set with this name. It never creates one. If there is
// none, the error is an *UnknownError with the nearest names.
func (m *Manager) LookupSet(name string) (AnySet, error) {
	m.mu.RLock()
	got := m.members[name]
	m.mu.RUnlock()
	if s, ok := got.(AnySet); ok {
		return s, nil
	}
	return nil, &UnknownError{ID: name, Near: m.near(name, nil)}
}

// Apply carries out an order on the breaker with this id, as Breaker.Apply
// does. The error may also be that of Lookup.
func (m *Manager) Apply(id string, o Order) (Receipt, error) {
	b, err := m.Lookup(id)
	if err != nil {
		return Receipt{}, err
	}
	return b.Apply(o)
}

// Status returns the status of every breaker and of every key that is
// remembered, sorted by ID. Calls continue to run meanwhile.
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

// AddListener adds a listener to every breaker and set, including those that are
// created later, and returns a function that removes it. A listener with neither
// BeforeCall, Success, Failure nor Rejected adds no cost to calls.
func (m *Manager) AddListener(l Listener) (remove func()) {
	m.setListener(&l, true)
	return func() { m.setListener(&l, false) }
}

func (m *Manager) setListener(l *Listener, on bool) {
	m.changing.Lock()
	defer m.changing.Unlock()
	m.mu.Lock()
	m.listeners = without(m.listeners, l)
	if on {
		m.listeners = append(m.listeners, l)
	}
	m.mu.Unlock()
	for _, x := range m.all() {
		x.setListener(l, on)
	}
}

// Breakers returns every breaker, including one for each key that a set
// remembers, in no particular order.
func (m *Manager) Breakers() (out []*Breaker) {
	for _, x := range m.all() {
		out = slices.AppendSeq(out, x.walk(false))
	}
	return out
}

// Len returns the number of breakers, including one for each key that a set
// remembers. It is cheap: it only looks at the number of members and the size
// of each set.
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
// at the same time. Unless SetOptions.CapOpen says otherwise, it also limits
// the share of the keys of each set. share is in (0, 1]; 0, the default, means
// no limit. A breaker that would trip beyond the limit stays closed and
// continues to count. Status shows this, and listeners receive it as HeldBack.
//
// Breakers that reject calls are counted, whether they tripped or were ordered
// to: open ones until their open time is over, and half-open ones while probes
// are out; and ones that are forced open, but not ones that are forced closed.
// A set counts as open when half of its keys do. One breaker may
// always be open, however small share is, and orders are not limited.
func (m *Manager) CapOpen(share float64) {
	m.changing.Lock()
	defer m.changing.Unlock()
	m.cap.limit(share, m.Breakers())
}

// count returns the number of breakers and sets; or 0 and false if the owner of
// c is no longer a member.
func (m *Manager) count(c *config) (n int, member bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if got := m.members[c.name]; got == nil || got.conf() != c {
		return 0, false
	}
	return len(m.members), true
}

// all returns the members, so that callers can work on them without the lock.
// Those that are created or removed meanwhile may be missed.
func (m *Manager) all() (out []member) {
	for _, x := range batches(&m.mu, &m.members) {
		out = append(out, x)
	}
	return out
}

func (b *Breaker) walk(bool) iter.Seq[*Breaker] {
	return func(yield func(*Breaker) bool) { yield(b) }
}

func (b *Breaker) keyed() bool { return false }
func (s *Set[K]) keyed() bool  { return true }

func (b *Breaker) lookup(string) *Breaker { return b }
func (b *Breaker) ids(int) []string       { return []string{b.ID()} }

// size is Len, for Manager.Len.
func (s *Set[K]) size() int { return s.Len() }
