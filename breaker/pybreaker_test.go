package breaker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Features: a breaker instance manages data-defined integration points, and
// several threads use it at once; see also "Parameterized circuit breakers".
func TestPyBreakerUsage(t *testing.T) {
	dbBreaker := New("db", Settings{FailMax: 5, ResetTimeout: 60 * time.Second})
	if s := dbBreaker.Settings(); s.FailMax != 5 || s.ResetTimeout != time.Minute {
		t.Errorf("settings are %+v", s)
	}
	if s := New("defaults", Settings{}).Settings(); s.FailMax != 5 || s.ResetTimeout != time.Minute {
		t.Errorf("the defaults are %+v, want 5 failures and a minute", s)
	}
}

func TestPyBreakerEventListening(t *testing.T) {
	var db, log, one, another tape
	dbBreaker := New("db", Settings{FailMax: 1}, WithListener(db.listener(), log.listener()))
	dbBreaker.AddListener(one.listener())
	dbBreaker.AddListener(another.listener())
	_ = dbBreaker.Do(bg, nop)
	_ = dbBreaker.Do(bg, broken)
	for _, l := range []*tape{&db, &log, &one, &another} {
		if got, want := l.take(), "before, success, before, failure connection refused, closed->open"; got != want {
			t.Errorf("a listener heard %q, want %q", got, want)
		}
	}
}

func TestPyBreakerWhatDoesACircuitBreakerDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dbBreaker := New("db", Settings{})
		up, ran := true, 0
		update := func(_ context.Context, customer string) (string, error) {
			ran++
			if !up {
				return "", errX
			}
			return "updated " + customer, nil
		}
		updateCustomer := Wrap(dbBreaker, update) // the decorator
		if v, err := updateCustomer(bg, "ada"); v != "updated ada" || err != nil {
			t.Errorf("the decorated function returned %q, %v", v, err)
		}
		v, err := Do(bg, dbBreaker, func(ctx context.Context) (string, error) { return update(ctx, "bob") }) // call()
		if v != "updated bob" || err != nil {
			t.Errorf("the call returned %q, %v", v, err)
		}

		up = false
		for range 5 {
			_, _ = updateCustomer(bg, "ada")
		}
		ran = 0
		if _, err := updateCustomer(bg, "ada"); !errors.Is(err, ErrOpen) || ran != 0 {
			t.Errorf("after 5 consecutive failures the call returned %v and ran %d times", err, ran)
		}
		time.Sleep(60 * time.Second)
		synctest.Wait()
		if _, err := updateCustomer(bg, "ada"); err != errX || ran != 1 {
			t.Errorf("after 60 seconds the call returned %v and ran %d times, want its own error, once", err, ran)
		}
		is(t, dbBreaker, Open) // until another timeout elapses
		time.Sleep(60 * time.Second)
		synctest.Wait()
		up = true
		if _, err := updateCustomer(bg, "ada"); err != nil {
			t.Errorf("the second trial returned %v", err)
		}
		is(t, dbBreaker, Closed)
	})
}

func TestPyBreakerExcludingExceptions(t *testing.T) {
	dbBreaker := New("db", Settings{FailMax: 1}, WithExcluded(ErrorAs[*validationError]()))
	dbBreaker.Exclude(ErrorIs(errNotFound))
	for _, err := range []error{&validationError{"name"}, derived{&validationError{"name"}}, errNotFound} {
		if got := dbBreaker.Do(bg, func(context.Context) error { return err }); got != err {
			t.Errorf("the caller got %v, want its error %v", got, err)
		}
		is(t, dbBreaker, Closed)
	}
}

// derived is an exception derived from an excluded one.
type derived struct{ error }

func (d derived) Unwrap() error { return d.error }

func TestPyBreakerMonitoringAndManagement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{})
		failTimes(b, 3)
		if got := b.FailCount(); got != 3 {
			t.Errorf("fail counter %d, want 3", got)
		}
		if got := b.Status().FailuresUntilOpen; got != 2 {
			t.Errorf("%d failures until open, want 2", got)
		}
		s := b.Settings()
		s.FailMax, s.ResetTimeout = 10, 30*time.Second
		if err := b.Update(s); err != nil {
			t.Fatal(err)
		}
		failTimes(b, 6)
		if got := b.State().String(); got != "closed" {
			t.Errorf("state %q, want closed", got)
		}
		failTimes(b, 1)
		time.Sleep(10 * time.Second)
		if st := b.Status(); st.State.String() != "open" || st.UntilHalfOpen != 20*time.Second || st.FailCount != 10 {
			t.Errorf("status is %+v, want open for another 20s after 10 failures", st)
		}
		b.Close(Order{})
		if b.State().String() != "closed" || b.FailCount() != 0 {
			t.Errorf("after Close: %s, %d failures", b.State(), b.FailCount())
		}
		b.HalfOpen(Order{})
		if got := b.State().String(); got != "half-open" {
			t.Errorf("state %q, want half-open", got)
		}
		b.Open(Order{})
		if got := b.State().String(); got != "open" {
			t.Errorf("state %q, want open", got)
		}
	})
}

// CircuitBreakerManager: create_breaker, get_breaker, breaker.
func TestPyBreakerManager(t *testing.T) {
	m := NewManager(Settings{FailMax: 5, ResetTimeout: time.Minute})
	foo := m.Breaker("foo")
	if got, err := m.Lookup("foo"); got != foo || err != nil {
		t.Errorf("Lookup gave %v, %v", got, err)
	}
	if _, err := m.Create("foo", Settings{}); !errors.Is(err, ErrDuplicate) {
		t.Errorf("a second Create gave %v", err)
	}
	failTimes(foo, 5)
	s := m.Status()
	if len(s) != 1 || s[0].ID != "foo" || s[0].State != Open || s[0].FailCount != 5 || s[0].FailuresUntilOpen != -1 {
		t.Errorf("the manager shows %+v", s)
	}
	if _, err := m.Apply("foo", Order{Verb: VerbClose}); err != nil {
		t.Fatal(err)
	}
	is(t, foo, Closed)
}

// Parameterized circuit breakers: one instance, many integration points.
func TestPyBreakerParameterized(t *testing.T) {
	set := NewSet[string]("shop", Settings{FailMax: 2}, SetOptions{})
	type args struct{ host, path string }
	get := WrapKey(set, func(a args) string { return a.host }, func(_ context.Context, a args) (int, error) {
		if a.host == "down" {
			return 0, errX
		}
		return 200, nil
	})
	for range 3 {
		_, _ = get(bg, args{"down", "/"})
	}
	if _, err := get(bg, args{"down", "/other"}); !errors.Is(err, ErrOpen) {
		t.Errorf("the failing host gave %v, want ErrOpen", err)
	}
	if v, err := get(bg, args{"up", "/"}); v != 200 || err != nil {
		t.Errorf("the other host gave %d, %v", v, err)
	}
}

// PyBreaker 1.4 added success_threshold, throw_new_error_on_trip and calling().
func TestPyBreakerToday(t *testing.T) {
	b := New("db", Settings{FailMax: 1, SuccessThreshold: 2}, WithErrorOnTrip())
	if err := b.Do(bg, broken); !errors.Is(err, ErrOpen) || !errors.Is(err, errX) {
		t.Errorf("the tripping call gave %v, want both errors", err)
	}
	b.HalfOpen(Order{})
	_ = b.Do(bg, nop)
	is(t, b, HalfOpen)
	permit, err := b.Allow() // calling()
	if err != nil {
		t.Fatal(err)
	}
	permit.Done(nil)
	is(t, b, Closed)
}
