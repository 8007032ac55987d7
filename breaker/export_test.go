package breaker

import "testing"

// MarksEnd forgets, when t is over, that a context has been marked: other tests
// are of programs that never mark one, whose calls take shorter ways.
func MarksEnd(t *testing.T) {
	t.Cleanup(func() { bypasses.Store(false) })
}
