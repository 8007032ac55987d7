package verdict

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// world is a small fleet: three members in two zones with one breaker each, one
// coordinator, and a store that keeps what it was told last. Time passes in
// beats. A call is a burst: five that fail or twenty that succeed, so that two
// members are enough for a verdict, and two bursts for a member's own rule.
type world struct {
	now                                                        time.Duration
	seq                                                        int // of steps, for the ghosts
	members                                                    []*process
	reports                                                    map[uint64]Claim // as the store has them
	digest                                                     *Coordinator     // as the store has it; nil: none
	made                                                       int              // when the digest was made
	counter                                                    *Coordinator
	counted                                                    time.Duration
	nextID                                                     uint64
	crashes, flushes, takeovers, orders, bursts, ticks, losses int // so many so far

	// Ghosts: what really happened, for the checks.
	cleared map[string]int // zone -> when its scope was cleared last
	begun   map[Epoch]int  // when the verdict of an epoch was decided
	over    map[Epoch]bool // verdicts whose scope was cleared, or taken in
	broken  string         // the first invariant that does not hold
}

type process struct {
	id   uint64
	zone string
	own  Own

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

	heard   *Coordinator
	clock   Epoch
	made    int
	heardAt time.Duration
	never   bool // it has heard nothing yet

	// Ghosts.
	alone     time.Duration // when it would probe without a fleet
	lastBad   int
	closedAt  int
	calls     []burst
	armedFor  Probe
	probeFor  Probe
	results   map[Probe]Result
	resultAt  int
	toldAt    int
	toldClock Epoch // of its newest report
}

type burst struct {
	at  time.Duration
	bad bool
}

const (
	subject   = "db"
	resetTime = 8 * time.Second
	lease     = 10 * time.Second
)

var worldRule = Rule{FailureRate: 0.5, Every: 2 * time.Second, Backoff: 1}

func params() *Params { p := Defaults(); return &p }

func newWorld() *world {
	w := &world{
		reports: map[uint64]Claim{}, cleared: map[string]int{}, begun: map[Epoch]int{}, over: map[Epoch]bool{},
		counter: &Coordinator{Params: Defaults()}, now: time.Minute, counted: time.Minute, nextID: 1,
	}
	for _, z := range []string{"a", "a", "b"} {
		w.members = append(w.members, w.newProcess(z))
	}
	return w
}

func (w *world) newProcess(zone string) *process {
	w.nextID++
	return &process{id: w.nextID - 1, zone: zone, never: true, version: 1, results: map[Probe]Result{}}
}

func (w *world) clone() *world {
	x := *w
	x.members = make([]*process, len(w.members))
	for i, m := range w.members {
		n := *m
		n.calls, n.results = slices.Clone(m.calls), maps.Clone(m.results)
		x.members[i] = &n
	}
	x.reports, x.cleared, x.begun, x.over = maps.Clone(w.reports), maps.Clone(w.cleared), maps.Clone(w.begun), maps.Clone(w.over)
	x.counter = w.counter.Clone() // digests are never changed in place
	return &x
}

func (w *world) fail(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
	}
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

func (m *process) move(w *world, to breaker.State) {
	m.version++
	m.state, m.probing, m.row = to, false, 0
	if to == breaker.Closed {
		m.closedAt, m.calls, m.alone = w.seq, nil, 0
		m.look(w)
	}
}

// look has the member see what its breaker did.
func (m *process) look(w *world) { m.own.look(w.now, m.local(w.now), w.view(m)) }

func (m *process) trip(w *world, cause breaker.Cause, by Evidence, d time.Duration) {
	m.move(w, breaker.Open)
	m.opened, m.cause, m.by, m.due = m.version, cause, by, w.now+d
	m.alone = m.due
	m.look(w)
}

