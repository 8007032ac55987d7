//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package ops

import (
	"errors"
	"net"
	"syscall"
)

// hungUp reports whether the program at the other end has closed the
// connection, so that it no longer waits for an answer. It reads nothing from
// c.
func hungUp(c *net.UnixConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK) // the socket does not block
		gone = n == 0 && err == nil || errors.Is(err, syscall.ECONNRESET)
	})
	return gone || err != nil
}
