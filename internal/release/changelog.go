package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const changelogName = "CHANGELOG.md"

// dateChangelog replaces the word "unreleased" of the version's heading by the
// date of the commit that is released, and commits it. The root module's tag is on
// this commit, the only one that main needs.
func (r *release) dateChangelog() error {
	name := filepath.Join(r.clone.path, changelogName)
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	date, err := r.clone.git("log", "-1", "--format=%cs")
	if err != nil {
		return err
	}
	dated, err := dateSection(string(text), r.version, date)
	if err != nil {
		return err
	}
	if err := os.WriteFile(name, []byte(dated), 0o666); err != nil {
		return err
	}
	_, err = r.clone.git("commit", "-q", "-m", "release: "+r.version, changelogName)
	return err
}

// dateSection dates the section of a version, which must be the first one and
// have text.
func dateSection(changelog, version, date string) (string, error) {
	before, section, found := strings.Cut(changelog, "\n## ")
	if !found {
		return "", fmt.Errorf("%s has no section", changelogName)
	}
	heading, rest, _ := strings.Cut(section, "\n")
	if want := strings.TrimPrefix(version, "v") + " - unreleased"; heading != want {
		return "", fmt.Errorf("the first section of %s is %q, want %q", changelogName, heading, want)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	if !strings.Contains(body, "\n- ") {
		return "", fmt.Errorf("the section %q of %s lists nothing", heading, changelogName)
	}
	return before + "\n## " + strings.TrimSuffix(heading, "unreleased") + date + "\n" + rest, nil
}
