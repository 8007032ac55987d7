package breaker

// Verb is what an order does.
type Verb string

// The orders that change a breaker's state.
const (
	VerbOpen        Verb = "open"         // automatic state: open; lifts an override
	VerbClose       Verb = "close"        // automatic state: closed, evidence forgotten; lifts an override
	VerbHalfOpen    Verb = "half_open"    // automatic state: half-open; lifts an override
	VerbForceOpen   Verb = "force_open"   // override: reject every call
	VerbForceClosed Verb = "force_closed" // override: admit every call
	VerbRelease     Verb = "release"      // lift the override
)

// Order is a change that somebody asks for.
type Order struct {
	Verb   Verb
	Reason Reason
	// IfVersion, when not 0, makes the order fail with ErrVersion unless the
	// breaker's version is this one: nothing moved since it was looked at.
	IfVersion uint64
	// DryRun makes the receipt without the change.
	DryRun bool
}

// Receipt is what an order did.
type Receipt struct {
	ID      string `json:"id"`
	Before  State  `json:"before"`
	After   State  `json:"after"`
	From    uint64 `json:"from_version"` // the version it was applied to
	Version uint64 `json:"version"`      // the version after it
	DryRun  bool   `json:"dry_run,omitempty"`
}
