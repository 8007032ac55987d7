//go:build darwin || freebsd || dragonfly || netbsd || openbsd

package ops

import (
	"encoding/binary"
	"net"
)

// kernelTells is false because a kernel of this family that does not answer is
// no reason to refuse a connection: the owners and modes of folder and socket
// keep other users out. An answer counts.
const kernelTells = false

// peerOfSocket asks the kernel who is at the other end. Each of these systems
// has its own option for it (see credentials), and package syscall has none of
// them; it does have getters of fixed size for any option, which is all it takes.
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
