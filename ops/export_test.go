package ops

// EventID makes the name of an event, for tests that come back late.
func (p *Plane) EventID(seq uint64) string { return p.eventID(seq) }

// Routes are those of the API, as "GET /v1/status".
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

// ForgetOverview makes the next overview a fresh one.
func (p *Plane) ForgetOverview() { p.overview.forget() }

// FreshGate gives everybody their allowance back.
func (p *Plane) FreshGate() { p.web = newGate(false) }

// LastOrders are the newest orders, oldest first.
func (p *Plane) LastOrders() []Event { return p.hub.lastOrders() }
