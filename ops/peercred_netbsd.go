package ops

import "syscall"

// credentials reads a struct unpcbid: process, user and group.
func credentials(fd int) (uid, pid uint32, err error) {
	const solLocal, localPeereid = 0, 3
	v, err := syscall.GetsockoptIPv6Mreq(fd, solLocal, localPeereid) // 20 bytes, of which it fills 12
	if err != nil {
		return 0, 0, err
	}
	return word(v.Multiaddr[4:]), word(v.Multiaddr[:]), nil
}
