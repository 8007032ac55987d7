package breakergrpc

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/switchgear-go/switchgear/breaker"
)

// call is an admitted stream. Several goroutines may see its end at the same
// time: the first settles it.
type call struct {
	guard *Guard
	ctx   context.Context

	mu     sync.Mutex // guards the fields below, and those so marked in clientStream
	end    end
	permit breaker.Permit
}

// take returns the permit once, so that it is settled outside the lock.
func (c *call) take() (breaker.Permit, end) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.takeLocked(), c.end
}

// settle ends the stream, unless it has ended already.
func (c *call) settle(err error) error {
	p, e := c.take()
	return c.guard.settle(c.ctx, &p, e, err)
}

func (c *call) takeLocked() breaker.Permit {
	p := c.permit
	c.permit = breaker.Permit{}
	return p
}

// gotMessage notes a message of the answer. The first one stops the clock of a
// slow call and makes a probe succeed: otherwise a stream that runs for hours
// would keep the breaker half-open for as long.
func (c *call) gotMessage() {
	c.mu.Lock()
	if c.end.answered {
		c.mu.Unlock()
		return
	}
	c.end.answered = true
	c.permit.Answered()
	c.mu.Unlock()
}

// clientStream reports to the breaker how a client's stream ended.
type clientStream struct {
	grpc.ClientStream
	call
	single bool        // the answer is one message: the first is the end
	stop   func() bool // no longer wait for the context's end

	busy  int  // calls of SendMsg, RecvMsg and Header in progress. mu guards it
	ended bool // the context has ended. mu guards it
	owed  bool // gRPC has said that RecvMsg will report how the stream ended. mu guards it
}

// watch settles the stream when its caller abandons it by ending the context.
func (s *clientStream) watch() {
	// The caller's context, not the stream's: asking for that one would switch
	// off gRPC's own retries.
	s.stop = context.AfterFunc(s.ctx, s.contextEnded)
}

// SendMsg sends a message. Its own errors are the caller's fault; an error of
// the stream is io.EOF here, and comes from RecvMsg.
func (s *clientStream) SendMsg(m any) error {
	s.enter()
	returned := false
	defer s.unwind(&returned)
	err := s.ClientStream.SendMsg(m)
	returned = true
	if err != nil && err != io.EOF {
		s.abandon()
	}
	s.leave(err == io.EOF)
	return err
}

// RecvMsg receives a message, or the stream's end.
func (s *clientStream) RecvMsg(m any) error {
	s.enter()
	returned := false
	defer s.unwind(&returned)
	err := s.ClientStream.RecvMsg(m)
	returned = true
	switch {
	case err == io.EOF, err == nil && s.single:
		_ = s.finish(nil)
	case err != nil:
		err = s.finish(err)
	default:
		s.gotMessage()
	}
	s.leave(false)
	return err
}

// Header waits for the answer's header. If there is none, gRPC keeps the error
// for RecvMsg.
func (s *clientStream) Header() (metadata.MD, error) {
	s.enter()
	returned := false
	defer s.unwind(&returned)
	md, err := s.ClientStream.Header()
	returned = true
	if err != nil {
		err = s.finish(err)
	}
	s.leave(md == nil)
	return md, err
}

func (s *clientStream) enter() {
	s.mu.Lock()
	s.busy++
	s.mu.Unlock()
}

// leave ends a call on the stream; owed means that RecvMsg will still report
// the outcome.
func (s *clientStream) leave(owed bool) {
	s.mu.Lock()
	s.busy--
	s.owed = s.owed || owed
	p := s.abandonedLocked()
	s.mu.Unlock()
	p.Ignore()
}

// contextEnded settles a stream that its caller has abandoned. If the caller
// is waiting in a call on the stream, that call reports the outcome: a
// deadline that passes meanwhile is the dependency's failure.
func (s *clientStream) contextEnded() {
	s.mu.Lock()
	s.ended = true
	p := s.abandonedLocked()
	s.mu.Unlock()
	p.Ignore()
}

func (s *clientStream) abandonedLocked() breaker.Permit {
	if !s.ended || s.busy > 0 || s.owed {
		return breaker.Permit{}
	}
	return s.takeLocked()
}

func (s *clientStream) abandon() {
	s.stop()
	p, _ := s.take()
	p.Ignore()
}

func (s *clientStream) finish(err error) error {
	s.stop()
	return s.settle(err)
}

// unwind gives up a stream whose call panics or exits its goroutine, as a codec
// of the program may.
func (s *clientStream) unwind(returned *bool) {
	if *returned {
		return
	}
	s.abandon()
	s.leave(false)
}

// serverStream notices a handler's first message.
type serverStream struct {
	grpc.ServerStream
	call
}

// SendMsg sends a message of the answer.
func (s *serverStream) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	if err == nil {
		s.gotMessage()
	}
	return err
}
