package breaker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// A patch of settings in effect leaves other fields unchanged.
func ExampleSettings_UnmarshalJSON() {
	b := breaker.New("payments", breaker.Settings{FailMax: 3})

	patched := b.Settings()
	if err := json.Unmarshal([]byte(`{"reset_timeout": "10s", "failure_rate": 0.5}`), &patched); err != nil {
		fmt.Println(err)
	}
	if err := b.Update(patched); err != nil {
		fmt.Println(err)
	}
	fmt.Println(b.Settings().FailMax, b.Settings().ResetTimeout, b.Settings().FailureRate)

	err := json.Unmarshal([]byte(`{"reset_timeout": 30}`), &patched)
	fmt.Println(err)
	// Output:
	// 3 10s 0.5
	// invalid settings: reset_timeout is 30, want a duration with its unit, such as "10s" or "1m30s"
}

func ExampleSettings_Set() {
	var s breaker.Settings
	fmt.Println(s.Set("fail_max", "3"), s.Set("slow_call", "1500ms"), s.Set("ramp", "off"))
	fmt.Println(s)
	// Output:
	// <nil> <nil> <nil>
	// fail_max=3 slow_call=1.5s ramp=off
}

func ExampleSettings_Advice() {
	s := breaker.Settings{FailMax: -1, FailureRate: 0.5, ResetTimeout: 8 * time.Second}
	fmt.Println(s.Advice(20, 2*time.Second)) // 20 calls a second, each limited to 2 s
	fmt.Println(s.Advice(0.5, 2*time.Second))
	// Output:
	// If the dependency is dead, it opens after 81 failed calls and 6s (failure-rate), with 40 more calls hanging.
	// It then spends 20% of the time on probes.
	// failure_rate can never open the breaker at this rate: a window of 10s holds 5 calls and min_calls is 20
}

func ExampleDo() {
	b := breaker.New("db", breaker.Settings{})
	name, err := breaker.Do(context.Background(), b, func(context.Context) (string, error) {
		return "Ada", nil
	})
	fmt.Println(name, err)
	// Output: Ada <nil>
}

// A search that finds nothing is a success for its caller, but an index that
// answers every search that way is broken: the result is judged, not the
// error.
func ExampleDoResult() {
	search := breaker.New("search", breaker.Settings{FailMax: 2})
	ctx := context.Background()
	empty := func(hits []string, err error) breaker.Outcome {
		if err == nil && len(hits) == 0 {
			return breaker.Failure
		}
		return breaker.DefaultClassifier(ctx, err)
	}
	for range 2 {
		hits, err := breaker.DoResult(ctx, search, func(context.Context) ([]string, error) {
			return nil, nil
		}, empty)
		fmt.Println(len(hits), err, search.State())
	}
	// Output:
	// 0 <nil> closed
	// 0 <nil> open
}

// A handler says to its client when to try again.
func ExampleOpenError_RetryAfter() {
	payments := breaker.New("payments", breaker.Settings{})
	_ = payments.Open(breaker.Order{For: 30 * time.Second})

	err := payments.Do(context.Background(), func(context.Context) error { return nil })
	var rejected *breaker.OpenError
	if errors.As(err, &rejected) {
		seconds := math.Ceil(rejected.RetryAfter().Seconds())
		fmt.Println("503 Service Unavailable, Retry-After:", seconds)
	}
	// Output: 503 Service Unavailable, Retry-After: 30
}

// Of two operators who look at the same status, only the order of the first is
// carried out.
func ExampleBreaker_Apply() {
	payments := breaker.New("payments", breaker.Settings{})
	seen := payments.Status().Version

	receipt, err := payments.Apply(breaker.Order{
		Verb: breaker.VerbForceOpen, Actor: "ana", Reason: "INC-42", For: 10 * time.Minute, IfVersion: seen,
	})
	fmt.Println(receipt.Before, "->", receipt.After, err)

	_, err = payments.Apply(breaker.Order{Verb: breaker.VerbClose, Actor: "ben", IfVersion: seen})
	fmt.Println(errors.Is(err, breaker.ErrVersion), payments.State())
	// Output:
	// closed -> forced-open <nil>
	// true forced-open
}

// A consumer waits while its dependency is down, instead of taking messages and
// failing them.
func ExampleBreaker_WaitReady() {
	db := breaker.New("db", breaker.Settings{FailMax: 1, ResetTimeout: 10 * time.Millisecond})
	ctx := context.Background()
	messages := []string{"a", "b"}
	down := true
	for len(messages) > 0 {
		if err := db.WaitReady(ctx); err != nil {
			fmt.Println(err) // ctx is over
			return
		}
		err := db.Do(ctx, func(context.Context) error {
			if down {
				down = false // it will work next time
				return errors.New("connection refused")
			}
			return nil
		})
		fmt.Println(messages[0], err)
		if err == nil {
			messages = messages[1:]
		}
	}
	// Output:
	// a connection refused
	// a <nil>
	// b <nil>
}

func ExampleRecommended() {
	payments := breaker.New("payments", breaker.Recommended())
	for _, c := range (breaker.Settings{}).WithDefaults().Diff(payments.Settings()) {
		fmt.Printf("%s: %s, not %s\n", c.Key, c.To, c.From)
	}
	// Output:
	// fail_max: 8, not 5
	// successes_to_forgive: 2, not off
	// reset_timeout: 5s, not 1m0s
	// probe_timeout: 30s, not 1m0s
	// reset_backoff: 2, not 1
	// reset_max: 30s, not off
	// reset_jitter: 0.2, not 0
}

func ExampleManager_OnCreate() {
	m := breaker.NewManager(breaker.Settings{})
	remove := m.OnCreate(func(name string) { fmt.Println("created", name) })
	m.Breaker("payments")
	m.Breaker("payments") // exists already
	remove()
	m.Breaker("search")
	// Output: created payments
}

func ExampleWrap() {
	db := breaker.New("db", breaker.Settings{})
	updateCustomer := breaker.Wrap(db, func(_ context.Context, id int) (string, error) {
		return fmt.Sprintf("customer %d", id), nil
	})
	fmt.Println(updateCustomer(context.Background(), 7))
	// Output: customer 7 <nil>
}

func ExampleBreaker_Allow() {
	b := breaker.New("stream", breaker.Settings{})
	permit, err := b.Allow()
	if err != nil {
		return // not now
	}
	// ... a callback, some time later, reports how it went:
	permit.Done(errors.New("reset by peer"))
	fmt.Println(b.FailCount())
	// Output: 1
}

func ExampleBreaker_ForceOpen() {
	b := breaker.New("ledger", breaker.Settings{})
	b.ForceOpen(breaker.Order{Actor: "ana", Reason: "vendor maintenance", For: 30 * time.Minute})
	fmt.Println(b.State())
	fmt.Println(b.Do(context.Background(), func(context.Context) error { return nil }))
	b.Release(breaker.Order{Actor: "ana"})
	fmt.Println(b.State())
	// Output:
	// forced-open
	// ledger: circuit breaker is open (forced): forced open by ana ("vendor maintenance")
	// closed
}

func ExampleBreaker_AddListener() {
	b := breaker.New("db", breaker.Settings{FailMax: 1})
	remove := b.AddListener(breaker.Listener{
		StateChange: func(b *breaker.Breaker, t breaker.Transition) {
			fmt.Printf("%s: %s -> %s, %s\n", b.ID(), t.From, t.To, t.Cause)
		},
	})
	defer remove()
	_ = b.Do(context.Background(), func(context.Context) error { return errors.New("boom") })
	// Output: db: closed -> open, consecutive-failures
}

func ExampleWithExcluded() {
	errNoSuchRow := errors.New("no such row")
	b := breaker.New("db", breaker.Settings{FailMax: 1}, breaker.WithExcluded(breaker.ErrorIs(errNoSuchRow)))
	_ = b.Do(context.Background(), func(context.Context) error { return errNoSuchRow })
	fmt.Println(b.State()) // the database answered
	// Output: closed
}

func ExampleWithRule() {
	// Open when a third of at least six calls failed, but never for one alone.
	b := breaker.New("db", breaker.Settings{FailMax: -1}, breaker.WithRule("a third", func(c breaker.Counts) bool {
		return c.Calls >= 6 && 3*c.Failures >= c.Calls
	}))
	for _, outcome := range strings.Split("ok ok ok ok down down", " ") {
		_ = b.Do(context.Background(), func(context.Context) error {
			if outcome == "down" {
				return errors.New("down")
			}
			return nil
		})
	}
	fmt.Println(b.State(), b.Status().Transition.Rule)
	// Output: open a third
}

func ExampleWithLogger() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	b := breaker.New("db", breaker.Settings{FailMax: 1}, breaker.WithLogger(logger))
	_ = b.Do(context.Background(), func(context.Context) error { return errors.New("boom") })
	// Output: level=WARN msg="circuit breaker open" breaker=db from=closed to=open cause=consecutive-failures why="1 failure in a row; last error: boom" shadow=false version=2
}

