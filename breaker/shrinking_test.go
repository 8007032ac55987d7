package breaker

import (
	"maps"
	"runtime"
	"sync"
	"testing"
	"time"
)

// However it grows and shrinks, it holds what a plain map holds.
func TestShrinkingMapHolds(t *testing.T) {
	var x shrinkingMap[int, int]
	plain := map[int]int{}
	next, first := 0, 0
	for _, to := range []int{0, 1, 70, 17, 16, 15, 64, 16, 5000, 2049, 2048, 2047, 3000, 700, 0, 100, 0} {
		for ; len(plain) < to; next++ {
			x.put(next, -next)
			plain[next] = -next
		}
		for ; len(plain) > to; first++ {
			x.remove(first)
			delete(plain, first)
		}
		if !maps.Equal(x.m, plain) {
			t.Fatalf("with %d entries it differs from a plain map", to)
		}
	}
	x.remove(-1) // was never in it
}

// It is replaced when it is at most a quarter full, and not for a few entries,
// nor for many.
func TestShrinkingMapIsReplaced(t *testing.T) {
	for _, c := range []struct{ most, left, replaced int }{
		{fewestShrunk - 1, 0, 0},
		{fewestShrunk, fewestShrunk/4 + 1, 0},
		{fewestShrunk, fewestShrunk / 4, 1},
		{4 * mostCopied, mostCopied + 1, 0},
		{4 * mostCopied, mostCopied, 1},
		{5 * mostCopied, mostCopied + 1, 0},
		{5 * mostCopied, mostCopied, 1},
	} {
		var x shrinkingMap[int, int]
		for i := range c.most {
			x.put(i, i)
		}
		for i := range c.most - c.left {
			x.remove(i)
		}
		if got := btoi(x.most < c.most); got != c.replaced || len(x.m) != c.left {
			t.Errorf("%d entries, of which %d are left: replaced %d times, want %d", c.most, len(x.m), got, c.replaced)
		}
	}
}

// A walk that is under way goes on to the end when the map is replaced.
func TestShrinkingMapDuringAWalk(t *testing.T) {
	const n, stay = 1000, 100
	var mu sync.RWMutex
	var x shrinkingMap[int, int]
	for i := range n {
		x.put(i, i)
	}
	seen := map[int]int{}
	for k := range batches(&mu, &x.m) {
		if len(seen) == 0 {
			for i := stay; i < n; i++ {
				x.remove(i)
			}
			if x.most >= n {
				t.Fatal("the map has not been replaced")
			}
		}
		seen[k]++
	}
	for i := range stay {
		if seen[i] != 1 {
			t.Errorf("%d, which stays, is yielded %d times", i, seen[i])
		}
	}
}

// After an outage of many keys the set is as small as before.
func TestMemoryReturnsAfterAnOutage(t *testing.T) {
	const n = 50_000
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1000, MaxEvidence: n})
	before := heapInUse()
	for k := range n {
		_ = set.Do(bg, k, broken)
	}
	during := heapInUse()
	for k := range n {
		_ = set.Do(bg, k, nop)
	}
	set.sweep() // its timer does this a second later
	// What was evicted leaves the maps on a goroutine of the runtime, after a
	// collection.
	grown := int64(0)
	for range 100 {
		if grown = int64(heapInUse()) - int64(before); grown <= 512<<10 { // 1,000 keys have 200 KB
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if grown > 512<<10 {
		t.Errorf("the heap has grown by %d KB; during the outage it was %d KB", grown>>10, (during-before)>>10)
	}
	runtime.KeepAlive(set)
}
