package breaker

import "testing"

// A call that looked at the word while the breaker was half-open, say, may find
// it closed once it has the lock: it runs as any other.
func TestClosedBeforeTheLock(t *testing.T) {
	for name, do := range map[string]func(*Breaker){
		"new":    func(*Breaker) {},
		"closed": func(b *Breaker) { b.HalfOpen(Order{}); play(b, "s") },
	} {
		b := New("db", Settings{})
		do(b)
		p, ok := b.admitLocking(mark{})
		if !ok {
			t.Errorf("%s: not admitted", name)
			continue
		}
		p.Done(errX)
		if n := b.FailCount(); n != 1 {
			t.Errorf("%s: %d failures, want 1", name, n)
		}
	}
}
