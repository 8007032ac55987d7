package breakerredis

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// wire is what the hook sees of its node's connections. A command whose context
// ends gets the context's error, whether it waited for the node or for its own
// pool; only here can the two be distinguished.
type wire struct {
	mu     sync.Mutex // guards the fields below
	dials  map[*dial]struct{}
	down   bool      // the last dial to end has failed
	noDial time.Time // when the latest of the dials that failed began
	failed time.Time // when the latest of the exchanges that failed began
}

type dial struct{ began time.Time }

// DialHook watches dials and what becomes of their connections. It asks no
// breaker: a command that has to wait for a connection fails with it, and is
// what counts.
func (h *hook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := &dial{time.Now()}
		h.wire.begin(d)
		defer h.wire.forget(d) // even if the dialer panics
		c, err := next(ctx, network, addr)
		h.wire.end(d, err != nil && !isLocal(err) && !errors.Is(err, context.Canceled)) // a client that is closed cancels
		if c == nil || err != nil {
			return c, err
		}
		return watch(c, &h.wire), nil
	}
}

func (w *wire) begin(d *dial) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dials == nil {
		w.dials = map[*dial]struct{}{}
	}
	w.dials[d] = struct{}{}
}

func (w *wire) end(d *dial, failed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.dials, d)
	if w.down = failed; failed {
		w.noDial = later(w.noDial, d.began)
	}
}

// forget removes a dial that has not ended as a dial does.
func (w *wire) forget(d *dial) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.dials, d)
}

// exchangeFailed records that what was written then was not answered.
func (w *wire) exchangeFailed(wrote time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = later(w.failed, wrote)
}

// isDown reports whether the node could not be reached when it was last tried.
func (w *wire) isDown() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.down
}

// failedSince reports whether the node failed a command that began then, or one
// that ran at its side.
func (w *wire) failedSince(began time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.failed.Before(began) || w.dialFailedLocked(began)
}

// dialFailedSince is failedSince of dials alone.
func (w *wire) dialFailedSince(began time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dialFailedLocked(began)
}

// dialFailedLocked also counts a dial that has hung for most of the command's
// time: a healthy node's dial does not take that long, even if the command began
// it only after it had waited for the pool.
func (w *wire) dialFailedLocked(began time.Time) bool {
	if !w.noDial.Before(began) {
		return true
	}
	now := time.Now()
	for d := range w.dials {
		if now.Sub(d.began) >= now.Sub(began)/2 {
			return true
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// conn is a connection that reports failed exchanges.
type conn struct {
	net.Conn
	wire *wire

	mu    sync.Mutex // guards the fields below: a subscription writes while it reads
	wrote time.Time  // when the last request was sent
	head  []byte     // how it began
}

// headSize is enough of a request to tell whether it waits on purpose.
const headSize = 256

// watch keeps what go-redis asks a connection for: its file descriptor, by which
// it finds dead ones, or the connection below TLS.
func watch(c net.Conn, w *wire) net.Conn {
	watched := &conn{Conn: c, wire: w}
	switch c := c.(type) {
	case syscall.Conn:
		return &struct {
			*conn
			syscall.Conn
		}{watched, c}
	case interface{ NetConn() net.Conn }:
		return &struct {
			*conn
			wrapper
		}{watched, c}
	}
	return watched
}

type wrapper interface{ NetConn() net.Conn }

func (c *conn) Write(p []byte) (int, error) {
	now := time.Now()
	c.mu.Lock()
	c.wrote, c.head = now, append(c.head[:0], p[:min(len(p), headSize)]...)
	c.mu.Unlock()
	n, err := c.Conn.Write(p)
	c.check(err)
	return n, err
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.check(err)
	return n, err
}

// check takes note of an error, unless the program has closed the connection, or
// has asked the node to wait and ends that wait.
func (c *conn) check(err error) {
	if err == nil || errors.Is(err, net.ErrClosed) {
		return
	}
	c.mu.Lock()
	wrote, waits := c.wrote, waitOfRequest(c.head)
	c.mu.Unlock()
	if waits != 0 && !waits.over(wrote) && errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	c.wire.exchangeFailed(wrote)
}
