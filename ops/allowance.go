package ops

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// kind is a kind of request. Each client has a separate allowance for each
// kind, so that neither one kind nor one client can use up the allowance of
// another.
type kind int

const (
	reads   kind = iota
	scrapes      // of /metrics
	follows      // of the events
	orders
	kinds
)

// allowances are how many requests a client may make at once, and then per second.
var allowances = [kinds]struct {
	what        string
	burst, rate float64
}{
	reads:   {"requests", 300, 100},
	scrapes: {"scrapes", 20, 5},
	follows: {"readers of the events", 100, 5},
	orders:  {"orders", 50, 10},
}

const (
	maxClients = 1024 // clients remembered by the HTTP handlers

	maxStreams       = 256 // readers of the events at once
	maxStreamsClient = 64

	// Large answers are made one at a time and kept until they are written,
	// which bounds the processor time and memory that they take.
	maxAnswers       = 16
	maxAnswersClient = 4
	maxWaitingClient = 64
	answerPatience   = 5 * time.Second // how long a request waits for its turn
)

// gate admits requests. A plane has one gate for its socket and one for its
// HTTP handlers, so that clients of one cannot hold up clients of the other.
type gate struct {
	unlimited bool          // no rate limits: on the socket, whose user owns the process
	answers   chan struct{} // holds one for each large answer under way
	making    chan struct{} // holds one while one of them is made

	mu      sync.Mutex // guards the fields below and those of the clients
	clients map[string]*client
	streams int
}

// client is a sender of requests: an address, or the user of the socket.
type client struct {
	buckets [kinds]bucket
	answers chan struct{} // holds one for each large answer under way
	waiting int           // requests that wait for their turn
	streams int
	seen    time.Time
}

func newGate(unlimited bool) *gate {
	return &gate{
		unlimited: unlimited, clients: make(map[string]*client),
		answers: make(chan struct{}, maxAnswers), making: make(chan struct{}, 1),
	}
}

// clientOf returns a name for the sender of r: its address, or for IPv6 its
// network, because a single host has very many addresses there.
func (g *gate) clientOf(r *http.Request) string {
	if g.unlimited {
		return ""
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ip := from.Addr().Unmap().WithZone("")
	if ip.Is6() {
		net, _ := ip.Prefix(64) // a network has 64 bits
		return net.String()
	}
	return ip.String()
}

// clientLocked returns the client with this name. At most maxClients are
// remembered: a new one replaces the one seen longest ago that has nothing in
// progress. If all have something in progress, clientLocked returns nil. mu is
// held.
func (g *gate) clientLocked(name string, now time.Time) *client {
	c := g.clients[name]
	if c == nil {
		if len(g.clients) >= maxClients && !g.forgetLocked() {
			return nil
		}
		most := maxAnswersClient
		if g.unlimited {
			most = maxAnswers
		}
		c = &client{answers: make(chan struct{}, most)}
		g.clients[name] = c
	}
	c.seen = now
	return c
}

func (g *gate) forgetLocked() bool {
	oldest, found := "", false
	for name, c := range g.clients {
		idle := c.streams+c.waiting+len(c.answers) == 0
		if idle && (!found || c.seen.Before(g.clients[oldest].seen)) {
			oldest, found = name, true
		}
	}
	delete(g.clients, oldest)
	return found
}

// admit takes one request from the sender's allowance.
func (g *gate) admit(r *http.Request, k kind) error {
	if g.unlimited {
		return nil
	}
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.clientLocked(g.clientOf(r), now)
	if c == nil {
		return busy("too many clients at once")
	}
	if a := allowances[k]; !c.buckets[k].take(now, a.burst, a.rate) {
		return refuse(http.StatusTooManyRequests, "rate", "too many %s: more than %g per second", a.what, a.rate)
	}
	return nil
}

func busy(format string, args ...any) error {
	return refuse(http.StatusServiceUnavailable, "busy", format, args...)
}

// follow admits a reader of the events, until leave is called.
func (g *gate) follow(r *http.Request) (leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.clientLocked(g.clientOf(r), time.Now())
	switch {
	case c == nil || g.streams >= maxStreams:
		return nil, busy("%d readers are following the events already", maxStreams)
	case c.streams >= maxStreamsClient:
		return nil, busy("%d readers from this client are following the events already", maxStreamsClient)
	}
	g.streams++
	c.streams++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.streams--
		c.streams--
	}, nil
}

// enter waits for a place for one more large answer. leave gives the place
// back.
func (g *gate) enter(r *http.Request) (leave func(), err error) {
	g.mu.Lock()
	c := g.clientLocked(g.clientOf(r), time.Now())
	if c == nil || c.waiting >= maxWaitingClient {
		g.mu.Unlock()
		return nil, busy("too many requests are waiting already")
	}
	c.waiting++
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		c.waiting--
	}()
	ctx, cancel := context.WithTimeout(r.Context(), answerPatience)
	defer cancel()
	for _, places := range []chan struct{}{c.answers, g.answers} {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			if places == g.answers {
				<-c.answers
			}
			return nil, busy("no turn came within %s", answerPatience)
		}
	}
	return func() { <-g.answers; <-c.answers }, nil
}

// bucket is a token bucket. The gate guards it.
type bucket struct {
	left float64
	at   time.Time
}

func (b *bucket) take(now time.Time, burst, rate float64) bool {
	if b.at.IsZero() {
		b.left = burst
	} else {
		b.left = min(burst, b.left+now.Sub(b.at).Seconds()*rate)
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
