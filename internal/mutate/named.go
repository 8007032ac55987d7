package main

// named is a change that a careless hand could make, each against an
// invariant. The explorer must notice every one.
type named struct {
	name string // what is wrong with it
	file string // in breaker/
	old  string // occurs there once
	new  string
}

var mutants = []named{
	{"I1: generation not compared", "settle.go", "	return genOf(w) == genOf(p.word)\n", "	return true\n"},
	{"I1: a move keeps the generation", "move.go", "gen := b.cfg.gens.Add(1)", "gen := genOf(old)"},
	{"I1: a quick success of another generation counts", "settle.go", "if genOf(w) != genOf(p.word) && p.tag&tagLate == 0 {\n		return true", "if false {\n		return true"},
	{"I1: a successor takes permits of every stretch", "settle.go", "if !ofLast || int32(genOf(p.word)-goneAt) > 0 {", "if false {"},
	{"I1: a breaker comes back with its old generation", "store.go", "if int32(floor-c.goneAt) > 0 {", "if false {"},
	{"I2: a lease never ends", "probes.go", "p.out = append(p.out, lease{p.last, now.Add(timeout)})", "p.out = append(p.out, lease{p.last, now.Add(timeout * 1000)})"},
	{"I2: a probe without evidence keeps its permit", "settle.go", "	var now time.Time // most outcomes need none\n", "	if o == Ignored {\n		return false, Counts{}\n	}\n	var now time.Time\n"},
	{"I2: a new half-open begins with the old leases", "move.go", "	c.probes.clear()\n", ""},
	{"I2: the open time is never over", "reject.go", "	b.setWord(w | flagDue)\n", "	b.setWord(w)\n"},
	{"I2: the open time is over only by a timer", "reject.go", "c.dueTimer == nil && !now.Before(c.openUntil)", "c == nil"},
	{"I2: a rejection sets no timer", "reject.go", "c.dueTimer = time.AfterFunc(time.Until(c.openUntil), func() { b.due(gen) })", "_ = gen"},
	{"an open breaker admits before its time", "reject.go", "c.dueTimer == nil && !now.Before(c.openUntil)", "c.dueTimer == nil"},
	{"the end of an open time leaves the breaker shut", "reject.go", "		w &^= flagShut\n", ""},
	{"a force-close leaves the breaker shut", "override.go", "b.edit(overrideMask, overrideFlag(s))", "b.edit(flagForcedOpen|flagForcedClosed, overrideFlag(s))"},
	{"I2: a late probe decides", "probes.go", "return now.Before(l.ends)\n		}", "return true\n		}"},
	{"I3: one probe too many", "probes.go", "if len(live) >= limit {", "if len(live) > limit {"},
	{"I3: nobody looks at the limit", "probes.go", "if len(live) >= limit {", "if false {"},
	{"I4: no evidence counts as success", "settle.go", "	if o == Ignored {\n		return false, Counts{} // (I4)\n	}\n", ""},
	{"I1: a plain failure counts for any generation", "lockfree.go", " || !p.belongs(w) {", " {"},
	{"I8: a set forgets what is forced open", "word.go", "evidenceMask = stateMask | flagForcedOpen |", "evidenceMask = stateMask |"},
	{"I4: no evidence ends a row of failures", "lockfree.go", "case Success:", "case Success, Ignored:"},
	{"I11: the failure that opens is counted as a plain one", "lockfree.go", "failsOf(w)+1+keptErrors > r.FailMax", "failsOf(w) > r.FailMax"},
	{"I11: a plain failure counts behind a window's back", "lockfree.go", " || r.flags&flagCounted != 0", ""},
	{"I5: a trip lifts the override", "move.go", "c.overrideFlag() |\n", "0 |\n"},
	{"I5: an override's end fires after its replacement", "override.go", "if c := b.cold.Load(); c.override == o {\n		b.liftLocked", "if c := b.cold.Load(); c.override != nil {\n		b.liftLocked"},
	{"I5: the end of an open time counts for the next one", "reject.go", "if genOf(w) != gen || stateOf(w) != Open {", "if stateOf(w) != Open {"},
	{"I5: an order lengthens the backoff", "next.go", "		a.state, a.oks = Open, 0\n		return a, d\n", "		a.state, a.oks = Open, 0\n		a.attempt++\n		return a, d\n"},
	{"I5: an order leaves the override on", "order.go", "	b.stopOverrideLocked()\n	b.stepLocked(&e, now, t)\n", "	b.stepLocked(&e, now, t)\n"},
	{"I6: a success trips", "next.go", "case failed && s.FailMax > 0 && a.fails >= s.FailMax:", "case s.FailMax > 0 && a.fails >= s.FailMax-1:"},
	{"I6: rejections count as failures", "admit.go", "	w := b.load()\n	err := b.rejection(", "	b.mu.Lock()\n	b.setWord(b.load() + 1<<failShift)\n	b.mu.Unlock()\n	w := b.load()\n	err := b.rejection("},
	{"I7: a transition without a record", "move.go", "	b.recordLocked(t, now)\n	b.setWord(w)\n", "	c.changes++\n	c.reject.Store(nil)\n	b.setWord(w)\n"},
	{"I7: a transition told twice", "move.go", "		c.queue.add(note{t: &told})\n", "		c.queue.add(note{t: &told})\n		c.queue.add(note{t: &told})\n"},
	{"I7: the next call tells, not this one", "order.go", "	r, err := b.applyLocked(o, now)\n	b.mu.Unlock()\n	b.deliver()\n", "	r, err := b.applyLocked(o, now)\n	b.mu.Unlock()\n"},
	{"I8: failures do not keep a key", "word.go", "flagForcedOpen | flagForcedClosed | flagRamp | failMask\n	// What", "flagForcedOpen | flagForcedClosed | flagRamp\n	// What"},
	{"I8: an override does not keep a key", "word.go", "evidenceMask = stateMask | flagForcedOpen | flagForcedClosed | flagRamp", "evidenceMask = stateMask | flagRamp"},
	{"I11: > for >= on failures in a row", "next.go", "case failed && s.FailMax > 0 && a.fails >= s.FailMax:", "case failed && s.FailMax > 0 && a.fails > s.FailMax:"},
	{"I11: == for >= on failures in a row", "next.go", "case failed && s.FailMax > 0 && a.fails >= s.FailMax:", "case failed && s.FailMax > 0 && a.fails == s.FailMax:"},
	{"I11: == for >= on successes of probes", "next.go", "if a.oks < s.SuccessThreshold {", "if a.oks != s.SuccessThreshold {"},
	{"I11: a failure is not counted", "next.go", "		a.fails = min(a.fails+1, maxFailCount)\n	} else {", "	} else {"},
	{"I11: a success does not end the row", "next.go", "	} else {\n		a.fails = 0\n	}\n", "	}\n"},
	{"I11: state and count are stored apart", "move.go", "withState(to.state) | withFails(to.fails) | withGen(gen)", "withState(to.state) | withGen(gen)"},
	{"a failed probe closes", "next.go", "if e.kind == evFailure || e.slow && s.SlowRate > 0 {", "if e.slow && s.SlowRate > 0 {"},
	{"one success of two closes", "next.go", "if a.oks < s.SuccessThreshold {", "if a.oks < 1 {"},
	{"a release closes what was open", "override.go", "if stateOf(w) == Closed {\n		t.To = Closed", "if true {\n		t.To = Closed"},
	{"the window survives a close", "move.go", "			b.win.Store(newWindow(gen, &r.Settings, b.cfg.clocks))\n", ""},
	{"a window of calls is one too long", "window.go", "w.list[w.head].pos <= pos-w.size", "w.list[w.head].pos < pos-w.size"},
	{"settling a call uses up the ramp", "move.go", "	if b.load()&flagRamp != 0 {\n		now = orNow(now)\n		b.rampOverLocked(now)\n", "	if now = orNow(now); b.load()&flagRamp != 0 && !b.rampOverLocked(now) {\n		b.cold.Load().ramp.admit(now)\n"},
	{"the ramp is no ramp", "ramp.go", "	if r.credit < 1 {\n		return false\n	}\n", ""},
	{"a panic counts as nothing", "call.go", "		_ = g.p.settle(Failure, errAbandoned)\n", "		_ = g.p.settle(Ignored, errAbandoned)\n"},
	{"a Goexit in a probe is not settled", "call.go", "		g.running = false\n		_ = g.p.settle(Failure, errAbandoned)\n", "		g.running = false\n"},
}
