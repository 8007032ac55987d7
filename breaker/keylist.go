package breaker

// keyList is a list of keys. Each key of a set has a place in one of listCount
// lists, by its hash, and is in that list as well as in its shard's map. The list
// is read without the shard's lock, whose cache line all callers would write, and
// without hashing the key again.
//
// An element does not change once it is in a list, so a caller may read an old
// list while a key comes or goes. It finds what it would have found if it had
// taken the lock just before. A key that is not in the list must be looked up
// under the lock.
type keyList[K comparable] struct {
	hash uint64
	key  K
	b    *Breaker
	next *keyList[K]
}

const (
	// listCount is the number of lists of a set: 4 KB. It is a multiple of
	// shardCount, so that all keys of a list are in one shard.
	listCount = 8 * shardCount
	// mostListed is the largest number of keys in a list. To read so many takes as
	// long as to take the lock and look in the map. Sets of up to some 2,000 keys
	// have lists for nearly all of them.
	mostListed = 8
)

// find returns the breaker of a key, or nil if the key is not in the list.
func (l *keyList[K]) find(hash uint64, k K) *Breaker {
	for ; l != nil; l = l.next {
		if l.hash == hash && l.key == k {
			return l.b
		}
	}
	return nil
}

// len returns the number of keys in the list.
func (l *keyList[K]) len() (n int) {
	for ; l != nil; l = l.next {
		n++
	}
	return n
}

// without returns a list of the same keys except k.
func (l *keyList[K]) without(k K) *keyList[K] {
	switch {
	case l == nil:
		return nil
	case l.key == k:
		return l.next
	}
	return &keyList[K]{l.hash, l.key, l.b, l.next.without(k)}
}

// keepLocked puts b into the map of k's shard, and k into its list. Neither holds
// k yet. A list that would become too long is given up for good, so that a large
// set does not read long lists in vain. The shard's lock is held.
func (s *Set[K]) keepLocked(sh *shard[K], k K, b *Breaker) {
	sh.by.put(k, b)
	hash := s.hash(k)
	at := &s.lists[hash%listCount]
	switch list := at.Load(); {
	case list == &s.noList:
	case list.len() == mostListed:
		at.Store(&s.noList)
	default:
		at.Store(&keyList[K]{hash, k, b, list})
	}
}

// dropLocked removes k from the map of its shard, and from its list. The shard's
// lock is held.
func (s *Set[K]) dropLocked(sh *shard[K], k K) {
	sh.by.remove(k)
	at := &s.lists[s.hash(k)%listCount]
	// A caller that still reads the old list may find the breaker that goes. It is
	// evicted then, and works in the same way (I8).
	if list := at.Load(); list != &s.noList {
		at.Store(list.without(k))
	}
}
