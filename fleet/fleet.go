package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/verdict"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
	"github.com/switchgear-go/switchgear/ops"
)

// Fleet is one process's membership. All methods may be called by many
// goroutines at once.
type Fleet struct {
	m      *breaker.Manager
	o      Options
	params verdict.Params
	store  Store
	owns   bool // the store is closed with the fleet
	seal   wire.Seal
	boot   uint64
	field  string // boot as the store's field
	began  time.Time
	cancel context.CancelFunc
	done   sync.WaitGroup
	close  sync.Once
	stops  []func()

	// Of the member's goroutine alone.
	gauges  map[string]*gauge
	sets    map[string]bool
	keyed   map[*breaker.Breaker]bool // keys of sets that have a gauge
	omitted int
	digest  *wire.Digest  // the newest, as this goroutine sees it
	heardAt time.Duration // when it came
	clock   verdict.Epoch // the newest that was ever heard of
	missed  int           // beats, one after the other

	receipts []*wire.Receipt // of the clerk's goroutine alone: those that the store has not taken

	opened         atomic.Uint64         // breakers that a verdict opened here
	news           chan struct{}         // something happened that the fleet should hear of soon
	moved          chan *breaker.Breaker // keys of sets that did; one that finds no room is found with the next beat
	wake           chan struct{}         // a digest came
	summaryChanged chan struct{}         // summary has changed
	changed        chan struct{}         // state has changed
	fetch          chan struct{}         // there are orders to read
	older          chan struct{}         // past has more to report
	clears         chan cleared          // what was closed by order, for the coordinator
	book           book
	past           past

	mu       sync.Mutex // guards the fields below; no other lock is taken under it
	summary  summary
	heard    heard
	state    State
	failures int    // of beats, one after the other
	read     uint64 // the newest order's number when the orders were read
}

// heard is what came from the coordinator last.
type heard struct {
	verdict.Ear
	digest *wire.Digest
	clock  verdict.Epoch // the newest that was ever heard of
}

// State is how a member is doing.
type State struct {
	Joined      bool         `json:"joined"`                 // it has reported, and has heard from the coordinator
	Alone       bool         `json:"alone"`                  // it is cut off from the fleet in one direction or both: its breakers act by themselves
	AloneSince  time.Time    `json:"alone_since,omitzero"`   // since when
	Coordinator bool         `json:"coordinator"`            // it adds up the reports of the members
	Advise      bool         `json:"advise,omitempty"`       // it does not follow verdicts, see Options.Advise
	Group       string       `json:"group"`                  // see Options
	Zone        string       `json:"zone,omitempty"`         // see Options
	Member      string       `json:"member"`                 // see Options
	Members     int          `json:"members"`                // members that report, including itself
	Silent      int          `json:"silent"`                 // members whose reports have stopped
	Beyond      int          `json:"beyond,omitempty"`       // members that report and are not counted: 4,096 are
	DigestAge   ops.Duration `json:"digest_age"`             // time since the coordinator was heard from
	Beats       uint64       `json:"beats"`                  // reports that the store accepted
	Failed      uint64       `json:"failed_beats"`           // reports that it did not
	Opened      uint64       `json:"opened"`                 // breakers that verdicts opened in this process
	Held        int          `json:"held,omitempty"`         // breakers in this process that a verdict holds open
	Overruled   int          `json:"overruled,omitempty"`    // breakers in this process that stay closed against a verdict
	Dropped     uint64       `json:"dropped"`                // messages that were malformed or not signed
	LastError   string       `json:"last_error,omitempty"`   // of the store
	LastDrop    string       `json:"last_dropped,omitempty"` // why a message was dropped
}

// Join makes the breakers and sets of m, including those that are created later,
// act as one with those of the other processes of the group. It returns at once: a
// store that is slow or unreachable is not an error, and shows in State. The error
// matches ErrOptions.
//
// A manager is in one fleet at a time. A fleet has at most six goroutines and four
// connections. Close ends them.
func Join(ctx context.Context, m *breaker.Manager, o Options) (*Fleet, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, fmt.Errorf("%w: no manager, want one", ErrOptions)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, twice := joined.LoadOrStore(m, true); twice {
		return nil, fmt.Errorf("%w: the manager has joined a fleet, want Close of that one first", ErrOptions)
	}
	f, err := join(ctx, m, o)
	if err != nil {
		joined.Delete(m)
	}
	return f, err
}

