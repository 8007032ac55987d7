package breaker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// I4, and what counts as a failure.
func TestOutcomes(t *testing.T) {
	canceled, cancel := context.WithCancelCause(bg)
	errGone := errors.New("client went away")
	cancel(errGone)
	expired, stop := context.WithDeadline(bg, time.Now().Add(-time.Second))
	defer stop()
	for _, test := range []struct {
		name string
		ctx  context.Context
		err  error
		want int // consecutive failures after one failure and this call
	}{
		{"success", bg, nil, 0},
		{"error", bg, errX, 2},
		{"wrapped excluded", bg, fmt.Errorf("row: %w", errNotFound), 0},
		{"excluded type", bg, &validationError{"name"}, 0},
		{"excluded by predicate", bg, errors.New("teapot"), 0},
		{"canceled by the caller", canceled, context.Canceled, 1},
		{"canceled, reported by cause", canceled, fmt.Errorf("get: %w", errGone), 1},
		{"canceled, other error", canceled, errX, 1},
		{"canceled elsewhere", bg, context.Canceled, 2},
		{"a deadline that had passed before", expired, context.DeadlineExceeded, 1},
		{"a deadline within", bg, context.DeadlineExceeded, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := New("db", Settings{}, WithExcluded(
				ErrorIs(errNotFound), ErrorAs[*validationError](),
				ErrorIf(func(err error) bool { return err.Error() == "teapot" })))
			failTimes(b, 1)
			if err := b.Do(test.ctx, func(context.Context) error { return test.err }); err != test.err {
				t.Errorf("Do returned %v, want %v as it is", err, test.err)
			}
			if got := b.FailCount(); got != test.want {
				t.Errorf("%d consecutive failures, want %d", got, test.want)
			}
		})
	}
}

func TestClassifierReplacesDefault(t *testing.T) {
	b := New("db", Settings{}, WithExcluded(ErrorIs(errX)),
		WithClassifier(func(_ context.Context, err error) Outcome {
			switch {
			case err == nil:
				t.Error("the classifier was called without an error")
			case errors.Is(err, errNotFound):
				return Ignored
			case err.Error() == "panic":
				panic("in the classifier")
			}
			return Failure
		}))
	for i, err := range []error{errX, errNotFound, errors.New("panic")} {
		_ = b.Do(bg, func(context.Context) error { return err })
		if got, want := b.FailCount(), []int{1, 1, 2}[i]; got != want {
			t.Errorf("after %v: %d failures, want %d", err, got, want)
		}
	}
	_ = b.Do(bg, nop)
	if s := b.Status(); s.Panics != 1 {
		t.Errorf("status counts %d panics of user code, want 1", s.Panics)
	}
}

// status is an error like those of RPC libraries: it reports a cancellation
// and wraps nothing.
type status struct{ text string }

func (s *status) Error() string { return "rpc error: " + s.text }

// A call that its caller cancelled is not evidence, whatever error it returned
// and however it was made: neither a failure, nor a success that ends a row of
// failures, nor the result of a probe (I4).
func TestCanceledCallIsNoEvidence(t *testing.T) {
	errGone := errors.New("the client went away")
	for disguise, err := range map[string]error{
		"itself":              context.Canceled,
		"wrapped":             fmt.Errorf("get: %w", context.Canceled),
		"as text":             fmt.Errorf("get: %v", context.Canceled),
		"status":              &status{"Canceled"},
		"closed connection":   errors.New("read tcp 10.0.0.1:53: use of closed network connection"),
		"killed process":      errors.New("signal: killed"),
		"joined":              errors.Join(errX, context.Canceled),
		"cause":               errGone,
		"a deadline's error":  context.DeadlineExceeded,
		"the dependency's":    errX,
		"another's rejection": &OpenError{Name: "inner"},
	} {
		for way, do := range waysToCall {
			for _, before := range []string{"f", ""} {
				b := New("db", Settings{FailMax: 2})
				ctx, cancel := context.WithCancelCause(t.Context())
				play(b, before)
				if before == "" {
					b.HalfOpen(Order{})
				}
				was := b.Status()
				got := do(b, ctx, func(context.Context) error { cancel(errGone); return err })
				if !errors.Is(got, err) {
					t.Errorf("%s, %s: the caller got %v, want its own %v", disguise, way, got, err)
				}
				if is := b.Status(); is.State != was.State || is.FailCount != was.FailCount || is.ProbesOut != 0 {
					t.Errorf("%s, %s: %s with %d failures became %s with %d, %d probes out", disguise, way,
						was.State, was.FailCount, is.State, is.FailCount, is.ProbesOut)
				}
			}
		}
	}
}

// waysToCall is each way to make a call with a context.
var waysToCall = map[string]func(b *Breaker, ctx context.Context, fn func(context.Context) error) error{
	"Do": (*Breaker).Do,
	"Do()": func(b *Breaker, ctx context.Context, fn func(context.Context) error) error {
		_, err := Do(ctx, b, func(ctx context.Context) (int, error) { return 1, fn(ctx) })
		return err
	},
	"Wrap": func(b *Breaker, ctx context.Context, fn func(context.Context) error) error {
		_, err := Wrap(b, func(ctx context.Context, _ int) (int, error) { return 1, fn(ctx) })(ctx, 1)
		return err
	},
	"DoResult": func(b *Breaker, ctx context.Context, fn func(context.Context) error) error {
		_, err := DoResult(ctx, b, func(ctx context.Context) (int, error) { return 1, fn(ctx) },
			func(_ int, err error) Outcome { return DefaultClassifier(ctx, err) })
		return err
	},
	"DoneContext": func(b *Breaker, ctx context.Context, fn func(context.Context) error) error {
		p, err := b.AllowContext(ctx)
		if err != nil {
			return err
		}
		defer p.Abandoned()
		return p.DoneContext(ctx, fn(p.Context(ctx)))
	},
	"Settle": func(b *Breaker, ctx context.Context, fn func(context.Context) error) error {
		p, err := b.AllowContext(ctx)
		if err != nil {
			return err
		}
		defer p.Abandoned()
		err = fn(p.Context(ctx))
		return p.Settle(ctx, DefaultClassifier(ctx, err), err)
	},
}

// A cancellation that the caller did not ask for is the dependency's: of its
// own contexts, and of an attempt that it gave up by itself.
func TestCancellationOfAnotherContextIsAFailure(t *testing.T) {
	for way, do := range waysToCall {
		b := New("db", Settings{FailMax: 1})
		_ = do(b, t.Context(), func(ctx context.Context) error {
			attempt, cancel := context.WithCancel(ctx)
			cancel()
			return attempt.Err()
		})
		if b.State() != Open {
			t.Errorf("%s: %s after a call that failed with a cancellation of its own, want open", way, b.State())
		}
	}
}

// The rejection of another breaker is not evidence, however it is wrapped, as
// long as there is nothing else. Joined with a failure it is a failure.
func TestRejectionOfAnotherBreaker(t *testing.T) {
	inner := New("inner", Settings{})
	inner.ForceOpen(Order{})
	rejected := inner.Do(t.Context(), nop)
	tripping := New("tripping", Settings{FailMax: 1}, WithErrorOnTrip()).Do(t.Context(), broken)
	replaced := New("replaced", Settings{}, WithOpenError(func(e *OpenError) error { return fmt.Errorf("try the queue: %w", e) }))
	replaced.Open(Order{})
	for name, c := range map[string]struct {
		err  error
		want Outcome
	}{
		"itself":                         {rejected, Ignored},
		"wrapped":                        {fmt.Errorf("load: %w", fmt.Errorf("get: %w", rejected)), Ignored},
		"wrapped, an error of its own":   {replaced.Do(t.Context(), nop), Ignored},
		"joined alone":                   {errors.Join(rejected), Ignored},
		"joined with another":            {errors.Join(rejected, fmt.Errorf("b: %w", rejected)), Ignored},
		"joined with nil":                {errors.Join(nil, rejected), Ignored},
		"joined, wrapped, joined":        {errors.Join(fmt.Errorf("all: %w", errors.Join(rejected, rejected))), Ignored},
		"several in one text":            {fmt.Errorf("%w and %w", rejected, rejected), Ignored},
		"joined with a failure":          {errors.Join(rejected, errX), Failure},
		"joined with a failure, wrapped": {fmt.Errorf("all: %w", errors.Join(rejected, errX)), Failure},
		"several in one text, one fails": {fmt.Errorf("%w after %w", rejected, errX), Failure},
		"of the call that tripped":       {tripping, Failure},
		"as text":                        {errors.New(rejected.Error()), Failure},
		"ErrOpen alone":                  {ErrOpen, Ignored},
		"wraps ErrOpen":                  {fmt.Errorf("shed: %w", ErrOpen), Ignored},
		"embedded":                       {rejectedBy{rejected.(*OpenError)}, Ignored},
		"embedded, beside a failure":     {errors.Join(rejectedBy{rejected.(*OpenError)}, errX), Failure},
		"a wrapper of nothing":           {wrapper0{}, Failure},
		"joined of nothing":              {joined0{}, Failure},
	} {
		if got := DefaultClassifier(t.Context(), c.err); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		for way, do := range waysToCall {
			b := New("outer", Settings{FailMax: 3})
			play(b, "f")
			_ = do(b, t.Context(), func(context.Context) error { return c.err })
			if got, want := b.FailCount(), 1+btoi(c.want == Failure); got != want {
				t.Errorf("%s, %s: %d failures, want %d", name, way, got, want)
			}
		}
	}
}

// wrapper0 and joined0 have Unwrap methods but wrap no errors.
type (
	wrapper0 struct{}
	joined0  struct{}
)

func (wrapper0) Error() string  { return "wraps nothing" }
func (wrapper0) Unwrap() error  { return nil }
func (joined0) Error() string   { return "joins nothing" }
func (joined0) Unwrap() []error { return []error{nil, nil} }

// What a matcher ignores is not evidence; what another one excludes as well is
// a success. Matchers can be added later, and to a single key.
func TestIgnoredErrors(t *testing.T) {
	fails := func(b *Breaker, err error) int {
		b.Close(Order{})
		play(b, "ff")
		_ = b.Do(t.Context(), func(context.Context) error { return err })
		return b.FailCount()
	}
	check := func(what string, b *Breaker, want map[error]int) {
		t.Helper()
		for err, n := range want {
			if got := fails(b, err); got != n {
				t.Errorf("%s: %v after two failures makes %d, want %d", what, err, got, n)
			}
		}
	}
	errBoth := fmt.Errorf("busy: %w", errNotFound)
	b := New("db", Settings{FailMax: 9}, WithIgnored(ErrorAs[*validationError](), ErrorIf(func(err error) bool { return err.Error() == "busy: not found" })),
		WithExcluded(ErrorIs(errNotFound)))
	check("options", b, map[error]int{&validationError{"id"}: 2, fmt.Errorf("a: %w", &validationError{"id"}): 2, errBoth: 0, errNotFound: 0, errX: 3})
	b.Ignore(ErrorIs(errX))
	b.Exclude(ErrorAs[*status]())
	b.mu.Lock()
	b.edit(failMask, 0)
	b.mu.Unlock()
	if got := b.Do(t.Context(), broken); got != errX || b.FailCount() != 0 {
		t.Errorf("ignored later: %v and %d failures", got, b.FailCount())
	}

	set := NewSet[string]("s", Settings{FailMax: 9}, SetOptions{})
	set.Ignore(ErrorIs(errNotFound))
	one, other := set.Breaker("one"), set.Breaker("other")
	one.Ignore(ErrorAs[*validationError]())
	one.Exclude(ErrorIs(errNotFound))
	check("one key", one, map[error]int{&validationError{"id"}: 2, errNotFound: 0}) // its own matchers come first
	check("the others", other, map[error]int{&validationError{"id"}: 3, errNotFound: 2})

	probed := New("db", Settings{}, WithIgnored(ErrorIs(errX)))
	probed.HalfOpen(Order{})
	play(probed, "f")
	if s := probed.Status(); s.State != HalfOpen || s.ProbesOut != 0 {
		t.Errorf("an ignored probe made it %s with %d probes out", s.State, s.ProbesOut)
	}
}

// A nil context is treated like one that is never over: no way to make a call
// panics because of it, in any state.
func TestNilContextNeverPanics(t *testing.T) {
	var none context.Context
	states := map[string]func(b *Breaker){
		"closed":        func(*Breaker) {},
		"failing":       func(b *Breaker) { play(b, "f") },
		"open":          func(b *Breaker) { b.Open(Order{}) },
		"due":           func(b *Breaker) { b.Open(Order{For: time.Second}); wait(time.Second) },
		"half-open":     func(b *Breaker) { b.HalfOpen(Order{}) },
		"probed":        func(b *Breaker) { b.HalfOpen(Order{}); _, _ = b.Allow() },
		"ramping":       func(b *Breaker) { b.HalfOpen(Order{}); play(b, "s"); wait(time.Minute) },
		"forced open":   func(b *Breaker) { b.ForceOpen(Order{}) },
		"forced closed": func(b *Breaker) { b.Open(Order{}); b.ForceClosed(Order{}) },
	}
	for name, opts := range map[string][]Option{
		"plain":       nil,
		"bypass":      {WithBypassAllowed()},
		"heard":       {WithListener((&listenerLog{}).listener())},
		"classifying": {WithClassifier(DefaultClassifier)},
	} {
		for state, prepare := range states {
			for way, do := range waysToCall {
				synctest.Test(t, func(t *testing.T) {
					b := New("db", Settings{FailMax: 5, Ramp: time.Hour, SlowCall: time.Second}, opts...)
					prepare(b)
					for _, fn := range []func(context.Context) error{nop, broken} {
						if err := do(b, none, fn); err != nil && err != errX && !errors.Is(err, ErrOpen) {
							t.Errorf("%s, %s, %s: %v", name, state, way, err)
						}
					}
					_ = do(b, none, func(ctx context.Context) error { return do(b, ctx, nop) })
					if n := b.Status().Panics; n != 0 {
						t.Errorf("%s, %s, %s: %d panics were caught", name, state, way, n)
					}
				})
			}
		}
	}
	b := New("db", Settings{})
	p, err := b.AllowContext(none)
	if err != nil {
		t.Errorf("AllowContext without a context: %v", err)
	}
	p.Done(nil)
	b.Open(Order{For: time.Millisecond})
	if err := b.WaitReady(none); err != nil {
		t.Errorf("WaitReady without a context: %v", err)
	}
	set := NewSet[string]("s", Settings{}, SetOptions{MaxKeys: 1})
	set.Breaker("filler")
	_ = set.Do(none, "k", nop)
	_ = set.Do(none, "k", broken)
	_, _ = DoKey(none, set, "k", func(context.Context) (int, error) { return 0, errX })
	if n := set.Breaker("k").FailCount(); n != 2 {
		t.Errorf("a key called without a context has %d failures, want 2", n)
	}
}

