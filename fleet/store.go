package fleet

import (
	"context"
	"errors"
	"time"
)

// ErrStale is the error of Store.Publish for a coordinator whose lease has
// passed to another one.
var ErrStale = errors.New("fleet: the coordinator's lease has passed to another member")

// Table is one of the maps that a Store keeps.
type Table string

// The tables. Fields and values are the fleet's own; a Store does not look into
// them.
const (
	ReportTable    Table = "r" // by member: what it says each beat
	InventoryTable Table = "n" // by member: its breakers and their settings
	ReceiptTable   Table = "a" // by member: what an order did; each order has one of its own, with its id in the name
	HistoryTable   Table = "h" // by member: what its breakers went through last
)

// Store is what the members of a fleet share: a few small maps, a lease, and
// messages to all. NewRedis returns one in Redis or Valkey; package fleettest has
// one in memory, and the test that every Store must pass.
//
// A Store may lose anything at any time, and may be slow or unreachable: members
// cope with that. But what it returns must be exactly what was written. Its methods
// are called by several goroutines at once, never by one that makes a call under a
// breaker, and with a context that ends soon.
type Store interface {
	// Beat puts a member's report into the table of reports, and returns the newest
	// digest, also of a coordinator that is gone: the next one goes on from it. nil:
	// there is none.
	Beat(ctx context.Context, member string, report []byte) (digest []byte, err error)

	// Digest returns the newest digest while its coordinator has the lease; nil: there
	// is none, or no coordinator. Group reads it for the screens.
	Digest(ctx context.Context) ([]byte, error)

	// Put sets a field of a table.
	Put(ctx context.Context, t Table, field string, value []byte) error
	// All returns a table.
	All(ctx context.Context, t Table) (map[string][]byte, error)
	// Drop removes a field if it still has this value; nil: whatever it has.
	Drop(ctx context.Context, t Table, field string, value []byte) error

	// Lead asks for the coordinator's lease. If it is free, holder gets it, for
	// ttl, under a term that is higher than every earlier one and higher than
	// after. If another member has it, the term is 0.
	Lead(ctx context.Context, holder string, after uint64, ttl time.Duration) (term uint64, err error)
	// Collect returns the table of reports, and the number of the newest order.
	Collect(ctx context.Context) (reports map[string][]byte, orders uint64, err error)
	// Publish prolongs the lease, keeps the digest and sends it to those who
	// Listen, all at once. The error is ErrStale, and nothing is done, if this
	// holder does not have the lease under this term.
	Publish(ctx context.Context, holder string, term uint64, ttl time.Duration, digest []byte) error
	// Resign gives the lease back, if this holder has it under this term.
	Resign(ctx context.Context, holder string, term uint64) error
	// Listen calls f with each digest that is published, until ctx ends or the
	// connection is lost. A digest may be lost on the way.
	Listen(ctx context.Context, f func(digest []byte)) error

	// Add keeps an order under its id, unless there is one with this id. A
	// number of 0 gives it the next number; another one is kept, by members that
	// restore orders which the store has lost. age is how old the order is.
	Add(ctx context.Context, id string, order []byte, number uint64, age time.Duration) (uint64, error)
	// Orders returns all orders, and the number of the newest, removed ones
	// included. Both are of the same moment, and a store that loses one loses the
	// other: this distinguishes what was released from what was lost. Ages
	// are by the store's clock, so that no two processes compare theirs.
	Orders(ctx context.Context) (all []StoredOrder, newest uint64, err error)
	// Remove forgets orders.
	Remove(ctx context.Context, ids ...string) error

	// Close releases the resources of the Store itself.
	Close() error
}

// StoredOrder is an order in a Store.
type StoredOrder struct {
	ID     string
	Number uint64
	Age    time.Duration
	Order  []byte
}
