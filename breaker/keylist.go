package breaker

// keyList is a list of all keys of a shard that has few. They are in its map as
// well, but the list is read without the shard's lock, whose cache line all
// callers would write, and without hashing the key again. Most sets are small: a
// key for each host, or for each route.
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

// mostListed is the largest number of keys that a shard keeps a list of. To read
// so many takes as long as to take the lock and look in the map.
const mostListed = 8

// find returns the breaker of a key, or nil if the key is not in the list.
func (l *keyList[K]) find(hash uint64, k K) *Breaker {
	for ; l != nil; l = l.next {
		if l.hash == hash && l.key == k {
			return l.b
		}
	}
	return nil
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

// keepLocked puts b, which the shard's map does not hold, into the map. A shard
// with more than mostListed keys loses its list until it is empty: its keys come
// and go, and lists would be built again and again. The shard's lock is held.
func (s *Set[K]) keepLocked(sh *shard[K], k K, b *Breaker) {
	sh.by.put(k, b)
	hash := s.hash(k)
	at := &s.lists[hash%shardCount]
	list := at.Load()
	switch n := len(sh.by.m); {
	case n > mostListed:
		at.Store(nil)
	case n == 1 || list != nil:
		at.Store(&keyList[K]{hash, k, b, list})
	}
}

// dropLocked removes k from the shard's map. The shard's lock is held.
func (s *Set[K]) dropLocked(sh *shard[K], k K) {
	sh.by.remove(k)
	at := &s.lists[s.hash(k)%shardCount]
	at.Store(at.Load().without(k))
}
