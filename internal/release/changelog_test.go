package main

import (
	"strings"
	"testing"
)

func TestDateSection(t *testing.T) {
	const head = "# Changelog\n\nAll changes.\n\n"
	for _, test := range []struct{ name, text, want string }{
		{"first", head + "## 0.2.0 - unreleased\n\n- a: b.\n", "## 0.2.0 - 2026-12-01\n\n- a: b.\n"},
		{"next", head + "## 0.2.0 - unreleased\n\n### Fixed\n\n- a: b.\n\n## 0.1.0 - 2026-11-01\n\n- c.\n", "## 0.2.0 - 2026-12-01\n\n### Fixed\n\n- a: b.\n\n## 0.1.0 - 2026-11-01\n\n- c.\n"},
		{"none", head, "error: CHANGELOG.md has no section"},
		{"released", head + "## 0.2.0 - 2026-11-01\n\n- a.\n", `error: the first section of CHANGELOG.md is "0.2.0 - 2026-11-01", want "0.2.0 - unreleased"`},
		{"another", head + "## 0.3.0 - unreleased\n\n- a.\n", `error: the first section of CHANGELOG.md is "0.3.0 - unreleased", want "0.2.0 - unreleased"`},
		{"empty", head + "## 0.2.0 - unreleased\n\n## 0.1.0 - 2026-11-01\n\n- a.\n", `error: the section "0.2.0 - unreleased" of CHANGELOG.md lists nothing`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := dateSection(test.text, "v0.2.0", "2026-12-01")
			if err != nil {
				got = "error: " + err.Error()
			} else {
				got = strings.TrimPrefix(got, head)
			}
			if got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}
