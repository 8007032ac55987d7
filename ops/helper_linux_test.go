package ops_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// TestMain lets the test binary be another process: one that listens, or one
// that connects as another user.
func TestMain(m *testing.M) {
	switch os.Getenv("OPS_TEST_AS") {
	case "listener":
		s, err := ops.New(breaker.NewManager(breaker.Settings{}), ops.Options{Service: "child"}).Listen()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.Path())
		select {}
	case "many keys":
		playManyKeys()
	case "standing":
		playStanding()
	case "stranger":
		c, err := net.Dial("unix", os.Getenv("OPS_TEST_SOCKET"))
		if err == nil {
			fmt.Fprint(c, "GET /v1/process HTTP/1.0\r\n\r\n")
			line, _ := bufio.NewReader(c).ReadString('\n')
			fmt.Printf("connected, answer %q\n", line)
		} else {
			fmt.Println(err)
		}
		os.Exit(0)
	case "fake":
		fmt.Println(playFake())
		os.Exit(1)
	case "finder":
		for _, f := range ops.Processes(context.Background()) {
			fmt.Println(f.Path)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(t testing.TB, as string, env ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), append(env, "OPS_TEST_AS="+as)...)
	c.Stderr = os.Stderr
	return c
}
