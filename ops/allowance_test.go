package ops

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func from(addr string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = addr
	return r
}

func isBusy(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusServiceUnavailable
}

func TestClientIsAnAddress(t *testing.T) {
	g := newGate(false)
	for addr, want := range map[string]string{
		"192.0.2.7:1234":               "192.0.2.7",
		"[::ffff:192.0.2.7]:80":        "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:1":     "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1":             "fe80::/64",
		"@":                            "@", // a unix socket of the program itself
		"":                             "",
		"[2001:db8:1:2:ffff::1]:65535": "2001:db8:1:2::/64",
	} {
		if got := g.clientOf(from(addr)); got != want {
			t.Errorf("a request from %q is of %q, want %q", addr, got, want)
		}
	}
}

// Each kind of request has a separate allowance, and so has each client.
func TestAllowances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(false)
		ana, bob := from("192.0.2.1:1"), from("192.0.2.2:1")
		for k := range kinds {
			a := allowances[k]
			for i := range int(a.burst) {
				if err := g.admit(ana, k); err != nil {
					t.Fatalf("%s: after %d: %v", a.what, i, err)
				}
			}
			if err := g.admit(ana, k); err == nil {
				t.Errorf("%s: more than %g at once", a.what, a.burst)
			}
			if err := g.admit(bob, k); err != nil {
				t.Errorf("%s: another client is refused: %v", a.what, err)
			}
		}
		time.Sleep(time.Second)
		for k := range kinds {
			if err := g.admit(ana, k); err != nil {
				t.Errorf("%s: a second later: %v", allowances[k].what, err)
			}
		}
	})
}

// The owner of the socket has no rate limit, only a limit on requests in
// progress.
func TestSocketHasNoRates(t *testing.T) {
	g := newGate(true)
	for range 10_000 {
		for k := range kinds {
			if err := g.admit(from("@"), k); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(g.clients) > 1 {
		t.Errorf("%d clients, want one", len(g.clients))
	}
}

// However many addresses a client uses, what is remembered about them is
// bounded, and requests in progress are not forgotten.
func TestClientsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(false)
		leave, err := g.follow(from("192.0.2.1:1"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 * maxClients {
			time.Sleep(time.Millisecond)
			if err := g.admit(from(fmt.Sprintf("[2001:db8:%x:%x::1]:1", i>>8, i)), reads); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(g.clients); n > maxClients {
			t.Errorf("%d clients are remembered, want at most %d", n, maxClients)
		}
		if g.clients["192.0.2.1"] == nil {
			t.Error("a client with a stream was forgotten")
		}
		leave()
		if g.streams != 0 || g.clients["192.0.2.1"].streams != 0 {
			t.Error("the stream is still counted")
		}
	})
}

// A client may have a limited number of large answers in progress, and waits
// for its turn for a limited time; others have room besides.
func TestLargeAnswersWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(false)
		ana := from("192.0.2.1:1")
		var leave []func()
		for range maxAnswersClient {
			l, err := g.enter(ana)
			if err != nil {
				t.Fatal(err)
			}
			leave = append(leave, l)
		}
		began := time.Now()
		if _, err := g.enter(ana); !isBusy(err) || time.Since(began) != answerPatience {
			t.Errorf("one more: %v after %s, want busy after %s", err, time.Since(began), answerPatience)
		}
		if l, err := g.enter(from("192.0.2.2:1")); err != nil {
			t.Errorf("another client: %v", err)
		} else {
			l()
		}
		entered := make(chan error)
		go func() {
			l, err := g.enter(ana)
			if err == nil {
				l()
			}
			entered <- err
		}()
		time.Sleep(time.Second)
		leave[0]()
		if err := <-entered; err != nil {
			t.Errorf("when a place is free: %v", err)
		}

		gone, cancel := context.WithCancel(t.Context())
		l, err := g.enter(ana)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := g.enter(ana.WithContext(gone)); !isBusy(err) {
			t.Errorf("a client that has gone: %v", err)
		}
		l()
		for _, l := range leave[1:] {
			l()
		}
		if c := g.clients["192.0.2.1"]; len(g.answers) != 0 || len(c.answers) != 0 || c.waiting != 0 {
			t.Errorf("%d places of all and %d of the client are taken, %d wait: want none", len(g.answers), len(c.answers), c.waiting)
		}
	})
}

func TestWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(false)
		ana := from("192.0.2.1:1")
		for range maxAnswersClient {
			if _, err := g.enter(ana); err != nil {
				t.Fatal(err)
			}
		}
		for range maxWaitingClient {
			go g.enter(ana)
		}
		synctest.Wait()
		began := time.Now()
		if _, err := g.enter(ana); !isBusy(err) || time.Since(began) != 0 {
			t.Errorf("when %d wait: %v after %s, want busy at once", maxWaitingClient, err, time.Since(began))
		}
		time.Sleep(2 * answerPatience) // they give up
	})
}

// All places together are bounded, too.
func TestPlacesOfAllClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(false)
		for i := range maxAnswers {
			if _, err := g.enter(from(fmt.Sprintf("192.0.2.%d:1", i))); err != nil {
				t.Fatal(err)
			}
		}
		late := from("192.0.2.99:1")
		if _, err := g.enter(late); !isBusy(err) {
			t.Errorf("beyond %d: %v", maxAnswers, err)
		}
		if c := g.clients["192.0.2.99"]; len(c.answers) != 0 {
			t.Error("the client that got no place holds one of its own")
		}
		for i := range maxStreams {
			if _, err := g.follow(from(fmt.Sprintf("192.0.2.%d:1", i))); err != nil {
				t.Fatal(i, err)
			}
		}
		if _, err := g.follow(late); !isBusy(err) {
			t.Errorf("beyond %d streams: %v", maxStreams, err)
		}
	})
}
