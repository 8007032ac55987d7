// Package plain makes text safe to show on a terminal. What other processes and
// files say may contain anything: sequences that a terminal obeys, characters
// that turn the direction of writing or cannot be seen at all, and line ends that
// are not ours. All of it is shown as Go writes it: \x1b, \u202e.
package plain

import (
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text is text on one line, with nothing that a terminal would obey, and nothing
// that cannot be seen.
func Text(text string) string { return clean(text, "") }

// Lines is Text that may have several lines, and tabs.
func Lines(text string) string { return clean(text, "\n\t") }

func clean(text, kept string) string {
	odd := func(r rune) bool { return unruly(r) && !strings.ContainsRune(kept, r) }
	text = strings.ToValidUTF8(text, "\ufffd") // a lone byte of 0x9b begins a sequence too
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

// unruly is what is not plain text: everything but letters, marks, numbers,
// punctuation, symbols and the blank, and of those the ones that are invisible.
// So bidirectional controls, zero-width characters, other blanks, separators of
// lines, and what is for private use or not assigned are unruly.
func unruly(r rune) bool {
	const blankBraille = '\u2800'
	return !unicode.IsPrint(r) || r == blankBraille ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// JSON is a text in JSON with the same meaning, that is plain except for line
// ends. Outside of strings JSON has no other characters.
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

// Styled is Lines that lets the sequences through that set colours and the like:
// a program's own text has them.
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

// Writer writes what it is given as Lines, or as Styled.
type Writer struct {
	W      io.Writer
	Styled bool
}

// Write writes text whole, and counts it as it was given.
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

// cutStyle cuts text around its first sequence that sets a style: ESC, [, numbers
// and m.
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
