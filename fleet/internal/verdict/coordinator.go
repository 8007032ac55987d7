package verdict

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Limits of what a coordinator keeps (F11). What is beyond is left out, the
// least bad first.
const (
	MaxSubjects = 512
	MaxArms     = 64 // members armed for one attempt of a scope
	MaxZones    = 32 // zones of one subject with something to remember

	// retain is how long a subject is remembered of which no member says anything
	// bad: longer than the longest span, so that no evidence from before a
	// clearing outlives the memory of it (F2).
	retain = 2 * time.Minute
	// asked is how many beats a breaker is asked for before members that do not
	// mention it count as having nothing to say.
	asked = 2
)

// Coordinator adds up what the members say. It is a value in all but its maps:
// Clone copies it.
type Coordinator struct {
	Params
	Clock    Epoch // the newest epoch
	Subjects map[string]*Subject
	// Events are what the last Step decided, for the record.
	Events []Event
	// Busy: several members have something bad to say of one subject, so the
	// next Step should not wait for a beat.
	Busy    bool
	Omitted int // subjects that the last Step left out, as there were too many
	zones   int // that have members
}

// Subject is a breaker that is not plainly healthy in all processes.
type Subject struct {
	ID    string
	Fleet Scope
	Zones map[string]*Scope // by name; those with something to remember

	// Suspect is how long members are still asked to say what they know of it,
	// good or bad; Asked how long they have been.
	Suspect, Asked time.Duration
	idle           time.Duration // since anyone said anything bad
}

// Scope is whose evidence is pooled: a zone, or the whole fleet.
type Scope struct {
	// Since is the epoch of its last clearing. Older evidence does not count (F2).
	Since Epoch

	Open    bool
	Epoch   Epoch // of the verdict, while Open
	Attempt int   // probes of the fleet that failed
	Passed  int   // probes that passed, of Threshold, in this attempt
	Wait    time.Duration
	OpenFor time.Duration // since the verdict
	Rule    Rule          // the median of the members'
	Why     Why
	Arms    []Arm // members that were armed in this attempt
	Probe   Known // the probe that is known to run

	empty  time.Duration // for how long no member has been open under the verdict
	quiet  time.Duration // since a member was armed
	window time.Duration // left of the time in which members may still be opening
}

// Why is what decided.
type Why struct {
	Kind  Kind
	Span  int
	Rate  float64
	Tally Tally
	Zones map[string]Tally // for a verdict of the fleet
}

// Arm is a member whose next call is to be the fleet's probe.
type Arm struct {
	Member uint64
	Active bool // not disarmed since
	Done   bool // its probe has a result
}

// Known is a probe that is known to run. Member 0: none.
type Known struct {
	Member uint64
	Left   time.Duration // until it is taken for hung
}

// Event is a change of a scope.
type Event struct {
	ID    string
	Zone  string // "": the fleet
	What  What
	Epoch Epoch
	Scope Scope // after it
	By    uint64
}

// What happened.
type What uint8

// The events.
const (
	Opened What = iota + 1
	Cleared
	ProbeFailed
	ProbePassed
	Lapsed // no process was open any more, and the evidence is gone
)

// voice is a claim and whose it is.
type voice struct {
	*Claim
	member  uint64
	zone    string
	partial bool
}

// Step adds up what the members say, after elapsed since the last Step. It
// returns how long the next one may wait, if nothing new is heard before.
func (c *Coordinator) Step(elapsed time.Duration, members []Member) (next time.Duration) {
	if c.Subjects == nil {
		c.Subjects = map[string]*Subject{}
	}
	c.Events, c.Busy = nil, false
	by, partial := c.collect(members)
	next = c.Beat
	for _, id := range slices.Sorted(maps.Keys(c.Subjects)) {
		s := c.Subjects[id]
		voices := by[id]
		s.age(elapsed)
		bad := badVoices(voices)
		if bad >= 2 {
			c.Busy = true
			s.ask(partial, c.Patience())
		}
		next = min(next, c.judge(s, voices, elapsed))
		if bad > 0 || s.AnyOpen() {
			s.idle = 0
		} else if s.idle += elapsed; s.idle >= retain {
			delete(c.Subjects, id)
		}
	}
	c.limit()
	return max(next, 0)
}

// collect sorts the claims by subject, and makes the subjects that are new.
// partial says that some member could not say everything.
func (c *Coordinator) collect(members []Member) (by map[string][]voice, partial bool) {
	by = map[string][]voice{}
	zones := map[string]bool{}
	for i := range members {
		m := &members[i]
		zones[m.Zone] = true
		partial = partial || m.Partial
		for j := range m.Claims {
			cl := &m.Claims[j]
			if of := by[cl.ID]; len(of) > 0 && of[len(of)-1].member == m.ID {
				continue // it has one voice (F3)
			}
			by[cl.ID] = append(by[cl.ID], voice{cl, m.ID, m.Zone, m.Partial})
			if c.Subjects[cl.ID] == nil && cl.worthKeeping() {
				c.Subjects[cl.ID] = &Subject{ID: cl.ID}
			}
		}
	}
	c.zones = len(zones)
	c.Clock = clockOf(c.Clock, members)
	return by, partial
}

