//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fifo_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

// A process opens its pipe, and another one asks and gives orders through it.
func Example() {
	dir, err := os.MkdirTemp("", "breaker")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	// In the guarded process:
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("payments")
	p := ops.New(m, ops.Options{})
	defer p.Close()
	s, err := fifo.Start(p, fifo.Config{
		Input:  filepath.Join(dir, "{pid}.in"),
		Output: filepath.Join(dir, "{pid}.out"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	// In the program that operates it:
	c := fifo.Client{
		Input:  filepath.Join(dir, "{pid}.in"),
		Output: filepath.Join(dir, "{pid}.out"),
		PID:    os.Getpid(),
	}
	ctx := context.Background()
	text, err := c.ForceOpen(ctx, "payments", breaker.Order{Reason: "the bank is down"})
	fmt.Println(text, err)
	text, err = c.Status(ctx, "")
	fmt.Printf("%s\n%v\n", text, err)
	// Output:
	// Changed `payments` state <nil>
	//       id          state    time until half_open    failure count    failures until open
	// payments    forced_open                    None                0                   None
	// <nil>
}
