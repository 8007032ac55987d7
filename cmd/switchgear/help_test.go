package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/breaker"
)

func hasEach(text string, all []string) bool {
	return !slices.ContainsFunc(all, func(one string) bool { return !strings.Contains(text, one) })
}

// From the name of a command alone, its help shows the rest.
func TestHelpOfEveryCommand(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if !cmd.Runnable() || cmd.Name() == "completion" || cmd.Parent() != nil && cmd.Parent().Name() == "completion" {
			return
		}
		var out strings.Builder
		cmd.SetOut(&out)
		if err := cmd.Help(); err != nil {
			t.Error(err)
		}
		wants := []string{"Usage:", "Exit codes: 0 done"}
		if cmd.Name() != "audit" && cmd.Name() != "demo" {
			wants = append(wants, "Examples:")
		}
		if !hasEach(out.String(), wants) || len(cmd.Long) < len(cmd.Short) {
			t.Errorf("the help of %q lacks one of %q, or says no more than one line:\n%s", cmd.CommandPath(), wants, &out)
		}
		for line := range strings.Lines(out.String()) {
			if len([]rune(line)) > 101 {
				t.Errorf("%s --help: %d columns: %s", cmd.CommandPath(), len([]rune(line)), line)
			}
		}
	}
	walk(rootCommand())
}

func TestHelpNamesEverySetting(t *testing.T) {
	for key, value := range (breaker.Settings{}).WithDefaults().All() {
		line := regexp.MustCompile(`(?m)^  ` + key + ` (.|\n                     )*`).FindString(settingsHelp)
		if line == "" {
			t.Errorf("no %s", key)
		} else if value = strings.TrimSuffix(value, "0s"); key != "reset_jitter" && key != "probe_timeout" && !strings.Contains(line, "["+value) {
			t.Errorf("%s does not have its default %s: %s", key, value, line)
		}
	}
}

func TestVersion(t *testing.T) {
	var out strings.Builder
	if code := run(t.Context(), []string{"--version"}, nil, &out, io.Discard); code != exitDone || !strings.HasPrefix(out.String(), "switchgear ") || !strings.Contains(out.String(), runtime.Version()) {
		t.Errorf("exit code %d: %s", code, &out)
	}
}

func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	run := func(dir string) int { return run(t.Context(), []string{"man", dir}, nil, io.Discard, io.Discard) }
	if code := run(dir); code != exitDone {
		t.Fatalf("exit code %d", code)
	}
	groff, _ := exec.LookPath("groff")
	pages, _ := filepath.Glob(dir + "/*.1")
	if len(pages) < 20 {
		t.Errorf("%d pages", len(pages))
	}
	if groff != "" {
		options := []string{"-K", "utf8", "-man", "-T", "utf8", "-ww", "-z"}
		if out, err := exec.Command(groff, append(options, pages...)...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("groff: %v\n%s", err, out)
		}
	}
	for page, want := range map[string][]string{
		"switchgear.1": {
			"switchgear - see and operate", ".SH SYNOPSIS\nswitchgear \\fIcommand", ".SS Order\n", ".SH OPTIONS\n", ".SH EXAMPLES\n", ".SH ENVIRONMENT AND FILES\n", "SWITCHGEAR_ACTOR",
			".SH EXIT STATUS\n", ".TP\n3\nunreachable", ".TP\n-p https://host/ops/\nthe operations handler", "switchgear-force-open(1)",
		},
		"switchgear-force-open.1":   {"switchgear force-open [\\fIoptions", "\\fIID", "--no-expiry", "--yes \\fInumber", "INC-42", ".SH GLOBAL OPTIONS", "-p, --process \\fIprocess"},
		"switchgear-settings.1":     {".TP\nfail_max\nopens after this many failures in a row [5]"},
		"switchgear-audit-verify.1": {"The files alone cannot show", "switchgear-audit-show(1)"},
		"switchgear-top.1":          {"force-closed: admit every call"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, page))
		if got := strings.ReplaceAll(string(text), `\-`, "-"); err != nil || !hasEach(strings.ReplaceAll(strings.ReplaceAll(got, `\fB`, ""), `\fP`, ""), want) {
			t.Errorf("%s, %v, lacks one of %q:\n%s", page, err, want, got)
		}
	}
	if code := run(dir + "/none"); code != exitUsage {
		t.Errorf("into no folder: exit code %d, want %d", code, exitUsage)
	}
}
