package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Times of a store's connections. go-redis's defaults let one command hang for
// ten seconds when a server is stopped.
const (
	storeTimeout = 500 * time.Millisecond
	dialTimeout  = time.Second
	bufferSize   = 4 << 10 // go-redis has 32 KB, which a fleet that comes back allocates thousandfold
)

// copyClient returns a client of the fleet's own with the options of client, see
// NewRedis.
func copyClient(client redis.UniversalClient) (redis.UniversalClient, error) {
	switch c := client.(type) {
	case *redis.Client:
		if c == nil {
			return nil, errNilClient
		}
		o := *c.Options()
		o.MaxRetries, o.DialerRetries = -1, 1
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialTimeout, storeTimeout, storeTimeout, storeTimeout
		o.ContextTimeoutEnabled = true
		o.PoolSize, o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns = 4, 0, 2, 0
		o.ReadBufferSize, o.WriteBufferSize, o.DisableIdentity = bufferSize, bufferSize, true
		o.PushNotificationProcessor, o.MaintNotificationsConfig = nil, noNotices()
		o.ClientSideCache, o.ClientSideCacheConfig = nil, nil
		o.PipelineReadBufferSize, o.PipelineWriteBufferSize = 0, 0 // no second pool
		o.Limiter = nil                                            // it is for the user's commands
		o.Dialer = everyTime(o.Dialer)
		return redis.NewClient(&o), nil
	case *redis.ClusterClient:
		if c == nil {
			return nil, errNilClient
		}
		o := *c.Options()
		o.MaxRetries, o.MaxRedirects, o.DialerRetries = -1, 2, 1
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialTimeout, storeTimeout, storeTimeout, storeTimeout
		o.ContextTimeoutEnabled = true
		o.PoolSize, o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns = 4, 0, 2, 0
		o.ReadBufferSize, o.WriteBufferSize, o.DisableIdentity = bufferSize, bufferSize, true
		o.PushNotificationProcessor, o.MaintNotificationsConfig = nil, noNotices()
		o.PipelineReadBufferSize, o.PipelineWriteBufferSize = 0, 0
		o.ReadOnly, o.RouteByLatency, o.RouteRandomly = false, false, false // replicas may be late
		o.NewClient = everyTimeToNode(o.NewClient)
		own := redis.NewClusterClient(&o)
		own.AddHook(finder{own})
		return own, nil
	}
	return nil, fmt.Errorf("fleet: got a Redis client of type %T, want *redis.Client or *redis.ClusterClient", client)
}

var errNilClient = errors.New("fleet: got a nil Redis client, want one that was made by redis.NewClient and the like")

// finder looks anew which node has which slots when something fails. By itself
// go-redis does so each minute, and when a node redirects: one that is dead or
// frozen does not.
type finder struct{ cluster *redis.ClusterClient }

func (f finder) look(ctx context.Context, err error) error {
	if err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "NOSCRIPT") {
		f.cluster.ReloadState(ctx) // in the background, and not more often than it takes
	}
	return err
}

func (f finder) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f finder) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return f.look(ctx, next(ctx, cmd)) }
}

func (f finder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return f.look(ctx, next(ctx, cmds)) }
}

// noNotices: two clients cannot share the handlers of what a server announces,
// and a fleet can do without: it loses nothing when a connection goes.
func noNotices() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

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
