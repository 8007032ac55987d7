package main

// The named mutants, by what they are against.
var mutants = []named{
	// I1: results of earlier periods do not count.
	{name: "I1: the generation is not compared", in: "Permit.belongs", old: "return genOf(w) == genOf(p.word)", new: "return true"},
	{name: "I1: a move keeps the generation", in: "Breaker.moveLocked", old: "(genOf(old) + 1) & genMask", new: "genOf(old)"},
	{name: "I1: a quick success of another generation counts", in: "Breaker.countedPlain", old: "if !p.belongs(w) {", new: "if false {"},
	{name: "I1: a plain failure counts for any generation", in: "Breaker.countedAlone", old: " || !p.belongs(w) {", new: " {"},

	// I2: half-open always admits again eventually.
	{name: "I2: a lease never ends", in: "probes.take", old: "ends: now.Add(d)", new: "ends: now.Add(d * 1000)"},
	{name: "I2: a probe without evidence keeps its place", in: "Breaker.judgeLocked", old: "if stateOf(w) == HalfOpen && !b.freeLocked", new: "if stateOf(w) == HalfOpen && o != Ignored && !b.freeLocked"},
	{name: "I2: a new half-open begins with the old leases", in: "Breaker.moveLocked", old: "	c.probes.clear()\n", new: ""},
	{name: "I2: the open time is never over", in: "Breaker.due", old: "b.setWord(w | flagDue)", new: "b.setWord(w)"},
	{name: "I2: the open time is over only by a timer", in: "Breaker.probeDueLocked", old: "c.dueTimer == nil && !now.Before(c.openUntil)", new: "c == nil"},
	{name: "I2: a rejection sets no timer", in: "Breaker.startTimerLocked", old: "c.dueTimer = b.cfg.clock.AfterFunc(b.cfg.clock.Until(c.openUntil), func() { b.due(gen) })", new: "_ = gen"},
	{name: "I2: the end of an open time leaves the breaker shut", in: "Breaker.due", old: "		w &^= flagReject\n", new: ""},
	{name: "I2: a force-close leaves the breaker shut", in: "Breaker.overrideLocked", old: "b.edit(overrideMask|flagReject, overrideFlags(s))", new: "b.edit(overrideMask, overrideFlags(s))"},
	{name: "an open breaker admits before its time", in: "Breaker.probeDueLocked", old: "c.dueTimer == nil && !now.Before(c.openUntil)", new: "c.dueTimer == nil"},

	// Probes: late results count, and leases grow.
	{name: "a probe's result past its lease counts for nothing", in: "probes.free", old: "if i < 0 {", new: "if i < 0 || p.out[i].over {"},
	{name: "leases do not grow", in: "probes.take", old: "grown(&r.Settings, r.ProbeTimeout, p.expired)", new: "r.ProbeTimeout"},
	{name: "leases grow with each probe that is out", in: "probes.take", old: "r.ProbeTimeout, p.expired)", new: "r.ProbeTimeout, len(p.out))", by: "^TestLease"},
	{name: "a lease that ran out counts at each look", in: "probes.expire", old: "			l.over = true\n", new: ""},
	{name: "leases of the last half-open period lengthen those of this one", in: "probes.clear", old: "p.out, p.expired = p.out[:0], 0", new: "p.out = p.out[:0]"},
	{name: "I3: one probe too many", in: "probes.take", old: "if p.live(now) >= r.Probes {", new: "if p.live(now) > r.Probes {"},
	{name: "I3: nothing looks at the limit", in: "probes.take", old: "if p.live(now) >= r.Probes {", new: "if false {"},

	// I4: outcomes that are not evidence.
	{name: "I4: no evidence counts as success", in: "Breaker.judgeLocked", old: "	if o == Ignored || o == Canceled && !e.slow {\n		return false, Counts{} // (I4)\n	}\n", new: ""},
	{name: "I4: no evidence ends a row of failures", in: "Breaker.countedAlone", old: "case Ignored, Canceled: // not evidence (I4)\n", new: "case Ignored, Canceled:\n			units = 0\n"},
	{name: "a nested call needs a place of its own", in: "Breaker.admit", old: "if b.belongsToCall(ctx) {", new: "if false {"},
	{name: "a call rides on one of an earlier period", in: "Breaker.belongsToCall", old: "n.gen == genOf(b.load()) && ", new: "", by: "^TestNested"},
	{name: "a call rides on a probe that has ended", in: "Breaker.belongsToCall", old: " && (n.lease == 0 || b.cold.Load().probes.has(n.lease))", new: "", by: "^TestNested"},
	{name: "a call rides on another breaker's", in: "Breaker.belongsToCall", old: "if n.b == b {", new: "if true {", by: "^TestNested"},

	// I5: orders and overrides.
	{name: "I5: a trip lifts the override", in: "Breaker.moveLocked", old: "c.overrideFlags() |\n", new: "0 |\n"},
	{name: "I5: an override's end fires after its replacement", in: "Breaker.expire", old: "c.override == o {", new: "c.override != nil {", by: "TestExplore/^consecutive$"},
	{name: "I5: the end of an open time counts for the next one", in: "Breaker.due", old: "genOf(w) != gen || stateOf(w) != Open ||", new: "stateOf(w) != Open ||"},
	{name: "I5: an order lengthens the backoff", in: "next", old: "		return a, d\n	case evClose:", new: "		a.attempt++\n		return a, d\n	case evClose:"},
	{name: "I5: an order leaves the override on", in: "Breaker.carryOutLocked", old: "	b.stopOverrideLocked()\n", new: "", by: "TestExplore/^consecutive$"},
	{name: "a release closes what was open", in: "Breaker.liftLocked", old: "if stateOf(w) == Closed {", new: "if true {"},
	{name: "a fleet's opening counts as an attempt", in: "next", old: "a.state, a.successes = Open, 0\n		return a, decision{moved: true, cause: CauseFleet", new: "a.state, a.successes, a.attempt = Open, 0, a.attempt+1\n		return a, decision{moved: true, cause: CauseFleet"},
	{name: "Hold leaves the timer of the old open time", in: "Peer.Hold", old: "	stopTimer(&c.dueTimer)\n", new: ""},
	{name: "Hold leaves a breaker due", in: "Peer.Hold", old: "	w &^= flagDue\n", new: ""},

	// I6 and I11: what opens, and when.
	{name: "I6: a success trips", in: "nextClosed", old: "case failed && s.failLimit > 0 && a.units >= s.failLimit && !e.early:", new: "case s.failLimit > 0 && a.units >= s.failLimit-s.failUnit && !e.early:"},
	{name: "I6: rejections count as failures", in: "Breaker.rejectCall", old: "	err := b.rejection()\n", new: "	b.mu.Lock()\n	b.setWord(b.load() + 1<<failShift)\n	b.mu.Unlock()\n	err := b.rejection()\n"},
	{name: "I11: > for >= on failures in a row", in: "nextClosed", old: "a.units >= s.failLimit && !e.early", new: "a.units > s.failLimit && !e.early"},
	{name: "I11: == for >= on failures in a row", in: "nextClosed", old: "a.units >= s.failLimit && !e.early", new: "a.units == s.failLimit && !e.early"},
	{name: "I11: == for >= on successes of probes", in: "nextHalfOpen", old: "if a.successes < s.SuccessThreshold {", new: "if a.successes != s.SuccessThreshold {"},
	{name: "I11: a failure is not counted", in: "nextClosed", old: "		a.units = s.failed(a.units, e)\n", new: ""},
	{name: "I11: a success does not end the row", in: "nextClosed", old: "		a.units = s.forgiven(a.units)\n", new: ""},
	{name: "I11: the failure that opens is counted as a plain one", in: "Breaker.countedAlone", old: "units+(1+keptErrors)*r.failUnit > r.failLimit", new: "units > r.failLimit"},
	{name: "I11: a plain failure counts behind a window's back", in: "Breaker.countedAlone", old: " || r.flags&flagCounted != 0", new: ""},
	{name: "I11: state and count are stored apart", in: "Breaker.moveLocked", old: "withState(to.state) | withUnits(to.units) | withGen(gen)", new: "withState(to.state) | withGen(gen)"},
	{name: "a failed probe closes", in: "nextHalfOpen", old: "case e.kind == evFailure || slow:", new: "case slow:"},
	{name: "one success of two closes", in: "nextHalfOpen", old: "if a.successes < s.SuccessThreshold {", new: "if a.successes < 1 {"},
	{name: "the window survives a close", in: "Breaker.moveLocked", old: "			b.win.Store(newWindow(gen, r))\n", new: ""},
	{name: "a window of calls is one too long", in: "callWindow.forget", old: "<= pos-w.size", new: "< pos-w.size"},
	{name: "settling a call uses up the ramp", in: "Breaker.stepLocked", old: "		b.rampOverLocked(now)\n", new: "		if !b.rampOverLocked(now) {\n			b.cold.Load().ramp.admit(now)\n		}\n"},
	{name: "the ramp is no ramp", in: "ramp.admit", old: "	if r.credit < 1 {\n		return false\n	}\n", new: ""},
	{name: "a panic counts as nothing", in: "settleOnce.unwind", old: "g.p.settle(nil, Failure, errAbandoned)", new: "g.p.settle(nil, Ignored, errAbandoned)"},
	{name: "a Goexit in a probe is not settled", in: "settleOnce.unwind", old: "_ = g.p.settle(nil, Failure, errAbandoned)", new: "_ = 0"},

	// Ages, and successes that make up for failures.
	{name: "FailWithin: failures never lapse", in: "Breaker.rowLapsedLocked", old: "now.Sub(c.rowLast) > r.FailWithin", new: "false"},
	{name: "FailWithin: counted from the first failure", in: "Breaker.rowLapsedLocked", old: "now.Sub(c.rowLast) > r.FailWithin", new: "now.Sub(c.rowBegan) > r.FailWithin"},
	{name: "FailWithin: failures lapse at the limit itself", in: "Breaker.rowLapsedLocked", old: "now.Sub(c.rowLast) > r.FailWithin", new: "now.Sub(c.rowLast) >= r.FailWithin"},
	{name: "FailFor holds no trip back", in: "nextClosed", old: "a.units >= s.failLimit && !e.early", new: "a.units >= s.failLimit", by: "^TestFailFor"},
	{name: "FailFor: counted from the last failure", in: "Breaker.dateLocked", old: "if unitsOf(w) == 0 || e.lapsed || c.rowBegan.IsZero() {", new: "if true {"},
	{name: "FailFor: failures that have lapsed date the row", in: "Breaker.dateLocked", old: "if unitsOf(w) == 0 || e.lapsed || c.rowBegan.IsZero() {", new: "if unitsOf(w) == 0 || c.rowBegan.IsZero() {"},
	{name: "FailFor: a burst weighs as many failures as it has", in: "compiled.failed", old: "return min(units, max(r.failUnit, r.failLimit-r.failUnit))", new: "return units"},
	{name: "one success makes up for all failures", in: "compiled.forgiven", old: "return max(0, units-1)", new: "return 0"},
	{name: "one success makes up for one failure", in: "compiled.forgiven", old: "return max(0, units-1)", new: "return max(0, units-r.failUnit)"},
	{name: "a plain failure counts one unit", in: "Breaker.countedAlone", old: "units += r.failUnit", new: "units++", by: "^TestForgive"},
	{name: "the count stays in the units of the old settings", in: "Breaker.unitsLocked", old: "return (unitsOf(w)*r.failUnit + was - 1) / was", new: "return unitsOf(w) + 0*was", by: "^TestForgive"},
	{name: "the count outgrows the limit while the cap holds it back", in: "compiled.failed", old: "return min(units, r.failLimit)", new: "return units", by: "^TestForgive"},

	// I7: every transition is delivered once.
	{name: "I7: a transition without a record", in: "Breaker.moveLocked", old: "	b.recordLocked(t, now)\n", new: "	b.changedLocked()\n	c.reject.Store(nil)\n"},
	{name: "I7: a transition is delivered twice", in: "Breaker.recordLocked", old: "		c.queue.add(note{t: t})\n", new: "		c.queue.add(note{t: t})\n		c.queue.add(note{t: t})\n"},
	{name: "I7: the next call delivers, not this one", in: "Breaker.order", old: "	b.deliver()\n", new: ""},

	// I8: eviction, coming back, and forgetting.
	{name: "I8: failures do not keep a key", in: "evidenceMask", old: "failMask"},
	{name: "I8: an override does not keep a key", in: "evidenceMask", old: "overrideMask", by: "^TestHistoryOfHealthyKeys"},
	{name: "I8: a state does not keep a key", in: "evidenceMask", old: "stateMask", by: "^TestHistoryOfHealthyKeys"},
	{name: "I8: a ramp does not keep a key", in: "evidenceMask", old: "flagRamp", by: "^TestHistoryGivesWayAlone"},
	{name: "I8: what the word does not say does not keep a key", in: "evidenceMask", old: "flagKept", by: "^TestKept"},
	{name: "I8: a key with evidence is evicted", in: "Set.evict", old: " || w&(evidenceMask|flagHeld) != 0", new: "", by: "^TestEvict"},
	{name: "I8: a key that has evidence again stays evicted", in: "Breaker.swapWord", old: "		is &^= flagEvicted\n", new: "		_ = is\n"},
	{name: "I8: a key that has evidence again is not taken back", in: "Set.noteWord", old: "		s.restoreWithEvidence(b)\n", new: ""},
	{name: "I8: a key gets a second breaker while the first is held", in: "Set.existingLocked", old: "	b := ref.Value()\n", new: "	b := (*Breaker)(nil)\n	_ = ref\n"},
	{name: "I8: an evicted breaker that is used stays evicted", in: "Set.existingLocked", old: "		s.restoreLocked(sh, k, b)\n", new: "", by: "^TestEvicted"},
	{name: "I8: what is taken back still says evicted", in: "Set.restoreLocked", old: "	b.clearEvicted()\n", new: ""},
	{name: "a key that is forgotten keeps its failures", in: "Breaker.forgetLocked", old: "	b.stepLocked(&event{kind: evLapse}, time.Time{}, nil)\n", new: "", by: "TestExplore/^keyed$"},
	{name: "forgetting lifts an override", in: "Breaker.forgetLocked", old: "case w&overrideMask != 0 || b.pinned():", new: "case b.pinned():", by: "TestExplore/^keyed$"},
	{name: "versions begin again after forgetting", in: "Breaker.ownVersionLocked", old: "return h.versionFloor() + 1", new: "return 1", by: "^TestVersions"},
	{name: "the history of keys has no budget", in: "Set.noteRecord", old: "if s.records.Load() >= int64(s.limits.MaxHistory) {", new: "if false {", by: "^TestHistory"},
	{name: "records that are forgotten stay in the budget", in: "Set.forgotten", old: "	s.records.Add(-int64(records))\n", new: "	_ = records\n", by: "^TestHistory"},

	// One clock dates successes and failures.
	{name: "failures are dated by the exact clock", in: "timeWindow.bad", old: "step := w.clock.step()", new: "step := uint64(w.clock.source.Since(w.clock.base) / w.clock.width)", by: "^TestWindow"},
	{name: "successes are dated by the exact clock", in: "timeWindow.success", old: "step := w.clock.step();", new: "step := uint64(w.clock.source.Since(w.clock.base) / w.clock.width);", by: "^TestWindow"},
}
