//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/ops"
)

// A screen waits once for a process that hangs, and notices when it answers
// again.
func TestAskerWaitsOnce(t *testing.T) {
	dir, err := os.MkdirTemp("", "sg") //nolint:usetesting // T.TempDir has the test's name in it, which is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "7.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	awake := make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-awake:
			fmt.Fprint(w, `{"pid": 7, "service": "shop"}`)
		case <-r.Context().Done():
		}
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close() })

	var a asker
	sockets := []ops.Found{{Path: path, PID: 7, UID: os.Geteuid()}}
	look := func(patience time.Duration) ops.Found {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return a.ask(ctx, sockets)[0]
	}
	if x := look(100 * time.Millisecond); x.Process != nil || x.Problem == "" {
		t.Errorf("the first look: %+v", x)
	}
	for i := range 20 {
		began := time.Now()
		if x := look(time.Hour); x.Process != nil || x.Problem == "" { // otherwise it would wait as long
			t.Fatalf("look %d: %+v", i, x)
		}
		if took := time.Since(began); took > time.Second {
			t.Fatalf("look %d took %s", i, took)
		}
	}
	close(awake)
	limit := time.After(10 * time.Second)
	for {
		if x := look(time.Hour); x.Process != nil {
			if x.Process.Service != "shop" || x.Problem != "" {
				t.Errorf("awake: %+v", x)
			}
			break
		}
		select {
		case <-limit:
			t.Fatal("it answers, and is not seen to")
		case <-time.After(10 * time.Millisecond):
		}
	}
	if sockets[0].Process != nil {
		t.Error("the list that was given was written to")
	}
}