// clockOf is the newest epoch that there has been: a coordinator that remembers
// nothing takes it from members that do. What one member says alone moves it only so
// far, so that a liar cannot carry it where those who believed it would not be
// believed themselves (F3).
func clockOf(own Epoch, members []Member) Epoch {
	const far = 1 << 32
	var first, second Epoch
	for i := range members {
		switch k := members[i].Clock; {
		case k > first:
			first, second = k, first
		case k > second:
			second = k
		}
	}
	if first > own && first-own < far {
		return first
	}
	return max(own, second)
}

func (c *Claim) worthKeeping() bool {
	if c.Tripped || c.Under != 0 || c.Overruled || c.Advised {
		return true
	}
	for i := range c.Spans {
		if c.Spans[i].Failures > 0 || c.Spans[i].Slow > 0 {
			return true
		}
	}
	return false
}

func (s *Subject) age(elapsed time.Duration) {
	s.Suspect = max(0, s.Suspect-elapsed)
	if s.Suspect > 0 {
		s.Asked += elapsed
	} else {
		s.Asked = 0
	}
}

// ask makes the subject a suspect when two members have something bad to say of
// it, if members may know something of it that they do not say: of the keys of
// sets only those with evidence are counted. So a key that someone invented, and
// that fails at one process, concerns no other.
func (s *Subject) ask(partial bool, patience time.Duration) {
	if partial || strings.Contains(s.ID, "/") {
		s.Suspect = max(time.Minute, patience)
	}
}

func badVoices(voices []voice) (n int) {
	for _, v := range voices {
		if v.worthKeeping() {
			n++
		}
	}
	return n
}

// heard reports whether silence of a member means that it knows nothing.
func (c *Coordinator) heard(s *Subject) bool { return s.Suspect == 0 || s.Asked >= asked*c.Beat }

// judge looks at the scopes of a subject. The fleet's verdict takes in those of
// its zones: while it is open there are no others.
func (c *Coordinator) judge(s *Subject, voices []voice, elapsed time.Duration) (next time.Duration) {
	next = c.Beat
	if s.Fleet.Open {
		return c.stepOpen(s, "", &s.Fleet, voices, elapsed)
	}
	if c.heard(s) {
		if why, ok := c.findGuilty(voices, s.Fleet.Since, ""); ok {
			c.open(s, "", &s.Fleet, why, voices)
			for _, z := range s.Zones {
				// Those that it held open are the fleet's from now on. Since stays.
				*z = Scope{Since: z.Since}
			}
			return next
		}
	}
	for _, zone := range zonesOf(s, voices) {
		z := s.Zones[zone]
		of := inZone(voices, zone)
		if z != nil && z.Open {
			next = min(next, c.stepOpen(s, zone, z, of, elapsed))
			continue
		}
		if !c.heard(s) {
			continue
		}
		since := s.Fleet.Since
		if z != nil {
			since = max(since, z.Since)
		}
		why, ok := c.findGuilty(of, since, zone)
		if !ok || z == nil && len(s.Zones) >= MaxZones {
			continue
		}
		if z == nil {
			z = new(Scope)
			if s.Zones == nil {
				s.Zones = map[string]*Scope{}
			}
			s.Zones[zone] = z
		}
		c.open(s, zone, z, why, of)
	}
	return next
}

func zonesOf(s *Subject, voices []voice) []string {
	set := map[string]bool{}
	for _, v := range voices {
		set[v.zone] = true
	}
	for z := range s.Zones {
		set[z] = true
	}
	delete(set, "") // members without a zone count for the fleet alone
	return slices.Sorted(maps.Keys(set))
}

func inZone(voices []voice, zone string) (out []voice) {
	for _, v := range voices {
		if v.zone == zone {
			out = append(out, v)
		}
	}
	return out
}

// findGuilty looks for a span in which these voices are surely against the
// subject. Only evidence from after since counts (F2).
func (c *Coordinator) findGuilty(voices []voice, since Epoch, zone string) (why Why, ok bool) {
	for k := range kindCount {
		rate := medianRate(voices, k)
		if rate <= 0 {
			continue
		}
		for span := range SpanCount {
			w := c.tally(voices, since, k, span)
			w.Rate = rate
			if !c.guilty(&w.Tally, k, rate) {
				continue
			}
			// Where there are several zones, evidence from one of them says
			// nothing about the others: that is the zone's verdict.
			if zone == "" && c.zones > 1 && w.zonesAgainst() < 2 {
				continue
			}
			if zone != "" {
				w.Zones = nil
			}
			return w, true
		}
	}
	return Why{}, false
}

func (w *Why) zonesAgainst() (n int) {
	for _, t := range w.Zones {
		if t.Against > 0 {
			n++
		}
	}
	return n
}

