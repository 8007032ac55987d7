// Package breaker guards calls to databases, queues and other services, so
// that one that hangs or fails does not drag its callers down with it.
//
// A [Breaker] is closed at first: every call runs. When a rule of its
// [Settings] is met, by default five failures in a row, it opens, and calls
// fail at once with an error that matches [ErrOpen]. After ResetTimeout the
// next call may probe, half-open; if that succeeds the breaker closes.
//
//	var db = breaker.New("db", breaker.Settings{})
//
//	err := db.Do(ctx, func(ctx context.Context) error {
//		return update(ctx, customer)
//	})
//	if errors.Is(err, breaker.ErrOpen) {
//		// did not run: answer from elsewhere
//	}
//
// # Usage
//
// Make breakers once and share them: one for each thing that fails on its own.
// [Breaker.Do] guards a function, [Do] one with a result, [Wrap] makes a
// guarded function, and [Breaker.Allow] serves where a call is no function. A
// [Set] has a breaker for each key, such as a tenant or a host. A [Manager]
// knows all breakers by name, for the people who operate them.
//
// Put a limit on the time of each call in its ctx, inside the breaker; put
// retries outside of it, and do not retry ErrOpen before RetryAfter.
//
// # Settings
//
// [Settings] are data: they can stand in a file ({"fail_max": 3,
// "reset_timeout": "10s", "ramp": "off"}), decoding JSON onto a value that is
// there patches it, and [Breaker.Update] puts them in effect while calls run.
// [Settings.Advice] predicts what they will do at a rate of calls, and package
// breakertest proves it in your tests.
//
// # Two layers of state
//
// Closed, open and half-open are the automatic state, moved by outcomes and
// time. An override, forced-open or forced-closed, lies on top: people set and
// lift it, with a reason and an end. See [Breaker.ForceOpen].
//
// # Outcomes
//
// nil is a success. An error is a failure, unless it is excluded
// ([WithExcluded]: the dependency answered, a success) or the caller cancelled
// its own context (no evidence at all). A panic and a runtime.Goexit are
// failures; a panic goes on to the caller.
//
// # Concurrency
//
// Everything may be used by many goroutines at once. Calls run in parallel; no
// lock is held while the program's code runs. A breaker owns no goroutine and
// needs no closing; only while it is open, overridden, counting over time or
// timing calls does it have a timer. In a testing/synctest bubble it keeps the bubble's
// time: after sleeping for exactly ResetTimeout call synctest.Wait, as the
// timer that lets a probe through wakes at the same instant.
package breaker
