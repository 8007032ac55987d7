package notify

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/ops"
)

// Options say where notices go and which there are. A zero field means its
// default.
type Options struct {
	// URL is where notices are posted: required. Its path and query are secrets.
	URL string
	// Format of the body. Default JSON.
	Format Format
	// Header is sent with each request: an Authorization, say.
	Header http.Header
	// Key is PagerDuty's routing key: required there, and used nowhere else.
	Key string
	// Wait is how long a notice waits for others to go with it. Default 2 s.
	Wait time.Duration
	// Every is the least time between two requests. Default 10 s.
	Every time.Duration
	// FailingFor is how long a breaker may go without closing until that is a
	// notice. Default 15 minutes.
	FailingFor time.Duration
	// FlapsPerHour is how often a breaker may open in an hour until it is called
	// flapping; from then on its trips are not sent one by one. Default 5.
	FlapsPerHour int
	// EndingWithin is how long before its end an override is a notice. Default 10
	// minutes, or half its time if that is less.
	EndingWithin time.Duration
	// Look is the time between two looks at what events do not say. Default 30 s.
	Look time.Duration
	// Failed is called when notices cannot be delivered, and once with nil when
	// they can again. It must not block.
	Failed func(error)
	// Client makes the requests. Default: one with a timeout.
	Client *http.Client
}

func (o Options) withDefaults() Options {
	or := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	or(&o.Wait, 2*time.Second)
	or(&o.Every, 10*time.Second)
	or(&o.FailingFor, 15*time.Minute)
	or(&o.EndingWithin, 10*time.Minute)
	or(&o.Look, 30*time.Second)
	if o.FlapsPerHour <= 0 {
		o.FlapsPerHour = 5
	}
	if o.Format == "" {
		o.Format = JSON
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: sendTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return o
}

func (o *Options) check() error {
	u, err := url.Parse(o.URL)
	switch {
	case o.URL == "":
		return errors.New("notify: got no URL, want that of a webhook")
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("notify: got a URL that is not one, want https://host/path") // its text is a secret
	case !slices.Contains(Formats(), o.Format):
		return fmt.Errorf("notify: got the format %q, want one of %v", o.Format, Formats())
	case o.Format == PagerDuty && o.Key == "":
		return errors.New("notify: got no key, want the routing key of a PagerDuty service")
	}
	return nil
}

// host is the part of the URL that may be shown.
func (o *Options) host() string {
	if u, err := url.Parse(o.URL); err == nil {
		return u.Host
	}
	return "webhook"
}

// Source is a process to watch: an *ops.Plane, or an *ops.Client for another
// process.
type Source interface {
	Process(context.Context) (ops.Process, error)
	Status(context.Context, ops.StatusQuery) ([]ops.Status, error)
	Events(ctx context.Context, after string) iter.Seq2[ops.Event, error]
}

// Notifier watches processes and sends notices. All methods may be called by
// many goroutines at once.
type Notifier struct {
	o      Options
	out    *delivery
	cancel context.CancelFunc
	ctx    context.Context
	wg     sync.WaitGroup
}

// New makes a Notifier that watches nothing yet. The error says which option is
// wrong.
func New(o Options) (*Notifier, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	n := &Notifier{o: o}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.out = &delivery{o: &n.o, url: o.URL, client: o.Client, ctx: n.ctx}
	return n, nil
}

// Start makes a Notifier that watches the process of plane until Close.
func Start(plane *ops.Plane, o Options) (*Notifier, error) {
	n, err := New(o)
	if err != nil {
		return nil, err
	}
	n.Watch(local{plane})
	return n, nil
}

// Watch watches a process on goroutines of its own until Close, or until stop is
// called. It goes on when the process starts again at the same address.
func (n *Notifier) Watch(s Source) (stop func()) {
	ctx, cancel := context.WithCancel(n.ctx)
	n.wg.Go(func() { n.watch(ctx, s) })
	return cancel
}

// Send sends a notice of the program's own.
func (n *Notifier) Send(x Notice) { n.out.add(x) }

// Close stops watching, and waits up to five seconds until what waits is sent.
func (n *Notifier) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	n.out.drain(ctx)
	n.cancel()
	n.wg.Wait()
	return nil
}
