package breaker

import "time"

// Override is a state that people have put on top of the automatic state.
type Override struct {
	State   State     `json:"state"` // ForcedOpen or ForcedClosed
	Actor   string    `json:"actor,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since"`
	Expires time.Time `json:"expires,omitzero"` // zero: it stays until it is released
}

// Status is the state of a breaker at one moment. All fields were read
// together, under one lock.
type Status struct {
	ID   string `json:"id"` // Name, or Name/Key
	Name string `json:"name"`
	Key  string `json:"key,omitempty"`

	State    State     `json:"state"`              // the effective state: Override.State if there is an override, else Auto
	Auto     State     `json:"auto"`               // the automatic state
	Override *Override `json:"override,omitempty"` // nil if there is none
	Since    time.Time `json:"since,omitzero"`     // when State began; zero: when the breaker was created

	FailCount         int           `json:"fail_count"`                 // failures that count toward FailMax, see Breaker.FailCount
	FailuresUntilOpen int           `json:"failures_until_open"`        // while Auto is closed and FailMax is on, else -1
	UntilHalfOpen     time.Duration `json:"until_half_open"`            // while Auto is open: until a call may probe; 0: the next call may
	ProbesOut         int           `json:"probes_out,omitempty"`       // probes running now whose leases have not run out
	ProbeOutFor       time.Duration `json:"probe_out_for,omitempty"`    // how long the oldest probe without a result has been running
	UntilNextProbe    time.Duration `json:"until_next_probe,omitempty"` // while Auto is half-open: until another call may probe even if no probe ends; 0: the next call may
	ProbeSuccesses    int           `json:"probe_successes,omitempty"`  // successful probes so far in this half-open period
	Admitted          float64       `json:"admitted"`                   // share of calls admitted now; between 0 and 1 in a ramp
	Window            Counts        `json:"window,omitzero"`            // what the window holds
	Bypassed          uint64        `json:"bypassed,omitempty"`         // calls admitted because of WithBypass that would have been rejected
	Bypass            string        `json:"bypass,omitempty"`           // the reason of the newest of them
	Panics            uint64        `json:"panics,omitempty"`           // recovered panics in the program's functions; for a key, those of its whole set
	Trips             uint64        `json:"trips,omitempty"`            // automatic trips since the breaker was created
	TripsDay          int           `json:"trips_day,omitempty"`        // trips in the last 24 hours, rounded to the hour
	Flaps             int           `json:"flaps,omitempty"`            // changes of State in the last hour; 32 means 32 or more
	OpenFor           time.Duration `json:"open_for,omitempty"`         // total time open or forced open since the breaker was created
	Transition        *Transition   `json:"transition,omitempty"`       // the transition that began State; nil if there was none
	Opened            *Transition   `json:"opened,omitempty"`           // the last transition that opened the breaker, while Auto is not closed
	FailingSince      time.Time     `json:"failing_since,omitzero"`     // when the breaker tripped, if it has not closed since; zero: it is closed, or was opened by an order
	HeldBackSince     time.Time     `json:"held_back_since,omitzero"`   // since when a rule has been met while CapOpen keeps the breaker closed; zero: not now
	HeldBack          uint64        `json:"held_back,omitempty"`        // how many times CapOpen has done so
	Version           uint64        `json:"version"`                    // grows with every transition, order and change of settings; see Order.IfVersion for what it promises
	SettingsVersion   uint64        `json:"settings_version"`           // grows with every change of settings
	Settings          Settings      `json:"settings,omitzero"`          // in effect, with defaults filled in
	Links             *Links        `json:"links,omitempty"`            // see WithLinks
}

// Status returns the breaker's state at this moment.
func (b *Breaker) Status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.cfg.clock.Now()
	w := b.load()
	r := b.settings()
	units := b.unitsLocked(w, r)
	s := Status{
		ID: b.ID(), Name: b.cfg.name, Key: b.key,
		State: effective(w), Auto: stateOf(w),
		FailCount: r.failures(units), FailuresUntilOpen: -1,
		Admitted: 1, Panics: uint64(b.cfg.panics.Load()),
		Version: b.versionLocked(), SettingsVersion: r.version, Settings: r.Settings, Links: b.cfg.links,
	}
	if b.rowLapsedLocked(r, now) && stateOf(w) == Closed {
		s.FailCount = 0
	}
	if stateOf(w) == Closed && r.FailMax > 0 {
		// After an update, or while the cap holds the breaker back, the count
		// may be above FailMax: then the next failure opens.
		s.FailuresUntilOpen = max(1, (r.failLimit-units+r.failUnit-1)/r.failUnit)
		if s.FailCount == 0 {
			s.FailuresUntilOpen = r.FailMax
		}
	}
	if win := b.win.Load(); win != nil && stateOf(w) == Closed {
		s.Window = win.counts()
	}
	if c := b.cold.Load(); c != nil {
		c.statusLocked(&s, r, w, now)
	}
	switch {
	case s.State == ForcedOpen, s.State == Open && !b.probeDueLocked(w, now):
		s.Admitted = 0
	case s.State == ForcedClosed:
		s.Admitted = 1
	}
	return s
}

// statusLocked fills in what the cold part holds. mu is held.
func (c *cold) statusLocked(s *Status, r *compiled, w uint64, now time.Time) {
	s.Since, s.Transition, s.Opened, s.FailingSince = c.since, c.last, c.opened, c.failing
	s.Bypassed, s.Bypass = c.bypassed, c.bypass
	c.tally.status(s, now)
	s.Flaps = c.past.flaps(now)
	s.HeldBack = c.heldBack.count
	if c.heldBack.now(now, r.ResetTimeout) {
		s.HeldBackSince = c.heldBack.since
	}
	switch stateOf(w) {
	case Open:
		s.UntilHalfOpen = max(0, c.openUntil.Sub(now))
	case HalfOpen:
		s.ProbesOut, s.ProbeSuccesses = c.probes.live(now), c.successes
		if began := c.probes.oldest(); !began.IsZero() {
			s.ProbeOutFor = now.Sub(began)
		}
		s.UntilNextProbe = c.probes.nextFree(r.Probes, now).Sub(now)
	case Closed:
		if c.ramp != nil {
			s.Admitted = c.ramp.share(now)
		}
	}
	if c.override != nil {
		o := c.override.Override
		s.Override = &o
	}
}
