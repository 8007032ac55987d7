package replay

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// consumer takes the steps of one breaker, a block at a time, in order. It is
// called by one goroutine at a time.
type consumer interface{ steps(*block) }

// stream is the consumers of one breaker. They share the work of reading the calls
// and putting them in order.
type stream struct {
	lane      *Lane
	consumers []consumer
	watch     func(c *tape.Call) // gets each call in the order of their ends; nil: nothing does
	order     *order
	workers   []int // that have consumers of this breaker
}

// block is steps of one breaker, for some workers.
type block struct {
	of    *stream
	steps []step
	users atomic.Int32 // workers that have not done with it
	pool  *blockPool
	look  sync.Once
	quiet quiet // what look finds out, for those that want it
}

const (
	chunkCalls  = 2048
	mostBlock   = 1024
	leastBlock  = 16
	blocksSteps = 1 << 18 // held for all breakers together, about
)

// chunk is calls on their way from the reader.
type chunk struct {
	of    []*stream
	calls []tape.Call
}

// replay reads the calls once, and passes them to the consumers on all cores: one
// goroutine reads, one puts them in order, and others let the consumers work.
// progress gets the number of calls.
func (t *Trace) replay(ctx context.Context, s *survey, streams []*stream, progress func(calls uint64)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	by := make(map[*Lane]*stream, len(streams))
	for _, x := range streams {
		x.order = newOrder(s.of(x.lane), s.horizon)
		by[x.lane] = x
	}
	var wg sync.WaitGroup
	blocks := startWorkers(&wg, streams)
	pool := &blockPool{size: min(max(leastBlock, blocksSteps/max(1, len(streams))), mostBlock), free: make(chan *block, 64)}
	chunks, free := make(chan *chunk, 4), make(chan *chunk, 8)
	var failed error
	wg.Go(func() {
		defer close(chunks)
		failed = t.read(ctx, by, chunks, free)
	})
	pass := func(x *stream) {
		b := pool.get(x)
		b.steps, x.order.out = x.order.out, b.steps[:0]
		for _, w := range x.workers {
			blocks[w] <- b
		}
	}
	var calls uint64
	for c := range chunks {
		for i := range c.calls {
			x := c.of[i]
			if x.watch != nil {
				x.watch(&c.calls[i])
			}
			x.order.add(&c.calls[i])
			if len(x.order.out) >= pool.size {
				pass(x)
			}
		}
		if calls += uint64(len(c.calls)); progress != nil {
			progress(calls)
		}
		select {
		case free <- c:
		default:
		}
	}
	for _, x := range streams {
		x.order.finish()
		pass(x)
	}
	for _, b := range blocks {
		close(b)
	}
	wg.Wait()
	if failed == nil {
		failed = context.Cause(ctx)
	}
	return failed
}

// read sends the calls of the streams.
func (t *Trace) read(ctx context.Context, by map[*Lane]*stream, chunks chan<- *chunk, free <-chan *chunk) error {
	next := func() *chunk {
		select {
		case c := <-free:
			c.of, c.calls = c.of[:0], c.calls[:0]
			return c
		default:
			return &chunk{of: make([]*stream, 0, chunkCalls), calls: make([]tape.Call, 0, chunkCalls)}
		}
	}
	c := next()
	var lane *Lane // of the last call
	var of *stream
	err := t.each(ctx, func(l *Lane, call *tape.Call) {
		if l != lane {
			lane, of = l, by[l]
		}
		if of == nil {
			return
		}
		c.of, c.calls = append(c.of, of), append(c.calls, *call)
		if len(c.calls) == chunkCalls {
			chunks <- c
			c = next()
		}
	})
	chunks <- c
	return err
}

// each calls f for all calls of each breaker in the order of their ends.
func (t *Trace) each(ctx context.Context, f func(l *Lane, c *tape.Call)) error {
	if t.file != nil {
		return t.file.each(ctx, f)
	}
	for _, l := range t.Breakers {
		for i := range l.calls {
			if i%chunkCalls == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			f(l, &l.calls[i])
		}
	}
	return nil
}

// startWorkers starts the goroutines that let the consumers work, and distributes
// the consumers. Each worker gets all blocks that its consumers need, in order.
func startWorkers(wg *sync.WaitGroup, streams []*stream) []chan *block {
	total := 0
	for _, x := range streams {
		total += len(x.consumers)
	}
	procs := max(1, min(runtime.GOMAXPROCS(0), total))
	blocks := make([]chan *block, procs)
	work := make([]map[*stream][]consumer, procs)
	for w := range blocks {
		blocks[w] = make(chan *block, 8)
		work[w] = map[*stream][]consumer{}
	}
	n := 0
	for _, x := range streams {
		for _, c := range x.consumers {
			w := n % procs
			n++
			if work[w][x] == nil {
				x.workers = append(x.workers, w)
			}
			work[w][x] = append(work[w][x], c)
		}
	}
	for w := range blocks {
		wg.Go(func() {
			for b := range blocks[w] {
				for _, c := range work[w][b.of] {
					c.steps(b)
				}
				b.done()
			}
		})
	}
	return blocks
}

// blockPool keeps blocks that are done with.
type blockPool struct {
	size int
	free chan *block
}

func (p *blockPool) get(x *stream) *block {
	var b *block
	select {
	case b = <-p.free:
	default:
		b = &block{steps: make([]step, 0, p.size), pool: p}
	}
	b.of, b.look = x, sync.Once{}
	b.users.Store(int32(len(x.workers)))
	return b
}

// done notes that a worker has done with the block.
func (b *block) done() {
	if b.users.Add(-1) == 0 {
		select {
		case b.pool.free <- b:
		default:
		}
	}
}
