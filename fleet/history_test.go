package fleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// What breakers went through is told by all processes, bounded, put back into a
// store that has lost it, and gone with the process.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, time.Second, "a", "b").start().joined()
		for range 100 {
			b := c.all[0].m.Breaker("db")
			b.Open(breaker.Order{Actor: "ana"})
			b.Close(breaker.Order{Actor: "ana"})
		}
		c.all[1].m.Breaker("db").ForceOpen(breaker.Order{Actor: "bob", Reason: "drill"})
		read := func() (of map[string]int) {
			t.Helper()
			past, err := c.all[2].f.Group().History(t.Context(), "db")
			if err != nil {
				t.Fatal(err)
			}
			of = map[string]int{}
			for i, p := range past {
				of[p.Member]++
				if i > 0 && p.At.After(past[i-1].At) {
					t.Errorf("%s after %s", p.At, past[i-1].At)
				}
			}
			return of
		}
		time.Sleep(10 * time.Second)
		if of := read(); of["pod-0"] != 32 || of["pod-1"] != 1 || len(of) != 2 {
			t.Errorf("%v", of)
		}
		c.store.Flush()
		time.Sleep(90 * time.Second)
		if of := read(); of["pod-0"] != 32 || of["pod-1"] != 1 {
			t.Errorf("after a flush: %v", of)
		}
		c.leave(c.all[0])
		if of := read(); of["pod-0"] != 0 {
			t.Errorf("it has left, and its history is still there")
		}
	})
}
