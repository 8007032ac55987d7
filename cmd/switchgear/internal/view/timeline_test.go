package view

import (
	"slices"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

func TestMerge(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	event := func(process, id string, after time.Duration, e ops.Event) Happening {
		e.ID, e.At = id, began.Add(after)
		return Happening{process, e}
	}
	moved := func(order breaker.Verb) ops.Event {
		cause := breaker.CauseConsecutive
		if order != "" {
			cause = breaker.CauseOrder
		}
		return ops.Event{Kind: ops.EventTransition, Transition: &breaker.Transition{To: breaker.Open, Cause: cause, Order: order, Actor: "ana"}}
	}
	ordered := func(verb breaker.Verb, actor string) ops.Event {
		return ops.Event{Kind: ops.EventOrder, Order: &ops.OrderEvent{Verb: verb, Actor: actor}}
	}
	got := Merge([]Happening{
		event("b", "x", 3*time.Second, moved("")),
		event("a", "x", 1*time.Second, ordered(breaker.VerbOpen, "ana")),   // the transition says it
		event("a", "y", 1*time.Second, ordered(breaker.VerbOpen, "ana")),   // it changed nothing
		event("b", "x", 1*time.Second, ordered(breaker.VerbOpen, "ana")),   // it was another process
		event("a", "x", 1*time.Second, ordered(breaker.VerbOpen, "bob")),   // so did another person
		event("a", "x", 1*time.Second, ordered(breaker.VerbClose, "ana")),  // another order
		event("a", "x/*", 1*time.Second, ordered(breaker.VerbOpen, "ana")), // one for many
		event("a", "x", 2*time.Second, moved(breaker.VerbOpen)),
		event("a", "x", time.Hour, moved(breaker.VerbClose)), // much later
	})
	var lines []string
	for i := range got {
		lines = append(lines, got[i].Process+" "+got[i].ID+" "+What(&got[i].Event).Text+" "+Who(&got[i].Event))
	}
	want := []string{"a y open ana", "a x open bob", "a x close ana", "a x/* open ana", "b x open ana", "a x closed -> OPEN ana", "b x closed -> OPEN ana", "a x closed -> OPEN ana"}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%q\nwant\n%q", lines, want)
	}
}