// call is one burst of calls of a member.
func (w *world) call(m *process, bad bool) {
	switch m.state {
	case breaker.Closed:
		m.calls = append(m.calls, burst{w.now, bad})
		if !bad {
			m.row = 0
			m.own.Window.Want(w.now, 20)
			m.own.Add(w.now, Evidence{Calls: 20})
			return
		}
		m.lastBad = w.seq
		m.own.Window.Want(w.now, 5)
		m.own.Add(w.now, Evidence{Calls: 5, Failures: 5})
		if m.row++; m.row == 2 {
			m.trip(w, breaker.CauseConsecutive, Evidence{Calls: 10, Failures: 10}, resetTime)
		}
	case breaker.Open:
		m.own.Window.Want(w.now, 5)
		if w.now < m.due {
			return
		}
		m.version++
		m.state, m.probing = breaker.HalfOpen, true
		m.probeFor = m.armedFor
	case breaker.HalfOpen:
		if !m.probing {
			m.probing, m.probeFor = true, m.armedFor
		}
	}
}

// end is the end of a member's probe.
func (w *world) end(m *process, bad bool) {
	if !m.probing {
		return
	}
	result := Passed
	if bad {
		result = Failed
		m.lastBad = w.seq
		m.trip(w, breaker.CauseProbeFailed, Evidence{}, resetTime)
	} else {
		m.passed = true
		m.move(w, breaker.Closed)
	}
	if m.probeFor.Epoch != 0 && m.probeFor == m.armedFor {
		m.results[m.probeFor], m.resultAt = result, w.seq
	}
	m.armedFor, m.probeFor = Probe{}, Probe{}
}

// beat is a member's: it acts on what it heard, tells, and hears.
func (w *world) beat(m *process, told, heard bool) {
	if heard && w.digest != nil {
		m.heard, m.made, m.heardAt, m.never = w.digest, w.made, w.now, false
		m.clock = max(m.clock, w.digest.Clock)
	}
	w.react(m)
	if told {
		c := m.own.Claim(subject, w.now, m.local(w.now))
		if c.Quiet() {
			c = Claim{ID: subject, Well: true, Spans: c.Spans} // as reports have it
		}
		w.reports[m.id], m.toldAt, m.toldClock = c, w.seq, m.clock
	}
}

func (w *world) view(m *process) *View {
	v := &View{Member: m.id, Zone: m.zone, Draw: float64(m.id%4) / 4}
	if m.never {
		return v
	}
	v.Age = w.now - m.heardAt
	v.Heard = v.Age < params().Patience()
	v.Clock, v.Subject = m.clock, m.heard.Subjects[subject]
	return v
}

// react has the member take one step, and checks what it does.
func (w *world) react(m *process) {
	l, v := m.local(w.now), w.view(m)
	was := m.own.Under
	act := m.own.Step(params(), w.now, l, v)
	x, _ := v.Scope()
	switch {
	case act.Open > 0:
		w.checkObeys(m, act.Scope)
		if m.state != breaker.Closed {
			w.fail("a breaker that is %s was to open", m.state)
			return
		}
		m.trip(w, breaker.CauseFleet, Evidence{}, act.Open)
		m.own.Obeyed(act.Scope.Epoch)
		m.alone = w.now // without a fleet it would be closed
	case act.Holding && m.state == breaker.Open:
		m.due = w.now + act.Hold
		if act.Hold <= 0 {
			w.checkLetGo(m, was, x)
		}
	}
	if m.state == breaker.Open && x != nil && x.armed(m.id) && m.own.Probe == (Probe{Epoch: x.Epoch, Attempt: x.Attempt}) {
		m.armedFor = m.own.Probe // its next call is due, whether it was let go or held no longer
	}
	if !v.Heard && m.own.Under != 0 {
		w.fail("F6: alone, and under the verdict of epoch %d", m.own.Under)
	}
	if x != nil && v.Heard && m.state == breaker.Open && m.cause != breaker.CauseOrder && act.Open == 0 && m.own.Under != x.Epoch {
		w.fail("F7: open beside the verdict of epoch %d, and did not join", x.Epoch)
	}
	if limit := max(m.alone, m.heardAt+params().Patience()); m.state == breaker.Open && m.due > limit {
		w.fail("F6: held for %s, %s after it heard the fleet", m.due-w.now, w.now-m.heardAt)
	}
}

