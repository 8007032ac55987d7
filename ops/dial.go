package ops

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/switchgear-go/switchgear/ops/internal/procstate"
)

// errUntrusted is why nothing is said to the process at a socket.
var errUntrusted = errors.New("not trusted")

// dial connects to a unix socket if it and the process behind it are user uid's
// (anyone: if the process is of the user to whom the socket belongs). What
// stands at the path may be changed at any time by whoever can write to the
// folder, so what counts is what the kernel says of the connection. An error is
// always one of dialling: nothing was sent.
func dial(ctx context.Context, path string, uid int, impatient bool) (net.Conn, error) {
	failed := func(err error) error {
		return &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: path, Net: "unix"}, Err: err}
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, failed(err)
	}
	owned := owner(info)
	switch {
	case info.Mode().Type() != os.ModeSocket:
		return nil, failed(fmt.Errorf("%w: it is not a socket (%s)", errUntrusted, info.Mode()))
	case uid != anyone && owned != uid:
		return nil, failed(fmt.Errorf("%w: the socket belongs to user %d, want %d", errUntrusted, owned, uid))
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	peer := peerOfSocket(conn.(*net.UnixConn))
	switch {
	case peer.UID == nil && kernelTells:
		err = fmt.Errorf("%w: the kernel does not say whose process it is", errUntrusted)
	case peer.UID != nil && *peer.UID != owned:
		err = fmt.Errorf("%w: the socket belongs to user %d, and a process of user %d answers at it", errUntrusted, owned, *peer.UID)
	case impatient && procstate.Of(peer.PID) == procstate.Stopped:
		err = errStopped
	}
	if err != nil {
		conn.Close()
		return nil, failed(err)
	}
	return conn, nil
}

// errStopped: a process that is stopped cannot answer before somebody wakes it.
var errStopped = errors.New("the process is stopped")
