package verdict

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutants are slips that the exploration must notice. The first seven are errors
// of earlier drafts of this package.
var mutants = []struct{ name, file, old, new string }{
	{
		"reports from before a clearing count", "claim.go",
		"c.Stamp >= since && c.Under", "c.Under",
	},
	{
		"a probe's result counts for every epoch", "probe.go",
		"if v.Probe.Epoch != x.Epoch || v.Probe.Attempt != x.Attempt {", "if v.Probe.Epoch == 0 {",
	},
	{
		"a member that tripped has no evidence", "own.go",
		"			if now-o.at <= max(Spans[i], l.Reset) {", "			if false {",
	},
	{
		"a trip beside a verdict does not join it", "own.go",
		"	case x != nil && !v.Advise:", "	case x != nil && !v.Advise && o.tripped.Calls == 0:",
	},
	{
		"a span shorter than four beats", "evidence.go",
		"{4 * time.Second, 16", "{time.Second, 16",
	},
	{
		"a zone's verdict outlives the fleet's", "coordinator.go",
		"*z = Scope{Since: z.Since}", "_ = z",
	},
	{
		"one member that never calls holds up the probe", "probe.go",
		"	if len(x.active()) > 0 && x.quiet < c.Stagger {", "	if len(x.active()) > 0 {",
	},

	{
		"one process opens others", "evidence.go",
		"max(p.MinAgainst, 2, int", "max(1, int",
	},
	{
		"own evidence does not matter", "own.go",
		"	if !p.obeys(own, near, &x.Why.Tally.Evidence, x.Why.Kind, l.Rule.rate(x.Why.Kind)) {", "	_, _ = own, near\n	if false {",
	},
	{
		"members arm while a probe runs", "probe.go",
		"	if x.Probe.Member != 0 && x.Probe.Left > 0 {", "	if false {",
	},
	{
		"a probe that began disarms no one", "probe.go",
		"				x.disarm(v.member)\n", "",
	},
	{
		"a hung probe is waited for", "probe.go",
		"	x.Probe.Left -= elapsed\n", "",
	},
	{
		"an old verdict opens a new stretch", "own.go",
		"x != nil && o.was && x.OpenFor >= now-o.closed", "false",
	},
	{
		"a silent fleet is obeyed", "own.go",
		"		o.Under, o.letGo = 0, false\n		return Action{}\n	}\n	if since", "		return Action{}\n	}\n	if since",
	},
	{
		"a hold without a limit", "own.go",
		"	long := max(p.hold(v)", "	long := max(time.Hour, p.hold(v)",
	},
	{
		"a hold goes by now, and not by when the fleet was heard", "own.go",
		"float64(p.Patience()))-v.Age)", "float64(p.Patience())))",
	},
	{
		"an unknown verdict counts as cleared", "own.go",
		"o.letGo = v.since() >= o.Under", "o.letGo = true",
	},
	{
		"a clearing lets no one go", "own.go",
		"			return Action{Holding: true}\n		}\n		return Action{}\n	}\n	if o.Under", "		}\n		return Action{}\n	}\n	if o.Under",
	},
	{
		"a breaker that people closed passed its probe", "own.go",
		"o.close(armed && l.Passed, now, v)\n	case", "o.close(armed, now, v)\n	case",
	},
	{
		"a passed probe is not told", "own.go",
		" && c.Probe.Result == NoProbe && !c", " && !c",
	},
	{
		"a new coordinator begins time anew", "coordinator.go",
		"m.Clock > c.Clock && m.Clock < c.Clock+1<<32", "false",
	},
}

// TestMutants runs the other tests of this package against each mutant.
func TestMutants(t *testing.T) {
	if testing.Short() || os.Getenv("SWITCHGEAR_MUTANT") != "" {
		t.Skip("slow")
	}
	all := os.Getenv("SWITCHGEAR_EXPLORE") != ""
	for i, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			if !all && i%4 != 0 {
				t.Skip("each fourth only: SWITCHGEAR_EXPLORE=1 runs all")
			}
			text, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(text), m.old); n != 1 {
				t.Fatalf("%q occurs %d times in %s, want once", m.old, n, m.file)
			}
			dir := t.TempDir()
			mutated := filepath.Join(dir, m.file)
			if err := os.WriteFile(mutated, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			original, err := filepath.Abs(m.file)
			if err != nil {
				t.Fatal(err)
			}
			overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: mutated}})
			if err != nil {
				t.Fatal(err)
			}
			list := filepath.Join(dir, "overlay.json")
			if err := os.WriteFile(list, overlay, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "go", "test", "-short", "-failfast", "-vet=off", "-overlay", list, ".")
			cmd.Env = append(os.Environ(), "SWITCHGEAR_MUTANT=1")
			out, err := cmd.CombinedOutput()
			switch {
			case strings.Contains(string(out), "build failed"):
				t.Fatalf("does not compile: %s", out)
			case err == nil:
				t.Fatal("survived")
			}
			t.Logf("%.300s", out)
		})
	}
}
