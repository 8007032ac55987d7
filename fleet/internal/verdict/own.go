package verdict

import (
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Own is a member's side of one breaker: what the breaker has counted, which
// verdict it is under, and the probe that it was armed for. The zero value is
// that of a new breaker.
type Own struct {
	Window Window

	// Stamp is the epoch that the evidence is younger than. Verdicts up to it
	// are about the past: they do not concern this stretch of closed (F2).
	Stamp Epoch
	Under Epoch // of the verdict that its open period is under; 0: none
	Probe Probe // the newest that it was armed for

	known              bool // to the coordinator: what became of Probe
	overruled, advised bool

	opened  uint64        // version of the transition that opened it; 0: it is closed
	ordered bool          // people opened it: nothing automatic touches that (I5)
	letGo   bool          // its scope was cleared, and it has not probed since
	tripped Evidence      // what its own rule opened it by; none: its own rule did not
	at      time.Duration // when it opened
	closed  time.Duration // when it closed
	was     bool          // it has closed: so this stretch did not begin with the process
	due     time.Duration // when it would probe if there were no fleet
	again   time.Duration // when it may try to open again, after the cap held it back
}

// Local is the breaker as the member finds it.
type Local struct {
	State   breaker.State // what its next call meets
	Auto    breaker.State // beneath an override
	Opened  uint64        // version of the transition that opened it, while Auto is not closed
	Cause   breaker.Cause // of that transition
	By      Evidence      // what that transition was decided by
	OpenFor time.Duration // its open time
	DueIn   time.Duration // while Auto is open: until a call may probe
	Probing bool          // a probe is out
	Passed  bool          // its last closing was by its own probes
	Rule    Rule
	Lease   time.Duration // after which a probe is taken for hung
	Reset   time.Duration // the breaker's own open time
}

// View is what a member has heard.
type View struct {
	Member  uint64
	Zone    string
	Heard   bool          // from the coordinator, in the last Silence beats
	Age     time.Duration // since then
	Advise  bool          // only watch
	Clock   Epoch         // the newest that it has ever heard of
	Subject *Subject      // nil: nothing is said of the breaker
	Draw    float64       // a random number in [0, 1), that members differ by
}

// Action is what the member does to its breaker now. The zero value: nothing.
type Action struct {
	// Open it for this long, because of Scope's verdict.
	Open  time.Duration
	Scope *Scope
	Zone  string // of Scope; "": the fleet
	// Hold moves the end of the open time to this long from now; 0: the next
	// call may probe.
	Hold    time.Duration
	Holding bool
}

// Scope is the verdict that concerns a member of the zone: the fleet's takes in
// those of its zones.
func (v *View) Scope() (x *Scope, zone string) {
	if v.Subject == nil || !v.Heard {
		return nil, ""
	}
	if v.Subject.Fleet.Open {
		return &v.Subject.Fleet, ""
	}
	if z := v.Subject.Zones[v.Zone]; z != nil && z.Open && v.Zone != "" {
		return z, v.Zone
	}
	return nil, ""
}

// since is the newest clearing that concerns the member.
func (v *View) since() (since Epoch) {
	if v.Subject == nil || !v.Heard {
		return 0
	}
	if z := v.Subject.Zones[v.Zone]; z != nil && v.Zone != "" {
		since = z.Since
	}
	return max(since, v.Subject.Fleet.Since)
}

// Add counts calls that ended. Only those of a closed breaker are evidence: a
// probe's result has a way of its own.
func (o *Own) Add(now time.Duration, e Evidence) {
	if o.opened == 0 {
		o.Window.Add(now, e)
	}
}

// Step takes in what the breaker did and what the fleet says, and decides what
// to do.
func (o *Own) Step(p *Params, now time.Duration, l *Local, v *View) Action {
	o.look(now, l, v)
	o.overruled, o.advised = false, false
	if !v.Heard {
		// The hold ends by itself, and all is as without a fleet (F6).
		o.Under, o.letGo = 0, false
		return Action{}
	}
	if since := v.since(); since > o.Stamp {
		// What went wrong before it does not count (F2). What went well still
		// keeps the next verdict from opening this breaker (F4).
		o.Window.Forgive()
		o.Stamp, o.tripped = since, Evidence{}
	}
	x, zone := v.Scope()
	// A coordinator that has gone on knows the result. It is kept nevertheless: if
	// the store loses that, the next coordinator may go on from a digest of before,
	// and must hear of it again (F7, F12).
	o.known = x == nil || x.Epoch != o.Probe.Epoch || x.Attempt != o.Probe.Attempt
	switch {
	case l.Auto == breaker.Closed:
		return o.judge(p, now, l, v, x, zone)
	case o.ordered:
		o.Under = 0
		return Action{}
	case x != nil && !v.Advise:
		// It joins a verdict that it opened beside, and the fleet's verdict takes
		// in its zone's.
		o.Under, o.letGo = x.Epoch, false
	case o.Under != 0:
		// The verdict is over. If it was cleared, the next call is this member's
		// own probe: only that closes the breaker (F5). If it is unknown, because
		// the fleet has lost its memory, the breaker waits as if it were alone.
		o.letGo = v.since() >= o.Under
		o.Under = 0
		if o.letGo && l.Auto == breaker.Open {
			return Action{Holding: true}
		}
		return Action{}
	}
	if o.Under == 0 || l.Auto != breaker.Open {
		return Action{}
	}
	return o.hold(p, now, l, v, x)
}

// look takes in what the breaker did since the last Step.
func (o *Own) look(now time.Duration, l *Local, v *View) {
	armed := o.Probe.Epoch == o.Under && o.Under != 0 && o.Probe.Result <= Running
	switch {
	case l.Auto == breaker.Closed:
		if o.opened == 0 {
			return
		}
		o.close(armed && l.Passed, now, v)
	case l.Opened != o.opened:
		if o.opened != 0 && l.Cause != breaker.CauseProbeFailed && l.Cause != breaker.CauseOrder {
			o.close(armed && l.Passed, now, v) // and it opened again, unseen
		}
		o.open(armed, now, l)
	case armed && l.Auto == breaker.HalfOpen:
		o.Probe.Result = NoProbe // also when its call was no evidence
		if l.Probing {
			o.Probe.Result = Running
		}
	}
}

// close begins a stretch of closed.
func (o *Own) close(passed bool, now time.Duration, v *View) {
	switch {
	case passed:
		o.Probe.Result = Passed
	case o.Probe.Result == Running:
		o.Probe.Result = NoProbe // people closed it
	}
	o.Window.Clear()
	o.Stamp, o.closed, o.was = max(o.Stamp, v.Clock), now, true
	o.Under, o.opened, o.tripped, o.ordered, o.letGo = 0, 0, Evidence{}, false, false
}

// open begins an open period, or another one after a probe that failed.
func (o *Own) open(armed bool, now time.Duration, l *Local) {
	o.ordered = l.Cause == breaker.CauseOrder
	switch {
	case o.ordered:
		o.Under, o.tripped, o.letGo = 0, Evidence{}, false
	case l.Cause == breaker.CauseProbeFailed:
		if armed {
			o.Probe.Result = Failed
		}
		// Of a member that is under no verdict this is evidence.
		o.tripped, o.letGo = o.tripped.Add(Evidence{Calls: 1, Failures: 1}), false
	case l.Cause == breaker.CauseFleet:
		o.tripped = Evidence{}
	default:
		o.tripped = l.By
	}
	o.opened, o.at, o.due = l.Opened, now, now+l.DueIn
	o.Window.Clear() // evidence belongs to one stretch of one state
}

// judge decides whether a closed breaker goes along with a verdict.
func (o *Own) judge(p *Params, now time.Duration, l *Local, v *View, x *Scope, zone string) Action {
	o.Under = 0
	if x != nil && o.was && x.OpenFor+v.Age >= now-o.closed {
		o.Stamp = max(o.Stamp, x.Epoch) // it closed after that verdict, and hears of it only now (F2)
	}
	if x == nil || x.Epoch <= o.Stamp || l.Rule.rate(x.Why.Kind) <= 0 {
		return Action{}
	}
	own := o.Window.Sums(now)[x.Why.Span]
	var near *Evidence
	if t, ok := x.Why.Zones[v.Zone]; ok && zone == "" {
		near = &t.Evidence
	}
	if !p.obeys(own, near, &x.Why.Tally.Evidence, x.Why.Kind, l.Rule.rate(x.Why.Kind)) {
		o.overruled = true // (F4)
		return Action{}
	}
	if v.Advise {
		o.advised = true
		return Action{}
	}
	if now < o.again {
		return Action{}
	}
	// It is held from the next Step on.
	return Action{Open: p.hold(v), Scope: x, Zone: zone}
}

// hold is how long a breaker is held open: a dead man's switch, which never
// reaches further than the patience of a member after it heard the fleet (F6).
// Members differ, so that they do not all probe at once when the fleet is gone.
func (p *Params) hold(v *View) time.Duration {
	return max(time.Millisecond, time.Duration((0.7+0.3*v.Draw)*float64(p.Patience()))-v.Age)
}

// HeldBack says that the breaker did not open: it moved by itself meanwhile, or
// the cap on open breakers holds it back.
func (o *Own) HeldBack(p *Params, now time.Duration) { o.again = now + p.Beat }

// Obeyed says that the breaker opened by the verdict of this epoch.
func (o *Own) Obeyed(under Epoch) { o.Under = under }

// hold keeps a breaker open that is under a verdict, or lets it go if its next
// call is to be the fleet's probe.
func (o *Own) hold(p *Params, now time.Duration, l *Local, v *View, x *Scope) Action {
	asked := Probe{Epoch: x.Epoch, Attempt: x.Attempt}
	if x.armed(v.Member) {
		if o.Probe.Epoch != asked.Epoch || o.Probe.Attempt != asked.Attempt {
			o.Probe = asked
		}
		if o.Probe.Result <= Running { // else its result is on its way to the coordinator
			return Action{Holding: l.DueIn > 0}
		}
	}
	// Or until it would probe by itself, if that is later. An arm of a lapsed
	// attempt ends here as well (F7).
	long := max(p.hold(v), o.due-now)
	if l.DueIn > long-p.Beat/2 && l.DueIn > 0 {
		return Action{}
	}
	return Action{Hold: long, Holding: true}
}

// Claim is what the member says of the breaker.
func (o *Own) Claim(id string, now time.Duration, l *Local) Claim {
	c := Claim{
		ID: id, State: l.State, Auto: l.Auto,
		Stamp: o.Stamp, Under: o.Under, Probe: o.Probe, Lease: l.Lease,
		Overruled: o.overruled, Advised: o.advised,
		Demand: o.Window.Demand(now), Rule: l.Rule,
	}
	if o.known && o.Probe.Result > Running {
		c.Probe = Probe{}
	}
	switch {
	case o.opened == 0:
		c.Spans = o.Window.Sums(now)
	case o.Under == 0 && o.tripped.Calls > 0 && !o.letGo:
		c.Tripped = true
		for i := range c.Spans {
			if now-o.at <= max(Spans[i], l.Reset) {
				c.Spans[i] = o.tripped
			}
		}
	}
	return c
}

// Quiet reports whether there is nothing to say of a breaker but that it is
// closed and well.
func (c *Claim) Quiet() bool {
	return c.Auto == breaker.Closed && c.State == breaker.Closed && c.Probe.Result == NoProbe && !c.worthKeeping()
}
