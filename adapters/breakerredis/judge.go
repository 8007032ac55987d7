package breakerredis

import (
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/breaker"
)

// defaultReplies are those by which a node says that it serves nobody.
var defaultReplies = []string{
	"LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "ERR max number of clients reached",
}

// WithFailureReplies sets the replies that are failures, in place of the
// default ones (see the package's documentation). Each is the beginning of an
// error reply in whole words: its code, such as "LOADING", or more.
func WithFailureReplies(replies ...string) Option {
	return func(h *hook) { h.failing = replies }
}

// judge says what the error of a command is evidence of. A caller's cancel is
// left to the breaker, which sees the context.
func (h *hook) judge(err error) breaker.Outcome {
	var reply redis.Error
	switch {
	case errors.As(err, &reply):
		if h.fails(reply.Error()) {
			return breaker.Failure
		}
		return breaker.Success
	case errors.Is(err, breaker.ErrOpen), // another breaker below
		errors.Is(err, redis.ErrClosed),
		errors.Is(err, redis.ErrPoolTimeout),
		errors.Is(err, redis.ErrPoolExhausted):
		return breaker.Ignored
	default:
		return breaker.Failure
	}
}

func (h *hook) fails(reply string) bool {
	for _, f := range h.failing {
		if rest, ok := strings.CutPrefix(reply, f); ok && (rest == "" || rest[0] == ' ') {
			return true
		}
	}
	return false
}

// blocks reports whether cmd waits on purpose.
func blocks(cmd redis.Cmder) bool {
	switch cmd.Name() {
	case "blpop", "brpop", "brpoplpush", "blmove", "blmpop", "bzpopmin", "bzpopmax", "bzmpop", "wait", "waitaof":
		return true
	case "xread", "xreadgroup":
		for _, arg := range cmd.Args() {
			if s, ok := arg.(string); ok && strings.EqualFold(s, "block") {
				return true
			}
		}
	}
	return false
}
