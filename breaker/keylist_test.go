package breaker

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"
)

// listed returns the breaker that the list of the key's shard has for it, and the
// number of keys in that list.
func listed[K comparable](s *Set[K], k K) (b *Breaker, n int) {
	hash := s.hash(k)
	list := s.lists[hash%shardCount].Load()
	for l := list; l != nil; l = l.next {
		n++
	}
	return list.find(hash, k), n
}

// sameShard returns n keys of one shard.
func sameShard(s *Set[string], n int) (keys []string) {
	for i := 0; len(keys) < n; i++ {
		if k := strconv.Itoa(i); s.shard(k) == s.shard("0") {
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
func TestFewKeysNeedNoLock(t *testing.T) {
	set := NewSet[string]("s", Settings{}, SetOptions{})
	keys := sameShard(set, mostListed+1)
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

	// One more is one too many.
	set.Breaker(keys[mostListed])
	behind(t, &sh.mu, func() { set.find(keys[0]) }, func() {})
	if _, n := listed(set, keys[0]); n != 0 {
		t.Errorf("a shard with %d keys lists %d", mostListed+1, n)
	}
	// A shard gets its list back when its last key has gone.
	for _, k := range keys {
		set.Remove(k)
	}
	b := set.Breaker(keys[3])
	if got, n := listed(set, keys[3]); got != b || n != 1 {
		t.Errorf("the list holds %v and %d keys, want the only key", got, n)
	}
}

// A look-up marks the key as used, with or without the list.
func TestLookUpIsUse(t *testing.T) {
	set := NewSet[string]("s", Settings{}, SetOptions{})
	keys := sameShard(set, mostListed+1)
	for n, k := range keys {
		set.Breaker(k)
		now := set.tick.Add(1)
		if b := set.find(keys[0]); b.used.Load() != now {
			t.Errorf("among %d keys: used at tick %d, want %d", n+1, b.used.Load(), now)
		}
	}
}

// The list of a shard holds what its map holds, whatever happens to the keys.
func TestKeyListAgreesWithTheMap(t *testing.T) {
	set := NewSet[string]("s", Settings{FailMax: 3}, SetOptions{MaxKeys: mostListed, MaxEvidence: 2})
	keys := sameShard(set, mostListed+4)
	sh := set.shard(keys[0])
	lists, held := 0, map[string]*Breaker{}
	for step := range 20_000 {
		if step%40 == 0 {
			for _, k := range keys {
				set.Remove(k)
			}
		}
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
		_, n := listed(set, k)
		if n != 0 && n != len(sh.by.m) || len(sh.by.m) == 1 && n == 0 {
			t.Fatalf("step %d: the list has %d keys, the map %d", step, n, len(sh.by.m))
		}
		for _, k := range keys {
			if b, _ := listed(set, k); n > 0 && b != sh.by.m[k] {
				t.Fatalf("step %d: key %s is %p in the list, %p in the map", step, k, b, sh.by.m[k])
			}
		}
		if n > 0 {
			lists++
		}
	}
	if lists < 1000 || lists == 20_000 {
		t.Errorf("there was a list in %d of 20,000 steps: the test does not see both cases", lists)
	}
}

// Callers read lists while keys come and go, and a key never has two breakers.
func TestKeyListUnderChurn(t *testing.T) {
	set := NewSet[string]("s", Settings{FailMax: 1000}, SetOptions{MaxKeys: 2})
	keys := sameShard(set, 5)
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
