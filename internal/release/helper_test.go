package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// do is the output of a command that must succeed.
func do(t *testing.T, d dir, name string, args ...string) string {
	t.Helper()
	out, err := d.run(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// doLine is do for a line that is typed into a shell.
func doLine(t *testing.T, d dir, text string) string {
	t.Helper()
	return do(t, d, "sh", "-c", text)
}

func write(t *testing.T, d dir, name, text string) {
	t.Helper()
	name = filepath.Join(d.path, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// line is the first group of a pattern that must be in a text.
func line(t *testing.T, text, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("the README has no %s", pattern)
	}
	return found[1]
}

// fill is a template's text with its {{names}} replaced.
func fill(t *testing.T, template string, namesAndValues ...string) string {
	t.Helper()
	text, err := os.ReadFile(template)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(text, []byte("package main"))
	out := "package main" + string(body)
	for i := 0; i < len(namesAndValues); i += 2 {
		out = strings.ReplaceAll(out, "{{"+namesAndValues[i]+"}}", namesAndValues[i+1])
	}
	return out
}

// logTo writes to a test's log.
type logTo struct{ t *testing.T }

func (l logTo) Write(text []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(text), "\n"))
	return len(text), nil
}
