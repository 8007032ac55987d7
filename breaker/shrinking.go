package breaker

// shrinkingMap is a map that gives memory back. A Go map never shrinks: after an
// outage that is long over, it would keep the memory of a million keys.
//
// The caller holds the lock that guards the map. Reading m is all right; changes
// go through put and remove.
type shrinkingMap[K comparable, V any] struct {
	m    map[K]V
	most int // the largest number of entries that m has had
}

// A map is copied into a smaller one when at most a quarter of it is used. Calls
// wait for the lock meanwhile, so a map with more entries than mostCopied is left as
// it is: to copy that many takes some 100 µs. One that never had fewestShrunk
// entries is not worth copying.
const (
	mostCopied   = 2048
	fewestShrunk = 64
)

func (x *shrinkingMap[K, V]) put(k K, v V) {
	if x.m == nil {
		x.m = make(map[K]V)
	}
	x.m[k] = v
	x.most = max(x.most, len(x.m))
}

func (x *shrinkingMap[K, V]) remove(k K) {
	delete(x.m, k)
	if x.most < fewestShrunk || len(x.m) > min(x.most/4, mostCopied) {
		return
	}
	// batches may be in the middle of the old map. It goes on through that map, which
	// no longer changes; its contract allows that.
	smaller := make(map[K]V, len(x.m))
	for k, v := range x.m {
		smaller[k] = v
	}
	x.m, x.most = smaller, len(smaller)
}
