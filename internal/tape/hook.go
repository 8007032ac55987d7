package tape

import "time"

// Engine holds what package replay needs of package breaker beyond its public
// API. Package breaker sets it.
var Engine struct {
	// Attach makes a *breaker.Manager record on t until detach is called. base is
	// the time that the tape's times count from. It returns false if the manager
	// records already.
	Attach func(manager any, t *Tape) (base time.Time, detach func(), ok bool)
	// Inspect returns what the status of a *breaker.Breaker does not show. It
	// must not be called from Hooks.
	Inspect func(breaker any) Inspection
	// Impose moves the automatic state of a *breaker.Breaker as a
	// *breaker.Transition says, whatever its rules would decide. attempt is the
	// number of open periods in a row.
	Impose func(breaker, transition any, attempt int)
}

// Trace is what the record of a transition does not show.
type Trace struct {
	Draw float64 // the random number for the jitter of the open time
	Gen  uint32  // the generation that the transition began
	Move bool    // it began a generation: the automatic state has moved
}

// Inspection is the part of a breaker's state that people need not know.
type Inspection struct {
	Gen      uint32
	StepBase time.Time // when the clock of its window began; zero if it has none
}
