package breakerredis

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/breaker"
)

// Guard guards c: a *redis.Client, or each node of a *redis.ClusterClient or
// shard of a *redis.Ring, with the breaker that set has for its address. It is
// to be called once, before c is used.
func Guard(c redis.UniversalClient, set *breaker.Set[string], opts ...Option) error {
	hook := func(node *redis.Client) {
		node.AddHook(NewHook(set.Breaker(node.Options().Addr), opts...))
	}
	switch c := c.(type) {
	case *redis.Client:
		hook(c)
	case *redis.ClusterClient:
		c.AddHook(wholeCommand{})
		c.OnNewNode(hook)
	case *redis.Ring:
		c.AddHook(wholeCommand{})
		c.OnNewNode(hook) // those that SetAddrs will add; the present ones have been made already
		return c.ForEachShard(context.Background(), func(_ context.Context, shard *redis.Client) error {
			hook(shard)
			return nil
		})
	default:
		return fmt.Errorf("breakerredis: cannot guard a %T, want a *redis.Client, *redis.ClusterClient or *redis.Ring", c)
	}
	return nil
}

// NewHook makes a hook that guards a client of one node, for its AddHook.
func NewHook(b *breaker.Breaker, opts ...Option) redis.Hook {
	h := &hook{breaker: b, failing: defaultReplies}
	for _, opt := range opts {
		opt(h)
	}
	return h
}

// Option changes how a hook judges.
type Option func(*hook)

type hook struct {
	breaker *breaker.Breaker
	failing []string
}

// DialHook does nothing: a command that has to wait for a connection fails
// with it, and is what counts.
func (h *hook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook guards a command.
func (h *hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if h.unguarded(ctx) {
			return next(ctx, cmd)
		}
		p, err := h.admit(ctx)
		if err != nil {
			return err
		}
		if blocks(cmd) {
			p.Answered()
		}
		return h.run(ctx, &p, func(ctx context.Context) error { return next(ctx, cmd) })
	}
}

// ProcessPipelineHook guards a pipeline or a transaction.
func (h *hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if h.unguarded(ctx) {
			return next(ctx, cmds)
		}
		p, err := h.admit(ctx)
		if err != nil {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
			return err
		}
		return h.run(ctx, &p, func(ctx context.Context) error { return next(ctx, cmds) })
	}
}

// unguarded reports whether a command is part of one that runs under this hook
// already: the handshake of the connection that it waits for passes the hooks
// too, and must neither count again nor need a second probe's place. And with a
// context that has ended nobody would be asked anything.
func (h *hook) unguarded(ctx context.Context) bool {
	return ctx.Err() != nil || ctx.Value(h) != nil
}

// admit asks the breaker. A rejected attempt after one that failed is no
// rejection of the command: part of it ran, so it gets the failure.
func (h *hook) admit(ctx context.Context) (breaker.Permit, error) {
	p, err := h.breaker.AllowContext(ctx)
	if err != nil {
		if earlier := attemptsOf(ctx).failure(h); earlier != nil {
			return p, earlier
		}
	}
	return p, err
}

// run makes the call, marked with the hook, and settles it.
func (h *hook) run(ctx context.Context, p *breaker.Permit, call func(context.Context) error) error {
	returned := false
	defer func() {
		if !returned {
			_ = p.DoneContext(ctx, errAbandoned) // the panic goes on: nobody is there to get the error
		}
	}()
	err := call(context.WithValue(ctx, h, true))
	returned = true
	if err == nil {
		return p.DoneContext(ctx, nil)
	}
	switch h.judge(err) {
	case breaker.Success:
		_ = p.DoneContext(ctx, nil)
	case breaker.Ignored:
		p.Ignore()
	default:
		if attemptsOf(ctx).fail(h, err) {
			return p.DoneContext(ctx, err)
		}
		p.Ignore() // the same command has failed here before
	}
	return err
}

// errAbandoned is the failure of a command that did not return.
var errAbandoned = errors.New("the command panicked or exited its goroutine")
