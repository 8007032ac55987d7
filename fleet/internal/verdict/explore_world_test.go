package verdict

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// world is a small fleet: three processes in two zones with one breaker each, a
// store, and two of the processes that may be coordinators, also both at once.
// Time passes in beats. A call is a burst: five that fail or twenty that succeed,
// so that two members are enough for a verdict, and two bursts for a member's own
// rule.
//
// A world is copied at each step, so all that its pointers and slices lead to is
// never changed in place.
type world struct {
	now     time.Duration
	seq     int // of steps, for the ghosts
	members [3]process
	store   store
	backup  *store // the store before it was last published to; nil: there will be no failover
	offices [2]*office
	late    *digest // the last but one, which may still be on its way
	nextID  uint64
	left    budget
	ghosts  ghosts
}

// store is what the store has. The order of reports is that of their members.
type store struct {
	reports []*report
	digest  *digest
	holder  int // index of the coordinator that has the lease, plus 1; 0: none
	term    uint64
	lease   time.Duration // when it ends
	terms   uint64        // the newest term
}

// report is one report of a member, and digest one of a coordinator.
type report struct {
	id, seq uint64
	pod     int
	zone    string
	clock   Epoch
	claim   Claim
	hash    uint64

	knew Probe // ghost: which attempt of which verdict the member knew of
	bad  int   // ghost: its newest bad call that counts
}

type digest struct {
	term, seq uint64
	k         *Coordinator
	hash      uint64
	made      int // ghost, as past is
	past      past
}

// office is a coordinator at work.
type office struct {
	term, seq uint64
	k         *Coordinator
	counted   time.Duration
	seen      []sighting // by report
	pending   *digest    // counted, and not published yet
	hash      uint64
	past      past         // ghost
	was       *Coordinator // ghost: when it was last published
}

type sighting struct {
	Presence
	*report
}

// process is one of the three. When it has crashed another member runs in its
// place, under the same name.
type process struct {
	id  uint64
	own Own

	// Its breaker.
	state   breaker.State
	row     int
	version uint64
	opened  uint64
	cause   breaker.Cause
	by      Evidence
	due     time.Duration // absolute
	probing bool
	passed  bool

	ear   Ear
	heard *digest
	clock Epoch
	told  uint64  // number of its newest report
	late  *report // the last but one, which may still be on its way

	ghost ghost
}

const (
	subject   = "db"
	resetTime = 8 * time.Second
	lease     = 10 * time.Second
)

var (
	worldRule = Rule{FailureRate: 0.5, Every: 2 * time.Second, Backoff: 1}
	zones     = [3]string{"a", "a", "b"}
	leaders   = [2]int{2, 0} // the processes that may be coordinators
	constants = Defaults()
)

func params() *Params { return &constants }

func newWorld() *world {
	w := &world{now: time.Minute, nextID: 1, backup: &store{}}
	for i := range w.members {
		w.members[i] = w.newProcess()
	}
	w.lead(0)
	return w
}

func (w *world) newProcess() process {
	w.nextID++
	return process{id: w.nextID - 1, version: 1}
}

func (w *world) clone() *world {
	x := *w
	return &x
}

func (m *process) local(now time.Duration) *Local {
	l := &Local{State: m.state, Auto: m.state, Rule: worldRule, Lease: lease, Reset: resetTime, Probing: m.probing, Passed: m.passed}
	if m.state != breaker.Closed {
		l.Opened, l.Cause, l.By = m.opened, m.cause, m.by
	}
	if m.state == breaker.Open {
		l.DueIn, l.OpenFor = max(0, m.due-now), resetTime
	}
	return l
}

func (w *world) move(i int, to breaker.State) {
	m := &w.members[i]
	m.version++
	m.state, m.probing, m.row = to, false, 0
	if to == breaker.Closed {
		m.ghost.closed(w)
		w.look(i)
	}
}

// look has the member see what its breaker did.
func (w *world) look(i int) {
	m := &w.members[i]
	m.own.look(w.now, m.local(w.now), w.view(i))
}

func (w *world) trip(i int, cause breaker.Cause, by Evidence, d time.Duration) {
	m := &w.members[i]
	w.move(i, breaker.Open)
	m.opened, m.cause, m.by, m.due = m.version, cause, by, w.now+d
	m.ghost.alone = m.due
	w.look(i)
}

