package breaker

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"
)

// listed returns the breaker that the key's list has for it, if any, and whether
// there is a list.
func listed[K comparable](s *Set[K], k K) (b *Breaker, ok bool) {
	hash := s.hash(k)
	list := s.lists[hash%listCount].Load()
	return list.find(hash, k), list != &s.noList
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

	// One more is one too many, for good.
	set.Breaker(keys[mostListed])
	behind(t, &sh.mu, func() { set.find(keys[0]) }, func() {})
	for _, k := range keys {
		set.Remove(k)
	}
	set.Breaker(keys[0])
	behind(t, &sh.mu, func() { set.find(keys[0]) }, func() {})
}

// A look-up marks the key as used, with or without the list.
func TestLookUpIsUse(t *testing.T) {
	set := NewSet[string]("s", Settings{}, SetOptions{})
	keys := sameList(set, mostListed+1)
	for n, k := range keys {
		set.Breaker(k)
		now := set.tick.Add(1)
		if b := set.find(keys[0]); b.used.Load() != now {
			t.Errorf("among %d keys: used at tick %d, want %d", n+1, b.used.Load(), now)
		}
	}
}

// A list holds what the map holds, whatever happens to the keys.
func TestKeyListAgreesWithTheMap(t *testing.T) {
	for _, most := range []int{mostListed, mostListed + 1} {
		set := NewSet[string]("s", Settings{FailMax: 3}, SetOptions{MaxKeys: most - 2, MaxEvidence: 2})
		keys := sameList(set, mostListed+4)
		sh := set.shard(keys[0])
		held := map[string]*Breaker{}
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
				b, ok := listed(set, k)
				if want := sh.by.m[k]; ok && b != want || !ok && b != nil {
					t.Fatalf("step %d: key %s is %p in the list (%t), %p in the map", step, k, b, ok, want)
				}
			}
		}
		if _, ok := listed(set, keys[0]); ok != (most == mostListed) {
			t.Errorf("after up to %d keys, there is a list: %t", most, ok)
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
