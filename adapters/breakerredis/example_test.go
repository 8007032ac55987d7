package breakerredis_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/adapters/breakerredis"
	"github.com/switchgear-go/switchgear/breaker"
)

// A client whose commands are guarded, one breaker for each node. The set is
// the manager's, so operators see it as redis/127.0.0.1:1.
func Example() {
	manager := breaker.NewManager(breaker.Settings{FailMax: 2, ResetTimeout: 10 * time.Second})
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1}) // nothing listens there
	defer client.Close()
	if err := breakerredis.Guard(client, breaker.SetOf[string](manager, "redis")); err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		err := client.Get(context.Background(), "key").Err()
		fmt.Println(errors.Is(err, breaker.ErrOpen))
	}
	fmt.Println(manager.Status()[0].ID, manager.Status()[0].State)
	// Output:
	// false
	// false
	// true
	// redis/127.0.0.1:1 open
}

// work handles the jobs of a list until ctx ends. A job stays in the list
// "working" while it is handled, so that none is lost with the worker.
//
// The breaker only guards the handling: a job that it rejects was not tried,
// so it goes back to the head of the queue, and the worker pauses until the
// breaker admits calls again, instead of going through the queue at full speed
// and failing all of it.
func work(ctx context.Context, queue *redis.Client, b *breaker.Breaker, handle func(context.Context, string) error) error {
	for {
		job, err := queue.BLMove(ctx, "jobs", "working", "LEFT", "RIGHT", time.Second).Result()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, redis.Nil):
			continue // no job
		case err != nil:
			rest(ctx, time.Second) // no queue
			continue
		}
		err = b.Do(ctx, func(ctx context.Context) error { return handle(ctx, job) })
		var open *breaker.OpenError
		switch {
		case err == nil:
			err = queue.LRem(ctx, "working", 1, job).Err()
		case errors.As(err, &open):
			err = queue.LMove(ctx, "working", "jobs", "RIGHT", "LEFT").Err()
			rest(ctx, max(open.RetryAfter(), 10*time.Millisecond))
		default:
			err = queue.LMove(ctx, "working", "jobs", "RIGHT", "RIGHT").Err() // behind the others
		}
		if err != nil {
			return fmt.Errorf("job %q is left in the list working: %w", job, err)
		}
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// A worker that reads a queue, with a breaker around what its jobs need.
func Example_worker() {
	manager := breaker.NewManager(breaker.Settings{})
	queue := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	err := work(context.Background(), queue, manager.Breaker("mail"), func(_ context.Context, job string) error {
		fmt.Println("sending", job)
		return nil
	})
	fmt.Println(err)
}

func TestExampleWorker(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	queue := redis.NewClient(&redis.Options{Addr: s.addr})
	defer queue.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	queue.RPush(ctx, "jobs", "a", "b", "c", "d")

	b := breaker.New("mail", breaker.Settings{FailMax: 2, ResetTimeout: 100 * time.Millisecond})
	tries, sent := 0, map[string]bool{}
	err := work(ctx, queue, b, func(_ context.Context, job string) error {
		if tries++; tries <= 3 {
			return errors.New("mail server is down") // the two that open, and the first probe
		}
		sent[job] = true
		if len(sent) == 4 {
			time.AfterFunc(100*time.Millisecond, cancel)
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the worker ended with %v", err)
	}
	if tries != 3+4 || len(sent) != 4 {
		t.Errorf("%d tries sent %v, want each job once after three failures", tries, sent)
	}
	if n := queue.LLen(t.Context(), "jobs").Val() + queue.LLen(t.Context(), "working").Val(); n != 0 {
		t.Errorf("%d jobs are left over", n)
	}
}
