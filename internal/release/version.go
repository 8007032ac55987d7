package main

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
)

// Versions from v2 on would need another module path.
var versionForm = regexp.MustCompile(`^v([01])\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-rc\.[1-9]\d*)?$`)

func checkVersion(v string) error {
	if !versionForm.MatchString(v) {
		return fmt.Errorf("got version %q, want one such as v0.1.0 or v1.2.0-rc.1", v)
	}
	return nil
}

// compareVersions compares two versions of the accepted form.
func compareVersions(a, b string) int {
	x, y := versionForm.FindStringSubmatch(a), versionForm.FindStringSubmatch(b)
	if x == nil || y == nil {
		return cmp.Compare(a, b)
	}
	for i := 1; i <= 3; i++ {
		m, _ := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if c := cmp.Compare(m, n); c != 0 {
			return c
		}
	}
	return cmp.Compare(candidate(x[4]), candidate(y[4]))
}

// candidate is the number of a release candidate. The release itself is after all
// of its candidates.
func candidate(suffix string) int {
	if suffix == "" {
		return 1 << 30
	}
	n, _ := strconv.Atoi(suffix[len("-rc."):])
	return n
}
