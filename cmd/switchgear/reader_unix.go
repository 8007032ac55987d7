//go:build unix

package main

import (
	"context"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// whileRead is a context that ends when the reader of w has gone, a pipe or a
// socket. Writing tells that too, but a command may have nothing to say for
// hours.
func whileRead(ctx context.Context, w io.Writer) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		go func() {
			const look = 200 * time.Millisecond
			fds := []unix.PollFd{{Fd: int32(f.Fd())}} // errors are reported without being asked for
			for ctx.Err() == nil {
				if n, _ := unix.Poll(fds, int(look.Milliseconds())); n > 0 {
					cancel()
				}
			}
		}()
	}
	return ctx, cancel
}
