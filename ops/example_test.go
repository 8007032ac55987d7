package ops_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// A process that can be seen and operated from a shell, and from a browser by
// people who are signed in.
func ExamplePlane_Handler() {
	m := breaker.NewManager(breaker.Settings{})
	p := ops.New(m, ops.Options{
		Authorize: func(r *http.Request, order *ops.Order) error {
			user := r.Header.Get("X-Forwarded-User") // set by the proxy in front
			if user == "" {
				return errors.New("sign in to give orders")
			}
			order.Actor = user
			return nil
		},
	})
	defer p.Close()
	mux := http.NewServeMux()
	mux.Handle("/ops/", p.Handler())
	server := httptest.NewServer(mux)
	defer server.Close()

	m.Breaker("payments")
	c, err := ops.NewClient(server.URL + "/ops/")
	if err != nil {
		fmt.Println(err)
		return
	}
	order := ops.Order{ID: "payments", Verb: breaker.VerbForceOpen, Actor: "me", Reason: "INC-42", For: ops.Duration(10 * time.Minute)}
	if _, err := c.Order(context.Background(), order); err != nil {
		fmt.Println(err)
	}
	c.Header.Set("X-Forwarded-User", "ana")
	receipt, err := c.Order(context.Background(), order)
	if err != nil {
		fmt.Println(err)
		return
	}
	done := receipt.Results[0]
	fmt.Println(done.ID, done.Before, "->", done.After, "by", m.Breaker("payments").Status().Override.Actor)
	// Output:
	// not allowed: sign in to give orders
	// payments closed -> forced-open by ana
}

func ExamplePlane_Listen() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("payments")
	p := ops.New(m, ops.Options{Service: "shop", RuntimeDir: dir})
	defer p.Close()
	if _, err := p.Listen(); err != nil {
		fmt.Println(err)
		return
	}

	for _, found := range ops.Processes(context.Background(), dir) { // usually in another program
		if found.Process == nil || found.Process.Service != "shop" {
			continue
		}
		c, err := ops.NewClient(found.Path)
		if err != nil {
			fmt.Println(err)
			return
		}
		why, err := c.Explain(context.Background(), "payments")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(why[0].Explain)
	}
	// Output:
	// payments is closed and has never opened. It opens on 5 more failures in a row.
}

// Every order is in the audit log, with the hash of the line before it, so
// that a line that was edited or removed can be detected.
func ExampleVerifyAudit() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("payments")
	p := ops.New(m, ops.Options{Audit: filepath.Join(dir, "audit.log")})
	_, err = p.Do(ops.Order{
		ID: "payments", Verb: breaker.VerbForceOpen, Actor: "ana", Reason: "INC-42", For: ops.Duration(time.Minute),
	}, ops.Peer{Transport: "program"})
	if err != nil {
		fmt.Println(err)
	}
	p.Close()

	log, err := os.ReadFile(filepath.Join(dir, "audit.log"))
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := ops.VerifyAudit(bytes.NewReader(log))
	fmt.Println(report.Entries, "order:", err)

	edited := bytes.ReplaceAll(log, []byte("ana"), []byte("bob"))
	_, err = ops.VerifyAudit(bytes.NewReader(edited))
	fmt.Println("edited:", errors.Is(err, ops.ErrAudit))
	// Output:
	// 1 order: <nil>
	// edited: true
}

// What happened to the breakers of a program, with who did it and why.
func ExamplePlane_Timeline() {
	manager := breaker.NewManager(breaker.Settings{FailMax: 1})
	plane := ops.New(manager, ops.Options{})
	defer plane.Close()

	plane.Report("", "version 1.2.3 is being deployed")
	_ = manager.Breaker("payments").Do(context.Background(), func(context.Context) error { return errors.New("connection refused") })

	timeline, err := plane.Timeline(time.Now().Add(-time.Hour))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range timeline.Events {
		switch e.Kind {
		case ops.EventTransition:
			fmt.Println(e.ID, e.Transition.To, "because of", e.Transition.Summary())
		case ops.EventNotice:
			fmt.Println(e.Notice)
		}
	}
	// Output:
	// version 1.2.3 is being deployed
	// payments open because of 1 failure in a row; last error: connection refused
}
