// Package breakerotel shows circuit breakers to OpenTelemetry: metrics of a
// manager's breakers, and events on the spans of calls that were rejected or
// during which their breaker changed state.
//
//	remove, err := breakerotel.Register(manager)
//	...
//	order, err := breakerotel.Do(ctx, b, fetch) // breaker.Do with events
//
// # What is evidence
//
// What never left the process, what the caller did, and what the program did
// wrong is not evidence. Only what the dependency does is. This package judges
// nothing: it shows the outcomes of the breakers, where those that are not evidence
// are "ignored".
//
// # Metrics
//
// All are read when they are collected, so they add no cost to calls: a
// call that succeeds on a closed breaker is not counted, unless WithCalls
// says so. The attribute switchgear.breaker.name is a breaker's or a set's; keys
// are added up under their set.
//
//	switchgear.breaker.count                 {breaker}     updowncounter: 1 for the state that a breaker is in, 0 for the others; of a set, its keys in that state
//	switchgear.breaker.automatic_count       {breaker}     updowncounter: the same by automatic state, regardless of overrides
//	switchgear.breaker.consecutive_failures  {failure}     gauge; of a set, that of its worst key
//	switchgear.breaker.probes                {call}        updowncounter: probes in flight
//	switchgear.breaker.override.remaining    s             gauge: until the first override expires; absent if none expires
//	switchgear.breaker.override.unlimited    {override}    updowncounter
//	switchgear.breaker.transitions           {transition}  counter, by state and cause, including those behind an override
//	switchgear.breaker.held_back             {trip}        counter: times that breaker.Manager.CapOpen kept a breaker closed
//	switchgear.breaker.open_time             s             counter: time open or forced open, all keys of a set together
//	switchgear.breaker.bypassed_calls        {call}        counter; not for sets
//	switchgear.breaker.panics                {panic}       counter
//	switchgear.breaker.calls                 {call}        counter, WithCalls, by outcome: success, failure, ignored or rejected
//
// A manager can be registered once with each provider; otherwise its values would
// be added up twice. The global provider of before otel.SetMeterProvider and the
// one that is set first count as one, because it passes everything on to that one.
//
// Counters begin with Register, those of calls when they are first observed
// (see breaker.Manager.Observe).
//
// # Events
//
// A breaker's listeners see no context, so an event needs the caller's help: Do
// in place of breaker.Do, or RecordRejection with the error that a guarded
// client returned.
package breakerotel
