package fleet_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// edit is a change of one source file.
type edit struct{ file, old, new string }

// build builds this test binary, which is a process of a fleet as well, from
// sources with some changes.
func build(t *testing.T, name string, edits ...edit) (binary string) {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for _, e := range edits {
		original, err := filepath.Abs(e.file)
		if err != nil {
			t.Fatal(err)
		}
		source := original
		if again, ok := replace[original]; ok {
			source = again
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), e.old); n != 1 {
			t.Fatalf("%q occurs %d times in %s, want once", e.old, n, e.file)
		}
		changed := filepath.Join(dir, filepath.Base(e.file))
		if err := os.WriteFile(changed, []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[original] = changed
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, name)
	out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("build of %s: %v\n%s", name, err, out)
	}
	return binary
}

// A minor version adds sections to each message, and fields to those that are
// known.
func nextMinor() []edit {
	return []edit{
		{"internal/wire/wire.go", "out = append(out, sections...)", `out = append(section(out, 200, []byte("of the next minor version")), sections...)`},
		{"internal/wire/report.go", "out := section(nil, secMember, b)", "out := section(nil, secMember, append(b, 1, 2, 3))"},
		{"internal/wire/digest.go", "out := section(nil, secFleet, b)", "out := section(nil, secFleet, append(b, 1, 2, 3))"},
		{"internal/wire/record.go", "\tAt    time.Time     `json:\"at\"`", "\tLater string        `json:\"later\"`\n\tAt    time.Time     `json:\"at\"`"},
	}
}

// Two builds roll over each other, in both directions, while the dependency is
// down and up: of minor versions all act as one all the time.
func TestRollingUpgrade(t *testing.T) {
	needTime(t)
	t.Parallel()
	s := startServer(t)
	next := build(t, "next", nextMinor()...)
	p := startProcesses(t, 4, processConfig{Redis: s.addr, Every: time.Second, Settings: processSettings, Key: "0123456789abcdef"})
	defer p.check(t)
	p.until(2*slack, "all have joined", p.together)
	for _, roll := range []struct{ name, binary string }{{"up", next}, {"back", ""}} {
		for i := range p.configs {
			p.replace(i, roll.binary)
			p.until(2*slack, "all are together", p.together)
			if i != 1 {
				continue
			}
			// Half of them are of either build.
			p.behave(all)
			p.until(2*slack, "all are open", p.allOpen)
			p.mu.Lock()
			for j, s := range p.last {
				if s.Dropped > 0 {
					t.Errorf("%s: process %d dropped %d messages of the other build: %s", roll.name, j, s.Dropped, s.LastDrop)
				}
			}
			p.mu.Unlock()
			p.behave(none)
			p.until(2*slack, "all are closed", p.allClosed)
		}
	}
}

// Major versions never meet: during a roll there are two fleets, each by its own
// reporters.
func TestRollToAnotherMajorVersion(t *testing.T) {
	long(t)
	t.Parallel()
	s := startServer(t)
	next := build(t, "major", edit{"internal/wire/wire.go", "const Version = 1", "const Version = 2"})
	p := startProcesses(t, 4, processConfig{Redis: s.addr, Every: time.Second, Settings: processSettings})
	defer p.check(t)
	p.until(2*slack, "all have joined", p.together)
	p.replace(0, next)
	p.replace(1, next)
	p.until(2*slack, "there are two fleets of two", func() bool {
		for i := range p.configs {
			if s := p.last[i]; s.Alone || s.Members != 2 || s.Dropped > 0 {
				return false
			}
		}
		return true
	})
	p.replace(2, next)
	p.replace(3, next)
	p.until(2*slack, "all are together", p.together)
}

// The clocks of processes are hours apart, and nothing depends on it (F9).
func TestSkewedClocks(t *testing.T) {
	needTime(t) // it builds the standard library anew
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	now := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	const line = "	sec += unixToInternal - minWall\n	if uint64(sec)>>33 != 0 {\n"
	s := startServer(t)
	ahead := build(t, "ahead", edit{now, line, "	sec += 3 * 3600\n" + line})
	behind := build(t, "behind", edit{now, line, "	sec -= 3 * 3600\n" + line})
	p := startProcesses(t, 6, processConfig{Redis: s.addr, Every: time.Second, Settings: processSettings}, "a", "b")
	defer p.check(t)
	for i := range p.configs {
		if i%3 > 0 {
			p.replace(i, []string{"", ahead, behind}[i%3])
		}
	}
	p.until(2*slack, "all have joined", p.together)
	p.behave(all)
	t.Logf("protected after %s", p.until(slack, "all are open", p.allOpen))
	s.kill()
	p.until(slack, "all are alone", p.allAlone)
	s.start()
	p.until(2*slack, "all are together again", p.together)
	p.behave(none)
	t.Logf("recovered after %s", p.until(2*slack, "all are closed", p.allClosed))
	p.mu.Lock()
	defer p.mu.Unlock()
	var least, most time.Time
	for _, r := range p.records {
		if at := r.Transition.At; least.IsZero() || at.Before(least) {
			least = at
		}
		if at := r.Transition.At; at.After(most) {
			most = at
		}
	}
	if most.Sub(least) < 5*time.Hour {
		t.Errorf("the clocks were only %s apart", most.Sub(least))
	}
}
