package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// All the small changes are compiled into one binary, each behind a switch
// that an environment variable turns on, so that a thousand mutants cost one
// compilation. Another variable names a file to write down which switches are
// reached.
const switchText = `package breaker

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
)

var (
	mutant, _        = strconv.Atoi(os.Getenv("SWITCHGEAR_MUTANT"))
	mutantsReachedTo = os.Getenv("SWITCHGEAR_REACHED")
	mutantsReached   [%d]atomic.Bool
)

func mutated(n int) bool {
	if mutantsReachedTo != "" && !mutantsReached[n-1].Swap(true) {
		f, err := os.OpenFile(mutantsReachedTo, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		fmt.Fprintln(f, n)
	}
	return n == mutant
}
`

// buildAll compiles breaker's tests with all the changes in.
func buildAll(dir string) (bin string, sites []site, err error) {
	files, sites, err := instrumentAll("breaker")
	if err != nil {
		return "", nil, err
	}
	overlay, err := writeOverlay(dir, files)
	if err != nil {
		return "", nil, err
	}
	bin = filepath.Join(dir, "breaker.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", bin, "./breaker")
	if out, err := build.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("the instrumented package does not compile: %w\n%s", err, out)
	}
	return bin, sites, nil
}

// instrumentAll is the text of each file, by its path, and of one more.
func instrumentAll(folder string) (files map[string]string, sites []site, err error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, nil, err
	}
	files = map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_purego.go") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		path, err := filepath.Abs(name)
		if err != nil {
			return nil, nil, err
		}
		if files[path], err = instrumentFile(name, string(src), &sites); err != nil {
			return nil, nil, err
		}
	}
	if len(sites) == 0 {
		return nil, nil, errors.New("nothing to change in breaker/: run this at the root of the module")
	}
	path, err := filepath.Abs(filepath.Join(folder, "zz_mutated.go"))
	if err != nil {
		return nil, nil, err
	}
	files[path] = fmt.Sprintf(switchText, len(sites))
	return files, sites, nil
}
