package demo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const ownName = "switchgear" // of the program that runs the demo

// program is the command that starts a program of this module in a second
// terminal, and the folder to be in, "" when any will do. What is in PATH by
// that name may be another program's (PyBreaker installs a circuit_breaker_fifo
// too), so it is named only when it is ours.
func program(name string) (command, dir string) {
	self, err := os.Executable()
	if err != nil {
		return name, ""
	}
	if wd, err := os.Getwd(); err == nil && madeByGoRun(self) {
		for _, pkg := range []string{"./cmd/" + name, "./" + name, "../" + name} {
			if isFile(filepath.Join(wd, pkg, "main.go")) {
				return "go run " + pkg, wd
			}
		}
	}
	beside := filepath.Join(filepath.Dir(self), name+filepath.Ext(self))
	if name == ownName {
		beside = self // whatever it is called here
	}
	if !isFile(beside) {
		return "go run github.com/switchgear-go/switchgear/cmd/" + name + "@latest", ""
	}
	if found, err := exec.LookPath(name); err == nil && found == beside {
		return name, ""
	}
	return quote(beside), ""
}

// madeByGoRun reports whether an executable is the throw-away one of go run,
// /tmp/go-build123/b001/exe/NAME, or from the build cache, go-build/.../NAME.
func madeByGoRun(path string) bool {
	return strings.Contains(filepath.ToSlash(path), "/go-build")
}

func isFile(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

// quote makes one word of path for a shell.
func quote(path string) string {
	if !strings.ContainsAny(path, " \t\n'\"\\$&;|<>()*?[]#~`!") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
