package house

import (
	"os/exec"
	"strings"
	"testing"
)

// Half of what Allow and Done cost is the call, which inlining spares.
func TestAllowAndDoneAreInlined(t *testing.T) {
	cmd := exec.Command("go", "build", "-gcflags=-m", "./breaker")
	cmd.Dir = root(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go build -gcflags=-m: %v\n%s", err, out)
	}
	for _, method := range []string{"(*Breaker).Allow", "(*Permit).Done"} {
		if !strings.Contains(string(out), "can inline "+method+"\n") {
			t.Errorf("%s is no longer inlined: see go build -gcflags=-m=2", method)
		}
	}
}
