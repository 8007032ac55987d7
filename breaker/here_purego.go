//go:build purego

package breaker

import "math/rand/v2"

// here spreads goroutines over the stripes by chance.
func here() uint32 { return rand.Uint32() }
