//go:build !race

package mutants

// Race says that the race detector is on. It makes an exploration, which has one
// goroutine, ten times slower: under it, a small one will do, and no mutants.
const Race = false
