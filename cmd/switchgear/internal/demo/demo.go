package demo

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Config configures the demo.
type Config struct {
	// Out is where it prints what happens.
	Out io.Writer
	// Width is the width of the terminal that Out is; 0 if it is not a
	// terminal: then long lines are not folded.
	Width int
	// For is how long it runs; 0: until its context is done.
	For time.Duration
}

// change is a transition on its way to the journal.
type change struct {
	id string
	t  breaker.Transition
}

// Run runs the demo until c.For has passed or ctx is done, neither of which is
// an error, and removes everything that it created.
func Run(ctx context.Context, c Config) (err error) {
	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	// A terminal that has stopped must not delay a call: what does not fit
	// into the channel is not printed.
	changes := make(chan change, 1024)
	shop, err := newShop(breaker.Listener{StateChange: func(b *breaker.Breaker, t breaker.Transition) {
		select {
		case changes <- change{b.ID(), t}:
		default:
		}
	}})
	if err != nil {
		return err
	}
	defer shop.close()
	endpoints, err := openEndpoints(shop.manager)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, endpoints.close()) }()

	j := &journal{out: c.Out, width: c.Width, began: time.Now()}
	j.opening(shop, endpoints)
	stage, cancel := context.WithCancel(ctx)
	defer cancel() // the traffic ends before shop.close waits for it
	shop.trade(stage)
	if err := play(stage, shop, j, changes); err != nil {
		return err
	}
	j.ending(shop)
	return j.err
}

// play runs the script and prints what happens, on one goroutine, so that the
// lines are in the order of the events.
func play(ctx context.Context, s *shop, j *journal, changes <-chan change) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	curtain := time.NewTimer(0) // when the next scene begins
	defer curtain.Stop()
	for next := 0; j.err == nil; {
		select {
		case <-ctx.Done():
			return nil
		case ch := <-changes:
			j.change(ch)
		case <-second.C:
			j.second(s)
		case <-curtain.C:
			sc := script[next%len(script)]
			next++
			curtain.Reset(sc.last)
			j.scene(sc)
			if err := sc.do(ctx, s); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
	return j.err
}
