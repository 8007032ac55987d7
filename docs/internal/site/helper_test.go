package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const repo = "../../.."

func loadSite(t *testing.T) *site {
	t.Helper()
	s, err := load(repo)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// files is the files of the repository that match a pattern of git.
func files(t *testing.T, patterns ...string) []string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"ls-files", "-co", "--exclude-standard", "--"}, patterns...)...)
	cmd.Dir = filepath.FromSlash(repo)
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("the files of the repository are not known without git: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// squeeze makes all white space alike.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }
