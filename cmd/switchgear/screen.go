package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/colorprofile"
	"golang.org/x/term"
)

// screen is where people read. It removes colours from what is written to it
// if it is not a terminal, if the terminal has none, or if NO_COLOR is set.
type screen struct {
	io.Writer
	width, height int // in columns and lines; 0: not a terminal
}

func newScreen(w io.Writer) screen {
	out := colorprofile.NewWriter(w, os.Environ())
	out.Profile = withoutColour(out.Profile)
	s := screen{Writer: out}
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil {
			s.width, s.height = width, height
		}
	}
	return s
}

// fit returns as much of a text as the screen has room for, from the beginning. A line
// that is longer than the screen is wide takes several.
func (s *screen) fit(text string) string {
	if s.height == 0 {
		return text
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	rows := func(line string) int { return 1 + max(0, utf8.RuneCountInString(line)-1)/max(1, s.width) }
	room := s.height - 1 // the cursor is below
	for i, line := range lines {
		if room -= rows(line); room < 0 || room == 0 && i < len(lines)-1 {
			return strings.Join(append(lines[:i:i], fmt.Sprintf("... and %d more lines", len(lines)-i)), "\n") + "\n"
		}
	}
	return text
}

// withoutColour returns p, or what is left of it under NO_COLOR: as
// no-color.org defines it, any value counts.
func withoutColour(p colorprofile.Profile) colorprofile.Profile {
	if os.Getenv("NO_COLOR") != "" {
		return min(p, colorprofile.ASCII)
	}
	return p
}

// isTerminal reports whether r is a terminal.
func isTerminal(r any) bool {
	f, ok := r.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}
