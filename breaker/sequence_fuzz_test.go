package breaker

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

// FuzzSequence takes long sequences of calls, orders, updates and waits on a
// breaker and on the specification. Unlike the explorer it never takes two
// states for the same, and it goes far.
func FuzzSequence(f *testing.F) {
	all := explorations()
	for i := range all {
		all[i].orders = 1 << 30
		f.Add([]byte{byte(i), 0, 1, 0, 1, 2, 2, 9, 3, 0, 0, 7, 11, 12, 1, 1, 5, 6, 2, 2, 8, 30, 4, 77, 3, 1})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > 400 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(&all[int(data[0])%len(all)])
			defer w.close()
			var trace []string
			for _, c := range data[1:] {
				steps := w.steps()
				s := steps[int(c)%len(steps)]
				trace = append(trace, s.String())
				if err := w.take(s); err != nil {
					t.Fatalf("%s: %v\nafter\n\t%s", w.cfg.name, err, strings.Join(trace, "\n\t"))
				}
			}
			if err := w.live(); err != nil {
				t.Fatalf("%s: I2: %v\nafter\n\t%s", w.cfg.name, err, strings.Join(trace, "\n\t"))
			}
		})
	})
}

// FuzzID looks up what may or may not be an id: what exists is found by its
// ID and by nothing else, and looking makes nothing (I12).
func FuzzID(f *testing.F) {
	for _, id := range []string{"a", "set/k", "set/", "set//", "a/b", "", "/", "set/(overflow)", "\x00", "größe", "a ", strings.Repeat("x", 129)} {
		f.Add(id, "k")
	}
	f.Fuzz(func(t *testing.T, id, key string) {
		var m Manager
		set := SetOf[string](&m, "set")
		keyed := set.Breaker(key)
		made, err := m.Create(id, Settings{})
		if valid := ValidateName(id) == nil; valid && id != "set" && err != nil || !valid && !errors.Is(err, ErrName) {
			t.Fatalf("Create(%q) = %v", id, err)
		}
		if err == nil {
			if got, err := m.Lookup(made.ID()); got != made {
				t.Fatalf("Lookup(%q) = %v, %v, want what Create made", made.ID(), got, err)
			}
		}
		if got, err := m.Lookup(keyed.ID()); got != keyed {
			t.Fatalf("Lookup(%q) = %v, %v, want the breaker of key %q", keyed.ID(), got, err, key)
		}
		before := len(m.Status())
		got, err := m.Lookup(id)
		if err == nil && got.ID() != id {
			t.Fatalf("Lookup(%q) found %q", id, got.ID())
		}
		var unknown *UnknownError
		if err != nil && (!errors.As(err, &unknown) || unknown.ID != id) {
			t.Fatalf("Lookup(%q) = %v, want an UnknownError with that id", id, err)
		}
		if after := len(m.Status()); after != before {
			t.Fatalf("Lookup(%q) made %d breakers", id, after-before)
		}
	})
}
