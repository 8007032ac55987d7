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
	{name: "I1: a fleet opens what has moved since it judged", in: "Peer.Open", old: "if version != found {", new: "if false {"},
	{name: "I1: a fleet holds what has moved since it judged", in: "Peer.Hold", old: "if version != b.versionLocked() || ", new: "if "},
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
	{name: "I8: a key that was evicted is still listed", in: "Set.removeLocked", old: "		at.Store(list.without(k))\n", new: ""},
	{name: "a large set has lists", in: "Set.putLocked", old: "case len(sh.by.m) > fewKeys:", new: "case false:", by: "^Test.*List"},
	{name: "I8: what is taken back still says evicted", in: "Set.restoreLocked", old: "	b.clearEvicted()\n", new: ""},
	{name: "a key that is forgotten keeps its failures", in: "Breaker.forgetLocked", old: "	b.stepLocked(&event{kind: evLapse}, time.Time{}, nil)\n", new: "", by: "TestExplore/^keyed$"},
	{name: "forgetting lifts an override", in: "Breaker.forgetLocked", old: "case w&overrideMask != 0 || b.pinned():", new: "case b.pinned():", by: "TestExplore/^keyed$"},
	{name: "versions begin again after forgetting", in: "Breaker.ownVersionLocked", old: "return h.versionFloor() + 1", new: "return 1", by: "^TestVersions"},
	{name: "the history of keys has no budget", in: "Set.noteRecord", old: "if s.records.Load() >= int64(s.limits.MaxHistory) {", new: "if false {", by: "^TestHistory"},
	{name: "records that are forgotten stay in the budget", in: "Set.forgotten", old: "	s.records.Add(-int64(records))\n", new: "	_ = records\n", by: "^TestHistory"},

	// One clock dates successes and failures.
	{name: "failures are dated by the exact clock", in: "Breaker.countLocked", old: "	step := b.stepAt(win, e.at)\n", new: "	step := b.stepAt(win, e.at)\n	if c := win.time.clock; c != nil && !(o == Success && !e.slow) {\n		step = uint64(c.source.Since(c.base) / c.width)\n	}\n", by: "^TestWindow"},
	{name: "successes are dated by the exact clock", in: "Breaker.counted", old: "if win.success(win.step()) {", new: "if c := win.time.clock; c != nil && win.success(uint64(c.source.Since(c.base)/c.width)) || c == nil && win.success(0) {", by: "^TestWindow"},

	// Lost updates: each write of what goroutines share is one compare-and-swap,
	// tried again when it fails.
	{name: "flags are changed by one attempt", in: "Breaker.edit", old: "		if w := b.load(); b.swapWord(w, w&^cleared|set) {\n			return\n		}\n", new: "		w := b.load()\n		b.swapWord(w, w&^cleared|set)\n		return\n", by: "^TestWordLoses"},
	{name: "a word is stored over the flags of a key that came back", in: "Breaker.setWord", old: "w|was&(flagEvicted|flagKept)", new: "w", by: "^TestKept"},
	{name: "a failure is counted by one attempt", in: "Breaker.countedAlone", old: "		if b.swapWord(w, w&^failMask|withUnits(units)) {\n			return true\n		}\n", new: "		b.swapWord(w, w&^failMask|withUnits(units))\n		return true\n", by: "^TestWordLoses"},
	{name: "a decision is stored over a failure", in: "Breaker.decideLocked", old: "		if !b.swapWord(w, is) {\n			continue\n		}\n", new: "		for !b.swapWord(b.load(), is) {\n		}\n", by: "^TestWordLoses"},
	{name: "a decision counts the failures of its first attempt", in: "Breaker.decideLocked", old: "	for {\n		w := b.load()\n		// The word and the cold part together are the automatic layer.\n		from = auto{state: stateOf(w), units: unitsOf(w)}\n", new: "	from = auto{state: stateOf(b.load()), units: unitsOf(b.load())}\n	for {\n		w := b.load()\n", by: "^TestWordLoses"},
	{name: "the number on a tape goes with the unit", in: "Breaker.rescaleLocked", old: "b.extra.Add(uint32(r.failUnit) - uint32(b.unit()))", new: "b.extra.Store(uint32(r.failUnit))", by: "^TestNumberOnTheTape"},
	{name: "the set counts a change that did not happen", in: "Breaker.swapWord", old: "	if !atomic.CompareAndSwapUint64(&b.word, was, is) {\n		return false\n	}\n", new: "	if b.cfg.owner != nil && b.load() != was {\n		b.cfg.owner.noteWord(b, was, is)\n	}\n	if !atomic.CompareAndSwapUint64(&b.word, was, is) {\n		return false\n	}\n", by: "^TestWordKeeps"},
	{name: "a key is evicted before its set can find it", in: "Set.evict", old: "	s.evictLocked(sh, k, b)\n	// If evidence came since the load, the swap fails and the breaker stays.\n	if !b.swapWord(w, w|flagEvicted) {\n		s.forgetEvictionLocked(sh, k, b)\n		return false\n	}\n", new: "	if !b.swapWord(w, w|flagEvicted) {\n		return false\n	}\n	s.evictLocked(sh, k, b)\n", by: "^TestLocks"},
	{name: "a key is back before its set has it", in: "Set.restoreLocked", old: "	s.forgetEvictionLocked(sh, k, b)\n", new: "	b.clearEvicted()\n	s.forgetEvictionLocked(sh, k, b)\n", by: "^TestLocks"},
	{name: "a key gets a second breaker from two callers at once", in: "Set.insert", old: "	b := s.existingLocked(sh, k, kept)\n", new: "	var b *Breaker\n", by: "^TestNothingIsRead"},

	// What is read before the lock.
	{name: "an outcome is dated before the lock", in: "Breaker.judge", old: "	b.mu.Lock()\n	if rec != nil {\n", new: "	e.at = b.cfg.fine.get(b.cfg.clock).now(true)\n	b.mu.Lock()\n	if rec != nil {\n", by: "^TestNothingIsRead"},
	{name: "an order is dated before the lock", in: "Breaker.decideOrder", old: "	b.mu.Lock()\n	defer b.mu.Unlock()\n	return b.applyLocked(o, b.cfg.clock.Now())", new: "	now := b.cfg.clock.Now()\n	b.mu.Lock()\n	defer b.mu.Unlock()\n	return b.applyLocked(o, now)", by: "^TestNothingIsRead"},
	{name: "the end of an override is dated before the lock", in: "Breaker.expire", old: "	b.mu.Lock()\n	// Otherwise the override was replaced just before the timer fired (I5).\n	if c := b.cold.Load(); c.override == o {\n		// With the actor and reason of the order that set the override.\n		b.liftLocked(&Transition{Cause: CauseExpired, Order: overrideVerb(o.State), Actor: o.Actor, Reason: o.Reason}, b.cfg.clock.Now())\n", new: "	now := b.cfg.clock.Now()\n	b.mu.Lock()\n	if c := b.cold.Load(); c.override == o {\n		b.liftLocked(&Transition{Cause: CauseExpired, Order: overrideVerb(o.State), Actor: o.Actor, Reason: o.Reason}, now)\n", by: "^TestNothingIsRead"},
	{name: "a status is dated before the lock", in: "Breaker.Status", old: "	b.mu.Lock()\n	defer b.mu.Unlock()\n	now := b.cfg.clock.Now()\n", new: "	now := b.cfg.clock.Now()\n	b.mu.Lock()\n	defer b.mu.Unlock()\n", by: "^TestNothingIsRead"},
	{name: "an open time is held from before the lock", in: "Peer.Hold", old: "	b.mu.Lock()\n	defer b.mu.Unlock()\n	w := b.load()\n", new: "	w := b.load()\n	b.mu.Lock()\n	defer b.mu.Unlock()\n", by: "^TestNothingIsRead"},
	{name: "a rule's verdict is compared before the lock", in: "Breaker.judgeRules", old: "	b.mu.Lock()\n	defer b.mu.Unlock()\n	// The rules ran without the lock. If the breaker has moved since, their\n	// verdict is about a period that is over (I1).\n	if !p.belongs(b.load()) {\n		return nil\n	}\n", new: "	if !p.belongs(b.load()) {\n		return nil\n	}\n	b.mu.Lock()\n	defer b.mu.Unlock()\n", by: "^TestNothingIsRead"},
	{name: "a stopped timer looks before the lock", in: "Breaker.due", old: "	b.mu.Lock()\n	w := b.load()\n", new: "	w := b.load()\n	b.mu.Lock()\n", by: "^TestNothingIsRead"},
	{name: "a waiting consumer looks before the lock", in: "Breaker.readiness", old: "	b.mu.Lock()\n	defer b.mu.Unlock()\n	w := b.load()\n", new: "	w := b.load()\n	b.mu.Lock()\n	defer b.mu.Unlock()\n", by: "^TestNothingIsRead"},

	// The order of a record and its word, and of what listeners hear.
	{name: "the word is written before the record", in: "Breaker.moveLocked", old: "	b.recordLocked(t, now)\n", new: "	b.setWord(w)\n	b.recordLocked(t, now)\n", by: "^TestRecordComes"},
	{name: "an override is in the word before it is recorded", in: "Breaker.overrideLocked", old: "	from := effective(b.load())\n", new: "	from := effective(b.load())\n	b.edit(overrideMask|flagReject, overrideFlags(s))\n", by: "^TestRecordComes"},
	{name: "an override is out of the word before that is recorded", in: "Breaker.liftLocked", old: "		b.recordLocked(t, now)\n", new: "		b.edit(overrideMask|flagReject, 0)\n		b.recordLocked(t, now)\n", by: "^TestRecordComes"},
	{name: "a record carries the version before it", in: "Breaker.recordLocked", old: "	b.changedLocked()\n	t.Version, t.At, t.SettingsVersion = b.versionLocked(), now, b.settings().version\n", new: "	t.Version, t.At, t.SettingsVersion = b.versionLocked(), now, b.settings().version\n	b.changedLocked()\n", by: "^TestTransitionRecord"},
	{name: "a reminder jumps the queue", in: "Breaker.remind", old: "		c.queue.add(note{reminder: &reminder})\n", new: "		c.queue.notes = append([]note{{reminder: &reminder}}, c.queue.notes...)\n		c.queue.waiting.Store(int32(len(c.queue.notes)))\n", by: "^TestEventsOfAll"},
	{name: "Ready jumps the queue", in: "Breaker.due", old: "		c.queue.add(note{ready: true})\n", new: "		c.queue.notes = append([]note{{ready: true}}, c.queue.notes...)\n		c.queue.waiting.Store(int32(len(c.queue.notes)))\n", by: "^TestEventsOfAll"},
	{name: "HeldBack jumps the queue", in: "Breaker.heldBackLocked", old: "		c.queue.add(note{heldBack: t})\n", new: "		c.queue.notes = append([]note{{heldBack: t}}, c.queue.notes...)\n		c.queue.waiting.Store(int32(len(c.queue.notes)))\n", by: "^TestEventsOfAll"},
	{name: "the newest note is delivered first", in: "Breaker.nextNote", old: "	n := q.notes[0]\n", new: "	last := len(q.notes) - 1\n	q.notes[0], q.notes[last] = q.notes[last], q.notes[0]\n	n := q.notes[0]\n", by: "^TestEventsOfAll"},
	{name: "the next note is delivered beside this one", in: "Breaker.deliverOne", old: "	b.notifyNote(n)\n", new: "	b.noteDelivered(c)\n	b.notifyNote(n)\n", by: "^TestEventsOfAll"},
	{name: "a key's own listeners come first", in: "Breaker.listenersNow", old: "	return append(all[:len(all):len(all)], own...)", new: "	return append(own[:len(own):len(own)], all...)", by: "^TestOrderOfListeners"},
	{name: "a new listener comes first", in: "config.setListener", old: "		all = append(all, l)\n", new: "		all = append([]*Listener{l}, all...)\n", by: "^TestOrderOfListeners"},
	{name: "a key's new listener comes first", in: "Breaker.setListener", old: "			all = append(all, l)\n", new: "			all = append([]*Listener{l}, all...)\n", by: "^TestOrderOfListeners"},
	{name: "a listener hears of the trip before the failure", in: "Breaker.notifySettled", old: "	defer b.deliver() // deferred, because a listener may exit the goroutine (I7)\n", new: "	b.deliver()\n", by: "^TestOrderOfListeners"},
	{name: "a permit has ended only when its listeners return", in: "Permit.Settle", old: "	q := *p\n	p.b = &settled\n", new: "	q := *p\n	defer func() { p.b = &settled }()\n", by: "^TestPermitEnds"},
	{name: "a permit has ended only when its listeners return, with an error", in: "Permit.DoneContext", old: "	p.b = &settled\n", new: "	defer func() { p.b = &settled }()\n", by: "^TestPermitEnds"},

	// What a move keeps and drops.
	{name: "contexts are checked in the next period, too", in: "Breaker.moveLocked", old: "old&(flagWatched|", new: "old&(flagCheckCtx|flagWatched|", by: "^TestHanging"},
	{name: "what the cap held back is forgotten at a close", in: "Breaker.moveLocked", old: "heldBack{count: c.heldBack.count}", new: "heldBack{}", by: "^TestHeldBackEpisode"},
	{name: "the errors of a trip are in the record of the next", in: "Breaker.moveLocked", old: "c.failing, c.errors, c.opened, c.heldBack = time.Time{}, errorRing{}, nil,", new: "c.failing, c.opened, c.heldBack = time.Time{}, nil,", by: "^TestRecordForgets"},
	{name: "what the cap holds back holds the word", in: "Breaker.heldBackLocked", old: "b.load() &^ flagHeld", new: "b.load()", by: "^TestHeldByTheCap"},
	{name: "a probe frees the place of the oldest", in: "Breaker.freeLocked", old: "	if !c.probes.free(p.tag.probe()) {\n", new: "	if len(c.probes.out) == 0 || !c.probes.free(c.probes.out[0].number) {\n", by: "^TestProbeCarriesItself"},
	{name: "the tail of an answer belongs to the probe's period", in: "Permit.Answered", old: "	p.word = p.b.load() | permitSlow\n", new: "", by: "^TestAnsweredAtOnce"},
	{name: "the first of the rules that are met is not the cause", in: "config.askRules", old: "		if r.open(counts) {\n			return r.name, true\n		}\n", new: "		if r.open(counts) {\n			name, open = r.name, true\n		}\n", by: "^TestOwnRules"},
	{name: "a second trip is held back as a new episode", in: "heldBack.now", old: "now.Sub(h.last) <= span", new: "now.Sub(h.since) <= span", by: "^TestHeldBackEpisode"},
}
