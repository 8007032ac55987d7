package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

func TestOrders(t *testing.T) {
	m := shop(t)
	p := ops.New(m, ops.Options{})
	defer p.Close()
	for _, c := range []struct {
		order   ops.Order
		state   breaker.State
		touched int
	}{
		{ops.Order{ID: "payments", Verb: breaker.VerbOpen}, breaker.Open, 1},
		{ops.Order{ID: "payments", Verb: breaker.VerbHalfOpen}, breaker.HalfOpen, 1},
		{ops.Order{ID: "payments", Verb: breaker.VerbClose}, breaker.Closed, 1},
		{ops.Order{ID: "payments", Verb: breaker.VerbForceOpen, Reason: "INC-42", For: ops.Duration(time.Minute)}, breaker.ForcedOpen, 1},
		{ops.Order{ID: "payments", Verb: breaker.VerbForceClosed, Reason: "INC-42", NoExpiry: true}, breaker.ForcedClosed, 1},
		{ops.Order{ID: "payments", Verb: breaker.VerbRelease}, breaker.Closed, 1},
		{ops.Order{ID: "payments", Verb: breaker.VerbRelease}, breaker.Closed, 0},
		{ops.Order{ID: "tenants/c/d", Verb: breaker.VerbOpen, For: ops.Duration(time.Hour)}, breaker.Open, 1},
	} {
		c.order.Actor = "ana"
		before, _ := m.Lookup(c.order.ID)
		was := before.Status()

		dry := c.order
		dry.DryRun = true
		r, err := p.Do(dry, program)
		if err != nil || r.Touched != c.touched || r.Results[0].After != c.state || !r.DryRun {
			t.Errorf("%s, dry: %+v, %v, want %s and %d touched", c.order.Verb, r, err, c.state, c.touched)
		}
		if now := before.Status(); now.Version != was.Version {
			t.Errorf("%s, dry, moved the breaker to version %d", c.order.Verb, now.Version)
		}

		r, err = p.Do(c.order, program)
		if err != nil {
			t.Fatalf("%s: %v", c.order.Verb, err)
		}
		want := breaker.Receipt{ID: c.order.ID, Before: was.State, After: c.state, From: was.Version, Version: was.Version + uint64(c.touched)}
		if r.Results[0].Receipt != want || r.Touched != c.touched || r.Matched != 1 {
			t.Errorf("%s: receipt %+v, want %+v and %d touched", c.order.Verb, r, want, c.touched)
		}
		if got := before.State(); got != c.state {
			t.Errorf("%s: state is %s, want %s", c.order.Verb, got, c.state)
		}
	}
}

