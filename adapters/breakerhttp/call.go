package breakerhttp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// call is a request on its way, and then, where the answer has a body, that
// body: it tells the breaker how reading ended, and holds nothing back.
type call struct {
	io.ReadCloser
	transport *Transport
	req       *http.Request // the caller's
	upload    *upload       // its body, or nil where that is not watched
	slot      *slot         // its connection, or nil without a limit on them
	permit    breaker.Permit
	running   bool        // the transport has the request
	settled   atomic.Bool // the body's end has been reported; Read and Close may run at once

	// Used by the reader of the answer's body only.
	over bool // the context had ended when the last Read returned
	late bool // its deadline passed between two Reads
}

// unwind is deferred around the transport, and ends the call if that panics or
// exits the goroutine, which is a mistake of the program. A flag, because
// recover() does not see a Goexit, and would hide where a panic came from.
func (c *call) unwind() {
	if c.running {
		c.slot.free()
		c.permit.Ignore()
	}
}

// failed ends a call that got no answer, or not the whole of it, and returns
// what its caller is to get.
func (c *call) failed(err error) error {
	defer c.slot.free()
	ctx := c.req.Context()
	if o := c.judge(err); o != breaker.Failure {
		return c.permit.Settle(ctx, o, err)
	}
	return c.permit.DoneContext(ctx, err) // the breaker's own exclusions have the last word
}

// judge says what an error is evidence of.
func (c *call) judge(err error) breaker.Outcome {
	switch {
	case c.gaveUp(), c.late, c.slot.waited(c.req.Context()), c.upload.excuses(c.req, err), c.transport.mistaken(c.req, err):
		return breaker.Ignored
	case c.transport.errors != nil:
		return c.transport.errors(err)
	}
	return breaker.Failure
}

// gaveUp reports whether the caller called the request off. A deadline that
// passed is something else: what hangs shows itself in no other way.
func (c *call) gaveUp() bool {
	ctx := c.req.Context()
	if ctx.Err() == context.Canceled {
		return true
	}
	select {
	case <-c.req.Cancel: //nolint:staticcheck // http.Client closes it too when its Timeout is up
		deadline, ok := ctx.Deadline()
		return !ok || time.Now().Before(deadline)
	default:
		return false
	}
}

// watch makes c the answer's body, keeping the io.WriterTo of one that has it.
func (c *call) watch(body io.ReadCloser) io.ReadCloser {
	c.ReadCloser = body
	if to, ok := body.(io.WriterTo); ok {
		return &callWriterTo{c, to}
	}
	return c
}

// Read notes whether the deadline passed between two calls of Read: then the
// reader is slow, not the dependency.
func (c *call) Read(p []byte) (int, error) {
	ctx := c.req.Context()
	if !c.over && ctx.Err() == context.DeadlineExceeded {
		c.late = true
	}
	n, err := c.ReadCloser.Read(p)
	c.over = ctx.Err() != nil
	if err != nil {
		c.ended(err)
	}
	return n, err
}

// Close before the end is a success: the dependency answered, and the caller
// has seen enough. It is noted first, as closing fails a Read under way.
func (c *call) Close() error {
	c.ended(io.EOF)
	return c.ReadCloser.Close()
}

func (c *call) ended(err error) {
	switch {
	case c.settled.Swap(true):
	case err == io.EOF:
		c.slot.free()
		c.permit.Done(nil)
	default:
		_ = c.failed(fmt.Errorf("reading the answer's body: %w", err)) // the reader gets err itself
	}
}

type callWriterTo struct {
	*call
	to io.WriterTo
}

// WriteTo notes the end. An error may be the writer's as well as the body's:
// Close decides.
func (c *callWriterTo) WriteTo(w io.Writer) (int64, error) {
	n, err := c.to.WriteTo(w)
	if err == nil {
		c.ended(io.EOF)
	}
	return n, err
}
