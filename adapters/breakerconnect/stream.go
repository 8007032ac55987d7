package breakerconnect

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/switchgear-go/switchgear/breaker"
)

// WrapStreamingClient is for connect: it guards a client's streams.
func (g *Guard) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		w := &wire{}
		conn := next(w.watch(ctx), spec) // sends nothing yet
		p, err := g.admit(ctx, callOf(spec, conn.Peer()))
		if err != nil {
			return &rejectedStream{conn, err}
		}
		s := &clientStream{StreamingClientConn: conn, guard: g, wire: w, call: call{ctx: ctx, permit: p}}
		// A caller may end its context and close nothing.
		s.stop = context.AfterFunc(ctx, s.contextEnded)
		return s
	}
}

// WrapStreamingHandler is for connect: it guards a server's streams.
func (g *Guard) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		p, err := g.admit(ctx, callOf(conn.Spec(), conn.Peer()))
		if err != nil {
			return err
		}
		s := &serverStream{StreamingHandlerConn: conn, call: call{ctx: ctx, permit: p}}
		defer func() {
			p := s.take()
			unwind(ctx, &p)
		}()
		err = next(ctx, s)
		p = s.take()
		return settle(ctx, &p, g.judgeServer(ctx, s.cannotRead(), err), err)
	}
}

// call is an admitted stream. Several goroutines may come to its end at once:
// the first settles it, outside the lock.
type call struct {
	ctx context.Context

	mu       sync.Mutex     // guards the fields below, and those so marked in clientStream
	permit   breaker.Permit // the zero one once the call is settled
	answered bool
}

func (c *call) take() breaker.Permit {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.takeLocked()
}

func (c *call) takeLocked() breaker.Permit {
	p := c.permit
	c.permit = breaker.Permit{}
	return p
}

// gotMessage notes a message of the answer. The first stops the slow call's
// clock, and passes a probe.
func (c *call) gotMessage() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.answered {
		c.answered = true
		c.permit.Answered()
	}
}

// serverStream sees a handler's first message, and what it cannot read.
type serverStream struct {
	connect.StreamingHandlerConn
	call
	unread error // that of reading the client's messages. mu guards it
}

// Receive receives a message from the client.
func (s *serverStream) Receive(m any) error {
	err := s.StreamingHandlerConn.Receive(m)
	if err != nil && !errors.Is(err, io.EOF) {
		s.mu.Lock()
		s.unread = err
		s.mu.Unlock()
	}
	return err
}

func (s *serverStream) cannotRead() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unread
}

// Send sends a message of the answer.
func (s *serverStream) Send(m any) error {
	err := s.StreamingHandlerConn.Send(m)
	if err == nil && m != nil { // nil sends headers alone
		s.gotMessage()
	}
	return err
}

// clientStream tells the breaker how a client's stream ended.
type clientStream struct {
	connect.StreamingClientConn
	guard *Guard
	wire  *wire
	call
	stop func() bool // no longer wait for the context's end

	busy int // calls of Send and Receive under way: they will report the outcome. mu guards it
}

// Send sends a message. Errors of the stream are io.EOF here, and come from
// Receive. Its own are the program's, except a deadline that passes while the
// service takes nothing.
func (s *clientStream) Send(m any) error {
	defer s.enter()()
	err := s.StreamingClientConn.Send(m)
	if err != nil && !errors.Is(err, io.EOF) && s.ctx.Err() != nil {
		return s.end(err)
	}
	return err
}

// Receive receives a message, or the stream's end.
func (s *clientStream) Receive(m any) error {
	defer s.enter()()
	err := s.StreamingClientConn.Receive(m)
	switch {
	case err == nil:
		s.gotMessage()
	case errors.Is(err, io.EOF):
		_ = s.end(nil)
	default:
		return s.end(err)
	}
	return err
}

// CloseResponse ends a stream that has not ended. The caller has seen enough.
func (s *clientStream) CloseResponse() error {
	s.stop()
	s.left()
	return s.StreamingClientConn.CloseResponse()
}

// enter is around what waits for the service. A panic in it, which is a mistake of
// the program, settles nothing: the stream still ends with its context, or when
// it is closed.
func (s *clientStream) enter() (leave func()) {
	s.mu.Lock()
	s.busy++
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		s.busy--
		s.mu.Unlock()
		if s.ctx.Err() != nil {
			s.contextEnded()
		}
	}
}

// contextEnded settles a stream that its caller left by its context. A call
// that waits for the service meanwhile reports the outcome itself: a deadline may
// be the service's failure.
func (s *clientStream) contextEnded() {
	s.mu.Lock()
	waiting := s.busy > 0
	s.mu.Unlock()
	if !waiting {
		s.left()
	}
}

// left settles a stream whose caller does not wait for its end.
func (s *clientStream) left() {
	s.mu.Lock()
	p, o := s.takeLocked(), breaker.Ignored
	if s.answered {
		o = breaker.Success
	}
	s.mu.Unlock()
	_ = settle(s.ctx, &p, o, nil)
}

func (s *clientStream) end(err error) error {
	s.stop()
	s.mu.Lock()
	p, answered := s.takeLocked(), s.answered
	s.mu.Unlock()
	o := s.guard.judgeClient(s.ctx, s.wire.left.Load(), err)
	if answered && o == breaker.Failure && codeOf(err) == connect.CodeDeadlineExceeded && s.outOfTime() {
		o = breaker.Success // it answered, and was then quiet until the caller's deadline
	}
	return settle(s.ctx, &p, o, err)
}

// outOfTime reports whether the caller's deadline has come. The server, which is
// told of it in whole milliseconds, may say so a little earlier.
func (s *clientStream) outOfTime() bool {
	deadline, ok := s.ctx.Deadline()
	return ok && time.Until(deadline) < 10*time.Millisecond
}

// rejectedStream is a stream that the breaker rejected. Nothing is sent.
type rejectedStream struct {
	connect.StreamingClientConn
	err error
}

// Send returns the rejection.
func (s *rejectedStream) Send(any) error { return s.err }

// Receive returns the rejection.
func (s *rejectedStream) Receive(any) error { return s.err }

// CloseRequest does nothing: closing the wrapped stream would make the request.
func (s *rejectedStream) CloseRequest() error { return nil }

// CloseResponse does nothing.
func (s *rejectedStream) CloseResponse() error { return nil }

// ResponseHeader is empty.
func (s *rejectedStream) ResponseHeader() http.Header { return http.Header{} }

// ResponseTrailer is empty.
func (s *rejectedStream) ResponseTrailer() http.Header { return http.Header{} }
