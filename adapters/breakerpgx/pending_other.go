//go:build !unix

package breakerpgx

import "net"

// pending always returns false: this system cannot tell whether there is
// something to read.
func pending(net.Conn) bool { return false }
