package breaker

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// MaxShadows is the largest number of shadows that a breaker or a set may have.
const MaxShadows = 4

// ErrShadow is matched by the error for a shadow that does not exist, or for
// which there is no room.
var ErrShadow = errors.New("invalid shadow")

// BeforeShadow is the name of the shadow that Promote leaves behind. It has the
// settings from before. Shadow refuses this name.
const BeforeShadow = "before"

// beforeLasts is how long it is kept.
const beforeLasts = 24 * time.Hour

// ShadowStatus is what a shadow would have done. It is asked about the calls that
// the real breaker lets run, and about no others: while the real breaker is open,
// the shadow is blind.
type ShadowStatus struct {
	Name     string    `json:"name"`
	Settings Settings  `json:"settings"`
	Since    time.Time `json:"since"`         // when it was added; it knows nothing from before
	Ends     time.Time `json:"ends,omitzero"` // when it is removed; zero: it is not removed by itself
	// Open is the number of breakers that would not be closed now: 0 or 1 for a
	// single breaker, and a number of keys for a set.
	Open int `json:"open"`
	// Trips is how many times it would have opened, and OpenFor how long it would
	// not have been closed, summed over all keys.
	Trips   uint64        `json:"trips"`
	OpenFor time.Duration `json:"open_for"`
	// Saw is the number of calls that it was asked about. Of these it would have
	// rejected RejectedGood calls that succeeded, RejectedBad calls that failed, and
	// RejectedOther calls that were not evidence.
	Saw           uint64 `json:"saw"`
	RejectedGood  uint64 `json:"rejected_good"`
	RejectedBad   uint64 `json:"rejected_bad"`
	RejectedOther uint64 `json:"rejected_other,omitempty"`
	// Refused is the number of calls that the real breaker rejected, and Missed of
	// those for which there was no room because more than 16,000 were in flight. The
	// shadow was asked about neither. Blind is how long the real breaker was not
	// closed, summed over all keys.
	Refused uint64        `json:"refused"`
	Missed  uint64        `json:"missed,omitempty"`
	Blind   time.Duration `json:"blind"`
	// RealTrips is the number of trips of the real breaker. For Earlier of them the
	// shadow had opened before, by Lead in total.
	RealTrips uint64        `json:"real_trips"`
	Earlier   uint64        `json:"earlier"`
	Lead      time.Duration `json:"lead"`
}

// Coverage is the share of the calls that the shadow was asked about.
func (s *ShadowStatus) Coverage() float64 {
	all := s.Saw + s.Refused + s.Missed
	if all == 0 {
		return 1
	}
	return float64(s.Saw) / float64(all)
}

type plainShadowStatus ShadowStatus

type shadowStatusJSON struct {
	plainShadowStatus
	OpenFor jsonDuration `json:"open_for"`
	Blind   jsonDuration `json:"blind"`
	Lead    jsonDuration `json:"lead"`
}

