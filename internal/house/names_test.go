package house

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// kinds are the test files that have no file of their package to be named after,
// because they test several at once. A detail may follow, as in
// traps_calls_test.go.
var kinds = map[string]string{
	"helper":    "what the tests of a package share: one file, and one more for what a system needs",
	"example":   "examples for the documentation",
	"bench":     "benchmarks",
	"export":    "what a test outside the package needs of its inside",
	"race":      "constants under the race detector",
	"norace":    "constants without it",
	"docs":      "whether a page of docs/ is true",
	"traps":     "the traps of docs/traps.md",
	"faults":    "what happens when processes, files and stores fail",
	"explore":   "all states of a small world",
	"locks":     "what waits for the locks, and what changes meanwhile",
	"stress":    "everything at once, under load",
	"soak":      "days in minutes",
	"load":      "the load on a server",
	"upgrade":   "two versions at once",
	"pybreaker": "what PyBreaker's documentation promises",
	"openapi":   "the OpenAPI document",
	"rehearsal": "a whole release",
}

// A test file is named after the file that it tests, or its kind is in kinds.
// Packages of nothing but tests are named after what they test.
func TestTestFilesAreNamedAfterWhatTheyTest(t *testing.T) {
	systems := []string{"_linux_amd64", "_linux", "_unix", "_fuzz"}
	stem := func(file string) string {
		name := strings.TrimSuffix(strings.TrimSuffix(file, ".go"), "_test")
		for _, s := range systems {
			name = strings.TrimSuffix(name, s)
		}
		return name
	}
	for _, files := range sources(t) {
		tested := map[string]bool{}
		for _, file := range files {
			if name := filepath.Base(file); !strings.HasSuffix(name, "_test.go") && name != "doc.go" {
				tested[stem(name)] = true
			}
		}
		if len(tested) == 0 {
			continue
		}
		for _, file := range files {
			name := filepath.Base(file)
			kind, _, _ := strings.Cut(stem(name), "_")
			if strings.HasSuffix(name, "_test.go") && !tested[stem(name)] && kinds[kind] == "" {
				t.Errorf("%s has the name of no file of its package, and of no kind of tests", file)
			}
		}
	}
}

// The map in breaker/doc.go has every file of the engine, and no other.
func TestMapOfTheEngineIsComplete(t *testing.T) {
	doc := read(t, "breaker/doc.go")
	for _, file := range sources(t)[filepath.Join(root(t), "breaker")] {
		name := filepath.Base(file)
		if strings.HasSuffix(name, "_test.go") || name == "doc.go" {
			continue
		}
		if !strings.Contains(doc, name) {
			t.Errorf("breaker/doc.go does not say what is in %s", name)
		}
	}
	for _, name := range regexp.MustCompile(`[a-z_]+\.go`).FindAllString(doc, -1) {
		if _, err := os.Stat(filepath.Join(root(t), "breaker", name)); err != nil {
			t.Errorf("breaker/doc.go names %s, which does not exist", name)
		}
	}
}

// A file that takes more than a few screens holds more than one idea.
func TestFilesAreShort(t *testing.T) {
	for _, files := range sources(t) {
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(text, []byte("\n")); n > 600 {
				t.Errorf("%s has %d lines, want 600 at most", file, n)
			}
		}
	}
}

// sources returns the Go files of the repository, by folder.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := filepath.WalkDir(root(t), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == ".git" || d.Name() == ".tmp" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if err == nil && filepath.Ext(path) == ".go" {
			all[filepath.Dir(path)] = append(all[filepath.Dir(path)], path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
