package breaker

import "fmt"

// State is what a breaker does with the next call.
//
// The first three are the automatic states, moved by outcomes and time. The
// last two are overrides: people set and lift them, automation never does.
type State uint8

const (
	// Closed admits every call and judges it.
	Closed State = iota
	// Open rejects every call until the open time has passed.
	Open
	// HalfOpen admits a few probes and rejects the other calls.
	HalfOpen
	// ForcedOpen rejects every call until it is released or expires.
	ForcedOpen
	// ForcedClosed admits every call until it is released or expires; the
	// automatic state goes on being judged behind it.
	ForcedClosed
)

var stateNames = [...]string{"closed", "open", "half-open", "forced-open", "forced-closed"}

// String returns "closed", "open", "half-open", "forced-open" or "forced-closed".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText writes the state as its String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("breaker: unknown state %q, want one of %q", text, stateNames)
}
