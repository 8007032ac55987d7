package breakerredis

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// wholeCommand is the hook of a cluster client or a ring, which retry outside
// the hooks of their nodes. It combines the attempts of a command, so that
// they are one call to each node, as they are for a client of one node.
type wholeCommand struct{}

// DialHook does nothing: only nodes dial.
func (wholeCommand) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook marks a command.
func (wholeCommand) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return next(context.WithValue(ctx, attemptsKey{}, &attempts{}), cmd)
	}
}

// ProcessPipelineHook marks a pipeline or a transaction.
func (wholeCommand) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return next(context.WithValue(ctx, attemptsKey{}, &attempts{}), cmds)
	}
}

type attemptsKey struct{}

// attempts is the result of a command's attempts at several nodes. A nil
// attempts belongs to a client of one node, which makes a single attempt.
type attempts struct {
	mu     sync.Mutex // guards the field below, because a pipeline asks its nodes at the same time
	failed map[*hook]error
}

func attemptsOf(ctx context.Context) *attempts {
	a, _ := ctx.Value(attemptsKey{}).(*attempts)
	return a
}

// fail notes a failed attempt and reports whether it is the first at that
// node.
func (a *attempts) fail(h *hook, err error) (first bool) {
	if a == nil {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed[h] != nil {
		return false
	}
	if a.failed == nil {
		a.failed = map[*hook]error{}
	}
	a.failed[h] = err
	return true
}

// failure returns the first error of an attempt at that node, or nil.
func (a *attempts) failure(h *hook) error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed[h]
}
