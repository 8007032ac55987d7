package ops

import (
	"cmp"
	"encoding/base64"
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

// maxListed is how many breakers a list has at a time, and as many sets.
const maxListed = 5000

// parseStatusQuery reads what is asked for, and where the page begins: behind
// the id after.
func parseStatusQuery(r *http.Request) (ask StatusQuery, after string, err error) {
	q := r.URL.Query()
	ask = StatusQuery{IDs: q["id"], Name: q.Get("name"), Match: q.Get("match"), Full: q.Get("full") == "1", Limit: maxListed}
	wrong := func(format string, args ...any) (StatusQuery, string, error) {
		return ask, "", refuse(http.StatusBadRequest, "order", format, args...)
	}
	if len(ask.IDs) > maxAskedID {
		return wrong("%d ids, want at most %d at once", len(ask.IDs), maxAskedID)
	}
	for _, name := range q["state"] {
		var s breaker.State
		if err := s.UnmarshalText([]byte(name)); err != nil {
			return wrong("%s", strings.TrimPrefix(err.Error(), "breaker: "))
		}
		if !slices.Contains(ask.States, s) {
			ask.States = append(ask.States, s)
		}
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return wrong("limit is %q, want a number above 0", text)
		}
		ask.Limit = min(n, maxListed)
	}
	if text := q.Get("after"); text != "" {
		id, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return wrong("after is %q, want what the page before has as next", text)
		}
		after = string(id)
	}
	return ask, after, nil
}

// cursor says in a URL that a page begins behind id, which may be any bytes.
func cursor(id string) string { return base64.RawURLEncoding.EncodeToString([]byte(id)) }

// StatusOf is the status of the breakers of m that ask is for, sorted by id;
// ask.IDs come in their order. The error matches breaker.ErrUnknown.
func StatusOf(m *breaker.Manager, ask StatusQuery) ([]Status, error) {
	found, err := ask.find(m, "")
	if err != nil {
		return nil, err
	}
	out := make([]Status, len(found.page))
	for i, b := range found.page {
		s := b.Status()
		out[i] = ask.tell(&s)
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

// found is a page of breakers.
type found struct {
	page  []*breaker.Breaker
	total int    // on all pages
	next  string // the cursor of the next one; "": this is the last
}

// find looks at the state and the id of each breaker that may be meant, which
// takes nanoseconds, and no closer: there may be very many, and a page has few.
func (ask *StatusQuery) find(m *breaker.Manager, after string) (found, error) {
	all, err := ask.named(m)
	if err != nil {
		return found{}, err
	}
	match := strings.ToLower(ask.Match)
	wanted := func(b *breaker.Breaker) bool {
		return (len(ask.States) == 0 || slices.Contains(ask.States, b.State())) &&
			(match == "" || strings.Contains(strings.ToLower(b.ID()), match))
	}
	if len(ask.IDs) > 0 {
		all = slices.DeleteFunc(all, func(b *breaker.Breaker) bool { return !wanted(b) })
		return found{page: all[:min(len(all), cmp.Or(ask.Limit, len(all)))], total: len(all)}, nil
	}
	type named struct {
		id string
		*breaker.Breaker
	}
	page := first[named]{most: cmp.Or(ask.Limit, max(1, len(all))), compare: func(a, b named) int { return strings.Compare(a.id, b.id) }}
	var f found
	for _, b := range all {
		if !wanted(b) {
			continue
		}
		f.total++
		if id := b.ID(); id > after || after == "" {
			page.add(named{id, b})
		}
	}
	for _, x := range page.sorted() {
		f.page = append(f.page, x.Breaker)
	}
	if page.dropped {
		f.next = cursor(f.page[len(f.page)-1].ID())
	}
	return f, nil
}

// named is the breakers of the ids or the name, in the order of the ids.
func (ask *StatusQuery) named(m *breaker.Manager) ([]*breaker.Breaker, error) {
	switch {
	case len(ask.IDs) > 0:
		all := make([]*breaker.Breaker, len(ask.IDs))
		for i, id := range ask.IDs {
			var err error
			if all[i], err = find(m, id); err != nil {
				return nil, err
			}
		}
		return all, nil
	case ask.Name != "":
		if s, err := m.LookupSet(ask.Name); err == nil {
			return s.Breakers(), nil
		}
		b, err := m.Lookup(ask.Name)
		return []*breaker.Breaker{b}, err
	}
	return m.Breakers(), nil
}

// first collects the most values that come first of any number.
type first[T any] struct {
	most    int
	compare func(a, b T) int
	dropped bool // there were more

	all []T  // up to twice as many, before they are sorted out
	cut bool // the first most of all are sorted; what comes behind them is not needed
}

func (x *first[T]) add(v T) {
	if x.cut && x.compare(v, x.all[x.most-1]) >= 0 {
		x.dropped = true
		return
	}
	x.all = append(x.all, v)
	if len(x.all) >= 2*x.most {
		x.sort()
	}
}

func (x *first[T]) sort() {
	slices.SortFunc(x.all, x.compare)
	if len(x.all) > x.most {
		x.all, x.cut, x.dropped = x.all[:x.most], true, true
	}
}

// sorted is what there is in the end.
func (x *first[T]) sorted() []T {
	x.sort()
	return x.all
}
