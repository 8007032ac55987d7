package lab

import (
	"reflect"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// A bubble and the virtual clock are the same to the engine, so that our rows
// can be compared with those of libraries that run in bubbles.
func TestVirtualTimeIsABubble(t *testing.T) {
	s := newScript(sick()[2]) // O3
	withoutJitter := breaker.Recommended()
	withoutJitter.ResetJitter = 0
	rated := withoutJitter
	rated.FailureRate, rated.SlowCall, rated.SlowRate = 0.2, time.Second/2, 0.5
	for _, settings := range []breaker.Settings{{}, withoutJitter, rated} {
		b, wait := onVirtualTime(settings)
		virtual := playSteps(s, b, wait)
		var bubble *notes
		inBubble(t, func() { bubble = playBubble(s, &engine{b: breaker.New("lab", settings)}) })
		if len(virtual.trips) < 10 {
			t.Errorf("%v: %d trips, want enough to compare", settings, len(virtual.trips))
		}
		if !reflect.DeepEqual(virtual.trips, bubble.trips) || !reflect.DeepEqual(virtual.closes, bubble.closes) || !reflect.DeepEqual(virtual.ran, bubble.ran) {
			t.Errorf("%v: got %+v in a bubble, want %+v", settings, bubble.score(), virtual.score())
		}
	}
}
