package breakerredis

import (
	"context"
	"encoding"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/breaker"
)

// defaultReplies are those by which a node says that it cannot serve.
var defaultReplies = []string{
	"LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "ERR max number of clients reached",
}

// WithFailureReplies sets the replies that are failures, in place of the
// default ones (see the package's documentation). Each is the beginning of an
// error reply in whole words: its code, such as "LOADING", or more.
func WithFailureReplies(replies ...string) Option {
	return func(h *hook) { h.failing = replies }
}

// judge says what the end of the command is evidence of, and which error shows
// it. A caller's cancel is left to the breaker, which sees the context.
func (c *command) judge(cmds []redis.Cmder, err error) (breaker.Outcome, error) {
	if err != nil && !isReply(err) {
		return c.judgeError(cmds, err), err
	}
	// A pipeline reports the error of its first command, a transaction that of
	// EXEC: what the node said to the others is in them.
	if len(cmds) > 1 {
		for _, cmd := range cmds {
			if e := cmd.Err(); e != nil && c.hook.fails(e) {
				return breaker.Failure, e
			}
		}
	}
	switch {
	case err == nil:
		return breaker.Success, nil
	case c.hook.fails(err):
		return breaker.Failure, err
	case len(cmds) == 1 && hasCode(err.Error(), "EXECABORT"):
		return breaker.Ignored, err // an EXEC of its own: the replies to its commands have been judged
	}
	return breaker.Success, err
}

func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// execAbort is what Redis puts before the reason for which it refuses EXEC itself.
const execAbort = "EXECABORT Transaction discarded because of: "

// fails reports whether err is a reply that is a failure.
func (h *hook) fails(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	text := strings.TrimPrefix(reply.Error(), execAbort)
	for _, f := range h.failing {
		if hasCode(text, f) {
			return true
		}
	}
	return false
}

func hasCode(reply, code string) bool {
	rest, ok := strings.CutPrefix(reply, code)
	return ok && (rest == "" || rest[0] == ' ')
}

// judgeError judges an error that is not a reply.
func (c *command) judgeError(cmds []redis.Cmder, err error) breaker.Outcome {
	switch {
	case errors.Is(err, breaker.ErrOpen), // another breaker below
		errors.Is(err, redis.ErrClosed),
		errors.Is(err, redis.ErrPoolTimeout),
		errors.Is(err, redis.ErrPoolExhausted),
		errors.Is(err, net.ErrClosed), // by the program: the node's end is io.EOF
		isLocal(err),
		strings.HasPrefix(err.Error(), badState),
		unmarshallable(cmds, err):
		return breaker.Ignored
	case c.waitedOnPurpose(err):
		return breaker.Ignored
	case stopped(err) && !isNetwork(err):
		// go-redis says this wherever its caller's time ended: in the queue of
		// the pool, or after an attempt that was waited for in vain.
		if c.hook.wire.failedSince(c.began) {
			return breaker.Failure
		}
		return breaker.Ignored
	case isNetwork(err), c.hook.wire.isDown(), strings.HasPrefix(err.Error(), ownPrefix):
		return breaker.Failure
	}
	// A limiter, a provider of credentials, OnConnect, another hook: the program's.
	return breaker.Ignored
}

// isLocal reports whether a dial failed because the process or the machine has no
// file descriptor left.
func isLocal(err error) bool { return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) }

// badState is how go-redis begins the error of each command on a redis.Conn
// after one that broke its connection. They are not sent.
const badState = "redis: Conn is in a bad state"

// ownPrefix is how go-redis begins its own errors. When none of the cases above
// fits they say that a reply cannot be understood.
const ownPrefix = "redis: "

// waitedOnPurpose reports whether time ended while the node had every right to
// keep the command waiting.
func (c *command) waitedOnPurpose(err error) bool {
	return c.waits != 0 && !c.waits.over(c.began) &&
		(stopped(err) || errors.Is(err, os.ErrDeadlineExceeded)) &&
		!c.noHello.Load() && !c.hook.wire.dialFailedSince(c.began)
}

// stopped reports whether err is the end of a context.
func stopped(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// isNetwork reports whether err is of a connection.
func isNetwork(err error) bool {
	for _, target := range []error{io.EOF, io.ErrUnexpectedEOF, os.ErrDeadlineExceeded} {
		if errors.Is(err, target) {
			return true
		}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return true
	}
	var ne net.Error // a context's end is one too
	return errors.As(err, &ne) && ne != context.DeadlineExceeded
}

// unmarshallable reports whether err says that an argument cannot be sent. Such
// errors have no type, so the arguments are asked again.
func unmarshallable(cmds []redis.Cmder, err error) bool {
	for _, cmd := range cmds {
		for _, arg := range cmd.Args() {
			if m, ok := arg.(encoding.BinaryMarshaler); ok && !isNil(arg) {
				if _, again := m.MarshalBinary(); again != nil && (errors.Is(err, again) || err.Error() == again.Error()) {
					return true
				}
			} else if !ok && !sendable(arg) {
				return true
			}
		}
	}
	return false
}

// sendable reports whether go-redis can send an argument that does not marshal
// itself: a number, text, a bool, a time, an address, or a pointer to one.
func sendable(arg any) bool {
	switch arg.(type) {
	case nil, time.Time, *time.Time, time.Duration, *time.Duration, net.IP,
		string, []byte, bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64,
		*string, *bool, *int, *int8, *int16, *int32, *int64, *uint, *uint8, *uint16, *uint32, *uint64, *float32, *float64:
		return true
	}
	return false
}

func isNil(arg any) bool {
	v := reflect.ValueOf(arg)
	return v.Kind() == reflect.Pointer && v.IsNil()
}
