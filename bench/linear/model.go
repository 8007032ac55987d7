// Package linear checks that breakers in use by many goroutines at once behave
// as if their operations happened one after the other: histories of real
// goroutines are checked for linearizability against the specification in
// internal/spec, with porcupine.
package linear

import (
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/spec"
)

// kind is what an operation does.
type kind uint8

const (
	ask        kind = iota // a call asks: Allow, or the first half of Do
	settle                 // it ends: Done, Ignore, or the second half of Do
	rowPart                // a success ends the row of failures; see inParts
	windowPart             // and enters the window of the rates
	order
	update
	status
	tick // time passes, while nothing else happens
)

// input is an operation as it was called.
type input struct {
	Kind    kind
	Client  int
	Outcome spec.Outcome
	Verb    breaker.Verb
	Length  time.Duration
	Set     int // of update: which settings
}

// output is what it returned.
type output struct {
	Admitted bool
	Receipt  breaker.Receipt
	Status   view
}

// view is what is compared of a Status.
type view struct {
	State, Auto                 breaker.State
	Fails, ProbesOut, OKs       int
	WindowCalls, WindowFailures int
	Version                     uint64
	ProbesLimit                 int
}

const maxClients = 4

// state is the specification's side. It is comparable.
type state struct {
	b    spec.Breaker
	held [maxClients]spec.Permit
	now  time.Duration
}

// model is the sequential specification that begins with these settings, of
// those that updates choose from.
func model(sets []spec.Settings) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{b: spec.New(sets[0])} },
		Step: func(s, in, out any) (bool, any) {
			st := s.(state)
			legal := st.step(in.(input), out.(output), sets)
			return legal, st
		},
		DescribeOperation: func(in, out any) string { return describe(in.(input), out.(output)) },
	}
}

// step performs an operation on the state, and reports whether the operation
// may have that output.
func (s *state) step(in input, out output, sets []spec.Settings) bool {
	held := &s.held[in.Client]
	switch in.Kind {
	case ask:
		p, admitted := s.b.Admit(s.now)
		*held = p
		return admitted == out.Admitted
	case settle:
		s.b.Settle(*held, in.Outcome, s.now)
	case rowPart:
		s.b.SettleState(*held, spec.Success, s.now)
	case windowPart:
		s.b.SettleWindow(*held, spec.Success)
	case order:
		return s.order(in, out.Receipt)
	case update:
		s.b.Update(sets[in.Set])
	case tick:
		s.now += in.Length
		s.b.Tick(s.now)
	case status:
		return s.view() == out.Status
	}
	return true
}

func (s *state) order(in input, r breaker.Receipt) bool {
	before, from := s.b.Effective(), s.b.Version
	switch in.Verb {
	case breaker.VerbOpen:
		s.b.Open(in.Length, s.now)
	case breaker.VerbClose:
		s.b.Close()
	case breaker.VerbHalfOpen:
		s.b.HalfOpen(s.now)
	case breaker.VerbForceOpen:
		s.b.Force(spec.ForcedOpen, in.Length, s.now)
	case breaker.VerbForceClosed:
		s.b.Force(spec.ForcedClosed, in.Length, s.now)
	case breaker.VerbRelease:
		s.b.Release(s.now)
	}
	return r.Before == breaker.State(before) && r.After == breaker.State(s.b.Effective()) &&
		r.From == uint64(from) && r.Version == uint64(s.b.Version)
}

func (s *state) view() view {
	v := view{
		State: breaker.State(s.b.Effective()), Auto: breaker.State(s.b.Auto),
		Fails: s.b.Fails(), Version: uint64(s.b.Version), ProbesLimit: s.b.Set.Probes,
		WindowCalls: len(s.b.Recent), WindowFailures: s.b.Failures(),
	}
	if s.b.Auto == spec.HalfOpen {
		v.ProbesOut, v.OKs = s.b.ProbesOut(s.now), s.b.OKs
	}
	return v
}

// viewOf returns the same view of the real breaker.
func viewOf(s breaker.Status) view {
	return view{
		State: s.State, Auto: s.Auto, Fails: s.FailCount, Version: s.Version,
		ProbesOut: s.ProbesOut, OKs: s.ProbeSuccesses, ProbesLimit: s.Settings.Probes,
		WindowCalls: s.Window.Calls, WindowFailures: s.Window.Failures,
	}
}

func describe(in input, out output) string {
	who := fmt.Sprintf("%d ", in.Client)
	switch in.Kind {
	case ask:
		return who + fmt.Sprintf("asks: admitted %v", out.Admitted)
	case settle:
		return who + "ends: " + breaker.Outcome(in.Outcome).String()
	case rowPart:
		return who + "ends: success, for the row of failures"
	case windowPart:
		return who + "ends: success, for the window"
	case order:
		return who + fmt.Sprintf("orders %s for %s: %s to %s, version %d to %d", in.Verb, in.Length,
			out.Receipt.Before, out.Receipt.After, out.Receipt.From, out.Receipt.Version)
	case update:
		return who + fmt.Sprintf("updates to settings %d", in.Set)
	case tick:
		return who + fmt.Sprintf("waits %s", in.Length)
	}
	return who + fmt.Sprintf("looks: %+v", out.Status)
}
