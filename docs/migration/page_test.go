package migration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every Go block of the page is code of an Example.
func TestPageShowsTestedCode(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	all := squeeze(code.String())
	blocks := strings.Split(string(page), "```go\n")[1:]
	if len(blocks) < 9 {
		t.Errorf("the page has %d blocks of Go, want one before and one after for each library", len(blocks))
	}
	for _, b := range blocks {
		b, _, _ = strings.Cut(b, "```")
		if !strings.Contains(all, squeeze(b)) {
			t.Errorf("the page shows\n%s\nwhich no example has", b)
		}
	}
}

// squeeze makes all white space alike.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }
