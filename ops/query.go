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

func (d *door) find(ask StatusQuery) ([]breaker.Status, error) {
	found, err := d.named(ask)
	if err != nil {
		return nil, err
	}
	match := strings.ToLower(ask.Match)
	return slices.DeleteFunc(found, func(s breaker.Status) bool {
		return len(ask.States) > 0 && !slices.Contains(ask.States, s.State) ||
			match != "" && !strings.Contains(strings.ToLower(s.ID), match)
	}), nil
}

func (d *door) named(ask StatusQuery) ([]breaker.Status, error) {
	switch {
	case len(ask.IDs) > 0:
		found := make([]breaker.Status, 0, len(ask.IDs))
		for _, id := range ask.IDs {
			b, err := d.m.Lookup(id)
			if err != nil {
				return nil, err
			}
			found = append(found, b.Status())
		}
		return found, nil
	case ask.Name != "":
		if s, err := d.m.LookupSet(ask.Name); err == nil {
			found := s.Status()
			slices.SortFunc(found, func(a, b breaker.Status) int { return strings.Compare(a.ID, b.ID) })
			return found, nil
		}
		b, err := d.m.Lookup(ask.Name)
		if err != nil {
			return nil, err
		}
		return []breaker.Status{b.Status()}, nil
	}
	return d.m.Status(), nil
}
