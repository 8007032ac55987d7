package ops

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/switchgear-go/switchgear/breaker"
)

// StatusQuery says which breakers a status is asked of; the zero value asks
// for all.
type StatusQuery struct {
	IDs    []string        // these, each of which must be known
	Name   string          // the breaker, or the keys of the set, of this name
	Match  string          // those whose id has this in it, whatever the case
	States []breaker.State // those in one of these states
	Full   bool            // with settings and explanation
	Limit  int             // at most so many; 0: all
}

// QueryFor asks for what an order with this id is for: a breaker, or all keys of
// a set, in full; or with "" or "*" for all there is.
func QueryFor(id string) StatusQuery {
	set, wild := strings.CutSuffix(id, "/*")
	switch {
	case id == "" || id == "*":
		return StatusQuery{}
	case wild:
		return StatusQuery{Name: set, Full: true}
	}
	return StatusQuery{IDs: []string{id}, Full: true}
}

func parseStatusQuery(r *http.Request) (StatusQuery, error) {
	q := r.URL.Query()
	ask := StatusQuery{IDs: q["id"], Name: q.Get("name"), Match: q.Get("match"), Full: q.Get("full") == "1", Limit: int(^uint(0) >> 1)}
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

// StatusOf is the status of the breakers of m that ask is for, sorted by id;
// ask.IDs come in their order. The error matches breaker.ErrUnknown.
func StatusOf(m *breaker.Manager, ask StatusQuery) ([]Status, error) {
	found, err := ask.find(m)
	if err != nil {
		return nil, err
	}
	if ask.Limit > 0 {
		found = found[:min(len(found), ask.Limit)]
	}
	out := make([]Status, len(found))
	for i := range found {
		out[i] = ask.tell(&found[i])
	}
	return out, nil
}

// tell is s with as much about it as is asked for.
func (ask *StatusQuery) tell(s *breaker.Status) Status {
	if ask.Full {
		return full(s)
	}
	return Status{Status: *s}
}

func (ask *StatusQuery) find(m *breaker.Manager) ([]breaker.Status, error) {
	found, err := ask.named(m)
	if err != nil {
		return nil, err
	}
	match := strings.ToLower(ask.Match)
	return slices.DeleteFunc(found, func(s breaker.Status) bool {
		return len(ask.States) > 0 && !slices.Contains(ask.States, s.State) ||
			match != "" && !strings.Contains(strings.ToLower(s.ID), match)
	}), nil
}

func (ask *StatusQuery) named(m *breaker.Manager) ([]breaker.Status, error) {
	switch {
	case len(ask.IDs) > 0:
		found := make([]breaker.Status, 0, len(ask.IDs))
		for _, id := range ask.IDs {
			b, err := find(m, id)
			if err != nil {
				return nil, err
			}
			found = append(found, b.Status())
		}
		return found, nil
	case ask.Name != "":
		if s, err := m.LookupSet(ask.Name); err == nil {
			found := s.Status()
			slices.SortFunc(found, func(a, b breaker.Status) int { return strings.Compare(a.ID, b.ID) })
			return found, nil
		}
		b, err := m.Lookup(ask.Name)
		if err != nil {
			return nil, err
		}
		return []breaker.Status{b.Status()}, nil
	}
	return m.Status(), nil
}