// checkObeys: a member that opens for a verdict.
func (w *world) checkObeys(m *process, x *Scope) {
	calls, bad := 0, 0
	for _, b := range m.calls {
		if w.now-b.at <= Spans[x.Why.Span]*7/8 { // whatever the step under way
			if b.bad {
				calls, bad = calls+5, bad+5
			} else {
				calls += 20
			}
		}
	}
	if calls >= 20 && bad == 0 {
		w.fail("F4: opened against its own evidence, %d calls without a failure", calls)
	}
	if m.closedAt > w.begun[x.Epoch] && m.made > m.closedAt {
		w.fail("F2: opened by the verdict of epoch %d, which is older than its stretch of closed", x.Epoch)
	}
	if w.over[x.Epoch] && m.made > w.seq {
		w.fail("opened by a verdict that is over")
	}
}

// checkLetGo: a member whose next call may probe at once.
func (w *world) checkLetGo(m *process, under Epoch, x *Scope) {
	if x != nil {
		if !x.armed(m.id) {
			w.fail("F7: let go without being armed")
		}
		return
	}
	if !w.over[under] {
		w.fail("F12: let go although the verdict of epoch %d was never cleared", under)
	}
}

// count is a step of the coordinator, which publishes.
func (w *world) count() {
	c := w.counter
	var members []Member
	running := map[uint64]Probe{}
	for _, m := range w.members {
		if cl, ok := w.reports[m.id]; ok {
			members = append(members, Member{ID: m.id, Zone: m.zone, Clock: m.toldClock, Claims: []Claim{cl}})
			if cl.Probe.Result == Running {
				running[m.id] = cl.Probe
			}
		}
	}
	before := c.Clone()
	c.Step(w.now-w.counted, members)
	w.counted = w.now
	for _, e := range c.Events {
		w.checkEvent(&e)
	}
	if s := c.Subjects[subject]; s != nil {
		w.checkSubject(s, before.Subjects[subject], running)
	}
	w.digest, w.made = c.Clone(), w.seq
}

// has reports whether the store has a report of the member.
func (w *world) has(m *process) bool {
	_, ok := w.reports[m.id]
	return ok
}

func (w *world) checkEvent(e *Event) {
	switch e.What {
	case Opened:
		if _, twice := w.begun[e.Epoch]; twice {
			w.fail("F2: epoch %d begins twice", e.Epoch)
		}
		w.begun[e.Epoch] = w.seq
		against := 0
		for _, m := range w.members {
			if (e.Zone == "" || m.zone == e.Zone) && m.lastBad > max(w.cleared[""], w.cleared[e.Zone]) {
				against++
			}
		}
		if against < 2 {
			w.fail("F2, F3: %q opened by the evidence of %d members since its clearing", e.Zone, against)
		}
	case ProbeFailed:
		w.checkResult(e, Failed, Probe{Epoch: e.Scope.Epoch, Attempt: e.Scope.Attempt - 1})
	case Cleared, Lapsed:
		w.cleared[e.Zone] = w.seq
	}
}

// checkResult: a result is that of a probe that this member was let go for.
func (w *world) checkResult(e *Event, want Result, p Probe) {
	for _, m := range w.members {
		if m.id == e.By && m.results[p] != want {
			w.fail("F2: the result of the probe of epoch %d, attempt %d, is no result of it", p.Epoch, p.Attempt)
		}
	}
}

