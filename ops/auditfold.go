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

// Refusals cost a client that may give no orders nothing, so they must not
// cost the log much. They are recorded in short form, and of several alike
// only the first in a minute is recorded; a line at the end of the minute
// counts the others.
const (
	foldTime    = time.Minute
	maxFolded   = 64 // kinds of refusals distinguished at a time
	maxStrange  = 8  // the same, for peers that may give no orders
	maxShortRef = 200
)

// folds holds the refusals of the last minute. The auditor guards it.
type folds struct {
	by    map[string]*fold // by what they have in common
	timer *time.Timer      // nil if there are none
}

// fold is a group of refusals that are alike.
type fold struct {
	last  AuditEntry // the newest
	count int        // those that are not in the log yet
}

// foldKey returns what refusals that are counted together have in common. If
// the peer may give no orders, the content of its orders does not matter: it
// could be anything.
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

// addLocked adds a refusal, and reports whether it is to be written now.
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

// endLocked returns the lines that are still to be written, and starts a new
// minute.
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

// short returns a refused order as it is recorded.
func (o Order) short() Order {
	o.ID, o.Actor, o.Reason = cut(o.ID, maxShortRef), cut(o.Actor, maxShortRef), cut(o.Reason, maxShortRef)
	o.Verb = o.Verb[:min(len(o.Verb), 32)]
	if len(o.Settings) > maxShortRef {
		o.Settings = nil
	}
	return o
}

// cut returns the beginning of text, at most this many bytes.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

// strange reports whether a refusal concerns a peer that may give no orders.
func strange(refused error) bool { return errors.Is(refused, ErrRefused) }
