//go:build !unix

package breakerpgx

import "net"

// pending cannot tell here whether there is something to read on a connection.
func pending(net.Conn) bool { return false }
