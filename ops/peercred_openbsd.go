package ops

import "syscall"

// credentials reads a struct sockpeercred: user, group and process.
func credentials(fd int) (uid, pid uint32, err error) {
	const soPeercred = 0x1022
	v, err := syscall.GetsockoptIPv6Mreq(fd, syscall.SOL_SOCKET, soPeercred) // 20 bytes, of which it fills 12
	if err != nil {
		return 0, 0, err
	}
	return word(v.Multiaddr[:]), word(v.Multiaddr[8:]), nil
}
