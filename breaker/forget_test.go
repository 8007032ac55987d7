package breaker

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// A key with a listener of its own is not forgotten: the listener would be.
func TestKeysWithListenersAreKept(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1})
	b := set.Breaker(-1)
	remove := b.AddListener(Listener{StateChange: func(*Breaker, Transition) {}})
	for k := range 10 {
		set.Breaker(k)
	}
	if set.kept(-1) != b {
		t.Error("the key is forgotten, and its listener with it")
	}
	remove()
	for k := range 10 {
		set.Breaker(10 + k)
	}
	if set.kept(-1) != nil {
		t.Error("the key is kept though nobody listens any more")
	}
}

// The log tells once that the set is full.
func TestOverflowIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	for name, opts := range map[string][]Option{
		"with a log": {WithLogger(slog.New(slog.NewTextHandler(&log, nil)))}, "without": nil,
	} {
		set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1, MaxEvidence: 1}, opts...)
		for k := range 6 {
			play(set.Breaker(k), "f")
		}
		if s := set.Breaker(5).Status(); s.Panics != 0 || set.Overflowed() != 4 || s.FailCount != 1 {
			t.Errorf("%s: %d panics and %d overflows, want 0 and 4; %d failures", name, s.Panics, set.Overflowed(), s.FailCount)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), `msg="circuit breaker set is full: failing keys replace the keys that have been idle longest" set=s keys=2`) {
		t.Errorf("logged %q, want one line", log.String())
	}
}