func (c *Coordinator) tally(voices []voice, since Epoch, k Kind, span int) Why {
	w := Why{Kind: k, Span: span, Zones: map[string]Tally{}}
	for _, v := range voices {
		e := v.Spans[span].Capped(c.MaxCalls)
		if e.Calls == 0 || !v.counts(k, since) {
			continue
		}
		t := Tally{Evidence: e, Reporting: 1}
		if v.against(span, k) {
			t.Against = 1
		}
		w.Tally = w.Tally.add(t)
		w.Zones[v.zone] = w.Zones[v.zone].add(t)
	}
	return w
}

func (t Tally) add(o Tally) Tally {
	return Tally{t.Add(o.Evidence), t.Against + o.Against, t.Reporting + o.Reporting}
}

// medianRate is the limit that the sums are held to. Settings may differ from
// process to process; the median is one that half of them share, and no one
// process can choose it (F3).
func medianRate(voices []voice, k Kind) float64 {
	rates := make([]float64, 0, len(voices))
	for _, v := range voices {
		if r := v.Rule.rate(k); r > 0 {
			rates = append(rates, r)
		}
	}
	if len(rates) == 0 {
		return 0
	}
	slices.Sort(rates)
	return rates[len(rates)/2]
}

// medianRule is the open times of a scope, each the median of the members'.
func medianRule(voices []voice) (r Rule) {
	voices = slices.DeleteFunc(slices.Clone(voices), func(v voice) bool { return v.Well })
	if len(voices) == 0 {
		return r
	}
	by := func(f func(a, b *Rule) int) *Rule {
		sorted := slices.Clone(voices)
		slices.SortFunc(sorted, func(a, b voice) int { return f(&a.Rule, &b.Rule) })
		return &sorted[len(sorted)/2].Rule
	}
	r.Every = by(func(a, b *Rule) int { return cmp.Compare(a.Every, b.Every) }).Every
	r.Backoff = by(func(a, b *Rule) int { return cmp.Compare(a.Backoff, b.Backoff) }).Backoff
	r.Max = by(func(a, b *Rule) int { return cmp.Compare(a.Max, b.Max) }).Max
	return r
}

// open begins an epoch in which the scope is open.
func (c *Coordinator) open(s *Subject, zone string, x *Scope, why Why, voices []voice) {
	c.Clock++
	*x = Scope{Since: x.Since, Open: true, Epoch: c.Clock, Why: why, Rule: medianRule(voices), window: c.Patience()}
	x.Wait = x.Rule.openTime(0)
	c.event(s, zone, x, Opened, 0)
}

// clear begins an epoch in which the scope is as new: each member that it held
// open may probe by itself, and what was counted before does not count.
func (c *Coordinator) clear(s *Subject, zone string, x *Scope, what What, by uint64) {
	c.Clock++
	*x = Scope{Since: c.Clock}
	c.event(s, zone, x, what, by)
}

// Clear is an order to close: old evidence must not undo it.
func (c *Coordinator) Clear(id string) {
	s := c.Subjects[id]
	if s == nil {
		return
	}
	c.clear(s, "", &s.Fleet, Cleared, 0)
	s.Zones = nil // the fleet's Since is theirs
}

func (c *Coordinator) event(s *Subject, zone string, x *Scope, what What, by uint64) {
	c.Events = append(c.Events, Event{ID: s.ID, Zone: zone, What: what, Epoch: c.Clock, Scope: x.clone(), By: by})
}

// limit drops subjects beyond MaxSubjects: never one that is open while there are
// others.
func (c *Coordinator) limit() {
	if c.Omitted = max(0, len(c.Subjects)-MaxSubjects); c.Omitted == 0 {
		return
	}
	all := slices.Collect(maps.Values(c.Subjects))
	slices.SortFunc(all, func(a, b *Subject) int {
		return cmp.Or(cmp.Compare(b.weight(), a.weight()), cmp.Compare(a.idle, b.idle), cmp.Compare(a.ID, b.ID))
	})
	for _, s := range all[MaxSubjects:] {
		delete(c.Subjects, s.ID)
	}
}

func (s *Subject) weight() int {
	switch {
	case s.AnyOpen():
		return 3
	case s.Fleet.Since > 0 || len(s.Zones) > 0:
		return 2
	case s.Suspect > 0:
		return 1
	}
	return 0
}

// AnyOpen reports whether some scope is open.
func (s *Subject) AnyOpen() bool {
	if s.Fleet.Open {
		return true
	}
	for _, z := range s.Zones {
		if z.Open {
			return true
		}
	}
	return false
}

// Published reports whether the subject is in the digest.
func (s *Subject) Published() bool { return s.weight() > 0 }

// Clone copies the coordinator.
func (c *Coordinator) Clone() *Coordinator {
	d := *c
	d.Subjects = make(map[string]*Subject, len(c.Subjects))
	for id, s := range c.Subjects {
		x := *s
		x.Fleet = s.Fleet.clone()
		if s.Zones != nil {
			x.Zones = make(map[string]*Scope, len(s.Zones))
			for z, scope := range s.Zones {
				y := scope.clone()
				x.Zones[z] = &y
			}
		}
		d.Subjects[id] = &x
	}
	return &d
}

func (x *Scope) clone() Scope {
	y := *x
	y.Arms = slices.Clone(x.Arms)
	y.Why.Zones = maps.Clone(x.Why.Zones)
	return y
}
