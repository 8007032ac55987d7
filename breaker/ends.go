package breaker

import (
	"math"
	"math/rand/v2"
	"time"
)

// ends counts things that end by time alone: the places held under a cap, and
// the trips of the last few seconds. After an outage a million of them may end
// in the same moment, and the next call that trips must not wait until each is
// dropped. So they are kept in a tree, of which a cut drops all that have ended:
// a few dozen steps, however many there are.
//
// The tree is a treap: ordered by end from left to right, and by a random weight
// from top to bottom, which keeps it shallow whatever the order of insertion.
type ends struct {
	root *endNode
	made uint64    // number of the newest end
	past time.Time // all that ended by then have been dropped
}

// end is one of them. The zero end is none.
type end struct {
	at     time.Time
	number uint64 // distinguishes those that end at the same time
}

func (e end) before(x end) bool {
	if c := e.at.Compare(x.at); c != 0 {
		return c < 0
	}
	return e.number < x.number
}

type endNode struct {
	end
	weight      uint32
	size        uint32 // nodes in this subtree
	left, right *endNode
}

// count drops what has ended at now, and returns how many are left.
func (e *ends) count(now time.Time) int {
	if now.After(e.past) {
		e.past = now
	}
	_, e.root = e.root.split(end{e.past, math.MaxUint64})
	return e.root.len()
}

// newEnd returns what add takes, for the given time; nil for the zero time. It
// allocates, for which the collector may charge a millisecond's work, so it is
// called before the lock that guards the tree is taken.
func newEnd(at time.Time) *endNode {
	if at.IsZero() {
		return nil
	}
	return &endNode{end: end{at: at}, weight: rand.Uint32(), size: 1}
}

// add adds n, which is new, and returns its end. It returns the zero end, and
// adds nothing, if n is nil or its time has passed.
func (e *ends) add(n *endNode) end {
	if n == nil || !n.at.After(e.past) {
		return end{}
	}
	e.made++
	n.number = e.made
	l, r := e.root.split(n.end)
	e.root = merge(merge(l, n), r)
	return n.end
}

// remove removes x, unless it has been dropped already.
func (e *ends) remove(x end) {
	if x.number == 0 || !x.at.After(e.past) {
		return
	}
	l, r := e.root.split(x)
	_, r = r.split(end{x.at, x.number + 1})
	e.root = merge(l, r)
}

func (n *endNode) len() int {
	if n == nil {
		return 0
	}
	return int(n.size)
}

// split cuts a tree into what is before x, and the rest.
func (n *endNode) split(x end) (before, rest *endNode) {
	switch {
	case n == nil:
		return nil, nil
	case n.before(x):
		n.right, rest = n.right.split(x)
		return n.sized(), rest
	default:
		before, n.left = n.left.split(x)
		return before, n.sized()
	}
}

// merge joins two trees, of which all in l are before all in r.
func merge(l, r *endNode) *endNode {
	switch {
	case l == nil:
		return r
	case r == nil:
		return l
	case l.weight > r.weight:
		l.right = merge(l.right, r)
		return l.sized()
	default:
		r.left = merge(l, r.left)
		return r.sized()
	}
}

// sized counts the nodes again after a child has changed.
func (n *endNode) sized() *endNode {
	n.size = uint32(1 + n.left.len() + n.right.len())
	return n
}