// call is one burst of calls of a member.
func (w *world) call(i int, bad bool) {
	m := &w.members[i]
	switch m.state {
	case breaker.Closed:
		m.ghost.called(w, bad)
		if !bad {
			m.row = 0
			m.own.Window.Want(w.now, 20)
			m.own.Add(w.now, Evidence{Calls: 20})
			return
		}
		m.own.Window.Want(w.now, 5)
		m.own.Add(w.now, Evidence{Calls: 5, Failures: 5})
		if m.row++; m.row == 2 {
			w.trip(i, breaker.CauseConsecutive, Evidence{Calls: 10, Failures: 10}, resetTime)
		}
	case breaker.Open:
		m.own.Window.Want(w.now, 5)
		if w.now < m.due {
			return
		}
		m.version++
		m.state, m.probing = breaker.HalfOpen, true
		m.ghost.probe = m.ghost.armed
	case breaker.HalfOpen:
		if !m.probing {
			m.probing = true
			m.ghost.probe = m.ghost.armed
		}
	}
}

// end is the end of a member's probe.
func (w *world) end(i int, bad bool) {
	m := &w.members[i]
	if !m.probing {
		return
	}
	if bad {
		m.ghost.lastBad = w.seq
		w.trip(i, breaker.CauseProbeFailed, Evidence{}, resetTime)
	} else {
		m.passed = true
		w.move(i, breaker.Closed)
	}
	m.ghost.endedProbe(m, bad)
}

// beat is a member's: it hears, acts on that, and tells.
func (w *world) beat(i int, told, heard bool) {
	if heard && w.store.digest != nil {
		w.hear(i, w.store.digest, false)
	}
	w.react(i)
	m := &w.members[i]
	m.told++
	c := m.own.Claim(subject, w.now, m.local(w.now))
	if c.Quiet() {
		c = Claim{ID: subject, Well: true, Spans: c.Spans} // as reports have it
	}
	r := &report{id: m.id, seq: m.told, pod: i, zone: zones[i], clock: m.clock, claim: c, bad: m.evidence(zones[i])}
	if x, _ := w.view(i).Scope(); x != nil {
		r.knew = Probe{Epoch: x.Epoch, Attempt: x.Attempt}
	}
	r.hash = r.sum()
	if told {
		m.late = w.store.put(r)
	} else {
		m.late = r
	}
}

// put stores a report, and returns the one that was there.
func (s *store) put(r *report) (old *report) {
	s.reports = slices.Clone(s.reports)
	i, found := slices.BinarySearchFunc(s.reports, r.id, func(x *report, id uint64) int { return int(x.id) - int(id) })
	if !found {
		s.reports = slices.Insert(s.reports, i, r)
		return nil
	}
	old, s.reports[i] = s.reports[i], r
	return old
}

// hear has the member hear a digest.
func (w *world) hear(i int, d *digest, pushed bool) {
	m := &w.members[i]
	was := m.ear
	if !m.ear.Take(params(), w.now, d.term, d.seq, pushed) {
		return
	}
	w.checkHeard(i, d, &was)
	m.heard, m.clock = d, max(m.clock, d.k.Clock)
	m.ghost.made, m.ghost.past = d.made, d.past
}

func (w *world) view(i int) *View {
	m := &w.members[i]
	v := &View{Member: m.id, Zone: zones[i], Draw: float64(m.id%4) / 4}
	if m.ear.At == 0 {
		return v
	}
	v.Age = w.now - m.ear.At
	v.Heard = v.Age < params().Patience()
	v.Clock, v.Subject = m.clock, m.heard.k.Subjects[subject]
	return v
}

// react has the member take one step, and checks what it does.
func (w *world) react(i int) {
	m := &w.members[i]
	l, v := m.local(w.now), w.view(i)
	was := m.own.Under
	act := m.own.Step(params(), w.now, l, v)
	switch {
	case act.Open > 0:
		w.checkObeys(i, &act)
		if m.state != breaker.Closed {
			w.fail("a breaker that is %s was to open", m.state)
			return
		}
		w.trip(i, breaker.CauseFleet, Evidence{}, act.Open)
		m.own.Obeyed(act.Scope.Epoch)
		m.ghost.alone = w.now // without a fleet it would be closed
	case act.Holding && m.state == breaker.Open:
		m.due = w.now + act.Hold
		if act.Hold <= 0 {
			w.checkLetGo(i, was, v)
		}
	}
	w.checkReaction(i, &act, v)
}

