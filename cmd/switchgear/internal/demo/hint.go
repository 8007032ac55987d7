package demo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const ownName = "switchgear" // of the program that runs the demo

// program returns the command that runs a program of this module in a second
// terminal, and the folder to run it in, or "" if the folder does not matter.
// A program of that name in PATH may be a different one (PyBreaker also
// installs a circuit_breaker_fifo), so it is used only if it is ours.
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
		beside = self // whatever its name is here
	}
	if !isFile(beside) {
		return "go run github.com/switchgear-go/switchgear/cmd/" + name + "@latest", ""
	}
	if found, err := exec.LookPath(name); err == nil && found == beside {
		return name, ""
	}
	return quote(beside), ""
}

// madeByGoRun reports whether an executable is a temporary one made by go run,
// such as /tmp/go-build123/b001/exe/NAME, or comes from the build cache,
// go-build/.../NAME.
func madeByGoRun(path string) bool {
	return strings.Contains(filepath.ToSlash(path), "/go-build")
}

func isFile(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

// quote quotes path as one word for a shell.
func quote(path string) string {
	if !strings.ContainsAny(path, " \t\n'\"\\$&;|<>()*?[]#~`!") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
