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

// StatusQuery selects the breakers of a status. The zero value selects all.
type StatusQuery struct {
	// IDs are ids of breakers, all of which must exist, or "name/*" for the
	// keys of a set. If it is empty or has "*", all breakers are selected.
	IDs    []string
	Match  string          // only those whose id contains this text, ignoring case
	States []breaker.State // only those in one of these states
	Full   bool            // with settings and explanations
	Limit  int             // at most this many; 0: all
}

// maxListed is how many breakers, and how many sets, a list has at most.
const maxListed = 5000

var statusParameters = []string{"id", "match", "state", "full", "limit", "after"}

// parseStatusQuery parses the query and the place where the page begins: after
// the id after.
func parseStatusQuery(r *http.Request) (ask StatusQuery, after string, err error) {
	q := r.URL.Query()
	ask = StatusQuery{IDs: q["id"], Match: q.Get("match"), Full: q.Get("full") == "1", Limit: maxListed}
	wrong := func(format string, args ...any) (StatusQuery, string, error) {
		return ask, "", refuse(http.StatusBadRequest, "order", format, args...)
	}
	for name := range q {
		if !slices.Contains(statusParameters, name) {
			return wrong("unknown parameter %q, want one of %s", name, strings.Join(statusParameters, ", "))
		}
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

// cursor returns the text in a URL for a page that begins after id, which may
// contain any bytes.
func cursor(id string) string { return base64.RawURLEncoding.EncodeToString([]byte(id)) }

// Status returns the status of the breakers that q selects, sorted by id;
// those of q.IDs come in the order given, unless one of them is a wildcard.
// The error matches breaker.ErrUnknown.
func (p *Plane) Status(q StatusQuery) ([]Status, error) {
	found, err := q.find(p.m, "")
	if err != nil {
		return nil, err
	}
	out, others := make([]Status, len(found.page)), p.annotators()
	for i, b := range found.page {
		s := b.Status()
		out[i] = q.show(&s)
		p.annotate(&out[i], others)
		out[i].addShadows(b)
	}
	return out, nil
}

// show returns s with as much detail as requested.
func (q *StatusQuery) show(s *breaker.Status) Status {
	if q.Full {
		return full(s)
	}
	return listed(s)
}

// found is a page of breakers.
type found struct {
	page  []*breaker.Breaker
	total int    // on all pages
	next  string // the cursor of the next page; "": this is the last one
}

// find looks only at the state and the id of each breaker that may be
// selected, which takes nanoseconds: there may be very many, and a page has
// few.
func (q *StatusQuery) find(m *breaker.Manager, after string) (found, error) {
	all, inOrder, err := q.byID(m)
	if err != nil {
		return found{}, err
	}
	match := strings.ToLower(q.Match)
	wanted := func(b *breaker.Breaker) bool {
		return (len(q.States) == 0 || slices.Contains(q.States, b.State())) &&
			(match == "" || strings.Contains(strings.ToLower(b.ID()), match))
	}
	if inOrder {
		all = slices.DeleteFunc(all, func(b *breaker.Breaker) bool { return !wanted(b) })
		return found{page: all[:min(len(all), cmp.Or(q.Limit, len(all)))], total: len(all)}, nil
	}
	type withID struct {
		id string
		*breaker.Breaker
	}
	page := first[withID]{most: cmp.Or(q.Limit, max(1, len(all))), compare: func(a, b withID) int { return strings.Compare(a.id, b.id) }}
	var f found
	for _, b := range all {
		if !wanted(b) {
			continue
		}
		f.total++
		if id := b.ID(); id > after || after == "" {
			page.add(withID{id, b})
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

// byID returns the breakers of q.IDs. inOrder means that they are few, and in
// the order of the ids.
func (q *StatusQuery) byID(m *breaker.Manager) (all []*breaker.Breaker, inOrder bool, err error) {
	if len(q.IDs) == 0 {
		return m.Breakers(), false, nil
	}
	inOrder = true
	for _, id := range q.IDs {
		set, wild := strings.CutSuffix(id, "/*")
		switch {
		case id == "*":
			all, inOrder = append(all, m.Breakers()...), false
		case wild:
			s, err := m.LookupSet(set)
			if err != nil {
				return nil, false, err
			}
			all, inOrder = append(all, s.Breakers()...), false
		default:
			b, err := find(m, id)
			if err != nil {
				return nil, false, err
			}
			all = append(all, b)
		}
	}
	return all, inOrder, nil
}

// first keeps the values that come first in order, at most as many as most
// says.
type first[T any] struct {
	most    int
	compare func(a, b T) int
	dropped bool // some were dropped

	all []T  // up to twice as many, between two sorts
	cut bool // the first values are sorted, and all others have been dropped
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

// sorted returns the result.
func (x *first[T]) sorted() []T {
	x.sort()
	return x.all
}
