package ops_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// Orders that come in another way than over HTTP or the socket, such as from a
// queue of messages.
func ExampleParseOrder() {
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("payments")
	p := ops.New(m, ops.Options{})
	defer p.Close()
	handle := func(message []byte) (reply any) {
		var order ops.Order
		if err := ops.ParseOrder(message, &order); err != nil {
			return ops.AsError(err)
		}
		receipt, err := p.Do(order, ops.Peer{Transport: "queue"})
		if err != nil {
			return ops.AsError(err)
		}
		return receipt.Results[0]
	}

	for _, message := range []string{
		`{"id": "payments", "verb": "open", "actor": "ana"}`,
		`{"id": "payments", "verb": "open", "actor": "ana", "actor": "ben"}`,
		`{"id": "payment", "verb": "open", "actor": "ana"}`,
	} {
		reply, err := json.Marshal(handle([]byte(message)))
		if err != nil {
			fmt.Println(err)
		}
		fmt.Println(string(reply))
	}
	// Output:
	// {"id":"payments","before":"closed","after":"open","from_version":1,"version":2}
	// {"code":"order","message":"invalid order: actor appears twice, want it once"}
	// {"code":"unknown","message":"unknown breaker \"payment\", did you mean \"payments\"?","id":"payment","near":["payments"]}
}

// The breakers of several processes in one list, the worst first.
func ExampleCompareStatus() {
	var all []ops.Status
	for range 2 { // usually from a Client of each process
		m := breaker.NewManager(breaker.Settings{})
		name := fmt.Sprint("db-", len(all)/2)
		m.Breaker("healthy " + name)
		_ = m.Breaker(name).Open(breaker.Order{Actor: "ana"})
		p := ops.New(m, ops.Options{})
		defer p.Close()
		some, err := p.Status(ops.StatusQuery{})
		if err != nil {
			fmt.Println(err)
		}
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b ops.Status) int { return ops.CompareStatus(&a, &b) })
	for _, s := range all {
		fmt.Println(s.ID, s.State)
	}
	// Output:
	// db-0 open
	// db-1 open
	// healthy db-0 closed
	// healthy db-1 closed
}

// Each process is shown as soon as it answers.
func ExampleSockets() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	p := ops.New(breaker.NewManager(breaker.Settings{}), ops.Options{Service: "shop", RuntimeDir: dir})
	defer p.Close()
	if _, err := p.Listen(); err != nil {
		fmt.Println(err)
		return
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	answers := make(chan ops.Found)
	found := ops.Sockets(dir)
	for _, f := range found {
		go func() {
			f.Ask(ctx)
			answers <- f
		}()
	}
	for range found {
		if f := <-answers; f.Process != nil && strings.HasPrefix(f.Path, dir) { // others may run on this host
			fmt.Println(f.Process.Service, "answers")
		}
	}
	// Output:
	// shop answers
}
