// Package breakerotel shows circuit breakers to OpenTelemetry: metrics of a
// manager's breakers, and events on the spans of calls that were rejected or
// saw their breaker move.
//
//	remove, err := breakerotel.Register(manager)
//	...
//	order, err := breakerotel.Do(ctx, b, fetch) // breaker.Do with events
//
// # What is evidence
//
// What never left the process, what the caller did, and what the program did
// wrong is no evidence. Only the dependency's own doing is. This package judges
// nothing: it shows what the breakers were told, where outcomes of no evidence
// are "ignored".
//
// # Metrics
//
// All are read when they are collected, so that calls pay nothing for them: a
// call that succeeds on a closed breaker is counted nowhere, unless WithCalls
// says so. The attribute switchgear.breaker.name is a breaker's or a set's; keys
// are added up under their set.
//
//	switchgear.breaker.count                 {breaker}     updowncounter: 1 for the state that a breaker is in, 0 for the others; of a set, its keys in that state
//	switchgear.breaker.automatic_count       {breaker}     updowncounter: the same by automatic state, behind overrides
//	switchgear.breaker.consecutive_failures  {failure}     gauge: of a set, its worst key's
//	switchgear.breaker.probes                {call}        updowncounter: probes in flight
//	switchgear.breaker.override.remaining    s             gauge: until the next override ends; absent without one that ends
//	switchgear.breaker.override.unlimited    {override}    updowncounter
//	switchgear.breaker.transitions           {transition}  counter, by state and cause, those behind an override included
//	switchgear.breaker.held_back             {trip}        counter: times that breaker.Manager.CapOpen kept a breaker closed
//	switchgear.breaker.open_time             s             counter: time open or forced open, all keys of a set together
//	switchgear.breaker.bypassed_calls        {call}        counter; not for sets
//	switchgear.breaker.panics                {panic}       counter
//	switchgear.breaker.calls                 {call}        counter, WithCalls, by outcome: success, failure, ignored or rejected
//
// A manager can be registered once with each provider: twice, its values would
// be added up.
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
