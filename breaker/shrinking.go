package breaker

// shrinkingMap is a map that gives memory back. A map of Go keeps the room of
// all entries that it has ever had at once; for a set, that may be a million
// keys of an outage that is long over.
//
// The caller holds the lock that guards the map. Reading m is all right; changes
// go through put and remove.
type shrinkingMap[K comparable, V any] struct {
	m    map[K]V
	most int // the largest number of entries that m has had
}

// A map is copied into a smaller one when it is at most a quarter full. Calls
// wait for the lock meanwhile, so at most so many entries are copied, which takes
// some 100 µs. A map that keeps more than that keeps its room as well.
const mostCopied = 2048

// fewestShrunk is the size from which it is worthwhile.
const fewestShrunk = 64

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
	// batches may be in the middle of the old map. It sees the rest of it as it
	// was now, which its contract allows.
	smaller := make(map[K]V, len(x.m))
	for k, v := range x.m {
		smaller[k] = v
	}
	x.m, x.most = smaller, len(smaller)
}
