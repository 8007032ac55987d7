package main

import (
	"io"
	"os"

	"github.com/charmbracelet/colorprofile"
	"golang.org/x/term"
)

// screen is where people read. It removes colours from what is written to it
// if it is not a terminal, if the terminal has none, or if NO_COLOR is set.
type screen struct {
	io.Writer
	width int // in columns; 0: not a terminal
}

func newScreen(w io.Writer) screen {
	out := colorprofile.NewWriter(w, os.Environ())
	out.Profile = withoutColour(out.Profile)
	s := screen{Writer: out}
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			s.width = width
		}
	}
	return s
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
