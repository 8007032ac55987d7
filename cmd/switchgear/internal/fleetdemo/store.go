package fleetdemo

import (
	"time"

	"github.com/alicebob/miniredis/v2"
)

// runStore runs a store in this process. What expires in it does so by a clock
// that has to be moved.
func runStore() (addr string, stop func(), err error) {
	const step = 100 * time.Millisecond
	m, err := miniredis.Run()
	if err != nil {
		return "", nil, err
	}
	tick := time.NewTicker(step)
	end := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-tick.C:
				m.FastForward(step)
			case <-end:
				return
			}
		}
	}()
	return m.Addr(), func() {
		tick.Stop()
		close(end)
		<-done
		m.Close()
	}, nil
}
