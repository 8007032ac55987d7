package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// The settings of a set without keys can be changed, and promoted: its keys of
// later follow them.
func TestSettingsOfASetWithoutKeys(t *testing.T) {
	t.Setenv("SWITCHGEAR_RUNTIME_DIR", t.TempDir())
	m := breaker.NewManager(breaker.Settings{})
	set := breaker.SetOf[string](m, "tenants")
	p := ops.New(m, ops.Options{Service: "shop"})
	defer p.Close()
	s, err := p.Listen()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("SKIP: needs a unix socket: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := set.Shadow("tight", breaker.Settings{FailMax: 2}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args, says string
		failMax    int
	}{
		{"set tenants/* fail_max=8 --dry-run", "Nothing was changed: tenants/* has no keys now; for later ones, fail_max 5 -> 8.", 5},
		{"set tenants/* fail_max=8", "tenants/* has no keys now; for later ones, fail_max 5 -> 8.", 8},
		{"promote tenants/* tight --if-version 2", "tenants/* has no keys now; for later ones, fail_max 8 -> 2.", 2},
		{"promote tenants/* before", "tenants/* has no keys now; for later ones, fail_max 2 -> 8.", 8},
		{"set tenants/* fail_max=8", "No change: it was so already.", 8},
		{"force-open tenants/* --no-expiry --reason x", "The order applies to no breaker: nothing was changed.", 8},
	} {
		code, out, errs := try(t, strings.Fields(c.args)...)
		if first, _, _ := strings.Cut(out, "\n"); code != exitDone || errs != "" || first != c.says || set.Settings().FailMax != c.failMax {
			t.Errorf("%s: exit %d, fail_max %d, %q %q, want %q", c.args, code, set.Settings().FailMax, out, errs, c.says)
		}
	}
}
