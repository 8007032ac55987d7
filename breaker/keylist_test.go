package breaker

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"
)

// listed returns the breaker that the key's list has for it, if any, and the
// number of keys in that list.
func listed[K comparable](s *Set[K], k K) (*Breaker, int) {
	hash := s.hash(k)
	list := s.lists[hash%listCount].Load()
	return list.find(hash, k), list.len()
}

// sameList returns n keys that belong in one list.
func sameList(s *Set[string], n int) (keys []string) {
	for i := 0; len(keys) < n; i++ {
		if k := strconv.Itoa(i); s.hash(k)%listCount == 7 {
			keys = append(keys, k)
		}
	}
	return keys
}

// Two keys may have the same hash.
func TestKeyListOfEqualHashes(t *testing.T) {
	a, b := new(Breaker), new(Breaker)
	list := &keyList[string]{7, "a", a, &keyList[string]{7, "b", b, nil}}
	if list.find(7, "a") != a || list.find(7, "b") != b || list.find(7, "c") != nil {
		t.Error("one key has the breaker of another")
	}
}

// A caller that finds its key in the list needs no lock.
func TestListedKeysNeedNoLock(t *testing.T) {
	set := NewSet[string]("s", Settings{}, SetOptions{})
	keys := sameList(set, mostListed+1)
	for _, k := range keys[:mostListed] {
		set.Breaker(k)
	}
	sh := set.shard(keys[0])
	sh.mu.Lock()
	for _, k := range keys[:mostListed] {
		if b := set.find(k); b == nil || b.Key() != k { // waits forever if it needs the lock
			t.Errorf("found %v for key %q", b, k)
		}
	}
	sh.mu.Unlock()

	// One more is one too many, until another has gone.
	last := keys[mostListed]
	set.Breaker(last)
	behind(t, &sh.mu, func() { set.find(last) }, func() {})
	set.Remove(last)
	set.Remove(keys[3])
	b := set.Breaker(last)
	if got, n := listed(set, last); got != b || n != mostListed {
		t.Errorf("a list with room has %p and %d keys, want %p", got, n, b)
	}
}

// A large set has no lists, which most calls would read in vain. It has some again
// when it has become small.
func TestLargeSetHasNoLists(t *testing.T) {
	n := 10 * shardCount * fewKeys
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: n})
	for k := range n {
		set.Breaker(k)
		kept := len(set.shard(k).by.m)
		if b, in := listed(set, k); kept > fewKeys && in != 0 || kept <= fewKeys && in < mostListed && b == nil {
			t.Fatalf("a key of a shard with %d: its list has %p and %d keys", kept, b, in)
		}
	}
	for i := range set.lists {
		if n := set.lists[i].Load().len(); n != 0 {
			t.Fatalf("list %d has %d keys", i, n)
		}
	}
	for k := range n {
		set.Remove(k)
	}
	b := set.Breaker(0)
	if got, n := listed(set, 0); got != b || n != 1 {
		t.Errorf("the list has %p and %d keys, want the only key of the set", got, n)
	}
}

// A look-up marks the key as used, with or without the list.
func TestLookUpIsUse(t *testing.T) {
	set := NewSet[string]("s", Settings{}, SetOptions{})
	keys := sameList(set, mostListed+1)
	for n, k := range keys {
		set.Breaker(k)
		for _, k := range []string{keys[0], k} {
			now := set.tick.Add(1)
			if b := set.find(k); b.used.Load() != now {
				t.Errorf("among %d keys: key %s was used at tick %d, want %d", n+1, k, b.used.Load(), now)
			}
		}
	}
}

// A list holds nothing but what the map holds, whatever happens to the keys; and
// all of it, where the keys are few.
func TestKeyListAgreesWithTheMap(t *testing.T) {
	for _, most := range []int{mostListed, mostListed + 1} {
		set := NewSet[string]("s", Settings{FailMax: 3}, SetOptions{MaxKeys: most - 2, MaxEvidence: 2})
		keys := sameList(set, mostListed+4)
		sh := set.shard(keys[0])
		held := map[string]*Breaker{}
		unlisted := 0
		for step := range 5000 {
			k := keys[rand.IntN(len(keys))]
			switch rand.IntN(6) {
			case 0:
				_ = set.Do(bg, k, broken)
			case 1:
				held[k] = set.Breaker(k) // evicted later, it stays in use
			case 2:
				delete(held, k)
			case 3:
				set.Remove(k)
			default:
				_ = set.Do(bg, k, nop)
			}
			for _, k := range keys {
				b, _ := listed(set, k)
				if b != nil && b != sh.by.m[k] {
					t.Fatalf("step %d: key %s is %p in the list, %p in the map", step, k, b, sh.by.m[k])
				}
				if b == nil && sh.by.m[k] != nil {
					unlisted++
				}
			}
		}
		if (unlisted == 0) != (most == mostListed) {
			t.Errorf("of up to %d keys, one was not listed %d times", most, unlisted)
		}
	}
}

// Callers read lists while keys come and go, and a key never has two breakers.
func TestKeyListUnderChurn(t *testing.T) {
	set := NewSet[string]("s", Settings{FailMax: 1000}, SetOptions{MaxKeys: 2})
	keys := sameList(set, 5)
	end := time.Now().Add(200 * time.Millisecond)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := 0; n%100 != 0 || time.Now().Before(end); n++ {
				k := keys[rand.IntN(len(keys))]
				b := set.Breaker(k)
				if b.Key() != k {
					t.Errorf("key %s has the breaker of key %s", k, b.Key())
					return
				}
				if again := set.Breaker(k); again != b {
					t.Errorf("key %s has two breakers", k)
					return
				}
			}
		})
	}
	all.Wait()
}
