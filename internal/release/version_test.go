package main

import (
	"slices"
	"testing"
)

func TestCheckVersion(t *testing.T) {
	for _, v := range []string{"v0.1.0", "v1.20.3", "v1.0.0-rc.1"} {
		if err := checkVersion(v); err != nil {
			t.Errorf("%s: %v", v, err)
		}
	}
	for _, v := range []string{"", "0.1.0", "v0.1", "v0.01.0", "v2.0.0", "v1.0.0-beta", "v1.0.0-rc.0", "v1.0.0+x", "v0.1.0\n"} {
		if checkVersion(v) == nil {
			t.Errorf("%q is accepted", v)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	ordered := []string{"v0.1.0", "v0.2.0", "v0.9.9", "v0.10.0", "v1.0.0-rc.2", "v1.0.0-rc.10", "v1.0.0", "v1.0.1"}
	shuffled := slices.Clone(ordered)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, compareVersions)
	if !slices.Equal(shuffled, ordered) {
		t.Errorf("got %v, want %v", shuffled, ordered)
	}
}
