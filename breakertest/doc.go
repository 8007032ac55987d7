// Package breakertest helps to test the settings of circuit breakers: that a
// breaker opens on one fault within a given number of calls or time, and stays
// closed on another. A Scenario consists of settings and a Fault. A Recorder
// records what a breaker of your own does.
//
// Scenarios take the time that they describe. Run them in a testing/synctest
// bubble, where hours pass at once:
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
