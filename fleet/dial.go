package fleet

import (
	"context"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// dialer is what go-redis connects with.
type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// everyTime has each command that finds no connection dial. go-redis's pool stops
// doing so after a few dials that failed, and then tries only once a second: members
// would wait for that, and for their next attempt, before they are back. So dials do
// not fail: they return a connection that does.
func everyTime(dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return &failedConn{err}, nil
		}
		return c, nil
	}
}

// everyTimeToNode is everyTime for a node of a Cluster.
func everyTimeToNode(newClient func(*redis.Options) *redis.Client) func(*redis.Options) *redis.Client {
	if newClient == nil {
		newClient = redis.NewClient
	}
	return func(o *redis.Options) *redis.Client {
		if o.Dialer == nil {
			o.Dialer = redis.NewDialer(o)
		}
		o.Dialer = everyTime(o.Dialer)
		return newClient(o)
	}
}

// failedConn is a connection that could not be made.
type failedConn struct{ err error }

func (c *failedConn) Read([]byte) (int, error)         { return 0, c.err }
func (c *failedConn) Write([]byte) (int, error)        { return 0, c.err }
func (c *failedConn) Close() error                     { return nil }
func (c *failedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *failedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *failedConn) SetDeadline(time.Time) error      { return c.err }
func (c *failedConn) SetReadDeadline(time.Time) error  { return c.err }
func (c *failedConn) SetWriteDeadline(time.Time) error { return c.err }