// MarshalJSON writes durations as strings such as "1m30s".
func (s ShadowStatus) MarshalJSON() ([]byte, error) {
	return json.Marshal(shadowStatusJSON{plainShadowStatus(s), jsonDuration(s.OpenFor), jsonDuration(s.Blind), jsonDuration(s.Lead)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *ShadowStatus) UnmarshalJSON(data []byte) error {
	x := shadowStatusJSON{plainShadowStatus(*s), jsonDuration(s.OpenFor), jsonDuration(s.Blind), jsonDuration(s.Lead)}
	if err := json.Unmarshal(data, &x); err != nil {
		return err
	}
	*s = ShadowStatus(x.plainShadowStatus)
	s.OpenFor, s.Blind, s.Lead = time.Duration(x.OpenFor), time.Duration(x.Blind), time.Duration(x.Lead)
	return nil
}

// Shadow begins to judge the calls of the breaker by other settings as well,
// beside its own. The shadow rejects nothing and changes nothing: Shadows says
// what it would have done. A shadow with this name is replaced, and starts over.
//
// A shadow costs a call through Do some 12 ns, or with a window 17 ns, and through
// Allow and Done 27 ns more. Rules of the program (WithRule) and the cap on open
// breakers are not part of a shadow. The error matches ErrShadow, ErrName or
// ErrSettings.
func (b *Breaker) Shadow(name string, s Settings) error {
	return addShadow(b, name, s)
}

// Shadow is like Breaker.Shadow for every key of the set, including keys that are
// created later and keys with settings of their own. If no rule of a shadow has a
// window, a key is judged from its first failure on. When the set forgets a key,
// the shadows forget what they knew of it.
func (s *Set[K]) Shadow(name string, settings Settings) error {
	return addShadow(s, name, settings)
}

// Shadow is like Breaker.Shadow for every breaker and set, including those that
// are created later. If one of them has no room for it, nothing is changed.
func (m *Manager) Shadow(name string, s Settings) error {
	if err := checkShadow(name, s); err != nil {
		return err
	}
	m.changing.Lock()
	defer m.changing.Unlock()
	for _, x := range m.all() {
		if sh := x.conf().shadows.Load(); sh != nil && len(sh.list) >= MaxShadows && findShadow(sh.list, name) < 0 {
			return noRoom(x.Name())
		}
	}
	planned := m.plannedExcept(name)
	if len(planned) >= MaxShadows {
		return noRoom("the manager")
	}
	m.plan(append(planned, plannedShadow{name, s}))
	var err error
	for _, x := range m.all() {
		err = errors.Join(err, addShadow(x, name, s))
	}
	return err
}

// plannedShadow is a shadow of all members of a manager.
type plannedShadow struct {
	name     string
	settings Settings
}

// plannedExcept returns the shadows of all members, in a new slice, without the
// one of this name. m.changing is held.
func (m *Manager) plannedExcept(name string) []plannedShadow {
	return slices.DeleteFunc(slices.Clone(m.shadows), func(p plannedShadow) bool { return p.name == name })
}

// plan makes new members have these shadows. m.changing is held.
func (m *Manager) plan(all []plannedShadow) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shadows = all
}

// Unshadow removes a shadow, and reports whether there was one.
func (b *Breaker) Unshadow(name string) bool { return removeShadow(b, name, nil) }

// Unshadow removes a shadow, and reports whether there was one.
func (s *Set[K]) Unshadow(name string) bool { return removeShadow(s, name, nil) }

// Unshadow removes a shadow from every breaker and set, whether the manager or
// they themselves added it, and reports whether there was one.
func (m *Manager) Unshadow(name string) (removed bool) {
	m.changing.Lock()
	defer m.changing.Unlock()
	m.plan(m.plannedExcept(name))
	for _, x := range m.all() {
		removed = removeShadow(x, name, nil) || removed
	}
	return removed
}

// Shadows returns what the shadows would have done so far, in the order in which
// they were added. Those of a keyed breaker are those of its set.
func (b *Breaker) Shadows() []ShadowStatus {
	if b.cfg.owner != nil {
		return b.cfg.owner.Shadows()
	}
	return b.cfg.shadowStatus(slices.Values([]*Breaker{b}))
}

// Shadows returns what the shadows would have done so far, summed over the keys.
func (s *Set[K]) Shadows() []ShadowStatus {
	if sh := s.cfg.shadows.Load(); sh == nil || len(sh.list) == 0 {
		return nil // without a look at every key
	}
	return s.cfg.shadowStatus(s.walk(true))
}

// Shadows yields the name of each breaker and set that has shadows, and their
// status, in no particular order.
func (m *Manager) Shadows() iter.Seq2[string, []ShadowStatus] {
	return func(yield func(string, []ShadowStatus) bool) {
		for _, x := range m.all() {
			if all := x.Shadows(); len(all) > 0 && !yield(x.Name(), all) {
				return
			}
		}
	}
}

// Promote gives the breaker the settings of a shadow, as UpdateIf does. The shadow
// is removed, and for a day the settings from before are kept as the shadow
// BeforeShadow, which Promote puts back into effect. The error may also match
// ErrShadow; then nothing is changed.
func (b *Breaker) Promote(name string, version uint64) (Receipt, error) {
	return promote(b, name, version)
}

// Promote is like Breaker.Promote for the settings that the keys have in common.
// Keys with settings of their own keep them.
func (s *Set[K]) Promote(name string, version uint64) (Receipt, error) {
	return promote(s, name, version)
}

// shadowed is a breaker or a set, with its shadows.
type shadowed interface {
	Name() string
	Shadows() []ShadowStatus
	conf() *config
	// locked runs f with the lock held that guards the shadows. It brings what
	// depends on them up to date if f has stored others.
	locked(f func() error) error
	// updateLocked changes the settings.
	updateLocked(s Settings, version uint64) (Receipt, error)
}

func (b *Breaker) locked(f func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cfg.owner != nil {
		return fmt.Errorf("%w: %s is a key, want the shadows of its set, %s", ErrShadow, b.ID(), b.Name())
	}
	was := b.cfg.shadows.Load()
	err := f()
	if s := b.cfg.shadows.Load(); s != was {
		b.cfg.settings.Store(b.cfg.observed(b.cfg.settings.Load()))
		b.refreshLocked()
		b.watchLocked(s)
	}
	return err
}

func (s *Set[K]) locked(f func() error) error {
	s.cfg.mu.Lock()
	defer s.cfg.mu.Unlock()
	was := s.cfg.shadows.Load()
	err := f()
	if s.cfg.shadows.Load() != was {
		s.observeAllLocked()
	}
	return err
}

func checkShadow(name string, s Settings) error {
	if name == BeforeShadow {
		return fmt.Errorf("%w: %q is for the settings from before a promotion, want another name", ErrShadow, name)
	}
	if err := ValidateName(name); err != nil {
		return err
	}
	return s.Validate()
}

func noRoom(of string) error {
	return fmt.Errorf("%w: %s has %d already, want at most %d: remove one first", ErrShadow, of, MaxShadows, MaxShadows)
}

func findShadow(list []*shadow, name string) int {
	return slices.IndexFunc(list, func(s *shadow) bool { return s.name == name })
}

// addShadow adds a shadow, or replaces one.
func addShadow(to shadowed, name string, s Settings) error {
	if err := checkShadow(name, s); err != nil {
		return err
	}
	return to.locked(func() error { return to.conf().addShadowLocked(newShadow(to.conf(), name, s)) })
}

// newShadow returns a shadow that knows nothing yet.
func newShadow(c *config, name string, s Settings) *shadow {
	x := &shadow{name: name, since: c.clock.Now()}
	x.cfg = newConfig(c.name, s, []Option{WithoutHistory(), func(n *config) { n.clock, n.noTimers = c.clock, true }}, nil)
	// Windows of the same length move in step, so that equal settings decide alike.
	// Each has a clock of its own: reading one starts its timer.
	if r, real := x.cfg.program, c.settings.Load(); r.step != nil && real.step != nil && r.Window == real.Window {
		r.step.base = real.step.base
	}
	return x
}

// addShadowLocked adds a shadow to the list. The lock that guards it is held.
func (c *config) addShadowLocked(x *shadow) error {
	list := c.shadowList()
	if i := findShadow(list, x.name); i >= 0 {
		list[i] = x
	} else if list = append(list, x); len(list) > MaxShadows {
		return noRoom(c.name)
	}
	c.setShadowsLocked(list)
	return nil
}

// shadowList returns a copy of the list.
func (c *config) shadowList() []*shadow {
	if s := c.shadows.Load(); s != nil {
		return slices.Clone(s.list)
	}
	return nil
}

// setShadowsLocked replaces the list. The lock that guards it is held.
func (c *config) setShadowsLocked(list []*shadow) {
	n := &shadows{list: list}
	if was := c.shadows.Load(); was != nil {
		n.flights = was.flights
	} else {
		n.flights = new(flights)
	}
	for _, x := range list {
		n.always = n.always || x.cfg.program.flags&flagCounted != 0
	}
	c.shadows.Store(n)
}

// removeShadow removes the shadow with this name; if only is not nil, only that
// one.
func removeShadow(from shadowed, name string, only *shadow) (removed bool) {
	_ = from.locked(func() error { // it fails for a key, which has none
		list := from.conf().shadowList()
		i := findShadow(list, name)
		if removed = i >= 0 && (only == nil || list[i] == only); removed {
			from.conf().setShadowsLocked(slices.Delete(list, i, i+1))
		}
		return nil
	})
	return removed
}

// promote puts the settings of a shadow into effect.
func promote(of shadowed, name string, version uint64) (r Receipt, err error) {
	c := of.conf()
	err = of.locked(func() error {
		list := c.shadowList()
		i := findShadow(list, name)
		if i < 0 {
			return unknownShadow(of.Name(), name, list)
		}
		before := c.settings.Load().Settings
		if r, err = of.updateLocked(list[i].cfg.program.Settings, version); err != nil {
			return err
		}
		// Its place is free for the settings from before.
		list = slices.Delete(list, i, i+1)
		list = slices.DeleteFunc(list, func(s *shadow) bool { return s.name == BeforeShadow })
		x := newShadow(c, BeforeShadow, before)
		x.ends = x.since.Add(beforeLasts)
		c.clock.AfterFunc(beforeLasts, func() { removeShadow(of, BeforeShadow, x) })
		c.setShadowsLocked(append(list, x))
		return nil
	})
	return r, err
}

func unknownShadow(of, name string, list []*shadow) error {
	want := "it has none"
	for i, x := range list {
		if i == 0 {
			want = "want " + x.name
		} else {
			want += " or " + x.name
		}
	}
	return fmt.Errorf("%w: %s has no shadow %q, %s", ErrShadow, of, name, want)
}

// shadowStatus adds up what the judges of these breakers know.
func (c *config) shadowStatus(of iter.Seq[*Breaker]) []ShadowStatus {
	s := c.shadows.Load()
	if s == nil || len(s.list) == 0 {
		return nil
	}
	now := c.clock.Now()
	out := make([]ShadowStatus, len(s.list))
	for i, x := range s.list {
		st := &out[i]
		*st = ShadowStatus{
			Name: x.name, Settings: x.cfg.program.Settings, Since: x.since, Ends: x.ends, Trips: x.trips.Load(),
			OpenFor: time.Duration(x.openFor.Load()), Blind: time.Duration(x.blind.Load()),
			RealTrips: x.realTrips.Load(), Earlier: x.earlier.Load(), Lead: time.Duration(x.lead.Load()),
		}
		x.counts.each(func(n *cell) {
			st.Saw += n[shadowSaw].Load()
			st.RejectedGood += n[shadowRejectedGood].Load()
			st.RejectedBad += n[shadowRejectedBad].Load()
			st.RejectedOther += n[shadowRejected].Load()
			st.Refused += n[shadowRefused].Load()
			st.Missed += n[shadowMissed].Load()
		})
	}
	for b := range of {
		if b.cold.Load() == nil || b.cold.Load().shadows.Load() == nil {
			continue
		}
		b.mu.Lock()
		w := b.cold.Load().shadows.Load()
		for i, x := range s.list {
			j := w.judge(x)
			if j == nil {
				continue
			}
			if since := j.openSince.Load(); since != 0 {
				out[i].Open++
				// It may have opened after now was read.
				out[i].OpenFor += max(0, now.Sub(x.since)+1-time.Duration(since))
			}
			if !w.blindSince.IsZero() {
				out[i].Blind += max(0, now.Sub(later(w.blindSince, x.since)))
			}
		}
		b.mu.Unlock()
	}
	return out
}
