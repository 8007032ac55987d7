package lab

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTrapsPage checks that docs/traps.md cites every test of a trap, and no
// other.
func TestTrapsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/traps.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(page), "\n"); n > 150 {
		t.Errorf("docs/traps.md has %d lines, want 150 at most", n)
	}
	cited := regexp.MustCompile("`(TestTrap_\\w+)`").FindAllStringSubmatch(string(page), -1)
	var tests []string
	for _, file := range []string{"traps_stuck_test.go", "traps_count_test.go"} {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (TestTrap_\w+)\(`).FindAllStringSubmatch(string(code), -1) {
			tests = append(tests, m[1])
		}
	}
	for _, c := range cited {
		if !slices.Contains(tests, c[1]) {
			t.Errorf("docs/traps.md cites %s, which does not exist", c[1])
		}
		tests = slices.DeleteFunc(tests, func(name string) bool { return name == c[1] })
	}
	if len(tests) > 0 {
		t.Errorf("docs/traps.md does not cite %v", tests)
	}
}
