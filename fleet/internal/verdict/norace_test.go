//go:build !race

package verdict

const raceDetected = false
