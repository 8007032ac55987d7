package plain_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/internal/plain/plaintest"
)

func TestTextIsPlain(t *testing.T) {
	for _, tt := range [][2]string{
		{"plain, é and 日本, ✓ ▁▂ →", "plain, é and 日本, ✓ ▁▂ →"},
		{"e\u0301 combined", "e\u0301 combined"},
		{"\x1b]0;title\a", `\x1b]0;title\a`},
		{"two\nlines\tand\ra tab", `two\nlines\tand\ra tab`},
		{"right\u202eleft\u2066\u2069\u061c\u200f", `right\u202eleft\u2066\u2069\u061c\u200f`},
		{"zero\u200bwidth\u200d\u200c\ufeff\u2060\u00ad", `zero\u200bwidth\u200d\u200c\ufeff\u2060\u00ad`},
		{"lines\u2028and\u2029paragraphs\u0085\v\f", `lines\u2028and\u2029paragraphs\u0085\v\f`},
		{"blanks\u00a0\u3000\u2003\u202f\u1680.", `blanks\u00a0\u3000\u2003\u202f\u1680.`},
		{"unseen\u3164\uffa0\u115f\u034f\u2800\ufe0f\U000e0041", `unseen\u3164\uffa0\u115f\u034f\u2800\ufe0f\U000e0041`},
		{"private \ue000, none \u0378", `private \ue000, none \u0378`},
		{"raw \x9b31m", "raw \ufffd31m"},
		{"c1 \u009b31m \x7f", `c1 \u009b31m \x7f`},
	} {
		if got := plain.Text(tt[0]); got != tt[1] {
			t.Errorf("Text(%q) = %q, want %q", tt[0], got, tt[1])
		}
	}
	if got, want := plain.Lines("a\n\tb\r\x1b"), "a\n\tb\\r\\x1b"; got != want {
		t.Errorf("Lines = %q, want %q", got, want)
	}
}

// Every character is shown plain, or as an escape that is plain.
func TestEveryCharacter(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		got := plain.Text(string(r))
		if strings.ContainsFunc(got, func(r rune) bool { return unicode.In(r, unicode.C, unicode.Z) && r != ' ' }) {
			t.Fatalf("U+%04X becomes %q", r, got)
		}
	}
}

func TestJSONMeansTheSame(t *testing.T) {
	for _, s := range []string{strings.ToValidUTF8(plaintest.Hostile, ""), "plain é 日本", `a "quoted" \ text`, "\U000e0041\U0001f600", ""} {
		text, err := json.Marshal(map[string]any{s: []string{s}})
		if err != nil {
			t.Fatal(err)
		}
		got := plain.JSON(append(text, '\n'))
		var back map[string][]string
		if err := json.Unmarshal(got, &back); err != nil || len(back[s]) != 1 || back[s][0] != s {
			t.Errorf("%q comes back as %q, %v", s, back, err)
		}
		plaintest.Check(t, "JSON", string(got))
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestWriter(t *testing.T) {
	for _, tt := range []struct {
		styled   bool
		in, want string
	}{
		{false, "a\x1b[31mb\n", "a\\x1b[31mb\n"},
		{true, "a\x1b[1;31mb\x1b[m\n\x1b[38:5:1mc", "a\x1b[1;31mb\x1b[m\n\x1b[38:5:1mc"},
		{true, "a\x1b[2Jb\x1b[31mc\x1b]0;x\a", "a\\x1b[2Jb\x1b[31mc\\x1b]0;x\\a"},
		{true, "\x1b[31\x1b[32m\x1b[", "\\x1b[31\x1b[32m\\x1b["},
		{true, "", ""},
	} {
		var b strings.Builder
		if n, err := (plain.Writer{W: &b, Styled: tt.styled}).Write([]byte(tt.in)); n != len(tt.in) || err != nil || b.String() != tt.want {
			t.Errorf("styled %t: %q is written as %q, %d, %v, want %q", tt.styled, tt.in, b.String(), n, err, tt.want)
		}
	}
	if _, err := (plain.Writer{W: broken{}}).Write([]byte("x")); err == nil {
		t.Error("an error of the writer is lost")
	}
}
