package main

import (
	"fmt"
	"go/build"
	"os"
	"os/exec"
	"path/filepath"
)

// All the small changes are compiled into one binary, each behind a switch
// that an environment variable turns on, so that a thousand mutants cost one
// compilation. Another variable names a file to write down which switches are
// reached.
const switchText = `package %s

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

// buildAll compiles the tests of the package in folder with all the changes in.
func buildAll(dir, folder string) (bin string, sites []site, err error) {
	files, sites, err := instrumentAll(folder)
	if err != nil {
		return "", nil, err
	}
	overlay, err := writeOverlay(dir, files)
	if err != nil {
		return "", nil, err
	}
	bin = filepath.Join(dir, "mutants.test")
	compile := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", bin, "./"+folder)
	if out, err := compile.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("the instrumented package does not compile: %w\n%s", err, out)
	}
	return bin, sites, nil
}

// instrumentAll is the text of each file that is compiled here, by its path,
// and of one more.
func instrumentAll(folder string) (files map[string]string, sites []site, err error) {
	pkg, err := build.ImportDir(folder, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: run this at the root of the module", err)
	}
	path, err := filepath.Abs(folder)
	if err != nil {
		return nil, nil, err
	}
	files = map[string]string{}
	for _, name := range pkg.GoFiles {
		src, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			return nil, nil, err
		}
		text, err := instrumentFile(filepath.Base(folder)+"/"+name, string(src), &sites)
		if err != nil {
			return nil, nil, err
		}
		files[filepath.Join(path, name)] = text
	}
	files[filepath.Join(path, "zz_mutated.go")] = fmt.Sprintf(switchText, pkg.Name, len(sites))
	return files, sites, nil
}
