package breaker

import "fmt"

// State is what a breaker does with the next call.
//
// Closed, Open and HalfOpen are the automatic states, which change with
// outcomes and time. ForcedOpen and ForcedClosed are overrides: people set and
// lift them, and nothing automatic changes them.
type State uint8

const (
	// Closed admits every call and judges it.
	Closed State = iota
	// Open rejects every call until the open time has passed.
	Open
	// HalfOpen admits a few calls as probes and rejects the others.
	HalfOpen
	// ForcedOpen rejects every call until it is released or expires.
	ForcedOpen
	// ForcedClosed admits every call until it is released or expires. Behind it
	// calls are still judged, and the automatic state continues to change.
	ForcedClosed
)

var stateNames = [...]string{"closed", "open", "half-open", "forced-open", "forced-closed"}

// String returns "closed", "open", "half-open", "forced-open" or
// "forced-closed".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText returns the text of String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses the text of String.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("breaker: unknown state %q, want one of %q", text, stateNames)
}