func (w *world) checkSubject(s, before *Subject, running map[uint64]Probe) {
	scopes := map[string]*Scope{"": &s.Fleet}
	maps.Copy(scopes, s.Zones)
	for zone, x := range scopes {
		if zone != "" && x.Open && s.Fleet.Open {
			w.fail("the verdict of zone %q lives beside the fleet's", zone)
		}
		var old *Scope
		if before != nil {
			if old = &before.Fleet; zone != "" {
				old = before.Zones[zone]
			}
		}
		if old == nil || !old.Open {
			continue
		}
		if x.Epoch != old.Epoch {
			w.over[old.Epoch] = true
			for _, e := range w.counter.Events {
				if e.What == Cleared && e.Zone == zone && e.By != 0 {
					w.checkResult(&e, Passed, Probe{Epoch: old.Epoch, Attempt: old.Attempt})
				}
			}
			continue
		}
		for _, m := range w.members {
			i := slices.IndexFunc(old.Arms, func(a Arm) bool { return a.Member == m.id && !a.Done })
			if r := m.results[Probe{Epoch: x.Epoch, Attempt: x.Attempt}]; i >= 0 && r != NoProbe && m.toldAt > m.resultAt && w.has(m) && !w.over[x.Epoch] {
				w.fail("F7: member %d told that its probe ended, and the verdict of epoch %d goes on", m.id, x.Epoch)
			}
		}
		// No new arm while a probe is known to run.
		known := false
		for id, p := range running {
			known = known || p.Epoch == x.Epoch && p.Attempt == x.Attempt && x.Probe.Member == id && x.Probe.Left > 0
		}
		if known && len(x.active()) > 1 {
			w.fail("F7: %d members are armed while a probe is known to run", len(x.active()))
		}
		for id, p := range running {
			i := slices.IndexFunc(old.Arms, func(a Arm) bool { return a.Member == id && !a.Done })
			if p.Epoch == x.Epoch && p.Attempt == x.Attempt && i >= 0 && x.Probe.Member == 0 && old.Probe.Member == 0 {
				w.fail("F7: a probe runs, and the coordinator does not know")
			}
		}
	}
}

// crash is a process that starts again: another member.
func (w *world) crash(i int) {
	delete(w.reports, w.members[i].id)
	n := w.newProcess(w.members[i].zone)
	w.members[i] = n
}

// replace has another coordinator go on from what the store has, or from what
// its own process heard last.
func (w *world) replace(by *process) {
	from := w.digest
	if from == nil {
		from = by.heard
	}
	w.counter = &Coordinator{Params: Defaults()}
	if from != nil {
		w.counter = from.Clone()
	}
	w.counted = w.now
}

func (w *world) flush() {
	w.digest, w.reports = nil, map[uint64]Claim{}
}

// order is a person's, to close a member's breaker.
func (w *world) order(m *process) {
	if m.state != breaker.Closed {
		m.passed = false
		m.move(w, breaker.Closed)
	}
}

// key is the state without the ghosts that only tell time.
func (w *world) key() string {
	var b []byte
	b = fmt.Appendf(b, "%d %v %v|", w.now, w.bursts, w.reports)
	for _, m := range w.members {
		b = fmt.Appendf(b, "%d %d %d %d %v %d %v %v|", m.state, m.row, m.due-w.now, m.heardAt, m.probing, m.opened, m.own, m.heard != nil && m.heard == w.digest)
		if m.heard != nil {
			b = appendCoordinator(b, m.heard)
		}
	}
	b = appendCoordinator(b, w.counter)
	if w.digest != nil {
		b = appendCoordinator(b, w.digest)
	}
	return string(b)
}

func appendCoordinator(b []byte, c *Coordinator) []byte {
	b = fmt.Appendf(b, "%d", c.Clock)
	if s := c.Subjects[subject]; s != nil {
		b = fmt.Appendf(b, "%v", s.Fleet)
		for _, z := range slices.Sorted(maps.Keys(s.Zones)) {
			b = fmt.Appendf(b, "%s%v", z, *s.Zones[z])
		}
	}
	return b
}
