package examples

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"golang.org/x/sync/semaphore"
	_ "modernc.org/sqlite"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

// A database pool behind a breaker: the only line that differs is the one that
// opens it.
func Example_databasePool() {
	ctx := context.Background()
	manager := breaker.NewManager(breaker.Settings{})
	db, err := breakersql.Open("sqlite", ":memory:", manager.Breaker("db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	db.SetMaxOpenConns(1)

	if _, err := db.ExecContext(ctx, "CREATE TABLE names (name TEXT UNIQUE)"); err != nil {
		fmt.Println(err)
		return
	}
	for range 10 { // nine times the database says no, which is an answer
		_, _ = db.ExecContext(ctx, "INSERT INTO names VALUES ('Ada')")
	}
	fmt.Println(manager.Breaker("db").State())

	manager.Breaker("db").ForceOpen(breaker.Order{Actor: "ann", Reason: "moving the database"})
	var name string
	err = db.QueryRowContext(ctx, "SELECT name FROM names").Scan(&name)
	if errors.Is(err, breaker.ErrOpen) {
		fmt.Println("from the cache:", err)
	}
	// Output:
	// closed
	// from the cache: db: circuit breaker is open (forced): forced open by ann ("moving the database")
}

// A pool has limits: how many connections, how long one may live, and how long
// it may be idle, which is to be shorter than what the server or a firewall
// allows. A caller that waits for a connection until its time is over has met
// the program's own limit, and no failure of the database.
func Example_poolLimits() {
	ctx := context.Background()
	b := breaker.New("db", breaker.Settings{})
	db, err := breakersql.Open("sqlite", ":memory:", b)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	db.SetConnMaxIdleTime(time.Minute)
	db.SetConnMaxLifetime(30 * time.Minute)

	conn, err := db.Conn(ctx) // the only one
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_, err = db.ExecContext(short, "SELECT 1")
	fmt.Println(err, "with", b.FailCount(), "failures")
	// Output: context deadline exceeded with 0 failures
}

// A wait for one of http.Transport.MaxConnsPerHost connections is not evidence, but
// it makes a call slow. The wait for a semaphore outside of the breaker is neither
// timed nor judged.
func Example_httpLimits() {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	api := breaker.New("api", breaker.Settings{})
	client := &http.Client{Transport: breakerhttp.NewTransport(nil, breakerhttp.WithBreaker(api))}
	limit := semaphore.NewWeighted(1)
	get := func(ctx context.Context) error {
		if err := limit.Acquire(ctx, 1); err != nil {
			return fmt.Errorf("too many requests to the API: %w", err)
		}
		defer limit.Release(1)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}

	done := make(chan error)
	go func() { done <- get(context.Background()) }()
	for limit.TryAcquire(1) {
		limit.Release(1) // until the other one has it
	}
	short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	fmt.Println(get(short), "with", api.FailCount(), "failures")
	close(release)
	fmt.Println(<-done)
	// Output:
	// too many requests to the API: context deadline exceeded with 0 failures
	// <nil>
}
