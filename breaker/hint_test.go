package breaker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

type busyPanics struct{ error }

func (busyPanics) RetryAfter() time.Duration { panic("hint") }

func TestHint(t *testing.T) {
	const s = time.Second
	ten := Settings{FailMax: 1, ResetTimeout: 10 * s}
	limited := ten
	limited.ResetMax = 30 * s
	tight := ten
	tight.ResetMax = 10 * s
	for _, c := range []struct {
		name string
		s    Settings
		err  error
		want time.Duration
		hint time.Duration // on record
	}{
		{"none", ten, errX, 10 * s, 0},
		{"longer", ten, busy{25 * s}, 25 * s, 25 * s},
		{"wrapped", ten, fmt.Errorf("charge: %w", fmt.Errorf("post: %w", busy{25 * s})), 25 * s, 25 * s},
		{"joined", ten, errors.Join(errX, busy{25 * s}), 25 * s, 25 * s},
		{"shorter", ten, busy{5 * s}, 10 * s, 0},
		{"as long", ten, busy{10 * s}, 10 * s, 0},
		{"negative", ten, busy{-5 * s}, 10 * s, 0},
		{"no longer by ResetMax", tight, busy{time.Hour}, 10 * s, 0},
		{"beyond ten times", ten, busy{time.Hour}, 100 * s, time.Hour},
		{"beyond ResetMax", limited, busy{time.Hour}, 30 * s, time.Hour},
		{"panics", ten, busyPanics{errX}, 10 * s, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("x", c.s)
			_ = b.Do(t.Context(), func(context.Context) error { return c.err })
			h := b.History()
			if len(h) != 1 || h[0].OpenFor != c.want || h[0].HintedFor != c.hint || b.Status().UntilHalfOpen != c.want {
				t.Errorf("%s: history %+v, want open for %s", c.name, h, c.want)
			}
			var open *OpenError
			if err := b.Do(t.Context(), nop); !errors.As(err, &open) || open.RetryAfter() != c.want {
				t.Errorf("%s: rejected with %v", c.name, err)
			}
		})
	}
}

// The hint of a failing probe counts, too. A hint has no effect in a closed
// breaker that does not open.
func TestHintOfAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 3, ResetTimeout: 10 * time.Second})
		hinted := func(context.Context) error { return busy{20 * time.Second} }
		_ = b.Do(t.Context(), hinted)
		_ = b.Do(t.Context(), hinted)
		play(b, "f")
		if d := b.Status().UntilHalfOpen; d != 10*time.Second {
			t.Errorf("hints of earlier failures lengthen the open time to %s", d)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		_ = b.Do(t.Context(), hinted)
		if d := b.Status().UntilHalfOpen; d != 20*time.Second {
			t.Errorf("after the probe's hint open for %s, want 20s", d)
		}
	})
}
