package breaker

import (
	"strings"
	"testing"
	"testing/synctest"
)

// FuzzSequence runs long sequences of calls, orders, updates and waits on a
// breaker and on the specification. Unlike the explorer it never treats two
// states as equal, and it runs much longer sequences.
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
