// Package fleettest has a fleet.Store in memory, for tests of programs whose
// breakers act as a fleet, and the test that every fleet.Store must pass.
//
// The store works in a testing/synctest bubble: several managers that join it
// act as the processes of one fleet, in virtual time.
package fleettest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/fleet"
)

// ErrDown is the error of a Store that is down.
var ErrDown = errors.New("fleettest: the store is down")

// Store is a fleet.Store in memory, for several fleets of one process. All its
// methods may be called by many goroutines at once.
type Store struct {
	mu        sync.Mutex // guards the fields below
	tables    map[fleet.Table]map[string][]byte
	digest    []byte
	holder    string
	leaseEnds time.Time
	term      uint64
	orders    map[string]stored
	number    uint64
	listeners map[int]chan []byte
	next      int
	down      bool
	hangs     bool
	broken    chan struct{} // closed when listeners lose their connection
	commands  int
}

type stored struct {
	fleet.StoredOrder
	at time.Time
}

// NewStore returns an empty store.
func NewStore() *Store {
	s := &Store{broken: make(chan struct{}), listeners: map[int]chan []byte{}}
	s.clear()
	return s
}

func (s *Store) clear() {
	s.tables = map[fleet.Table]map[string][]byte{}
	s.orders = map[string]stored{}
	s.digest, s.holder, s.term, s.number = nil, "", 0, 0
}

// Flush loses all data, as a server does that is replaced by an empty one.
func (s *Store) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}

// Down makes every operation fail at once with ErrDown, as if no server were
// there; Down(false) ends it, and nothing was lost.
func (s *Store) Down(down bool) { s.set(func() { s.down = down }) }

// Hang makes every operation wait for the end of its context, as a server does
// that is stopped or behind a broken network.
func (s *Store) Hang(hangs bool) { s.set(func() { s.hangs = hangs }) }

func (s *Store) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	if s.down {
		close(s.broken)
		s.broken = make(chan struct{})
	}
}

// Commands is how many operations have been asked for.
func (s *Store) Commands() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commands
}

// do runs f under the lock, unless the store is down or hangs.
func (s *Store) do(ctx context.Context, f func() error) error {
	s.mu.Lock()
	s.commands++
	down, hangs := s.down, s.hangs
	if !down && !hangs {
		defer s.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
		return f()
	}
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return ErrDown
}

func (s *Store) put(t fleet.Table, field string, value []byte) {
	if s.tables[t] == nil {
		s.tables[t] = map[string][]byte{}
	}
	s.tables[t][field] = bytes.Clone(value)
}

// Beat implements fleet.Store, as all methods below.
func (s *Store) Beat(ctx context.Context, member string, report []byte) (digest []byte, err error) {
	err = s.do(ctx, func() error {
		s.put(fleet.ReportTable, member, report)
		digest = s.digest
		return nil
	})
	return digest, err
}

// Digest returns the newest digest, if there is a coordinator.
func (s *Store) Digest(ctx context.Context) (digest []byte, err error) {
	err = s.do(ctx, func() error {
		if s.led() {
			digest = s.digest
		}
		return nil
	})
	return digest, err
}

// led reports whether someone has the lease. The lock is held.
func (s *Store) led() bool { return s.holder != "" && time.Now().Before(s.leaseEnds) }

// Put sets a field.
func (s *Store) Put(ctx context.Context, t fleet.Table, field string, value []byte) error {
	return s.do(ctx, func() error {
		s.put(t, field, value)
		return nil
	})
}

// All returns a table.
func (s *Store) All(ctx context.Context, t fleet.Table) (all map[string][]byte, err error) {
	err = s.do(ctx, func() error {
		all = maps.Clone(s.tables[t])
		return nil
	})
	return all, err
}

// Drop removes a field.
func (s *Store) Drop(ctx context.Context, t fleet.Table, field string, value []byte) error {
	return s.do(ctx, func() error {
		if value == nil || bytes.Equal(s.tables[t][field], value) {
			delete(s.tables[t], field)
		}
		return nil
	})
}

// Lead asks for the lease.
func (s *Store) Lead(ctx context.Context, holder string, after uint64, ttl time.Duration) (term uint64, err error) {
	err = s.do(ctx, func() error {
		if s.led() {
			return nil
		}
		s.term = max(s.term, after) + 1
		s.holder, s.leaseEnds, term = holder, time.Now().Add(ttl), s.term
		return nil
	})
	return term, err
}

// leads reports whether holder has the lease under this term.
func (s *Store) leads(holder string, term uint64) bool {
	return s.holder == holder && s.term == term && time.Now().Before(s.leaseEnds)
}

// Collect returns the reports.
func (s *Store) Collect(ctx context.Context) (reports map[string][]byte, orders uint64, err error) {
	err = s.do(ctx, func() error {
		reports, orders = maps.Clone(s.tables[fleet.ReportTable]), s.number
		return nil
	})
	return reports, orders, err
}

// Publish sends a digest.
func (s *Store) Publish(ctx context.Context, holder string, term uint64, ttl time.Duration, digest []byte) error {
	return s.do(ctx, func() error {
		if !s.leads(holder, term) {
			return fleet.ErrStale
		}
		s.leaseEnds, s.digest = time.Now().Add(ttl), bytes.Clone(digest)
		for _, c := range s.listeners {
			select {
			case c <- s.digest:
			default: // lost, as it may be
			}
		}
		return nil
	})
}

// Resign gives the lease back.
func (s *Store) Resign(ctx context.Context, holder string, term uint64) error {
	return s.do(ctx, func() error {
		if s.leads(holder, term) {
			s.holder = ""
		}
		return nil
	})
}

// Listen calls f with each digest.
func (s *Store) Listen(ctx context.Context, f func(digest []byte)) error {
	c := make(chan []byte, 16)
	var broken chan struct{}
	var id int
	err := s.do(ctx, func() error {
		broken, id = s.broken, s.next
		s.next++
		s.listeners[id] = c
		return nil
	})
	if err != nil {
		return err
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listeners, id)
	}()
	for {
		select {
		case d := <-c:
			f(d)
		case <-broken:
			return ErrDown
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Add keeps an order.
func (s *Store) Add(ctx context.Context, id string, order []byte, number uint64, age time.Duration) (got uint64, err error) {
	err = s.do(ctx, func() error {
		if o, ok := s.orders[id]; ok {
			got = o.Number
			return nil
		}
		if number == 0 {
			number = s.number + 1
		}
		s.number, got = max(s.number, number), number
		s.orders[id] = stored{fleet.StoredOrder{ID: id, Number: number, Order: bytes.Clone(order)}, time.Now().Add(-age)}
		return nil
	})
	return got, err
}

// Orders returns all orders.
func (s *Store) Orders(ctx context.Context) (all []fleet.StoredOrder, newest uint64, err error) {
	err = s.do(ctx, func() error {
		for _, o := range s.orders {
			o.Age = time.Since(o.at)
			all = append(all, o.StoredOrder)
		}
		newest = s.number
		return nil
	})
	return all, newest, err
}

// Remove forgets orders.
func (s *Store) Remove(ctx context.Context, ids ...string) error {
	return s.do(ctx, func() error {
		for _, id := range ids {
			delete(s.orders, id)
		}
		return nil
	})
}

// Close does nothing: a store may serve several fleets.
func (s *Store) Close() error { return nil }
