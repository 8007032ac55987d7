package breaker

// keyList is an element of a list of keys with their breakers, and stands for the
// list that begins with it; nil is the empty list. Each key of a set has a place
// in one of listCount lists, by its hash. Where a set has few keys, they are in
// these lists as well as in the maps of their shards. A list is read without the
// shard's lock, whose cache line all callers would write, and without a second
// hash of the key, which the map would compute.
//
// An element does not change once it is in a list, so a caller may read an old
// list while a key comes or goes. It finds what it would have found if it had
// taken the lock just before. A list need not be complete: a key that is not in
// it must be looked up under the lock.
type keyList[K comparable] struct {
	hash uint64
	key  K
	b    *Breaker
	next *keyList[K]
}

const (
	// listCount is a multiple of shardCount, so that all keys of a list are in one
	// shard.
	listCount = 8 * shardCount
	// mostListed is the largest number of keys in a list. To read so many takes as
	// long as to take the lock and look in the map.
	mostListed = 8
	// fewKeys is the number of keys of a shard up to which new ones are listed:
	// about 2,000 in a set.
	fewKeys = mostListed / 2 * listCount / shardCount
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

// without returns a list of the same keys except k, which is in l.
func (l *keyList[K]) without(k K) *keyList[K] {
	if l.key == k {
		return l.next
	}
	return &keyList[K]{l.hash, l.key, l.b, l.next.without(k)}
}

// putLocked puts b into the map of k's shard, and into k's list if there is room.
// Neither holds k yet. The shard's lock is held.
func (s *Set[K]) putLocked(sh *shard[K], k K, b *Breaker) {
	sh.by.put(k, b)
	hash := s.hash(k)
	at := &s.lists[hash%listCount]
	switch list := at.Load(); {
	case len(sh.by.m) > fewKeys:
		// Most callers of a large set would read a list in vain.
		at.Store(nil)
	case list.len() < mostListed:
		at.Store(&keyList[K]{hash, k, b, list})
	}
}

// removeLocked removes k from the map of its shard, and from its list. The shard's
// lock is held.
func (s *Set[K]) removeLocked(sh *shard[K], k K) {
	sh.by.remove(k)
	hash := s.hash(k)
	at := &s.lists[hash%listCount]
	// A caller that still reads the old list may find the breaker that goes. The
	// old list holds it, so it is not collected meanwhile, and the key gets the
	// same breaker again (I8).
	if list := at.Load(); list.find(hash, k) != nil {
		at.Store(list.without(k))
	}
}
