package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchgear-go/switchgear/replay"
)

const outageFile = "../../replay/testdata/outage.sgr"

// try runs the program.
func try(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func TestReplay(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.html")
	code, out, errs := try(t, "replay", outageFile, "--set", "fail_max=3", "--set", "reset_timeout=5s", "--html", page)
	if code != 0 || errs != "" {
		t.Fatalf("exit %d, %s", code, errs)
	}
	lines := strings.Split(out, "\n")
	if !strings.HasPrefix(lines[0], "Warning: candidate is looser than what was recorded: ") {
		t.Errorf("the first line is no warning: %s", lines[0])
	}
	for _, want := range []string{"3 breakers", "15 episodes", "as recorded", "COVERAGE", "100%", "█", "* depends on calls without an outcome"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil || !bytes.Contains(text, []byte("</html>")) {
		t.Errorf("the page: %v", err)
	}
	if info, err := os.Stat(page); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the page has mode %v, want 0600", info.Mode())
	}
}

func TestReplayBreaker(t *testing.T) {
	code, out, _ := try(t, "replay", outageFile, "--breaker", "inventory/*", "--json")
	var r replay.Report
	if err := json.Unmarshal([]byte(strings.ReplaceAll(out, `"trust"`, `"-"`)), &r); code != 0 || err != nil {
		t.Fatalf("exit %d, %v", code, err)
	}
	if len(r.Results) != 2 || r.Results[1].Name != "recommended" || len(r.Episodes) == 0 {
		t.Fatalf("%+v", r)
	}
	for _, e := range r.Episodes {
		if !strings.HasPrefix(e.ID, "inventory/") {
			t.Errorf("an episode of %s", e.ID)
		}
	}
}

func TestReplayVerify(t *testing.T) {
	if code, out, errs := try(t, "replay", outageFile, "--verify"); code != 0 || !strings.Contains(out, "78 of 78 transitions reproduced.") || errs != "" {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	trace, err := replay.Open(outageFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range trace.Breakers {
		l.Settings.FailMax = 7 // not those that were in effect
	}
	cmd := rootCommand()
	cmd.SetOut(new(bytes.Buffer))
	cmd.SetContext(t.Context())
	if err := verifyTrace(&globals{}, cmd, trace); exitCode(err) != exitDiffers || !strings.Contains(err.Error(), "the recording has closed -> open") {
		t.Errorf("got %v with exit code %d, want %d", err, exitCode(err), exitDiffers)
	}
}

func TestReplayOtherData(t *testing.T) {
	file := filepath.Join(t.TempDir(), "calls.csv")
	if err := os.WriteFile(file, []byte("at,took,outcome\n1772359202.5,1ms,ok\n1772359203,1ms,503\nrubbish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := try(t, "replay", file, "--name", "shop")
	if code != 0 || errs != "" || !strings.Contains(out, "shop, ") || !strings.Contains(out, "Note: 1 line could not be read") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

func TestTuneCommand(t *testing.T) {
	code, out, errs := try(t, "tune", outageFile, "--breaker", "payments", "--false-trips", "5/hour")
	if code != 0 || errs != "" {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{"COST OF AN EPISODE", "MISSED", "= ", "now: as recorded", "cannot be distinguished by"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
}

func TestReplayErrors(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "x.sgr")
	if err := os.WriteFile(garbage, []byte("\x89SGR\r\n\x1a\nrubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "x.gz")
	if err := os.WriteFile(cut, []byte("\x1f\x8b\x08"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"replay", cut}, exitRefused, "x.gz: not in this format: the compressed data is cut or damaged: unexpected EOF"},
		{[]string{"replay"}, exitUsage, "needs a file"},
		{[]string{"replay", "none.sgr"}, exitRefused, "none.sgr: no such file"},
		{[]string{"replay", outageFile, "--set", "fail_max"}, exitUsage, "want KEY=VALUE"},
		{[]string{"replay", outageFile, "--set", "fail_max=x"}, exitUsage, "fail_max"},
		{[]string{"replay", outageFile, "--set", "fail_maximum=3"}, exitUsage, "fail_maximum"},
		{[]string{"replay", outageFile, "--sick", "2"}, exitUsage, "--sick 2, want"},
		{[]string{"replay", outageFile, "--breaker", "["}, exitUsage, "--breaker"},
		{[]string{"replay", outageFile, "--format", "xml"}, exitUsage, "want one of sgr"},
		{[]string{"replay", garbage, "--verify"}, exitRefused, "x.sgr: not a recording that this version can read: its first frame is cut or damaged"},
		{[]string{"replay", outageFile, "--verify", "--recommended"}, exitUsage, "--verify is about"},
		{[]string{"replay", outageFile, "--html", "/none/x.html"}, exitRefused, "no such file"},
		{[]string{"tune", outageFile, "--false-trips", "often"}, exitUsage, "such as 1/week"},
		{[]string{"tune", outageFile, "--detect", "1ms"}, exitRefused, "no candidate meets the goal; the nearest is"},
		{[]string{"tune", outageFile, "--breaker", "none"}, exitRefused, "too few episodes"},
	} {
		code, _, errs := try(t, tt.args...)
		if code != tt.code || !strings.Contains(errs, tt.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: exit %d, %swant %d and %q", tt.args, code, errs, tt.code, tt.want)
		}
	}
}
