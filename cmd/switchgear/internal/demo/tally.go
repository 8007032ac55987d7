package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/switchgear-go/switchgear/breaker"
)

// tally counts how calls ended.
type tally struct {
	ok, failed, rejected int
}

func (t *tally) calls() int { return t.ok + t.failed + t.rejected }

func (t *tally) plus(u tally) {
	t.ok += u.ok
	t.failed += u.failed
	t.rejected += u.rejected
}

// String leaves out what did not happen, as in "12 ok, 5 rejected".
func (t *tally) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{t.ok, "ok"}, {t.failed, "failed"}, {t.rejected, "rejected"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(parts) == 0 {
		return "no calls"
	}
	return strings.Join(parts, ", ")
}

// tallies are the tallies of one second, by dependency.
type tallies struct {
	mu sync.Mutex // guards the field below
	of map[string]tally
}

// add counts a call that ended with err. A call that the end of the demo
// interrupted is not counted.
func (ts *tallies) add(name string, err error) {
	var t tally
	switch {
	case err == nil:
		t.ok = 1
	case errors.Is(err, breaker.ErrOpen):
		t.rejected = 1
	case errors.Is(err, context.Canceled):
		return
	default:
		t.failed = 1
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.of == nil {
		ts.of = map[string]tally{}
	}
	t.plus(ts.of[name])
	ts.of[name] = t
}

// take returns the tallies and starts new ones.
func (ts *tallies) take() map[string]tally {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	of := ts.of
	ts.of = nil
	return of
}
