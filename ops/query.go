package ops

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/switchgear-go/switchgear/breaker"
)

// StatusQuery says which breakers a status is for; the zero value asks for all.
type StatusQuery struct {
	// IDs are ids of breakers, each of which must be known, or "name/*" for the
	// keys of a set. None, or "*", asks for all.
	IDs    []string
	Match  string          // those with this in their id, in upper or lower case
	States []breaker.State // those in one of these states
	Full   bool            // with settings and explanations
	Limit  int             // at most this many; 0: all
}

func parseStatusQuery(r *http.Request) (StatusQuery, error) {
	q := r.URL.Query()
	ask := StatusQuery{IDs: q["id"], Match: q.Get("match"), Full: q.Get("full") == "1", Limit: int(^uint(0) >> 1)}
	if len(ask.IDs) > maxAskedID {
		return ask, refuse(http.StatusBadRequest, "order", "%d ids, want at most %d at once", len(ask.IDs), maxAskedID)
	}
	for _, name := range q["state"] {
		var s breaker.State
		if err := s.UnmarshalText([]byte(name)); err != nil {
			return ask, refuse(http.StatusBadRequest, "order", "%s", strings.TrimPrefix(err.Error(), "breaker: "))
		}
		ask.States = append(ask.States, s)
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return ask, refuse(http.StatusBadRequest, "order", "limit is %q, want a number above 0", text)
		}
		ask.Limit = n
	}
	return ask, nil
}

// Status is the status of the breakers that q asks for, in the order of q.IDs,
// the keys of a set and all breakers sorted by id. The error matches
// breaker.ErrUnknown.
func (p *Plane) Status(q StatusQuery) ([]Status, error) {
	found, err := q.find(p.m)
	if err != nil {
		return nil, err
	}
	if q.Limit > 0 {
		found = found[:min(len(found), q.Limit)]
	}
	out := make([]Status, len(found))
	for i := range found {
		out[i] = q.show(&found[i])
	}
	return out, nil
}

// show is s with as much detail as was asked for.
func (q *StatusQuery) show(s *breaker.Status) Status {
	if q.Full {
		return full(s)
	}
	return listed(s)
}

func (q *StatusQuery) find(m *breaker.Manager) ([]breaker.Status, error) {
	found, err := q.byID(m)
	if err != nil {
		return nil, err
	}
	match := strings.ToLower(q.Match)
	return slices.DeleteFunc(found, func(s breaker.Status) bool {
		return len(q.States) > 0 && !slices.Contains(q.States, s.State) ||
			match != "" && !strings.Contains(strings.ToLower(s.ID), match)
	}), nil
}

func (q *StatusQuery) byID(m *breaker.Manager) ([]breaker.Status, error) {
	if len(q.IDs) == 0 {
		return m.Status(), nil
	}
	found := make([]breaker.Status, 0, len(q.IDs))
	for _, id := range q.IDs {
		set, wild := strings.CutSuffix(id, "/*")
		switch {
		case id == "*":
			found = append(found, m.Status()...)
		case wild:
			s, err := m.LookupSet(set)
			if err != nil {
				return nil, err
			}
			keys := s.Status()
			slices.SortFunc(keys, func(a, b breaker.Status) int { return strings.Compare(a.ID, b.ID) })
			found = append(found, keys...)
		default:
			b, err := find(m, id)
			if err != nil {
				return nil, err
			}
			found = append(found, b.Status())
		}
	}
	return found, nil
}
