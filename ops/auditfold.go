package ops

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Refusals cost somebody who may give no orders nothing, and must not cost the
// log much: they are recorded short, and of those that are alike only the first
// in a minute; a line at its end says how many more there were.
const (
	foldTime    = time.Minute
	maxFolded   = 64 // kinds of refusals told apart at a time
	maxStrange  = 8  // of those, for peers who may give no orders
	maxShortRef = 200
)

// folds is the refusals of the last minute. The auditor guards it.
type folds struct {
	by    map[string]*fold // by what they have in common
	timer *time.Timer      // nil: there are none
}

// fold is refusals that are alike.
type fold struct {
	last  AuditEntry // the newest
	count int        // those that are not in the log yet
}

// foldKey is what refusals have in common that are told by a count. Of peers who
// may give no orders the content is their invention, and so it does not matter.
func foldKey(e *AuditEntry, strange bool) string {
	addr, _, err := net.SplitHostPort(e.Peer.Addr)
	if err != nil {
		addr = e.Peer.Addr
	}
	uid := -1
	if e.Peer.UID != nil {
		uid = *e.Peer.UID
	}
	who := fmt.Sprintf("%t\x00%s\x00%s\x00%d", strange, e.Peer.Transport, addr, uid)
	if strange {
		return who
	}
	return strings.Join([]string{who, e.Order.ID, string(e.Order.Verb), e.Order.Actor, e.Error}, "\x00")
}

// addLocked takes in a refusal, and reports whether it is to be written now.
func (f *folds) addLocked(e AuditEntry, strange bool, over func()) bool {
	key, most := foldKey(&e, strange), maxFolded
	if strange {
		most = maxStrange
	}
	if f.by[key] == nil && len(f.by) >= most {
		key = fmt.Sprint(strange) // all others
	}
	if f.by == nil {
		f.by = make(map[string]*fold)
	}
	if f.timer == nil {
		f.timer = time.AfterFunc(foldTime, over)
	}
	same := f.by[key]
	if same == nil {
		f.by[key] = &fold{last: e}
		return true
	}
	same.last = e
	same.count++
	return false
}

// endLocked is the lines that are still owed, and begins anew.
func (f *folds) endLocked() (owed []AuditEntry) {
	if f.timer != nil {
		f.timer.Stop()
	}
	for _, same := range f.by {
		if same.count > 0 {
			e := same.last
			e.Repeats = same.count
			owed = append(owed, e)
		}
	}
	*f = folds{}
	slices.SortFunc(owed, func(a, b AuditEntry) int { return a.Time.Compare(b.Time) })
	return owed
}

// short is a refused order as it is recorded.
func (o Order) short() Order {
	o.ID, o.Actor, o.Reason = cut(o.ID, maxShortRef), cut(o.Actor, maxShortRef), cut(o.Reason, maxShortRef)
	o.Verb = o.Verb[:min(len(o.Verb), 32)]
	if len(o.Settings) > maxShortRef {
		o.Settings = nil
	}
	return o
}

// cut is the beginning of text, of so many bytes at the most.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

// strange reports whether a refusal is one of somebody who may give no orders.
func strange(refused error) bool { return errors.Is(refused, ErrRefused) }
