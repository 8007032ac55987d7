// Package breakertest helps to test settings of circuit breakers: that they
// open on a fault within so many calls or so much time, and stay closed on
// another. A Scenario is settings and a Fault; a Recorder listens to a breaker
// of your own.
//
// Scenarios take the time that they describe. Run them in a bubble of
// testing/synctest, where hours pass at once:
//
//	func TestPaymentsOpensInTime(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			breakertest.AssertOpens(t, breakertest.Scenario{
//				Settings: payments,
//				Fault:    breakertest.Dead(2 * time.Second),
//			}, breakertest.Limit{Calls: 30, Time: 5 * time.Second})
//		})
//	}
package breakertest
