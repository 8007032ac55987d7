package ops

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/switchgear-go/switchgear/ops/internal/procstate"
)

// errUntrusted is the error for a socket whose process cannot be trusted.
var errUntrusted = errors.New("not trusted")

// dial connects to a unix socket if both the socket and the process behind it
// belong to user uid (anyone: if the process belongs to the owner of the
// socket). Anyone who can write to the folder can change the path at any time,
// so only what the kernel says about the connection counts. If dial fails,
// nothing was sent.
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

// errStopped: a stopped process cannot answer until it is continued.
var errStopped = errors.New("the process is stopped")
