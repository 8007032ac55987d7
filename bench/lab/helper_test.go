package lab

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// play runs one contender through one scene.
func play(t *testing.T, c contender, s *script) row {
	t.Helper()
	var n *notes
	switch c.kind {
	case ourEngine:
		b, wait := onVirtualTime(c.settings)
		n = playSteps(s, b, wait)
	case aModel:
		n = playSteps(s, c.build().(subject), func(time.Duration) {})
	case realRival:
		inBubble(t, func() { n = playBubble(s, c.build()) })
	}
	return n.score()
}

// playBubble plays in the bubble that it is called in.
func playBubble(s *script, b any) *notes {
	start := time.Now()
	wait := func(at time.Duration) { time.Sleep(at - time.Since(start)) }
	if c, ok := b.(interface{ close() }); ok {
		defer c.close()
	}
	if w, ok := b.(wrapper); ok {
		return playWrapped(s, w, wait)
	}
	return playSteps(s, b.(subject), wait)
}

// inBubble runs f in a new bubble. Goroutines that a rival never ends
// do not fail the test: they stay behind.
func inBubble(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			err, ok := p.(error)
			if !ok || !strings.Contains(err.Error(), "blocked goroutines remain") {
				panic(p)
			}
		}
	}()
	synctest.Test(t, func(*testing.T) { f() })
}
