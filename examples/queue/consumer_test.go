package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/switchgear-go/switchgear/breaker"
)

const topic = "orders"

// cluster is a Kafka of the test's own with n records in one partition.
func cluster(t testing.TB, n int) []string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	producer := join(t, c.ListenAddrs(), kgo.DefaultProduceTopic(topic))
	for i := range n {
		if err := producer.ProduceSync(context.Background(), kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	return c.ListenAddrs()
}

func join(t testing.TB, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func member(t testing.TB, brokers []string) *kgo.Client {
	t.Helper()
	return join(t, brokers, kgo.ConsumerGroup("shop"), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
}

// service is a dependency that can be taken down.
type service struct {
	down  atomic.Bool
	tries atomic.Int64
	done  []string // of one consumer at a time
}

func (s *service) handle(_ context.Context, r *kgo.Record) error {
	s.tries.Add(1)
	if s.down.Load() {
		return errors.New("connection refused")
	}
	s.done = append(s.done, string(r.Value))
	return nil
}

func numbers(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

// consume runs a consumer until s has done n records, or until stop.
func consume(t *testing.T, client *kgo.Client, b *breaker.Breaker, s *service, then func(ctx context.Context, r *kgo.Record)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Consume(ctx, client, b, func(ctx context.Context, r *kgo.Record) error {
			err := s.handle(ctx, r)
			if err == nil {
				then(ctx, r)
			}
			return err
		})
	}()
	return func() {
		t.Helper()
		cancel()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the consumer ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the consumer does not stop")
		}
	}
}

// Through an outage every record is done, once and in order, and while the
// breaker is open nothing is tried but probes.
func TestOutage(t *testing.T) {
	const n = 50
	brokers := cluster(t, n)
	b := breaker.New("stock", breaker.Settings{FailMax: 3, ResetTimeout: 50 * time.Millisecond})
	s := &service{}
	all := make(chan bool)
	tried := int64(0)
	client := member(t, brokers)
	stop := consume(t, client, b, s, func(_ context.Context, r *kgo.Record) {
		switch len(s.done) {
		case 20:
			s.down.Store(true)
			tried = s.tries.Load()
			time.AfterFunc(500*time.Millisecond, func() { s.down.Store(false) })
		case n:
			close(all)
		}
	})
	select {
	case <-all:
	case <-time.After(30 * time.Second):
		t.Fatalf("only %d of %d records after the outage", len(s.done), n)
	}
	stop()
	if want := numbers(n); !slices.Equal(s.done, want) {
		t.Errorf("done %v, want each of %d once, in order", s.done, n)
	}
	probes := 0
	for _, tr := range b.History() {
		if tr.To == breaker.HalfOpen {
			probes++
		}
	}
	if got, want := s.tries.Load(), tried+3+int64(probes)-1+int64(n-20); got != want || probes < 2 {
		t.Errorf("%d tries with %d probes, want %d: three that fail, the probes, and the records", got, probes, want)
	}
}

// A consumer that stops in an outage has committed what was done, and nothing
// else: the next one begins with the record that failed.
func TestStopInAnOutage(t *testing.T) {
	const n, done = 20, 7
	brokers := cluster(t, n)
	b := breaker.New("stock", breaker.Settings{FailMax: 1, ResetTimeout: time.Hour})
	first := &service{}
	client := member(t, brokers)
	stop := consume(t, client, b, first, func(context.Context, *kgo.Record) { first.down.Store(len(first.done) == done) })
	for deadline := time.Now().Add(20 * time.Second); b.State() != breaker.Open; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the breaker does not open")
		}
	}
	stop()
	client.Close()
	if want := numbers(done); !slices.Equal(first.done, want) {
		t.Errorf("the first consumer did %v, want %v", first.done, want)
	}

	second := &service{}
	all := make(chan bool)
	stop = consume(t, member(t, brokers), breaker.New("stock", breaker.Settings{}), second, func(_ context.Context, r *kgo.Record) {
		if string(r.Value) == fmt.Sprint(n-1) {
			close(all)
		}
	})
	select {
	case <-all:
	case <-time.After(30 * time.Second):
		t.Fatalf("the second consumer did only %v", second.done)
	}
	stop()
	if want := numbers(n)[done:]; !slices.Equal(second.done, want) {
		t.Errorf("the second consumer did %v, want %v: nothing lost, nothing acknowledged that was not done", second.done, want)
	}
}
