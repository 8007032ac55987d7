package fleet_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
)

// Keys of sets may have any bytes. They take part as others do, and their ids are the
// same on screens and in orders. These are JSON, which cannot hold invalid UTF-8.
func TestKeysWithOddBytes(t *testing.T) {
	for name, key := range map[string]string{
		"a line end": "a\nb", "escapes": "\x1b[31m\x00", "a slash": "x/y", "a star": "*", "quotes": `"'\`,
		"an emoji": "\U0001f4a5", "long": strings.Repeat("k", 400), "no UTF-8": "\xff\xfe",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrew(t, 3, 0).withPlanes().start().joined()
				var ids []string
				for _, x := range c.all {
					set := breaker.SetOf[string](&x.m, "tenant")
					for range 4 { // its own rule needs five
						_ = set.Do(t.Context(), key, func(context.Context) error { return errDown })
					}
					ids = append(ids, set.Breaker(key).ID())
				}
				id := ids[0]
				state := func(x *mate) breaker.State {
					b, err := x.m.Lookup(id)
					if err != nil {
						t.Fatal(err)
					}
					return b.State()
				}
				c.until(15*time.Second, "all are open by the verdict", func() bool {
					return !slices.ContainsFunc(c.all, func(x *mate) bool { return state(x) != breaker.Open })
				})
				g := c.all[0].f.Group()
				v, err := g.View(t.Context())
				if err != nil || !slices.ContainsFunc(v.Breakers, func(b fleet.Breaker) bool { return b.ID == id }) {
					t.Errorf("it is not on the screen: %v", err)
				}
				if !utf8.ValidString(key) {
					return
				}
				time.Sleep(time.Minute)
				past, err := g.History(t.Context(), id)
				if err != nil || len(past) < 3 {
					t.Errorf("%d of it in the history, want 3 and more: %v", len(past), err)
				}
				if r := c.order(forceOpen(id, time.Hour)); len(r.Done) != 3 {
					t.Errorf("an order for it: %s", r)
				}
				for _, x := range c.all {
					if s := state(x); s != breaker.ForcedOpen {
						t.Errorf("%s is %s by order, want forced-open", x.Member, s)
					}
				}
			})
		})
	}
}
