package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/switchgear-go/switchgear/cmd/internal/plain"
)

// output is where a command prints. The first error ends the command, because
// nothing that it would still print has a reader.
type output struct {
	plain.Writer
	end context.CancelFunc
	err error
}

func (o *output) Write(text []byte) (int, error) {
	if o.err == nil {
		var n int
		if n, o.err = o.Writer.Write(text); o.err == nil {
			return n, nil
		}
		o.end()
	}
	return 0, o.err
}

// fileOutput is an output that is a file, which may be a terminal. It has what
// libraries for terminals require.
type fileOutput struct {
	*output
	f *os.File
}

func (o fileOutput) Fd() uintptr                   { return o.f.Fd() }
func (o fileOutput) Read(text []byte) (int, error) { return o.f.Read(text) }
func (o fileOutput) Close() error                  { return o.f.Close() }

// bare returns w itself, for a program that draws the screen and therefore
// writes control sequences. It makes text plain before it draws.
func bare(w io.Writer) io.Writer {
	if o, ok := w.(fileOutput); ok {
		return o.f
	}
	return w
}

// newOutput returns the output of a command, and what it is written through.
// end is called at the first error.
func newOutput(w io.Writer, end context.CancelFunc) (o *output, through io.Writer) {
	o = &output{Writer: plain.Writer{W: w, Styled: true}, end: end}
	if f, ok := w.(*os.File); ok {
		return o, fileOutput{o, f}
	}
	return o, o
}

// result returns the error of a command whose output failed, or else err. A
// closed pipe is not reported: its reader closed it on purpose.
func (o *output) result(err error) error {
	switch {
	case o.err == nil:
		return err
	case errors.Is(o.err, syscall.EPIPE):
		return &codeError{exitRefused, errSilent}
	}
	return &codeError{exitRefused, fmt.Errorf("the output cannot be written: %w", o.err)}
}
