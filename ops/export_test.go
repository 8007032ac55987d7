package ops

// EventID returns the name of an event, for tests of readers that reconnect
// late.
func (p *Plane) EventID(seq uint64) string { return p.eventID(seq) }

// Routes returns the routes of the API, as "GET /v1/status".
func Routes() (out []string) {
	for _, r := range routes {
		out = append(out, r.method+" "+r.path)
	}
	return out
}

// Streams is the number of readers of the events.
func (p *Plane) Streams() (n int) {
	for _, g := range []*gate{p.web, p.local} {
		g.mu.Lock()
		n += g.streams
		g.mu.Unlock()
	}
	return n
}

// Answers is the number of large answers under way.
func (p *Plane) Answers() int { return len(p.web.answers) + len(p.local.answers) }

// ForgetOverview makes the next overview a new one.
func (p *Plane) ForgetOverview() { p.overview.forget() }

// FreshGate restores the allowance of all clients.
func (p *Plane) FreshGate() { p.web = newGate(false) }

// LastOrders returns the newest orders, oldest first.
func (p *Plane) LastOrders() []Event { return p.hub.lastOrders() }
