// Package breaker guards calls to databases, queues and other services, so that
// a service that hangs or fails does not bring down the programs that call it.
//
// A [Breaker] is closed at first: every call runs. When a rule of its
// [Settings] is met, by default five failures in a row, it opens, and calls
// fail at once with an error that matches [ErrOpen]. After ResetTimeout the next
// call is a probe, and the breaker is half-open while it runs: if the probe
// succeeds, the breaker closes; if it fails, the breaker opens again.
//
//	var db = breaker.New("db", breaker.Settings{})
//
//	err := db.Do(ctx, func(ctx context.Context) error {
//		return update(ctx, customer)
//	})
//	if errors.Is(err, breaker.ErrOpen) {
//		// The call did not run: use a fallback.
//	}
//
// # Usage
//
// Create breakers once and share them: one for each thing that can fail on its
// own. [Breaker.Do] guards a function, the function [Do] a function with a
// result. [Wrap] returns a guarded function. [Breaker.Allow] guards a call that
// is not a function. A [Set] has a breaker for each key, such as a tenant or a
// host. A [Manager] holds all breakers by name, so that people can list and
// operate them.
//
// To limit how long a call may take, set a deadline on its context, inside the
// breaker. Put retries outside the breaker, and do not retry ErrOpen before
// [OpenError.RetryAfter] has passed.
//
// # Settings
//
// [Settings] are data. They can be read from JSON ({"fail_max": 3,
// "reset_timeout": "10s", "ramp": "off"}); decoding into existing settings
// changes only the keys that are present; and [Breaker.Update] puts new
// settings into effect while calls run. [Settings.Advice] predicts what
// settings do at a given rate of calls, and package breakertest checks it in
// your tests.
//
// # Two layers of state
//
// Closed, open and half-open are automatic states, which change with outcomes
// and time. An override, forced-open or forced-closed, lies on top of the
// automatic state. People set and lift overrides, with a reason and an end. See
// [Breaker.ForceOpen].
//
// # Outcomes
//
// A nil error is a success, and any other error is a failure, except that
//
//   - excluded errors ([WithExcluded]) are successes, because the dependency
//     answered;
//   - ignored errors ([WithIgnored]), rejections by another breaker, and calls
//     whose caller cancelled the context are not evidence either way.
//
// A panic and a runtime.Goexit are failures; a panic continues to the caller.
//
// # Concurrency
//
// All functions and methods may be called by many goroutines at once, unless
// documented otherwise. Calls run in parallel, and no lock is held while the
// program's code runs. A breaker has no goroutine and need not be closed. It
// has a timer only while it is open or overridden, counts over a span of time,
// or times calls.
//
// In a testing/synctest bubble a breaker uses the time of the bubble. After
// sleeping for exactly ResetTimeout, call synctest.Wait, because the timer that
// admits a probe fires at the same instant.
package breaker

// The map of the files, for maintainers. DESIGN.md has the invariants (I1 to I12)
// that comments refer to. Locks are taken in this order:
//
//	Manager.changing → every other lock
//	Manager.mu → openCap.mu
//	config.mu of a set → Breaker.mu → config.mu of a breaker without a set
//	Breaker.mu → shard.mu → evicted.mu
//	Breaker.mu → openCap.mu (the manager's, if there is one)
//	Breaker.mu → Manager.mu, for reading
//
// The mutexes of sweeper, clock and keyTexts are taken last, that of suspicion
// alone. No lock is held while user code runs (I10).
//
// The call path:
//
//	breaker.go    Breaker, its rarely used part (cold), New
//	word.go       the atomic word: its bits, and how it is written
//	call.go       Do: the path that nearly every call takes
//	admit.go      whether a call may run, if the word alone does not say so
//	permit.go     Permit: a call in two steps, and Answered
//	settle.go     what the end of a call does
//	lockfree.go   outcomes that are counted without the lock
//	classify.go   errors to outcomes: matchers, classifiers
//	deadline.go   contexts that were over before the call began
//	nested.go     calls within a call of the same breaker
//	bypass.go     marked calls that run although the breaker rejects
//
// Judging, the automatic layer:
//
//	next.go       a pure function from state and event to the next state
//	move.go       carries out what next decides; begins periods, makes records
//	confidence.go the test of Settings.Confidence
//	hint.go       the retry-after that an error carries
//
// Rejecting and recovering:
//
//	reject.go     what an open breaker does with calls; the end of the open time
//	recovery.go   probes and their leases; the ramp
//	cap.go        how many breakers may be open at the same time
//	ends.go       a tree of things that end by time alone, such as places under a cap
//	wait.go       WaitReady
//	errors.go     OpenError and the other errors
//
// Orders and overrides:
//
//	order.go      Order, Apply, versions
//	override.go   forced-open and forced-closed
//	peer.go       what a fleet does to a breaker
//
// Records for people:
//
//	transition.go Transition: what changed, and why
//	record.go     the last errors and the history
//	tally.go      totals since the breaker was created
//	status.go     Status
//	explain.go    Status in words
//	errortext.go  the text that is kept of an error
//	suspicion.go  breakers that trip together
//	listener.go   Listener, and how user code is called
//	deliver.go    the queue of transitions
//	observe.go    calls counted by outcome
//	latency.go    and by how long they took
//	recording.go  what a recorder of package replay is given
//	recordcall.go how one call is recorded
//
// Shadows, which judge calls by other settings as well:
//
//	shadow.go     adding, removing and promoting them; what they would have done
//	shadowing.go  the shadows of a breaker, and how they follow its transitions
//	shadowcall.go what a call does for them
//	flights.go    a table of the calls in flight, because a permit has no room
//
// Windows and clocks:
//
//	window.go     the calls that rates are computed from
//	stripes.go    counters that cores need not share
//	goroutine.go  which of them a goroutine uses (goroutine_purego.go: without unsafe)
//	clock.go      a coarse clock that costs one load
//
// Sets:
//
//	set.go        Set and its options
//	keys.go       finding and creating the breakers of keys; calls without one
//	keylist.go    finding keys without a lock where they are few
//	evict.go      how healthy keys leave the set and come back
//	room.go       how a full set makes room, and which key gives way
//	forget.go     how evidence lapses
//	sweep.go      the timer that looks for idle keys
//	batches.go    iterating over a map without holding its lock for long
//	shrinking.go  a map that gives its memory back
//
// Manager, settings and text:
//
//	manager.go    Manager
//	ids.go        names, texts of keys, suggestions for unknown ids
//	config.go     what the breakers of a set have in common
//	options.go    settings that are code
//	settings.go   Settings: fields, defaults, ranges
//	settings_json.go  Settings as JSON and text
//	compiled.go   settings with everything the engine derives from them
//	update.go     how new settings take effect
//	advice.go     what settings will do
//	state.go      State
//	json.go       durations in JSON
