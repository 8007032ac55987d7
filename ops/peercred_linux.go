package ops

import (
	"net"
	"syscall"
)

// kernelTells: the kernel reports who is at the other end of a socket, so a
// connection whose user is unknown is refused.
const kernelTells = true

// peerOfSocket asks the kernel who is at the other end.
func peerOfSocket(c *net.UnixConn) Peer {
	p := Peer{Transport: "socket"}
	raw, err := c.SyscallConn()
	if err != nil {
		return p
	}
	_ = raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			uid := int(cred.Uid)
			p.UID, p.PID = &uid, int(cred.Pid)
		}
	})
	return p
}
