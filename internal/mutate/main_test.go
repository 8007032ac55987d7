package main

import "testing"

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
