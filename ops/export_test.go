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
func (p *Plane) Streams() int { return int(p.streams.Load()) }

// Describe is what the plane tells of the process.
func (p *Plane) Describe() Process { return p.process() }
