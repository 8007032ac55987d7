package breaker

import (
	"runtime"
	"sync"
	"weak"
)

// kept has one copy of all equal rules, as long as some breaker has them: the
// breakers of a program are many, their settings few.
var kept sync.Map // rules -> weak.Pointer[rules]

// shared is the one copy of r, which holds nothing that is one owner's alone.
func shared(r rules) *rules {
	for {
		if found, ok := kept.Load(r); ok {
			if p := found.(weak.Pointer[rules]).Value(); p != nil {
				return p
			}
			kept.CompareAndDelete(r, found) // collected, and its cleanup is still to come
		}
		p := new(rules)
		*p = r
		mine := weak.Make(p)
		if _, lost := kept.LoadOrStore(r, mine); lost {
			continue
		}
		runtime.AddCleanup(p, func(mine weak.Pointer[rules]) { kept.CompareAndDelete(r, mine) }, mine)
		return p
	}
}
