package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The generated pages are what the code, the help and the document say today.
func TestReferenceIsCurrent(t *testing.T) {
	if os.Getenv("SWITCHGEAR_LONG") == "" {
		t.Skip("takes long: set SWITCHGEAR_LONG=1")
	}
	pages, err := reference(repo)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(repo, filepath.FromSlash(name)))
		if err != nil {
			t.Error(err)
		} else if string(got) != want {
			t.Errorf("%s is out of date: go run ./docs/internal/site -write", name)
		}
	}
	for _, name := range files(t, "docs/reference") {
		if _, ok := pages[name]; !ok {
			t.Errorf("%s is not generated", name)
		}
	}
}
