//go:build unix

package breakerpgx

import (
	"crypto/tls"
	"net"
	"syscall"
)

// pending reports whether there is something to read on c, which may be its
// end, without waiting and without reading it. If that cannot be determined,
// it returns false.
//
// It asks through Control, not Read: a read that pgx has begun in the
// background would hold the lock of Read.
func pending(c net.Conn) (some bool) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		some = err != syscall.EAGAIN && err != syscall.EINTR
	})
	return some && err == nil
}
