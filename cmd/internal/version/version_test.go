package version

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	for _, c := range []struct {
		info debug.BuildInfo
		want string
	}{
		{debug.BuildInfo{GoVersion: "go1.26.1", Main: debug.Module{Version: "v1.2.0"}}, "v1.2.0 (go1.26.1)"},
		{debug.BuildInfo{GoVersion: "go1.26.1", Main: debug.Module{Version: "(devel)"}}, "development build (go1.26.1)"},
		{debug.BuildInfo{GoVersion: "go1.26.1", Settings: []debug.BuildSetting{revision, {Key: "vcs.modified", Value: "false"}}}, "development build (commit 0123456789ab, go1.26.1)"},
		{
			debug.BuildInfo{GoVersion: "go1.26.1", Main: debug.Module{Version: "v1.2.0"}, Settings: []debug.BuildSetting{revision, {Key: "vcs.modified", Value: "true"}}},
			"v1.2.0 (commit 0123456789ab, with changes, go1.26.1)",
		},
	} {
		if got := describe(&c.info); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if !strings.Contains(Text(), runtime.Version()) {
		t.Error(Text())
	}
}
