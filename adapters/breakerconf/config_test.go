package breakerconf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

// The sample of PyBreaker's documentation, with its spelling and its blanks.
const seed = `[pybreaker]
    input_path = /tmp/breaker/{pid}.in
    output_path = /tmp/breaker/{pid}.out
    fail_max = 5
    reset_timout = 60
    sleep_delay = .1
`

var fromSeed = Config{
	Input: "/tmp/breaker/{pid}.in", Output: "/tmp/breaker/{pid}.out", SleepDelay: 100 * time.Millisecond,
	Settings: breaker.Settings{FailMax: 5, ResetTimeout: time.Minute},
}

func TestRead(t *testing.T) {
	tests := []struct {
		name, text string
		want       Config
	}{
		{"the seed's", seed, fromSeed},
		{"CRLF and BOM", "\ufeff" + strings.ReplaceAll(seed, "\n", "\r\n"), fromSeed},
		{"ours", strings.ReplaceAll(strings.ReplaceAll(seed, "reset_timout", "reset_timeout"), "pybreaker", "switchgear"), fromSeed},
		{"colons, capitals and comments", `
; a comment
[pybreaker]   # another
INPUT_PATH: /tmp/breaker/{pid}.in	; a third
output_path=/tmp/breaker/{pid}.out
Fail_Max:5
reset_timeout : 1m
`, fromSeed},
		{"nothing but the section", "[pybreaker]", Config{Input: fifo.DefaultInput, Output: fifo.DefaultOutput, SleepDelay: DefaultSleepDelay}},
		{"DEFAULT and interpolation", `[DEFAULT]
dir = /run/%(app)s
reset_timeout = 1e3
fail_max = 7
[pybreaker]
app = shop#1;x
input_path = %(DIR)s/{pid}/100%%.in
output_path = %(dir)s/out
fail_max = off
`, Config{
			Input: "/run/shop#1;x/{pid}/100%.in", Output: "/run/shop#1;x/out", SleepDelay: DefaultSleepDelay,
			Settings: breaker.Settings{FailMax: -1, ResetTimeout: 1000 * time.Second},
		}},
		{"breakers", `[pybreaker]
fail_max = 3
sleep_delay = 500ms
[somebody's else]
not even = "ini
continued
[breaker payments]
reset_timeout = 1.5
failure_rate = 0.5
window = 30
slow_call = 200ms
[breaker  two words ]
fail_max = 9
`, Config{
			Input: fifo.DefaultInput, Output: fifo.DefaultOutput, SleepDelay: 500 * time.Millisecond,
			Settings: breaker.Settings{FailMax: 3},
			Breakers: []Breaker{
				{"payments", breaker.Settings{FailMax: 3, ResetTimeout: 1500 * time.Millisecond, FailureRate: 0.5, Window: 30 * time.Second, SlowCall: 200 * time.Millisecond}},
				{"two words", breaker.Settings{FailMax: 9}},
			},
		}},
	}
	for _, tt := range tests {
		if got, err := read(tt.text); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", tt.name, got, err, tt.want)
		}
	}
}

func TestReadErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "no section for circuit breakers, want [pybreaker]"},
		{"[app]\nx = 1\n", "no section for circuit breakers, want [pybreaker]"},
		{"fail_max = 5\n", `1: "fail_max = 5" is before the first section, want [pybreaker] above it`},
		{"[pybreaker\n", `1: "[pybreaker" is not a section, want [name]`},
		{"[pybraeker]\n[PyBreaker]\n", `2: unknown section [PyBreaker], want [pybreaker], [switchgear], [DEFAULT] or [breaker NAME]`},
		{"[breaker]\n", `1: unknown section [breaker], want [pybreaker], [switchgear], [DEFAULT] or [breaker NAME]`},
		{"[pybreaker]\n[pybreaker]\n", "2: section [pybreaker], but line 1 has [pybreaker] already, want one of them"},
		{"[pybreaker]\n[switchgear]\n", "2: section [switchgear], but line 1 has [pybreaker] already, want one of them"},
		{"[breaker a]\n[breaker  a]\n", "2: section [breaker a], but line 1 has [breaker a] already, want one of them"},
		{"[breaker a/b]\n", `1: invalid breaker name "a/b": want no slash, which separates the name from the key in an id`},
		{"[pybreaker]\nfail_max\n", `2: "fail_max" is not a setting, want key = value`},
		{"[pybreaker]\n= 5\n", `2: "= 5" is not a setting, want key = value`},
		{"[pybreaker]\nfail_max = 5\nFAIL_MAX = 6\n", "3: fail_max is set already on line 2, want it once"},
		{"[pybreaker]\nreset_timeout = 5\nreset_timout = 6\n", "3: reset_timeout is set already on line 2, want it once"},
		{"[pybreaker]\nfailmax = 5\n", `2: invalid settings: unknown key "failmax", did you mean "fail_max"? (or input_path, output_path, audit_path, standing_path, sleep_delay)`},
		{"[pybreaker]\nfail_max = 5.5\n", "2: invalid settings: fail_max is 5.5, want "},
		{"[pybreaker]\nfail_max = 0\n", `2: invalid settings: fail_max is "0", want more than 0, or no such line for the default`},
		{"[pybreaker]\nfail_max = -1\n", "2: invalid settings: fail_max is -1, want "},
		{"[pybreaker]\nfail_max =\n", "2: invalid settings: fail_max is "},
		{"[pybreaker]\nreset_timeout = 0\n", `2: invalid settings: reset_timeout is "0", want more than 0, or no such line for the default`},
		{"[pybreaker]\nreset_timeout = inf\n", `2: invalid settings: reset_timeout is "inf", want `},
		{"[pybreaker]\nreset_timeout = soon\n", `2: invalid settings: reset_timeout is "soon", want `},
		{"[pybreaker]\nsleep_delay = -1\n", `2: sleep_delay is "-1", want seconds, such as .1, or a time with a unit, such as 100ms`},
		{"[pybreaker]\n\nfailure_rate = 1.5\n", "3: invalid settings: FailureRate is 1.5, want a share in (0, 1]"},
		{"[pybreaker]\n[breaker a]\nfail_max = 1\nslow_rate = .5\n", "4: invalid settings: SlowRate is 0.5, want a SlowCall to go with it"},
		{"[breaker a]\ninput_path = /x\n", "2: input_path is not a setting of a single breaker, want it in [pybreaker]"},
		{"[pybreaker]\ninput_path = %(dir)s/x\n", "2: input_path names %(dir)s, want a key of this section or of [DEFAULT]"},
		{"[pybreaker]\ninput_path = 100%\n", "2: input_path has a lone %, want %% for a percent sign, or %(key)s"},
		{"[pybreaker]\na = %(b)s\nb = %(a)s\noutput_path = %(a)s\n", "4: b is a circular reference"},
		{"[pybreaker]\ninput_path = /x/{user}\n", `2: input_path is "/x/{user}", want no braces but {pid}`},
		{"[pybreaker]\ninput_path =\n", `2: input_path is "", want a path, or no such line for the default`},
	}
	for _, tt := range tests {
		_, err := read(tt.text)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q\n got %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

func TestReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "breaker.conf")
	_, err := Read(path)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "want a file") {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte("[pybreaker]\nfail_max = many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = Read(path); !errors.Is(err, breaker.ErrSettings) || !strings.HasPrefix(err.Error(), "breakerconf: "+path+":2: invalid settings: fail_max is many") {
		t.Errorf("bad value: %v", err)
	}
	if _, err := Open(path); err == nil {
		t.Error("Open started what Read refuses")
	}
	if _, err = Read(filepath.Dir(path)); err == nil {
		t.Error("a folder was read")
	}
}

// FuzzRead reads anything: it must neither panic nor hang, an error is one
// line, and what is accepted can be started.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		seed, "\ufeff[switchgear]\r\nfail_max:off\r\n", "[DEFAULT]\nd=%(d)s\n[pybreaker]\ninput_path=%(d)s%(d)s%%\n",
		"[breaker a b]\nwindow = 1e300\nramp = off\n", "[pybreaker]\n\"\"\"k = `v\n", "[x]\n\x00\n[breaker \xff]\n- = 3\n", "[pybreaker]\nreset_timeout = 0x1p-40\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := read(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		m := breaker.NewManager(c.Settings)
		for _, b := range c.Breakers {
			if _, err := m.Create(b.Name, b.Settings); err != nil {
				t.Errorf("accepted %+v: %v", b, err)
			}
		}
		if c.Input == "" || c.Output == "" || c.SleepDelay < 0 {
			t.Errorf("accepted %+v", c)
		}
	})
}
