package breaker_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

func ExampleTransition_Summary() {
	b := breaker.New("payments", breaker.Settings{FailMax: 2})
	b.AddListener(breaker.Listener{StateChange: func(b *breaker.Breaker, t breaker.Transition) {
		fmt.Printf("%s %s: %s\n", b.ID(), t.To, t.Summary())
	}})
	for range 2 {
		p, err := b.Allow()
		if err != nil {
			fmt.Println(err)
			return
		}
		p.Done(errors.New("connection refused"))
	}
	b.ForceClosed(breaker.Order{Actor: "ana", Reason: "vendor says it is back", For: time.Minute})
	// Output:
	// payments open: 2 failures in a row; last error: connection refused
	// payments forced-closed: forced closed by ana ("vendor says it is back")
}
