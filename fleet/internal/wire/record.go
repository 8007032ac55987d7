package wire

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// Records are messages whose one section is JSON: they are few, and people may
// look at them.
const secJSON = 1

// Inventory is which breakers and sets a member has, with their settings. It is
// reported when it changes, and again from time to time.
type Inventory struct {
	Member   string             `json:"member"`
	Zone     string             `json:"zone,omitempty"`
	Settings []breaker.Settings `json:"settings"` // each once: most breakers share them
	Breakers []Item             `json:"breakers"`
	Omitted  int                `json:"omitted,omitempty"` // breakers and sets that found no room
}

// Item is a breaker, or a set.
type Item struct {
	Name     string `json:"name"`
	Set      bool   `json:"set,omitempty"`
	Settings int    `json:"settings"` // which of Inventory.Settings
}

// History is what the breakers of a member went through last, the oldest first.
type History struct {
	Member string `json:"member"`
	Zone   string `json:"zone,omitempty"`
	Past   []Past `json:"past"`
}

// Past is one transition. At is by the member's own clock: it is for people, and
// nothing is decided by it (F9).
type Past struct {
	ID    string        `json:"id"`
	At    time.Time     `json:"at"`
	From  breaker.State `json:"from"`
	To    breaker.State `json:"to"`
	Cause breaker.Cause `json:"cause"`
	Why   string        `json:"why"`
}

// Order is an order for all members.
type Order struct {
	ID    string    `json:"id"` // the store's; signed as well
	From  string    `json:"from"`
	Order ops.Order `json:"order"`
	// Versions are those that the order is for, by boot; empty: any.
	Versions map[string]uint64 `json:"versions,omitempty"`
}

// Standing reports whether the order is for members that join later, too.
func (o *Order) Standing() bool {
	switch o.Order.Verb {
	case breaker.VerbForceOpen, breaker.VerbForceClosed, ops.VerbSet:
		return !o.Order.DryRun
	}
	return false
}

// Receipt is what an order did in one member.
type Receipt struct {
	Order   string       `json:"order"` // its ID
	Boot    string       `json:"boot"`
	Member  string       `json:"member"`
	Zone    string       `json:"zone,omitempty"`
	Late    bool         `json:"late,omitempty"` // it joined after the order was given
	Receipt *ops.Receipt `json:"receipt,omitempty"`
	Error   string       `json:"error,omitempty"`
}

// CloseRecord makes a message of a record.
func (s Seal) CloseRecord(k Kind, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if most := k.most() - 16; len(text) > most {
		return nil, fmt.Errorf("%w: %d bytes, want at most %d", ErrSize, len(text), most)
	}
	return s.Close(k, section(nil, secJSON, text)), nil
}

// OpenRecord reads a record. Fields that are not known are skipped, but for
// those of an order: who sends it relies on them.
func (s Seal) OpenRecord(k Kind, message []byte, v any) error {
	body, err := s.Open(k, message)
	if err != nil {
		return err
	}
	found := false
	err = sections(body, func(kind byte, r *reader) bool {
		if kind == secJSON && !found {
			found = true
			if err := json.Unmarshal(r.b, v); err != nil {
				r.fail(err.Error())
			}
		}
		return true
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: no record", ErrMalformed)
	}
	return err
}
