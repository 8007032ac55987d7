//go:build purego

package breaker

import "math/rand/v2"

// goroutineHash spreads goroutines over the cells at random.
func goroutineHash() uint32 { return rand.Uint32() }
