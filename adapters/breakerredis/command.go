package breakerredis

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/breaker"
)

// command is an admitted command, pipeline or transaction, and the context
// under which it runs: hooks that run under it find it in the context.
type command struct {
	context.Context // the caller's

	hook     *hook
	permit   breaker.Permit
	began    time.Time
	waits    wait
	answered bool        // Answered was called at the start
	noHello  atomic.Bool // the handshake of its connection failed
}

// Value finds the command itself under its hook.
func (c *command) Value(key any) any {
	if key == any(c.hook) {
		return c
	}
	return c.Context.Value(key)
}

func (h *hook) begin(ctx context.Context, p breaker.Permit, cmds []redis.Cmder) *command {
	c := &command{Context: ctx, hook: h, permit: p, began: time.Now(), waits: waitOf(cmds)}
	// The time of an intended wait says nothing. A probe must not report
	// Answered, which is a success, before it has succeeded: succeed handles
	// it.
	if c.waits != 0 && h.breaker.State() == breaker.Closed {
		c.permit.Answered()
		c.answered = true
	}
	return c
}

// note records the end of a command that is part of c. A nil c records
// nothing.
func (c *command) note(err error) error {
	if c != nil && err != nil && !isReply(err) {
		c.noHello.Store(true)
	}
	return err
}

// end settles the command and returns the error for its caller.
func (c *command) end(cmds []redis.Cmder, err error) error {
	outcome, cause := c.judge(cmds, err)
	switch outcome {
	case breaker.Success:
		c.succeed()
	case breaker.Ignored:
		c.permit.Ignore()
	default:
		if !attemptsOf(c.Context).fail(c.hook, cause) {
			c.permit.Ignore() // the same command has failed here before
			return err
		}
		// The breaker's own exclusions take precedence, and a caller's
		// cancellation.
		if got := c.permit.DoneContext(c.Context, cause); err != nil && got != cause {
			return got
		}
	}
	return err
}

// succeed settles a success. A probe that waited as intended would look slow,
// so it counts as one that begins now.
func (c *command) succeed() {
	if c.waits != 0 && !c.answered {
		c.permit.Ignore()
		p, err := c.hook.breaker.AllowContext(c.Context)
		if err != nil {
			return // opened meanwhile: the answer belongs to an earlier period
		}
		c.permit = p
	}
	_ = c.permit.DoneContext(c.Context, nil)
}