// A classifier receives what is documented, and an invalid outcome is not
// evidence.
func TestClassifierOutcomes(t *testing.T) {
	for o, want := range map[Outcome]int{Success: 0, Failure: 2, Ignored: 1, Canceled: 1, Canceled + 1: 1, 255: 1} {
		b := New("db", Settings{}, WithClassifier(func(context.Context, error) Outcome { return o }))
		b.mu.Lock()
		b.edit(0, 1<<failShift)
		b.mu.Unlock()
		_ = b.Do(t.Context(), broken)
		if got := b.FailCount(); got != want {
			t.Errorf("outcome %d after a failure: %d failures, want %d", o, got, want)
		}
	}
}

// rejectedBy is an error that says that it is a rejection without wrapping one.
type rejectedBy struct{ *OpenError }

// The RetryAfter of a rejection is not a hint, whatever the rejection is joined with.
func TestRejectionIsNoHint(t *testing.T) {
	inner := New("inner", Settings{})
	inner.ForceOpen(Order{For: time.Hour})
	var open *OpenError
	errors.As(inner.Do(bg, nop), &open)
	for _, rejection := range []error{open, rejectedBy{open}, fmt.Errorf("db: %w", open)} {
		b := New("outer", Settings{FailMax: 1})
		_ = b.Do(bg, func(context.Context) error { return errors.Join(rejection, errX) })
		if got := b.Status().Transition; got == nil || got.HintedFor != 0 {
			t.Errorf("%T: the trip is %+v, want one without a hint", rejection, got)
		}
	}
}

// The program's own functions never receive a nil context, and marks need none.
func TestNilContextForTheProgram(t *testing.T) {
	var none context.Context
	looks := func(ctx context.Context) string { return fmt.Sprint(ctx.Err()) }
	b := New("x", Settings{FailMax: 1}, WithTraceID(looks),
		WithClassifier(func(ctx context.Context, err error) Outcome { looks(ctx); return Ignored }),
		WithListener(Listener{BeforeCall: func(ctx context.Context, _ *Breaker) { looks(ctx) }}))
	_ = b.Do(none, broken)
	_ = b.Do(WithBypass(none, "x"), broken)
	_ = b.Do(WithBypassProbe(none, "x"), broken)
	is(t, b, Closed)
	if n := b.Status().Panics; n != 0 {
		t.Errorf("%d of the program's functions panicked", n)
	}
}

// badIs is an error with an Is method that matches nothing.
type badIs struct{ error }

func (badIs) Is(error) bool { return false }

// An error with an Is method is a rejection only if that says so.
func TestErrorWithItsOwnIs(t *testing.T) {
	if got := DefaultClassifier(bg, badIs{errX}); got != Failure {
		t.Errorf("it is a %s, want a failure", got)
	}
}

// A judgement of the program may be that the caller gave up: the call can be slow.
func TestJudgedCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{SlowCall: time.Second, SlowRate: 1})
		_, _ = DoResult(bg, b, func(context.Context) (int, error) { time.Sleep(time.Second); return 0, nil }, func(int, error) Outcome { return Canceled })
		if got := b.Status().Window; got != (Counts{Calls: 1, Slow: 1, Bad: 1}) {
			t.Errorf("the window holds %+v, want a slow call", got)
		}
	})
}
