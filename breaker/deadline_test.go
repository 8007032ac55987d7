package breaker

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A deadline that passes during a call is a failure from the first call on,
// however late the call returns. A context that was over before is not.
func TestDeadlineOfAPermit(t *testing.T) {
	settings := map[string]Settings{
		"plain":   {},
		"counted": {FailureRate: 0.5, Window: time.Minute},
		"timed":   {SlowCall: time.Hour},
	}
	ends := map[string]func(*Permit, context.Context){
		"DoneContext": func(p *Permit, ctx context.Context) { _ = p.DoneContext(ctx, context.DeadlineExceeded) },
		"Settle":      func(p *Permit, ctx context.Context) { _ = p.Settle(ctx, Failure, context.DeadlineExceeded) },
	}
	for kind, s := range settings {
		for how, end := range ends {
			for late, want := range map[bool]int{false: 1, true: 0} {
				t.Run(fmt.Sprintf("%s, %s, late %v", kind, how, late), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := New("api", s)
						ctx, cancel := context.WithTimeout(bg, time.Second)
						defer cancel()
						if late {
							time.Sleep(2 * time.Second)
						}
						p, err := b.AllowContext(ctx)
						if err != nil {
							t.Fatal(err)
						}
						time.Sleep(5 * time.Second)
						end(&p, ctx)
						if got := b.FailCount(); got != want {
							t.Errorf("%d failures are on record, want %d", got, want)
						}
					})
				})
			}
		}
	}
}
