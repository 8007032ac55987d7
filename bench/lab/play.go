package lab

import (
	"errors"
	"sync"
	"time"
)

var errFailed = errors.New("the dependency failed")

// slots is how many calls may be in flight at once.
const slots = 1 << 12

// A subject is a breaker of any library in which a call is two steps. now is
// the time since the start of the scene.
type subject interface {
	allow(now time.Duration, slot int) bool
	done(now time.Duration, slot int, failed bool)
	closed(now time.Duration) bool // neither open nor half-open
}

// A wrapper is a breaker that takes the call as a function. admitted is called
// within it, if the breaker lets it run.
type wrapper interface {
	run(f func() error) error
	closed(now time.Duration) bool
}

// notes is what one run of a scene shows from outside: which calls ran, and
// when the breaker was closed.
type notes struct {
	mu            sync.Mutex // a wrapper's calls are on goroutines, one at a time
	s             *script
	ran           []bool // by call
	trips, closes []time.Duration
	open          bool
	probes        int
}

// look records a change of state at now.
func (n *notes) look(now time.Duration, closed bool) {
	switch {
	case !closed && !n.open:
		n.trips = append(n.trips, now)
	case closed && n.open:
		n.closes = append(n.closes, now)
	}
	n.open = !closed
}

// began records that a call ran or was rejected.
func (n *notes) began(i int, ran, closed bool) {
	n.ran[i] = ran
	n.look(n.s.calls[i].at, closed)
	if ran && n.open {
		n.probes++
	}
}

// playSteps plays the script to a subject. wait moves the time on to the given
// time since the start.
func playSteps(s *script, b subject, wait func(time.Duration)) *notes {
	n := &notes{s: s, ran: make([]bool, len(s.calls))}
	for _, e := range s.events {
		i := e.call()
		c := &s.calls[i]
		if !e.ends() {
			wait(c.at)
			n.began(i, b.allow(c.at, i%slots), b.closed(c.at))
		} else if n.ran[i] {
			wait(c.end)
			b.done(c.end, i%slots, c.bad)
			n.look(c.end, b.closed(c.end))
		}
	}
	return n
}

// playWrapped plays the script to a wrapper, with one goroutine for each call.
// It must run in a bubble, whose time stands still while any of them runs.
func playWrapped(s *script, b wrapper, wait func(time.Duration)) *notes {
	n := &notes{s: s, ran: make([]bool, len(s.calls))}
	var calls sync.WaitGroup
	for i, c := range s.calls {
		wait(c.at)
		calls.Go(func() {
			ran := false
			_ = b.run(func() error {
				ran = true
				n.mu.Lock()
				n.began(i, true, b.closed(c.at))
				n.mu.Unlock()
				time.Sleep(c.end - c.at)
				if c.bad {
					return errFailed
				}
				return nil
			})
			n.mu.Lock()
			defer n.mu.Unlock()
			if ran {
				n.look(c.end, b.closed(c.end))
			} else {
				n.began(i, false, b.closed(c.at))
			}
		})
	}
	calls.Wait()
	return n
}
