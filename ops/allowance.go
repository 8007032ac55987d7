package ops

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// kind is a kind of requests. Each has an allowance of its own for each client,
// so that one kind cannot use up another's, and one client not another's.
type kind int

const (
	reads   kind = iota
	scrapes      // of /metrics
	follows      // of the events
	orders
	kinds
)

// allowances are what a client may ask for at once, and then by the second.
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
	maxClients = 1024 // remembered of those who ask over HTTP

	maxStreams       = 256 // readers of the events at once
	maxStreamsClient = 64

	// Large answers are made one at a time and kept until they are written, so
	// what they take of the processors and of the memory is bounded.
	maxAnswers       = 16
	maxAnswersClient = 4
	maxWaitingClient = 64
	answerPatience   = 5 * time.Second // what a request waits for its turn
)

// gate lets requests in, each in its turn. A plane has one for its socket and
// one for its HTTP handlers: those who come by one never hold up those who come
// by the other.
type gate struct {
	unlimited bool          // as to rates: of the socket, whose user owns the process
	answers   chan struct{} // holds one for each large answer under way
	making    chan struct{} // holds one while one of them is made

	mu      sync.Mutex // guards the fields below, and those of the clients
	clients map[string]*client
	streams int
}

// client is somebody who asks: an address, or the user of the socket.
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

// clientOf is a name for who sent r: the address, of IPv6 its network, because
// there a host has very many.
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
		net, _ := ip.Prefix(64) // it has as many bits
		return net.String()
	}
	return ip.String()
}

// clientLocked is the client of this name. There is no memory for more than
// maxClients: a new one takes the place of the one that was seen longest ago,
// of those with nothing under way; when all have, it is nil.
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

// admit takes one from the sender's allowance.
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
		return refuse(http.StatusTooManyRequests, "rate", "too many %s: more than %g a second", a.what, a.rate)
	}
	return nil
}

func busy(format string, args ...any) error {
	return refuse(http.StatusServiceUnavailable, "busy", format, args...)
}

// follow lets a reader of the events in until leave is called.
func (g *gate) follow(r *http.Request) (leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.clientLocked(g.clientOf(r), time.Now())
	switch {
	case c == nil || g.streams >= maxStreams:
		return nil, busy("%d readers follow the events already", maxStreams)
	case c.streams >= maxStreamsClient:
		return nil, busy("%d readers follow the events already from there", maxStreamsClient)
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

// enter waits for a place for one more large answer, which is given back by
// leave.
func (g *gate) enter(r *http.Request) (leave func(), err error) {
	g.mu.Lock()
	c := g.clientLocked(g.clientOf(r), time.Now())
	if c == nil || c.waiting >= maxWaitingClient {
		g.mu.Unlock()
		return nil, busy("too many requests wait already")
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
