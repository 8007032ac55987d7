// Package fleet makes the breakers of many processes act as one, over Redis or
// Valkey. One line joins:
//
//	f, err := fleet.Join(ctx, &manager, fleet.Options{Redis: client, Group: "checkout"})
//	defer f.Close()
//
// Each process tells what it has counted, one of them adds that up, and each
// decides by itself what the sum means for it: a zone's evidence counts before
// the fleet's, and a process's own before both. When the open time is over, one
// process probes for all.
//
// No call ever reads, writes or waits for the store. A store that is slow, away
// or empty leaves each process with its own breakers, as without a fleet.
//
//	options.go      Options
//	fleet.go        Join, Close, State
//	member.go       the loops of a member: watch, tell, hear
//	gauge.go        one breaker: what it has counted, what is done to it
//	coordinator.go  the loop of the member that adds up
//	store.go        the seam to a store; redis.go is the one in Redis
//
// The decisions are pure functions in internal/verdict, and what is written is
// in internal/wire. docs/fleet.md says when to use a fleet and when not, what it
// costs and what it promises. In comments, F1 to F13 are its invariants.
package fleet
