package meter

import "github.com/switchgear-go/switchgear/breaker"

// EachCalls calls f for each name whose calls are or were observed (see
// breaker.Manager.Observe) and each outcome: "success", "failure", "ignored" and
// "rejected".
func EachCalls(m *breaker.Manager, f func(name, outcome string, n uint64)) {
	for name, c := range m.Calls() {
		f(name, "success", c.Successes)
		f(name, "failure", c.Failures)
		f(name, "ignored", c.Ignored)
		f(name, "rejected", c.Rejected)
	}
}
