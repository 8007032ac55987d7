package metrics_test

import (
	"fmt"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/metrics"
)

// An exporter of your own: a line for each breaker and set, at each scrape.
func ExampleGroups() {
	var manager breaker.Manager
	manager.Breaker("payments")
	tenants := breaker.SetOf[string](&manager, "tenants")
	tenants.Breaker("acme")
	if err := tenants.Breaker("globex").Open(breaker.Order{Actor: "ana"}); err != nil {
		fmt.Println(err)
	}

	for _, g := range metrics.Groups(&manager, time.Now()) {
		fmt.Println(g.Name, "closed", g.States[breaker.Closed], "open", g.States[breaker.Open])
	}
	// Output:
	// payments closed 1 open 0
	// tenants closed 1 open 1
}
