package breakerotel

import (
	"reflect"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/metric"

	"github.com/switchgear-go/switchgear/breaker"
)

// registered has the registrations of the program, the oldest first, as a provider
// does not tell what it shows. The mutex guards it.
var registered struct {
	sync.Mutex
	claims []*claim
}

// claim is the right to show a manager by a provider.
type claim struct {
	manager  *breaker.Manager
	provider metric.MeterProvider
}

// newClaim returns a claim, to be released, or nil if there is one already.
func newClaim(m *breaker.Manager, p metric.MeterProvider) *claim {
	c := &claim{m, p}
	registered.Lock()
	registered.claims = append(registered.claims, c)
	registered.Unlock()
	if c.void() {
		c.release()
		return nil
	}
	return c
}

func (c *claim) release() {
	registered.Lock()
	defer registered.Unlock()
	registered.claims = slices.DeleteFunc(registered.claims, func(other *claim) bool { return other == c })
}

// void reports whether an older claim shows the same. That can change: from
// otel.SetMeterProvider on, the global provider of before is the one that was set.
func (c *claim) void() bool {
	registered.Lock()
	older := slices.Clone(registered.claims[:max(0, slices.Index(registered.claims, c))])
	registered.Unlock()
	return slices.ContainsFunc(older, func(other *claim) bool {
		return other.manager == c.manager && same(other.provider, c.provider)
	})
}

// same reports whether two providers are one. A provider that passes everything on
// to another, as the global one does, has the meters of that one.
func same(a, b metric.MeterProvider) bool {
	if reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b {
		return true
	}
	x, y := reflect.ValueOf(a.Meter(scope)), reflect.ValueOf(b.Meter(scope))
	return x.Kind() == reflect.Pointer && y.Kind() == reflect.Pointer && x.Type() == y.Type() && x.Pointer() == y.Pointer()
}
