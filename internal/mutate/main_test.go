package main

import (
	"slices"
	"strings"
	"testing"
)

// Each mutant of the list still applies to the engine as it is, and changes it.
func TestNamedApply(t *testing.T) {
	if len(mutants) < 12 {
		t.Errorf("%d mutants, want at least 12", len(mutants))
	}
	seen := map[string]bool{}
	for _, m := range mutants {
		if seen[m.name] {
			t.Errorf("two mutants are called %q", m.name)
		}
		seen[m.name] = true
		if _, _, err := m.apply("../../breaker"); err != nil {
			t.Error(err)
		}
		if m.old == m.new {
			t.Errorf("%q changes nothing", m.name)
		}
	}
}

// Each explained survivor is a change that can still be made.
func TestSurvivorsAreThere(t *testing.T) {
	explained, err := readNames("survivors.txt", "breaker/")
	if err != nil {
		t.Fatal(err)
	}
	_, sites, err := instrumentAll("../../breaker")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range unknown(explained, sites) {
		t.Errorf("survivors.txt explains what is not there: %s", name)
	}
	names := map[string]bool{}
	for _, s := range sites {
		if names[s.name] {
			t.Errorf("two changes are called %q", s.name)
		}
		names[s.name] = true
	}
}

// What is changed, and how each change is called.
func TestInstrumentFile(t *testing.T) {
	const src = `package p

func (b *B) f(n int) bool {
	if n > 1 && b.ok {
		b.n = n
		b.n = n
	}
	return n <= 2 || ask() < 3
}
`
	var sites []site
	text, err := instrumentFile("dir/f.go", src, &sites)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range sites {
		names = append(names, strings.TrimPrefix(s.name, "dir/f.go B.f: "))
	}
	want := []string{
		"negated: n > 1 && b.ok", "dropped: n > 1", "dropped: b.ok", "with =: n > 1", "left out: b.n = n", "left out: b.n = n (2)",
		"dropped: n <= 2", "dropped: ask() < 3", "without =: n <= 2",
	}
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("changes %q\nwant    %q", names, want)
	}
	var again []site
	if _, err := instrumentFile("dir/f.go", text, &again); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	for i := range sites {
		if !strings.Contains(text, "mutated("+string(rune('1'+i))+")") {
			t.Errorf("no switch %d in\n%s", i+1, text)
		}
	}
}
