package main

import (
	"io"
	"os"

	"github.com/charmbracelet/colorprofile"
	"golang.org/x/term"
)

// screen is where people read. It takes colours out of what is written to it
// when it is no terminal, when the terminal has none, and under NO_COLOR.
type screen struct {
	io.Writer
	width int // in columns; 0: not a terminal
}

func newScreen(w io.Writer) screen {
	out := colorprofile.NewWriter(w, os.Environ())
	if os.Getenv("NO_COLOR") != "" {
		out.Profile = min(out.Profile, colorprofile.ASCII)
	}
	s := screen{Writer: out}
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			s.width = width
		}
	}
	return s
}
