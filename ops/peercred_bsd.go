//go:build darwin || freebsd || dragonfly || netbsd || openbsd

package ops

import (
	"encoding/binary"
	"net"
)

// kernelTells is false because these kernels may not answer, and that is no
// reason to refuse a connection: the owners and modes of folder and socket
// keep other users out. If the kernel does answer, the answer counts.
const kernelTells = false

// peerOfSocket asks the kernel who is at the other end. Each of these systems
// has a different option for it (see credentials), and package syscall has
// none of them. It does have getters of fixed size for arbitrary options,
// which is all that is needed.
func peerOfSocket(c *net.UnixConn) Peer {
	p := Peer{Transport: "socket"}
	raw, err := c.SyscallConn()
	if err != nil {
		return p
	}
	_ = raw.Control(func(fd uintptr) {
		if user, pid, err := credentials(int(fd)); err == nil {
			uid := int(user)
			p.UID, p.PID = &uid, int(pid)
		}
	})
	return p
}

func word(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }
