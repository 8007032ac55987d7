package breakerprom_test

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchgear-go/switchgear/adapters/breakerprom"
	"github.com/switchgear-go/switchgear/breaker"
)

// The breakers of a manager, shown to Prometheus.
func Example() {
	manager := breaker.NewManager(breaker.Settings{})
	registry := prometheus.NewRegistry()
	registry.MustRegister(breakerprom.NewCollector(manager))

	manager.Breaker("payments").ForceOpen(breaker.Order{Actor: "ana", Reason: "migration"})

	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range families {
		if f.GetName() != "switchgear_breakers" {
			continue
		}
		for _, m := range f.GetMetric() {
			fmt.Println(m.GetLabel()[0].GetValue(), m.GetLabel()[1].GetValue(), m.GetGauge().GetValue())
		}
	}
	// Output:
	// payments closed 0
	// payments forced-closed 0
	// payments forced-open 1
	// payments half-open 0
	// payments open 0
}