func ExampleWithBypass() {
	b := breaker.New("db", breaker.Settings{}, breaker.WithBypassAllowed())
	b.Open(breaker.Order{})
	ctx := breaker.WithBypass(context.Background(), "schema migration")
	err := b.Do(ctx, func(context.Context) error { return nil })
	fmt.Println(err, b.Status().Bypassed)
	// Output: <nil> 1
}

func ExampleSet() {
	tenants := breaker.NewSet[string]("tenant", breaker.Settings{FailMax: 2}, breaker.SetOptions{MaxKeys: 1000})
	down := func(context.Context) error { return errors.New("down") }
	ok := func(context.Context) error { return nil }
	for range 2 {
		_ = tenants.Do(context.Background(), "acme", down)
	}
	fmt.Println(tenants.Do(context.Background(), "acme", ok))
	fmt.Println(tenants.Do(context.Background(), "zeta", ok))
	// Output:
	// tenant/acme: circuit breaker is open: 2 failures in a row; last error: down
	// <nil>
}

func ExampleWrapKey() {
	type request struct{ tenant, path string }
	tenants := breaker.NewSet[string]("tenant", breaker.Settings{}, breaker.SetOptions{})
	get := breaker.WrapKey(tenants, func(r request) string { return r.tenant },
		func(_ context.Context, r request) (string, error) { return "page " + r.path, nil })
	fmt.Println(get(context.Background(), request{"acme", "/"}))
	// Output: page / <nil>
}

func ExampleManager() {
	m := breaker.NewManager(breaker.Settings{FailMax: 3})
	_ = m.Breaker("db").Do(context.Background(), func(context.Context) error { return errors.New("down") })
	_ = breaker.SetOf[string](m, "tenant").Do(context.Background(), "acme", func(context.Context) error { return nil })

	receipt, err := m.Apply("tenant/acme", breaker.Order{Verb: breaker.VerbForceOpen, Actor: "ana"})
	fmt.Println(receipt.Before, receipt.After, err)
	_, err = m.Apply("bd", breaker.Order{Verb: breaker.VerbOpen})
	fmt.Println(err)
	for _, s := range m.Status() {
		fmt.Println(s.ID, s.State, s.FailCount)
	}
	// Output:
	// closed forced-open <nil>
	// unknown breaker "bd", did you mean "db"?
	// db closed 1
	// tenant/acme forced-open 0
}

func ExampleManager_Observe() {
	var m breaker.Manager
	stop := m.Observe()
	defer stop()
	db := m.Breaker("db")
	_ = db.Do(context.Background(), func(context.Context) error { return nil })
	_ = db.Do(context.Background(), func(context.Context) error { return errors.New("down") })
	db.Open(breaker.Order{})
	_ = db.Do(context.Background(), func(context.Context) error { return nil })
	for name, c := range m.Calls() {
		fmt.Println(name, c.Successes, c.Failures, c.Rejected)
	}
	// Output:
	// db 1 1 1
}

func ExampleStatus_Explain() {
	b := breaker.New("payments", breaker.Settings{FailMax: 2})
	for range 2 {
		_ = b.Do(context.Background(), func(context.Context) error { return errors.New("i/o timeout") })
	}
	s := b.Status()
	s.Since, s.UntilHalfOpen = time.Time{}, 58*time.Second
	_, why, _ := strings.Cut(s.Explain(), ": ")
	fmt.Println(why)
	// Output: 2 failures in a row; last error: i/o timeout. Every call is rejected; a probe may run in 58s.
}

func ExampleTransition_Summary() {
	b := breaker.New("payments", breaker.Settings{FailMax: 2})
	b.AddListener(breaker.Listener{StateChange: func(b *breaker.Breaker, t breaker.Transition) {
		fmt.Printf("%s %s: %s\n", b.ID(), t.To, t.Summary())
	}})
	for range 2 {
		p, err := b.Allow()
		if err != nil {
			fmt.Println(err)
			return
		}
		p.Done(errors.New("connection refused"))
	}
	b.ForceClosed(breaker.Order{Actor: "ana", Reason: "vendor says it is back", For: time.Minute})
	// Output:
	// payments open: 2 failures in a row; last error: connection refused
	// payments forced-closed: forced closed by ana ("vendor says it is back")
}
