package breakerredis

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/breaker"
)

// Guard guards c: a *redis.Client, or each node of a *redis.ClusterClient or
// shard of a *redis.Ring, with the breaker of set that WithKey selects. It
// must be called once, before c is used.
func Guard(c redis.UniversalClient, set *breaker.Set[string], opts ...Option) error {
	hook := func(node *redis.Client) {
		h := newHook(opts)
		h.breaker = breakerOf(set, h.key, node.Options())
		node.AddHook(h)
	}
	switch c := c.(type) {
	case *redis.Client:
		hook(c)
	case *redis.ClusterClient:
		c.AddHook(wholeCommand{})
		c.OnNewNode(hook)
	case *redis.Ring:
		c.AddHook(wholeCommand{})
		c.OnNewNode(hook) // those that SetAddrs will add; the present ones exist already
		return c.ForEachShard(context.Background(), func(_ context.Context, shard *redis.Client) error {
			hook(shard)
			return nil
		})
	default:
		return fmt.Errorf("breakerredis: cannot guard a %T, want a *redis.Client, *redis.ClusterClient or *redis.Ring", c)
	}
	return nil
}

// sentinelAddr is the address that go-redis gives every client of Sentinel.
const sentinelAddr = "FailoverClient"

// naming is held while Guard looks for a key that no other Sentinel client
// has.
var naming sync.Mutex

// breakerOf returns the breaker of a node. The address of a Sentinel client
// does not distinguish it from others, so without WithKey they are numbered.
func breakerOf(set *breaker.Set[string], key func(*redis.Options) string, o *redis.Options) *breaker.Breaker {
	if key != nil {
		return set.Breaker(key(o))
	}
	if o.Addr != sentinelAddr {
		return set.Breaker(o.Addr)
	}
	naming.Lock()
	defer naming.Unlock()
	k := sentinelAddr
	for n := 2; ; n++ {
		if _, taken := set.Lookup(k); !taken {
			return set.Breaker(k)
		}
		k = sentinelAddr + "-" + strconv.Itoa(n)
	}
}

// NewHook returns a hook that guards a client of one node, for its AddHook.
// Add it before the client is used, because it also watches the client's
// connections.
func NewHook(b *breaker.Breaker, opts ...Option) redis.Hook {
	h := newHook(opts)
	h.breaker = b
	return h
}

func newHook(opts []Option) *hook {
	h := &hook{failing: defaultReplies}
	for _, opt := range opts {
		opt(h)
	}
	return h
}

// Option changes how a hook judges, or which breakers Guard uses.
type Option func(*hook)

// WithKey sets the key in Guard's set of the breaker for a node, given the
// node's options. Default: its address, Options.Addr. All clients of Sentinel
// have the same address, so they are numbered instead: "FailoverClient",
// "FailoverClient-2" and so on. Give them the names of their masters:
//
//	breakerredis.WithKey(func(*redis.Options) string { return "sessions" })
func WithKey(key func(node *redis.Options) string) Option {
	return func(h *hook) { h.key = key }
}

type hook struct {
	breaker *breaker.Breaker
	key     func(*redis.Options) string
	failing []string
	wire    wire
}

// ProcessHook guards a command.
func (h *hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if part, ok := h.unguarded(ctx); ok {
			return part.note(next(ctx, cmd))
		}
		p, err := h.admit(ctx)
		if err != nil {
			return err
		}
		cmds := [...]redis.Cmder{cmd}
		c := h.begin(ctx, p, cmds[:])
		defer c.permit.Ignore() // a panic is a mistake of the program
		return c.end(cmds[:], next(c, cmd))
	}
}

// ProcessPipelineHook guards a pipeline or a transaction.
func (h *hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if part, ok := h.unguarded(ctx); ok {
			return part.note(next(ctx, cmds))
		}
		p, err := h.admit(ctx)
		if err != nil {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
			return err
		}
		c := h.begin(ctx, p, cmds)
		defer c.permit.Ignore() // a panic is a mistake of the program
		return c.end(cmds, next(c, cmds))
	}
}

// unguarded reports whether a command is part of one that already runs under
// this hook, which it returns: the handshake of a connection passes the hooks
// too, and must neither count again nor need a second probe's place. Commands
// whose context has ended are not guarded either, because they reach no node.
func (h *hook) unguarded(ctx context.Context) (part *command, ok bool) {
	part, _ = ctx.Value(h).(*command)
	return part, part != nil || ctx.Err() != nil
}

// admit asks the breaker. A rejected attempt after a failed one does not mean
// that the command was rejected: part of it ran, so it gets the failure.
func (h *hook) admit(ctx context.Context) (breaker.Permit, error) {
	p, err := h.breaker.AllowContext(ctx)
	if err != nil {
		if earlier := attemptsOf(ctx).failure(h); earlier != nil {
			return p, earlier
		}
	}
	return p, err
}
