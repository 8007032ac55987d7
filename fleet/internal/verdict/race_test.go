//go:build race

package verdict

// The race detector makes the exploration, which has one goroutine, ten times
// slower: under it, a small one will do.
const raceDetected = true
