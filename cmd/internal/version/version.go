// Package version identifies the build of a program.
package version

import (
	"runtime/debug"
	"strings"
)

// Text returns a text such as "v1.2.0 (commit 0123456789ab, go1.26.1)", as far
// as the build recorded it.
func Text() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown: built without module information"
	}
	return describe(info)
}

func describe(info *debug.BuildInfo) string {
	version := info.Main.Version
	if version == "" || version == "(devel)" {
		version = "development build"
	}
	var parts []string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			parts = append([]string{"commit " + s.Value[:min(12, len(s.Value))]}, parts...)
		case s.Key == "vcs.modified" && s.Value == "true":
			parts = append(parts, "with changes")
		}
	}
	return version + " (" + strings.Join(append(parts, info.GoVersion), ", ") + ")"
}
