package verdict

import (
	"os"
	"testing"

	"github.com/switchgear-go/switchgear/fleet/internal/mutants"
)

// slips are what the exploration, or another test that is named, must notice. The
// first seven are errors of earlier drafts of this package.
var slips = []mutants.Mutant{
	{Name: "reports from before a clearing count", By: "TestWalks", Old: "c.Stamp >= since && c.Under", New: "c.Under"},
	{
		Name: "a probe's result counts for every epoch", By: "TestExplore/unheard_for_two_beats$",
		Old: "if v.Probe.Epoch != x.Epoch || v.Probe.Attempt != x.Attempt {", New: "if v.Probe.Epoch == 0 {",
	},
	{
		Name: "a member that tripped has no evidence", By: "TestExplore/new$",
		Old: "			if now-o.at <= max(Spans[i], l.Reset) {", New: "			if false {",
	},
	{
		Name: "a trip beside a verdict does not join it", By: "TestExplore/running$",
		Old: "	case x != nil && !v.Advise:", New: "	case x != nil && !v.Advise && o.tripped.Calls == 0:",
	},
	{Name: "a span shorter than four beats", By: "TestExplore/new$", New: "Spans[0] /= 4"},
	{Name: "a zone's verdict outlives the fleet's", By: "TestWalks", Old: "*z = Scope{Since: z.Since}", New: "_ = z"},
	{
		Name: "one member that never calls holds up the probe", By: "TestExplore/two_coordinators$",
		Old: "	if len(x.active()) > 0 && x.quiet < c.Stagger {", New: "	if len(x.active()) > 0 {",
	},

	// Evidence and verdicts.
	{Name: "one process opens others", By: "TestExplore/new$", Old: "max(p.MinAgainst, 2, int", New: "max(1, int"},
	{Name: "each start of a process has a voice", By: "TestWalks", Old: "s.Name == by.Name && by.Since >= s.At", New: "false"},
	{Name: "a late report counts as the newest", By: "TestWalks", Old: "case s.Boot == boot && seq <= s.Seq:", New: "case false:"},
	{Name: "a report of a member that is gone counts", By: "TestPresence", Old: "now-s.At >= time.Duration(p.Silence)*beat", New: "false && beat > 0"},
	{
		Name: "own evidence does not matter", By: "TestExplore/running$",
		Old: "	if !p.obeys(own, near, &x.Why.Tally.Evidence, x.Why.Kind, l.Rule.rate(x.Why.Kind)) {", New: "	_, _ = own, near\n	if false {",
	},
	{Name: "an old verdict opens a new stretch", By: "TestExplore/beside$", Old: "x != nil && o.was && x.OpenFor+v.Age >= now-o.closed", New: "false"},
	{Name: "a clearing is forgotten", By: "TestExplore/unheard_for_two_beats$", Old: "*x = Scope{Since: c.Clock}", New: "*x = Scope{}"},
	{Name: "a new coordinator begins time anew", By: "TestWalks", Old: "c.Clock = clockOf(c.Clock, members)", New: ""},

	// Probes.
	{Name: "members arm while a probe runs", By: "TestExplore/second_attempt$", Old: "	if x.Probe.Member != 0 && x.Probe.Left > 0 {", New: "	if false {"},
	{Name: "a probe that began disarms no one", By: "TestExplore/second_attempt$", Old: "				x.disarm(v.member)\n"},
	{Name: "one member says how long all wait for its probe", By: "TestLeaseOfAnother", Old: "medianLease(voices), maxWait", New: "maxWait"},
	{Name: "one member moves the clock as far as it says", By: "TestClockGoesOn", Old: "first-own < far", New: "far > 0"},
	{Name: "what two members know of the clock is not believed", By: "TestClockGoesOn", Old: "return max(own, second)", New: "return own"},
	{Name: "a hung probe is waited for", By: "TestWalks", Old: "	x.Probe.Left -= elapsed\n"},
	{Name: "the busiest member is armed for each attempt", By: "TestExplore/open$", Old: "x.Attempt%2 == 0", New: "true"},
	{Name: "a result is told until one coordinator knows it", By: "TestExplore/forgotten$", Old: "	switch {\n	case l.Auto == breaker.Closed:\n		return o.judge", New: "	if o.known && o.Probe.Result > Running {\n		o.Probe = Probe{}\n	}\n	switch {\n	case l.Auto == breaker.Closed:\n		return o.judge"},
	{Name: "a passed probe is not told", By: "TestExplore/running$", Old: " && c.Probe.Result == NoProbe && !c", New: " && !c"},
	{Name: "a clearing lets no one go", By: "TestOwnIsLetGo", Old: "			return Action{Holding: true}\n		}\n		return Action{}\n	}\n	if o.Under", New: "		}\n		return Action{}\n	}\n	if o.Under"},
	{Name: "an unknown verdict counts as cleared", By: "TestExplore/evicted$", Old: "o.letGo = v.since() >= o.Under", New: "o.letGo = true"},
	{Name: "a breaker that people closed passed its probe", By: "TestWalks", Old: "o.close(armed && l.Passed, now, v)\n	case", New: "o.close(armed, now, v)\n	case"},

	// Silence, and who is believed.
	{Name: "a silent fleet is obeyed", By: "TestExplore/silent$", Old: "		o.Under, o.letGo = 0, false\n		return Action{}\n	}\n	if since", New: "		return Action{}\n	}\n	if since"},
	{Name: "a hold without a limit", By: "TestExplore/open$", Old: "	long := max(p.hold(v)", New: "	long := max(time.Hour, p.hold(v)"},
	{Name: "a hold goes by now, and not by when the fleet was heard", By: "TestExplore/open$", Old: "float64(p.Patience()))-v.Age)", New: "float64(p.Patience())))"},
	{Name: "a coordinator whose lease has passed is believed", By: "TestExplore/fallen_back$", Old: "case now-e.At > p.Patience():", New: "case term < e.Term:"},
	{Name: "one digest of before is enough", By: "TestEar", Old: "		if !follows {\n			return false\n		}\n", New: "		_ = follows\n"},
	{Name: "a digest counts each time that it comes", By: "TestExplore/open$", Old: "term == e.Term && seq > e.Seq", New: "term == e.Term && seq >= e.Seq"},
	{Name: "a store that has lost its terms is never believed", By: "TestWalks", Old: "follows := term == e.late && seq > e.lateSeq", New: "follows := false"},
}

func TestMutants(t *testing.T) {
	if os.Getenv("SWITCHGEAR_EXPLORE") == "" || mutants.Race {
		t.Skip("takes long: set SWITCHGEAR_EXPLORE=1")
	}
	mutants.Kill(t, slips)
}
