package notify

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/ops"
)

// Source is a process to watch, such as an *ops.Client.
type Source interface {
	Process(context.Context) (ops.Process, error)
	Status(context.Context, ops.StatusQuery) ([]ops.Status, error)
	Timeline(ctx context.Context, from time.Time, ids ...string) (ops.Timeline, error)
	Events(ctx context.Context, after string) iter.Seq2[ops.Event, error]
}

// local is a Source for a plane of this process.
type local struct{ plane *ops.Plane }

func (l local) Process(context.Context) (ops.Process, error) { return l.plane.Process(), nil }

func (l local) Status(_ context.Context, q ops.StatusQuery) ([]ops.Status, error) {
	return l.plane.Status(q)
}

func (l local) Timeline(_ context.Context, from time.Time, ids ...string) (ops.Timeline, error) {
	return l.plane.Timeline(from, ids...)
}

func (l local) Events(ctx context.Context, after string) iter.Seq2[ops.Event, error] {
	return l.plane.Events(ctx, after)
}

// Notifier watches processes and sends notices. All methods may be called by
// many goroutines at once.
type Notifier struct {
	o   Options
	out *delivery

	watching     context.Context // done when Close is called
	stopWatching context.CancelFunc
	giveUp       context.CancelFunc
	running      sync.WaitGroup // watchers

	mu       sync.Mutex // guards the field below
	watchers map[*watcher]bool
}

// New returns a Notifier that watches nothing yet. The error says which option
// is wrong.
func New(o Options) (*Notifier, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	n := &Notifier{o: o, watchers: make(map[*watcher]bool)}
	n.watching, n.stopWatching = context.WithCancel(context.Background())
	sending, giveUp := context.WithCancel(context.Background())
	n.giveUp = giveUp
	n.out = &delivery{o: &n.o, ctx: sending, flush: make(chan struct{})}
	return n, nil
}

// Start returns a Notifier that watches the process of plane until Close.
// Close it before the plane.
func Start(plane *ops.Plane, o Options) (*Notifier, error) {
	n, err := New(o)
	if err != nil {
		return nil, err
	}
	n.Watch(local{plane})
	return n, nil
}

// Watch watches a process, on its own goroutines, until Close. It continues if
// the process is restarted at the same address. Call ended when the process is
// gone for good: its overrides are then reported as lost, unless a minute
// later a process of the same service that was started after it has them.
func (n *Notifier) Watch(s Source) (ended func()) {
	ctx, cancel := context.WithCancel(n.watching)
	w := newWatcher(n, s)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.watching.Err() != nil {
		return cancel // the Notifier is closed
	}
	n.watchers[w] = true
	n.running.Go(func() {
		w.run(ctx)
		n.forget(w)
		if n.watching.Err() == nil {
			w.ended()
		}
	})
	return cancel
}

func (n *Notifier) forget(w *watcher) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.watchers, w)
}

func (n *Notifier) watched() []*watcher {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.watchers))
}

// Send sends one notice at once, in a single attempt, and says whether it was
// accepted. It can be used to test the options.
func (n *Notifier) Send(ctx context.Context, x Notice) error {
	body, err := n.o.body([]Notice{x}, 0)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	_, _, err = n.out.post(ctx, body)
	return err
}

const closePatience = 5 * time.Second

// Close stops watching and sends what is queued, for up to five seconds. The
// error says how many notices were not delivered.
func (n *Notifier) Close() error {
	n.mu.Lock()
	closed := n.watching.Err() != nil
	n.stopWatching()
	n.mu.Unlock()
	if closed {
		return nil
	}
	n.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	n.out.drain(ctx)
	n.giveUp()
	if left := n.out.left(); left > 0 {
		return fmt.Errorf("notify: %s: closed before %d notices were delivered", n.o.host(), left)
	}
	return nil
}

// String returns where notices are sent, without secrets.
func (n *Notifier) String() string { return "notifier " + n.o.String() }

// GoString returns what String returns.
func (n *Notifier) GoString() string { return n.String() }

// send queues a notice if its kind is wanted.
func (n *Notifier) send(x Notice) {
	if len(n.o.Kinds) == 0 || slices.Contains(n.o.Kinds, x.Kind) {
		n.out.add(x)
	}
}
