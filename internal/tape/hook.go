package tape

import (
	"time"

	"github.com/switchgear-go/switchgear/internal/vtime"
)

// Engine is what package replay needs of package breaker beyond its public API.
// Package breaker sets it.
var Engine struct {
	// Attach makes a *breaker.Manager record on t. base is the time that the
	// tape's times begin at. It reports false if it records already.
	Attach func(manager any, t *Tape) (base time.Time, detach func(), ok bool)
	// Inspect is what a *breaker.Breaker does not show.
	Inspect func(breaker any) Inspection
	// Impose makes a *breaker.Breaker move as a breaker.Transition says that it
	// did, whatever it would have done itself. attempt is its open periods in a
	// row.
	Impose func(breaker, transition any, attempt int)
}

// Trace is what the record of a transition does not show.
type Trace struct {
	Draw float64 // that the open time was spread by
	Gen  uint32  // the generation that it began
	Move bool    // it began one: it moved the automatic state
}

// Inspection is the state of a breaker that people do not need to know.
type Inspection struct {
	Gen      uint32
	StepBase time.Time // when the clock of its window began; zero: it has none
	Clock    *vtime.Source
}
