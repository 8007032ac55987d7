package breaker

import "time"

// Override is a state that people put on top of the automatic one.
type Override struct {
	State   State     `json:"state"` // ForcedOpen or ForcedClosed
	Actor   string    `json:"actor,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since"`
	Expires time.Time `json:"expires,omitzero"` // zero: until it is released
}

// Status is a breaker at one moment. All of it was read together.
type Status struct {
	ID   string `json:"id"` // Name, or Name/Key
	Name string `json:"name"`
	Key  string `json:"key,omitempty"`

	State    State     `json:"state"` // what the next call meets: Override's if there is one, else Auto
	Auto     State     `json:"auto"`
	Override *Override `json:"override,omitempty"`
	Since    time.Time `json:"since,omitzero"` // when State began; zero: since it was made

	FailCount         int           `json:"fail_count"`                 // consecutive failures, see Breaker.FailCount
	FailuresUntilOpen int           `json:"failures_until_open"`        // while Auto is closed and the consecutive rule is on, else -1
	UntilHalfOpen     time.Duration `json:"until_half_open"`            // while Auto is open: time until a call may probe, 0: the next one may
	ProbesOut         int           `json:"probes_out,omitempty"`       // probes in flight that hold a place
	ProbeOutFor       time.Duration `json:"probe_out_for,omitempty"`    // how long the first of the probes that have not reported has been out
	UntilNextProbe    time.Duration `json:"until_next_probe,omitempty"` // while Auto is half-open: time until another may go, should those that are out not report; 0: one may
	ProbeSuccesses    int           `json:"probe_successes,omitempty"`  // successes so far in this half-open
	Admitted          float64       `json:"admitted"`                   // share of calls admitted now: below 1 in a ramp
	Window            Counts        `json:"window,omitzero"`            // what the window of the rates holds
	Bypassed          uint64        `json:"bypassed,omitempty"`         // calls let through by WithBypass while it rejected
	Bypass            string        `json:"bypass,omitempty"`           // the reason of the newest of them
	Panics            uint64        `json:"panics,omitempty"`           // panics of the program's functions, recovered; for a key, those of its whole set
	Trips             uint64        `json:"trips,omitempty"`            // times it opened by itself since it was made
	TripsDay          int           `json:"trips_day,omitempty"`        // those of the last 24 hours, to the hour
	Flaps             int           `json:"flaps,omitempty"`            // changes of State in the last hour; 32 means 32 or more
	OpenFor           time.Duration `json:"open_for,omitempty"`         // time it has been open or forced open since it was made
	Transition        *Transition   `json:"transition,omitempty"`       // the transition that began State; nil: none yet
	Opened            *Transition   `json:"opened,omitempty"`           // the transition that opened it, while Auto is not closed
	FailingSince      time.Time     `json:"failing_since,omitzero"`     // when it opened by itself and has not closed since; zero: it is closed, or was opened by order
	HeldBackSince     time.Time     `json:"held_back_since,omitzero"`   // since when a rule is met and CapOpen keeps it closed
	HeldBack          uint64        `json:"held_back,omitempty"`        // times that CapOpen did so
	Version           uint64        `json:"version"`                    // grows with every transition, order and change of settings
	SettingsVersion   uint64        `json:"settings_version"`           // grows with every change of settings
	Settings          Settings      `json:"settings,omitzero"`          // in effect, defaults filled in
	Links             *Links        `json:"links,omitempty"`            // see WithLinks
}

// Status is the breaker at this moment.
func (b *Breaker) Status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.cfg.clock.Now()
	w := b.load()
	r := b.settings()
	s := Status{
		ID: b.ID(), Name: b.cfg.name, Key: b.key,
		State: effective(w), Auto: stateOf(w),
		FailCount: r.failures(unitsOf(w)), FailuresUntilOpen: -1,
		Admitted: 1, Panics: uint64(b.cfg.panics.Load()),
		Version: b.versionLocked(), SettingsVersion: r.version, Settings: r.Settings, Links: b.cfg.links,
	}
	if b.rowLapsedLocked(r, now) && stateOf(w) == Closed {
		s.FailCount = 0
	}
	if stateOf(w) == Closed && r.FailMax > 0 {
		// An update, or the cap, may have left more than FailMax.
		s.FailuresUntilOpen = max(1, (r.failLimit-unitsOf(w)+r.failUnit-1)/r.failUnit)
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

// statusLocked adds what the cold part knows. mu is held.
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
