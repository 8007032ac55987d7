//go:build unix

package main

import (
	"context"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// untilReaderGone returns a context that is done when the reader of w, a pipe or a
// socket, has gone. Writing would notice that too, but a command may have
// nothing to write for hours.
func untilReaderGone(ctx context.Context, w io.Writer) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		go func() {
			const look = 200 * time.Millisecond
			fds := []unix.PollFd{{Fd: int32(f.Fd())}} // errors are reported even if no events are requested
			for ctx.Err() == nil {
				if n, _ := unix.Poll(fds, int(look.Milliseconds())); n > 0 {
					cancel()
				}
			}
		}()
	}
	return ctx, cancel
}
