package main_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

// shopEnv makes this test program a shop: a process with breakers in known
// states, for the tests to operate. Its value is the name of its service.
const shopEnv = "SWITCHGEAR_TEST_SHOP"

// shop is such a process, as the tests see it.
type shop struct {
	cmd     *exec.Cmd
	PID     int
	Socket  string
	URL     string // takes orders
	Locked  string // a URL that is read-only
	In, Out string // the pipe
	Audit   string
}

// startShop starts a shop whose socket is in the runtime dir.
func startShop(t *testing.T, runtimeDir, service string) *shop {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{cmd: exec.Command(self)}
	s.cmd.Env = append(os.Environ(), shopEnv+"="+service, "SWITCHGEAR_RUNTIME_DIR="+runtimeDir, "SHOP_FILES="+shortTemp(t))
	s.cmd.Stderr = os.Stderr
	in, err := s.cmd.StdinPipe() // it ends when this closes, so when the tests die as well
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = s.cmd.Process.Kill() // it may be stopped
		_ = s.cmd.Wait()
	})
	if err := json.NewDecoder(out).Decode(s); err != nil {
		t.Fatalf("the shop did not open: %v", err)
	}
	return s
}

// keepShop is the shop's own process.
func keepShop(service string) error {
	m := breaker.NewManager(breaker.Settings{ResetTimeout: time.Hour})
	payments := m.Breaker(cmp.Or(os.Getenv("SHOP_BREAKER"), "payments"))
	fail(payments, 5, errors.New("connection refused"))
	fail(m.Breaker("search"), 2, errors.New("timeout"))
	ledger := breaker.SetOf[string](m, "ledger")
	for _, key := range []string{"eu-1", "eu-2", "us-1"} {
		ledger.Breaker(key)
	}
	ledger.Breaker("eu-2").ForceOpen(breaker.Order{Actor: "ana", Reason: "INC-42 vendor maintenance"})

	dir := os.Getenv("SHOP_FILES")
	s := shop{PID: os.Getpid(), In: filepath.Join(dir, "in"), Out: filepath.Join(dir, "out"), Audit: filepath.Join(dir, "audit")}
	plane := ops.New(m, ops.Options{
		Service: service, Audit: s.Audit,
		Authorize: func(*http.Request, *ops.Order) error { return nil },
	})
	defer plane.Close()
	socket, err := plane.Listen()
	if err != nil {
		return err
	}
	defer socket.Close()
	s.Socket = socket.Path()
	pipe, err := fifo.Start(plane, fifo.Config{Input: s.In, Output: s.Out})
	if err != nil {
		return err
	}
	defer pipe.Close()
	if s.URL, err = serveShop(plane.Handler()); err != nil {
		return err
	}
	if s.Locked, err = serveShop(ops.New(m, ops.Options{Service: service}).Handler()); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until the tests end
	return err
}

func serveShop(h http.Handler) (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go http.Serve(l, h)
	return fmt.Sprintf("http://%s/", l.Addr()), nil
}

func fail(b *breaker.Breaker, times int, err error) {
	for range times {
		_ = b.Do(context.Background(), func(context.Context) error { return err })
	}
}
