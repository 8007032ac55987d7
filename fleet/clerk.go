package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
)

const (
	clerkPause   = 30 * time.Second // the longest time between two looks at what is due
	ordersAge    = time.Minute      // after which orders are read again
	inventoryAge = time.Minute      // after which the inventory is reported again
)

// clerk is the goroutine that carries out orders, and reports which breakers
// there are. What fails is tried again after a beat.
//
// A digest with another number says that there are orders to read. They are also
// read when the member has been alone, and from time to time: where a store has lost
// orders and given their numbers to others, no number tells.
func (f *Fleet) clerk(ctx context.Context) {
	var sent inventorySent
	var read time.Duration // when the orders were read; 0: there may be new ones
	for {
		pause := f.o.Beat
		if s := f.State(); s.Beats > 0 && !s.Alone {
			var err error
			if read == 0 || f.now()-read > ordersAge {
				if err = f.readOrders(ctx); err == nil {
					read = f.now()
				}
			}
			if err = errors.Join(err, f.tellInventory(ctx, &sent)); err != nil {
				f.change(func(s *State) { s.LastError = err.Error() })
			} else {
				pause = clerkPause/2 + f.share(clerkPause/2) // members that began together do not stay so
			}
		} else {
			read = 0
		}
		timer := time.NewTimer(pause)
		select {
		case <-f.fetch:
			read = 0
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
		rest(ctx, f.share(f.o.Beat/10)) // not all at the same moment
	}
}

// inventorySent is the inventory that the store took last, and when.
type inventorySent struct {
	message []byte
	at      time.Duration
	term    uint64 // of the coordinator then
}

// tellInventory says which breakers there are if that has changed, after another
// coordinator has begun, and again from time to time: the store may have lost it.
// That has the time of clerkPause, because a store with too much to do changes
// coordinators often, and needs no further work.
func (f *Fleet) tellInventory(ctx context.Context, sent *inventorySent) error {
	message, term := f.inventory(), f.term()
	if bytes.Equal(message, sent.message) && term == sent.term && f.now()-sent.at <= inventoryAge {
		return nil
	}
	if err := f.put(ctx, InventoryTable, f.field, message); err != nil {
		return err
	}
	*sent = inventorySent{message, f.now(), term}
	return nil
}

// term is that of the coordinator that was heard last.
func (f *Fleet) term() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.heard.digest == nil {
		return 0
	}
	return f.heard.digest.Term
}

func (f *Fleet) put(ctx context.Context, t Table, field string, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	return f.store.Put(ctx, t, field, value)
}

// inventory is what there is here, sealed.
func (f *Fleet) inventory() []byte {
	v := wire.Inventory{Member: f.o.Member, Zone: f.o.Zone}
	names := []string{}
	for name := range f.m.Calls() {
		if f.o.Only(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	size, at := 0, map[breaker.Settings]int{}
	for _, name := range names {
		item := wire.Item{Name: name}
		var settings breaker.Settings
		if b, err := f.m.Lookup(name); err == nil {
			settings = b.Settings()
		} else if s, err := f.m.LookupSet(name); err == nil {
			item.Set, settings = true, s.Settings()
		} else {
			continue
		}
		var known bool
		if item.Settings, known = at[settings]; !known {
			item.Settings = len(v.Settings)
			size += jsonSize(settings)
		}
		if size += jsonSize(item); size > wire.MaxRecord-1024 {
			v.Omitted++
			continue
		}
		if !known {
			at[settings] = item.Settings
			v.Settings = append(v.Settings, settings)
		}
		v.Breakers = append(v.Breakers, item)
	}
	message, err := f.seal.CloseRecord(wire.KindInventory, v)
	if err != nil {
		return nil
	}
	return message
}

// jsonSize is the room that v takes in a list.
func jsonSize(v any) int {
	text, _ := json.Marshal(v) // of our own types, which cannot fail
	return len(text) + 1
}