// lead makes one of the two the coordinator, if the lease is free. It goes on from
// what its process heard last.
func (w *world) lead(j int) {
	if !w.free() {
		return
	}
	m := &w.members[leaders[j]]
	w.store.terms = max(w.store.terms, m.ear.Term) + 1
	w.store.term, w.store.holder, w.store.lease = w.store.terms, j+1, w.now+3*params().Beat
	o := &office{term: w.store.term, counted: w.now, k: &Coordinator{Params: *params()}}
	if m.heard != nil {
		o.k, o.past = m.heard.k, m.ghost.past
		if m.ear.At > 0 {
			o.counted = m.ear.At
		}
	}
	o.past.tenure, o.was = w.seq, o.k
	o.hash = o.sum()
	w.offices[j] = o
}

func (w *world) free() bool { return w.store.holder == 0 || w.now >= w.store.lease }

// count is a step of a coordinator, who publishes later.
func (w *world) count(j int) {
	was := w.offices[j]
	o := &office{term: was.term, seq: was.seq + 1, k: was.k.Clone(), counted: w.now, past: was.past, was: was.was}
	for _, r := range w.store.reports {
		s := sighting{report: r}
		if i := slices.IndexFunc(was.seen, func(s sighting) bool { return s.id == r.id }); i >= 0 {
			s = was.seen[i]
		}
		if s.Hear(w.now, r.id, r.seq) {
			s.report, s.Name = r, fmt.Sprint(r.pod)
		}
		o.seen = append(o.seen, s)
	}
	var members []Member
	var voices []*report
	for i := range o.seen {
		s := &o.seen[i]
		gone := s.Silent(params(), w.now)
		for j := range o.seen {
			gone = gone || s.Replaced(&o.seen[j].Presence)
		}
		if !gone {
			voices = append(voices, s.report)
			members = append(members, Member{ID: s.id, Zone: s.zone, Clock: s.clock, Claims: []Claim{s.claim}})
		}
	}
	o.k.Step(w.now-was.counted, members)
	w.checkCount(o, was, voices)
	o.k.Events = nil
	o.pending = &digest{term: o.term, seq: o.seq, k: o.k, made: w.seq, past: o.past}
	o.pending.hash = o.k.sum()
	o.hash = o.sum()
	w.offices[j] = o
}

// publish is fenced, as the store does it: a coordinator whose lease has passed
// publishes nothing, and is none any more (F8).
func (w *world) publish(j int) {
	o := *w.offices[j]
	if w.store.holder != j+1 || w.store.term != o.term || w.now >= w.store.lease {
		w.offices[j] = nil
		return
	}
	if w.backup != nil {
		backup := w.store
		w.backup = &backup
	}
	w.late = w.store.digest
	w.store.digest, w.store.lease = o.pending, w.now+3*params().Beat
	w.ghosts.published(&o)
	o.pending, o.was = nil, o.k
	o.hash = o.sum()
	w.offices[j] = &o
}

// crash is a process that starts again: another member of the same name. What it
// said stays in the store, and the lease goes on, if it was the coordinator.
func (w *world) crash(i int) {
	old := w.members[i].ghost
	w.members[i] = w.newProcess()
	w.members[i].ghost.lastBad = old.lastBad
	for j, leader := range leaders {
		if leader == i {
			w.offices[j] = nil
		}
	}
}

// flush loses all that the store has, and failover what was written last.
func (w *world) flush() { w.store, w.late = store{}, nil }

func (w *world) failover() { w.store, w.backup = *w.backup, nil }

// closeAll is an order for all, which each carries out, and the coordinator takes
// notice of.
func (w *world) closeAll() {
	for i := range w.members {
		if m := &w.members[i]; m.state != breaker.Closed {
			m.passed = false
			w.move(i, breaker.Closed)
		}
	}
	for j, was := range w.offices {
		if was == nil || was.k.Subjects[subject] == nil {
			continue
		}
		o := *was
		o.k = was.k.Clone()
		o.k.Clear(subject)
		o.past.cleared = [3]int{w.seq, w.seq, w.seq}
		w.ghosts.published(&o)
		o.k.Events = nil
		o.hash = o.sum()
		w.offices[j] = &o
	}
}

func scopes(s *Subject) map[string]*Scope {
	if s == nil {
		return nil
	}
	all := map[string]*Scope{"": &s.Fleet}
	maps.Copy(all, s.Zones)
	return all
}