// joined are the managers of all fleets that are not closed. One that joined twice
// would have two voices (F3).
var joined sync.Map // of *breaker.Manager

func join(ctx context.Context, m *breaker.Manager, o Options) (*Fleet, error) {
	f := &Fleet{
		m: m, o: o, params: o.params(), store: o.Store, seal: wire.Seal{Group: o.Group, Key: o.Key},
		boot: rand.Uint64() | 1, began: time.Now(), gauges: map[string]*gauge{}, sets: map[string]bool{}, keyed: map[*breaker.Breaker]bool{},
		news: make(chan struct{}, 1), moved: make(chan *breaker.Breaker, 64), wake: make(chan struct{}, 1), summaryChanged: make(chan struct{}, 1),
		changed: make(chan struct{}, 1), fetch: make(chan struct{}, 1), older: make(chan struct{}, 1), clears: make(chan cleared, 64),
	}
	f.field = fieldOf(f.boot)
	f.state = State{Group: o.Group, Zone: o.Zone, Member: o.Member, Advise: o.Advise, Alone: true, AloneSince: f.began}
	if f.store == nil {
		store, err := NewRedis(o.Redis, o.Group)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOptions, err)
		}
		f.store, f.owns = store, true
	}
	if o.Plane != nil {
		detach, err := o.Plane.Attach("fleet", f.Handler(o.Plane))
		if err != nil {
			if f.owns {
				err = errors.Join(err, f.store.Close())
			}
			return nil, fmt.Errorf("%w: Plane: %w", ErrOptions, err)
		}
		f.stops = append(f.stops, detach)
	}
	// Of ctx only its values are kept: a fleet lasts until Close.
	ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	f.stops = append(f.stops, m.Observe(), m.AddListener(breaker.Listener{
		StateChange: func(b *breaker.Breaker, t breaker.Transition) {
			f.tellMoved(b)
			f.past.add(f, b.ID(), &t)
		},
	}), m.OnCreate(f.created))
	for _, run := range []func(context.Context){f.member, f.talk, f.listen, f.coordinate, f.clerk, f.chronicle} {
		f.done.Go(func() { run(ctx) })
	}
	if o.OnChange != nil {
		f.done.Go(func() { f.tellChanges(ctx) })
	}
	return f, nil
}

// Close leaves the fleet: the others hear of it at once, if the store answers
// within half a second, and the breakers act by themselves. It waits for what is
// under way at the store, a second or two at most. Closing again does nothing.
func (f *Fleet) Close() error {
	var err error
	f.close.Do(func() {
		f.cancel()
		for _, stop := range f.stops {
			stop()
		}
		f.done.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), storeTime)
		defer cancel()
		for _, t := range []Table{ReportTable, InventoryTable, HistoryTable} {
			err = cmp.Or(err, f.store.Drop(ctx, t, f.field, nil)) // the first says why
		}
		if f.owns {
			err = cmp.Or(err, f.store.Close())
		}
		joined.Delete(f.m)
		if err != nil {
			err = fmt.Errorf("fleet: leaving: %w", err)
		}
	})
	return err
}

// State returns how the member is doing.
func (f *Fleet) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state
	s.Opened = f.opened.Load()
	for i := range f.summary.claims {
		c := &f.summary.claims[i]
		s.Held += btoi(c.Under != 0)
		s.Overruled += btoi(c.Overruled)
	}
	if f.heard.At > 0 {
		s.DigestAge = ops.Duration(f.now() - f.heard.At)
	}
	return s
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// now is monotonic, and above 0.
func (f *Fleet) now() time.Duration { return time.Since(f.began) + time.Nanosecond }

func (f *Fleet) random(n int) int { return rand.IntN(n) }

// poke wakes the goroutine that waits for c, or the next one that does.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// change changes the state, and tells OnChange if something changed that it is
// for.
func (f *Fleet) change(do func(*State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.state
	do(&f.state)
	if s := f.state; s.Joined != was.Joined || s.Alone != was.Alone || s.Coordinator != was.Coordinator {
		poke(f.changed)
	}
}

func (f *Fleet) tellChanges(ctx context.Context) {
	for {
		select {
		case <-f.changed:
			f.o.OnChange(f.State())
		case <-ctx.Done():
			return
		}
	}
}

// dropped counts a message that was not understood.
func (f *Fleet) dropped(err error) {
	f.change(func(s *State) {
		s.Dropped++
		s.LastDrop = cut(err.Error(), maxText)
	})
}
