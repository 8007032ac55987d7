//go:build purego

package breaker

import "math/rand/v2"

// goroutineHash returns a random number, so that goroutines spread over the
// cells.
func goroutineHash() uint32 { return rand.Uint32() }
