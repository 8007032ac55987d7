package demo

import (
	"context"
	"net/http"
	"time"
)

// scene is a part of the script: something is done to the shop's dependencies,
// and lasts for a while.
type scene struct {
	says string
	calm bool // all dependencies work in it
	last time.Duration
	do   func(context.Context, *shop) error
}

// script is what happens, again and again. Each failure lasts longer than the
// breaker's first open time, so that a probe is seen to fail, and each calm
// period lasts longer than the rest of the second open time.
var script = []scene{
	{"every server answers", true, 1500 * time.Millisecond, calm},
	{"the payments server is stopped: connections are refused", false, 2500 * time.Millisecond, stop},
	{"the payments server is started again", true, 2500 * time.Millisecond, calm},
	{"the payments server hangs: it takes calls and never answers", false, 2500 * time.Millisecond, ail(trouble{hang: true})},
	{"the payments server answers again", true, 2500 * time.Millisecond, calm},
	{"the payments server is slow: it answers after 150ms", false, 2500 * time.Millisecond, ail(trouble{delay: 150 * time.Millisecond})},
	{"the payments server is fast again", true, 2500 * time.Millisecond, calm},
	{"the inventory server fails for one tenant, globex", false, 1500 * time.Millisecond, failTenant("globex")},
	{"the inventory server answers for globex again", true, 2500 * time.Millisecond, calm},
}

func calm(ctx context.Context, s *shop) error {
	s.payments.trouble.Store(&trouble{})
	s.inventory.trouble.Store(&trouble{})
	return s.payments.start(ctx)
}

func stop(_ context.Context, s *shop) error {
	s.payments.stop()
	return nil
}

func ail(t trouble) func(context.Context, *shop) error {
	return func(_ context.Context, s *shop) error {
		s.payments.trouble.Store(&t)
		return nil
	}
}

func failTenant(tenant string) func(context.Context, *shop) error {
	return func(_ context.Context, s *shop) error {
		s.inventory.trouble.Store(&trouble{status: http.StatusServiceUnavailable, tenant: tenant})
		return nil
	}
}
