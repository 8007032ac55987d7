// Package verdict has the decisions of a fleet as pure functions: no clock, no
// I/O, no randomness, no locks. Time arrives as a duration that has passed.
//
// There are two roles. Each process is a member: it says what it has counted (a
// Claim for each breaker), and decides by itself what a verdict means for it
// (Own). One of them is the coordinator too: it adds up the claims, finds scopes
// guilty, and says whose call is the next probe (Coordinator). It opens nothing.
//
//	evidence.go     what was counted, and the two tests: guilty, and obeys
//	window.go       the calls of one breaker over the last 4, 16 and 60 s
//	claim.go        what a member says of one breaker
//	coordinator.go  all subjects: adding up, opening and clearing of scopes
//	probe.go        the fleet's probe: whose turn it is, and what came of it
//	own.go          a member's side: open, hold, let go, stay closed
//
// A subject is a breaker by its id. A scope is whose evidence about it is pooled:
// that of a zone, or of the whole fleet.
//
// An epoch is a moment of the fleet's logical clock, which ticks when a scope
// opens and when it is cleared. A member stamps its evidence with an epoch that
// it is younger than; that is how evidence from before a clearing is distinguished from
// new evidence, and a verdict on the past from one on the present (F2).
package verdict
