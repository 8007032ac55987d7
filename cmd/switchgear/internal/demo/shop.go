package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

const (
	payments  = "payments"
	inventory = "inventory"

	callTimeout    = 250 * time.Millisecond
	paymentsEvery  = 25 * time.Millisecond
	inventoryEvery = 100 * time.Millisecond // for each tenant
)

var tenants = []string{"acme", "globex", "initech", "umbrella"}

// The settings are short, so that a minute shows what would take a production
// system an hour.
var (
	paymentsSettings = breaker.Settings{
		FailMax: -1, FailureRate: 0.5, MinCalls: 10, Window: time.Second,
		SlowCall: 100 * time.Millisecond, SlowRate: 0.5,
		ResetTimeout: time.Second, ResetBackoff: 1.5, ResetMax: 4 * time.Second, ResetJitter: 0.1,
		SuccessThreshold: 2, Ramp: 500 * time.Millisecond,
	}
	inventorySettings = breaker.Settings{FailMax: 3, ResetTimeout: time.Second}
)

// shop sells things: for each sale it calls the two dependencies, through
// breakers of one manager.
type shop struct {
	manager   *breaker.Manager
	pay       *breaker.Breaker
	stock     *breaker.Set[string]
	payments  *dependency
	inventory *dependency
	client    *http.Client
	calls     sync.WaitGroup
	tally     tallies
}

// newShop starts the dependencies. The listener receives the events of every
// breaker.
func newShop(l breaker.Listener) (*shop, error) {
	s := &shop{
		manager: breaker.NewManager(breaker.Settings{}, breaker.WithListener(l)),
		client: &http.Client{
			Timeout:   callTimeout,
			Transport: &http.Transport{MaxIdleConnsPerHost: 16},
		},
	}
	err := s.open()
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *shop) open() (err error) {
	if s.pay, err = s.manager.Create(payments, paymentsSettings); err != nil {
		return err
	}
	if s.stock, err = breaker.CreateSet[string](s.manager, inventory, inventorySettings, breaker.SetOptions{}); err != nil {
		return err
	}
	for _, t := range tenants {
		s.stock.Breaker(t) // so that status shows it before its first failure
	}
	if s.payments, err = newDependency(); err != nil {
		return err
	}
	s.inventory, err = newDependency()
	return err
}

// close waits for the calls in flight, which have a time limit, and stops the
// dependencies.
func (s *shop) close() {
	s.calls.Wait()
	for _, d := range []*dependency{s.payments, s.inventory} {
		if d != nil {
			d.stop()
		}
	}
	s.client.CloseIdleConnections()
}

// trade calls the dependencies until ctx is done.
func (s *shop) trade(ctx context.Context) {
	s.every(ctx, paymentsEvery, func() {
		s.tally.add(payments, s.pay.Do(ctx, func(ctx context.Context) error {
			return s.get(ctx, s.payments.url+"/charge")
		}))
	})
	for _, t := range tenants {
		s.every(ctx, inventoryEvery, func() {
			s.tally.add(inventory, s.stock.Do(ctx, t, func(ctx context.Context) error {
				return s.get(ctx, s.inventory.url+"/stock/"+t)
			}))
		})
	}
}

// every begins a call at each beat, whatever has become of the calls before:
// customers do not wait for one another.
func (s *shop) every(ctx context.Context, beat time.Duration, call func()) {
	s.calls.Go(func() {
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				s.calls.Go(call)
			}
		}
	})
}

func (s *shop) get(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err // without the address, which the breaker's name stands for
		}
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode >= 500 {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	return nil
}