func TestInvalidOrdersChangeNothing(t *testing.T) {
	m := shop(t)
	p := ops.New(m, ops.Options{})
	defer p.Close()
	before, _ := json.Marshal(m.Status())
	patch := json.RawMessage(`{}`)
	for name, c := range map[string]struct {
		order ops.Order
		want  error
		says  string
	}{
		"no id":               {ops.Order{Verb: breaker.VerbOpen, Actor: "ana"}, breaker.ErrOrder, "no id"},
		"no actor":            {ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: " "}, breaker.ErrOrder, "no actor"},
		"no verb":             {ops.Order{ID: "payments", Actor: "ana"}, breaker.ErrOrder, "want open, close"},
		"trip":                {ops.Order{ID: "payments", Verb: "trip", Actor: "ana"}, breaker.ErrOrder, `"trip"`},
		"typo":                {ops.Order{ID: "paymnets", Verb: breaker.VerbOpen, Actor: "ana"}, breaker.ErrUnknown, "payments"},
		"typo in key":         {ops.Order{ID: "tenants/x", Verb: breaker.VerbOpen, Actor: "ana"}, breaker.ErrUnknown, "tenants/a"},
		"typo in set":         {ops.Order{ID: "tenant/*", Verb: breaker.VerbOpen, Actor: "ana", Confirm: 3}, breaker.ErrUnknown, "tenants"},
		"set for id":          {ops.Order{ID: "tenants", Verb: breaker.VerbOpen, Actor: "ana"}, breaker.ErrUnknown, "tenants/*"},
		"no end":              {ops.Order{ID: "payments", Verb: breaker.VerbForceOpen, Actor: "ana", Reason: "x"}, breaker.ErrOrder, "no_expiry"},
		"two ends":            {ops.Order{ID: "payments", Verb: breaker.VerbForceOpen, Actor: "ana", Reason: "x", For: 1, NoExpiry: true}, breaker.ErrOrder, "one of them"},
		"no reason":           {ops.Order{ID: "payments", Verb: breaker.VerbForceOpen, Actor: "ana", For: 1}, breaker.ErrOrder, "reason"},
		"negative time":       {ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana", For: -1}, breaker.ErrOrder, "above 0"},
		"close for a time":    {ops.Order{ID: "payments", Verb: breaker.VerbClose, Actor: "ana", For: 1}, breaker.ErrOrder, "no time"},
		"close with settings": {ops.Order{ID: "payments", Verb: breaker.VerbClose, Actor: "ana", Settings: patch}, breaker.ErrOrder, "settings"},
		"close, no expiry":    {ops.Order{ID: "payments", Verb: breaker.VerbClose, Actor: "ana", NoExpiry: true}, breaker.ErrOrder, "no_expiry"},
		"set nothing":         {ops.Order{ID: "payments", Verb: ops.VerbSet, Actor: "ana"}, breaker.ErrOrder, "settings"},
		"set all":             {ops.Order{ID: "*", Verb: ops.VerbSet, Actor: "ana", Settings: patch}, breaker.ErrOrder, "name/*"},
		"version of many":     {ops.Order{ID: "*", Verb: breaker.VerbOpen, Actor: "ana", IfVersion: 1}, breaker.ErrOrder, "version"},
		"old version":         {ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana", IfVersion: 9}, breaker.ErrVersion, "version 1"},
		"many, unconfirmed":   {ops.Order{ID: "tenants/*", Verb: breaker.VerbOpen, Actor: "ana"}, ops.ErrConfirm, "3 breakers"},
		"more than confirmed": {ops.Order{ID: "*", Verb: breaker.VerbOpen, Actor: "ana", Confirm: 4}, ops.ErrConfirm, "5 breakers"},
		"control character":   {ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "a\x1b[2Jb"}, breaker.ErrOrder, "control"},
		"long reason":         {ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana", Reason: strings.Repeat("x", 2001)}, breaker.ErrOrder, "at most 2000"},
		"bad patch":           {ops.Order{ID: "payments", Verb: ops.VerbSet, Actor: "ana", Settings: json.RawMessage(`7`)}, breaker.ErrSettings, ""},
	} {
		_, err := p.Do(c.order, program)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v that says %q", name, err, c.want, c.says)
		}
	}
	if after, _ := json.Marshal(m.Status()); string(after) != string(before) {
		t.Errorf("status was\n%s\nand is\n%s", before, after)
	}
}

func TestWildcards(t *testing.T) {
	m := shop(t)
	p := ops.New(m, ops.Options{})
	defer p.Close()
	o := ops.Order{ID: "tenants/*", Verb: breaker.VerbForceOpen, Actor: "ana", Reason: "INC-42", NoExpiry: true, DryRun: true}
	r, err := p.Do(o, program)
	if err != nil || r.Matched != 3 || r.Touched != 3 {
		t.Fatalf("dry run = %+v, %v, want 3", r, err)
	}
	o.DryRun, o.Confirm = false, r.Matched
	r, err = p.Do(o, program)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, x := range r.Results {
		ids = append(ids, x.ID+" "+x.After.String())
	}
	want := []string{"tenants/a forced-open", "tenants/b forced-open", "tenants/c/d forced-open"}
	if !slices.Equal(ids, want) || r.Touched != 3 {
		t.Errorf("receipt has %q, want %q", ids, want)
	}
	later := breaker.SetOf[string](m, "tenants").Breaker("later")
	if !strings.Contains(r.Note, "keys that tenants creates later are not affected") || later.State() != breaker.Closed {
		t.Errorf("the note is %q, and a key made later is %s", r.Note, later.State())
	}
	r, err = p.Do(ops.Order{ID: "*", Verb: breaker.VerbRelease, Actor: "ana", Confirm: 6}, program)
	if err != nil || r.Matched != 6 || r.Touched != 3 || r.Note != "" {
		t.Errorf("release of all = %+v, %v, want 6 matched, 3 touched and no note", r, err)
	}
}

// An order must take effect while every call hangs (I5).
func TestOrderDoesNotWaitForCalls(t *testing.T) {
	m := shop(t)
	p := ops.New(m, ops.Options{})
	defer p.Close()
	b := m.Breaker("payments")
	hang, running := make(chan struct{}), make(chan struct{}, 100)
	done := make(chan error, 100)
	for range 100 {
		go func() {
			done <- b.Do(ctx, func(context.Context) error {
				running <- struct{}{}
				<-hang
				return nil
			})
		}()
	}
	for range 100 {
		<-running
	}
	if _, err := p.Do(ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana"}, program); err != nil {
		t.Fatal(err)
	}
	if got := b.State(); got != breaker.Open {
		t.Errorf("state is %s while calls hang, want open", got)
	}
	close(hang)
	for range 100 {
		if err := <-done; err != nil {
			t.Errorf("a call that had been admitted ended with %v", err)
		}
	}
}
