package tape

import "time"

// Engine holds what package replay needs of package breaker beyond its public
// API. Package breaker sets it.
var Engine struct {
	// Attach makes a *breaker.Manager record on t until detach is called. base is
	// the time that the tape's times count from. It returns false if the manager
	// records already.
	Attach func(manager any, t *Tape) (base time.Time, detach func(), ok bool)
	// Flush records the rejected calls of a *breaker.Breaker that have been
	// counted but not recorded yet. It must not be called from Hooks.
	Flush func(breaker any)
	// Impose moves the automatic state of a *breaker.Breaker as a
	// *breaker.Transition and its Trace say, whatever its rules would decide.
	Impose func(breaker, transition any, how Trace)
	// Quiet reports whether a *breaker.Breaker under a virtual clock is closed and
	// would do no more about calls that begin and succeed than count them in its
	// window. Succeed counts n of them.
	Quiet   func(breaker any) bool
	Succeed func(breaker any, n int)
}

// Trace is what the record of a transition does not show.
type Trace struct {
	Draw float64 // the random number for the jitter of the open time
	Move bool    // it began a generation: the automatic state has moved. Then:
	Gen  uint32  // that generation
	// Units is the failure count after it, and Attempt the number of open periods
	// in a row.
	Units, Attempt int
}
