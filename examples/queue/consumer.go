// Package queue shows a consumer of Kafka that pauses while its dependency is
// down, as a tested program. It is a separate module, so that other modules do
// not get franz-go as a requirement. docs/queue-consumers.md describes it.
package queue

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/switchgear-go/switchgear/breaker"
)

// Consume handles the records of client, a member of a group with
// kgo.DisableAutoCommit, one after the other, until ctx is over.
//
// A record is committed once handle has returned nil for it. Until then it is
// tried again, and no later record of its poll is begun. While b is open the
// consumer fetches nothing and waits, but remains a member of the group. So
// nothing is lost, and only records that were handled are acknowledged. After
// a crash or a rebalance a record may be handled twice.
func Consume(ctx context.Context, client *kgo.Client, b *breaker.Breaker, handle func(context.Context, *kgo.Record) error) error {
	for {
		if err := pause(ctx, client, b); err != nil {
			return err
		}
		fetches := client.PollRecords(ctx, 100)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, r := range fetches.Records() {
			if err := do(ctx, client, b, handle, r); err != nil {
				return err
			}
			if err := client.CommitRecords(ctx, r); err != nil {
				return err
			}
		}
	}
}

// do handles a record until that succeeds. Its errors are ctx's.
func do(ctx context.Context, client *kgo.Client, b *breaker.Breaker, handle func(context.Context, *kgo.Record) error, r *kgo.Record) error {
	for {
		err := b.Do(ctx, func(ctx context.Context) error { return handle(ctx, r) })
		if err == nil {
			return nil
		}
		// The record failed, or was rejected and not tried. If ctx is over it stays
		// uncommitted, and the next owner of the partition handles it.
		if err := pause(ctx, client, b); err != nil {
			return err
		}
	}
}

// pause waits until b could admit a call. Meanwhile the client fetches nothing
// into its buffers.
func pause(ctx context.Context, client *kgo.Client, b *breaker.Breaker) error {
	if s := b.State(); s == breaker.Closed || s == breaker.ForcedClosed {
		return ctx.Err()
	}
	topics := client.GetConsumeTopics()
	client.PauseFetchTopics(topics...)
	defer client.ResumeFetchTopics(topics...)
	return b.WaitReady(ctx)
}
