package main

import "time"

// briefly is how long a breaker stays open in a full cycle: less than any
// program would want, and long enough for those that mark its end by a timer.
const briefly = 100 * time.Microsecond

// cycleBatch is how many breakers share one wait.
const cycleBatch = 256

// cycled makes an operation a full cycle of one breaker: a call that fails and
// opens it, and after the open time a call that succeeds and closes it. Many
// breakers open in a row and then close in a row, and the wait between is
// taken out of the time: it says nothing about the breaker.
func cycled(build func() maker) maker {
	return func(w *work) loop {
		guards := make([]loop, cycleBatch)
		for i := range guards {
			guards[i] = build()(w)
		}
		return func(n int) (errs int) {
			for ; n > 0; n -= cycleBatch {
				some := guards[:min(n, cycleBatch)]
				for _, one := range some {
					w.failNext()
					errs += one(1)
				}
				w.wait(3 * briefly)
				for _, one := range some {
					for one(1) != 0 { // a timer is late
						errs++
						w.wait(briefly)
					}
				}
			}
			return errs
		}
	}
}

// wait sleeps, off the clock.
func (w *work) wait(d time.Duration) {
	start := time.Now()
	time.Sleep(d)
	w.waited += time.Since(start)
}
