//go:build darwin || freebsd || dragonfly

package ops

import (
	"fmt"
	"syscall"
)

// credentials parses the beginning of a struct xucred: its version, which is
// 0, and the user. The groups that follow are not needed.
func credentials(fd int) (uid, pid uint32, err error) {
	const solLocal, localPeercred = 0, 1
	v, err := syscall.GetsockoptIPMreq(fd, solLocal, localPeercred) // 8 bytes
	if err != nil {
		return 0, 0, err
	}
	if version := word(v.Multiaddr[:]); version != 0 {
		return 0, 0, fmt.Errorf("xucred version %d, want 0", version)
	}
	return word(v.Interface[:]), 0, nil
}
