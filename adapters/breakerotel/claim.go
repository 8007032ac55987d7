package breakerotel

import (
	"fmt"
	"reflect"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	"github.com/switchgear-go/switchgear/breaker"
)

// pair is a manager and the provider that shows it.
type pair struct {
	manager  *breaker.Manager
	provider metric.MeterProvider
}

// registered has the pairs of the program, as a provider does not tell what it
// shows. The mutex guards it.
var registered = struct {
	sync.Mutex
	pairs map[pair]bool
}{pairs: map[pair]bool{}}

// claim reserves a pair until release is called. A provider that cannot be
// compared is not told from others.
func claim(m *breaker.Manager, p metric.MeterProvider) (release func(), ok bool) {
	if !reflect.ValueOf(p).Comparable() {
		return func() {}, true
	}
	registered.Lock()
	defer registered.Unlock()
	key := pair{m, p}
	if registered.pairs[key] || isGlobal(p) && registered.pairs[pair{m, placeholder}] {
		return nil, false
	}
	registered.pairs[key] = true
	return func() {
		registered.Lock()
		defer registered.Unlock()
		delete(registered.pairs, key)
	}, true
}

// placeholder is the global provider of a program that has not set one yet, or
// nil. From otel.SetMeterProvider on it passes everything to the one that was set,
// so that two providers are one.
var placeholder = func() metric.MeterProvider {
	// Its type has no other sign. A test meets it.
	if p := otel.GetMeterProvider(); fmt.Sprintf("%T", p) == "*global.meterProvider" {
		return p
	}
	return nil
}()

// isGlobal reports whether the placeholder stands for p.
func isGlobal(p metric.MeterProvider) bool {
	now := otel.GetMeterProvider()
	return reflect.ValueOf(now).Comparable() && p == now
}

// doubled reports whether a registration with the placeholder shows what one with
// the provider that has been set since shows too.
func doubled(m *breaker.Manager, p metric.MeterProvider) bool {
	if placeholder == nil || !reflect.ValueOf(p).Comparable() || p != placeholder {
		return false
	}
	now := otel.GetMeterProvider()
	if now == placeholder || !reflect.ValueOf(now).Comparable() {
		return false
	}
	registered.Lock()
	defer registered.Unlock()
	return registered.pairs[pair{m, now}]
}
