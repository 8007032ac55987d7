// Package plain makes text safe to show on a terminal. What other processes
// and files contain may be anything: control sequences, characters that change
// the direction of writing or are invisible, and additional line ends. All of
// these are shown as Go escapes them: \x1b, \u202e.
package plain

import (
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text returns s on one line, without anything that a terminal would interpret
// and without anything invisible.
func Text(text string) string { return clean(text, "") }

// Lines is like Text, but keeps line ends and tabs.
func Lines(text string) string { return clean(text, "\n\t") }

func clean(text, kept string) string {
	odd := func(r rune) bool { return unruly(r) && !strings.ContainsRune(kept, r) }
	text = strings.ToValidUTF8(text, "\ufffd") // a single byte 0x9b also begins a sequence
	if !strings.ContainsFunc(text, odd) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if odd(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// unruly reports whether r is not plain text: everything except visible
// letters, marks, numbers, punctuation, symbols and the blank. So
// bidirectional controls, zero-width characters, other blanks, line
// separators, and characters that are unassigned or for private use are
// unruly.
func unruly(r rune) bool {
	const blankBraille = '\u2800'
	return !unicode.IsPrint(r) || r == blankBraille ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// JSON returns a JSON text with the same meaning that is plain except for line
// ends. Outside of strings JSON contains no other characters.
func JSON(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == '\n' || !unruly(r) && r != utf8.RuneError:
			out = append(out, text[:n]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = escape(escape(out, hi), lo)
		default:
			out = escape(out, r)
		}
		text = text[n:]
	}
	return out
}

func escape(out []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(out, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// Styled is Lines, but lets sequences for colours and the like through, for a
// program's own text.
func Styled(text string) string {
	var b strings.Builder
	for {
		before, style, after := cutStyle(text)
		b.WriteString(Lines(before))
		if style == "" {
			return b.String()
		}
		b.WriteString(style)
		text = after
	}
}

// Writer passes what is written to it through Lines, or through Styled.
type Writer struct {
	W      io.Writer
	Styled bool
}

// Write writes text completely, and returns the number of bytes of the
// original.
func (w Writer) Write(text []byte) (int, error) {
	made := Lines
	if w.Styled {
		made = Styled
	}
	if _, err := io.WriteString(w.W, made(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// cutStyle splits text around its first sequence that sets a style: ESC, [,
// numbers and m.
func cutStyle(text string) (before, style, after string) {
	for from := 0; ; {
		at := strings.Index(text[from:], "\x1b[")
		if at < 0 {
			return text, "", ""
		}
		at += from
		end := at + 2
		for end < len(text) && strings.IndexByte("0123456789;:", text[end]) >= 0 {
			end++
		}
		if end < len(text) && text[end] == 'm' {
			return text[:at], text[at : end+1], text[end+1:]
		}
		from = end
	}
}
