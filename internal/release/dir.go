package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// dir is a folder in which commands run, with variables added to the
// environment.
type dir struct {
	path string
	env  []string
}

func (d dir) sub(name string) dir { return dir{filepath.Join(d.path, name), d.env} }

func (d dir) with(env ...string) dir {
	return dir{d.path, append(append([]string(nil), d.env...), env...)}
}

func (d dir) git(args ...string) (string, error)    { return d.run("git", args...) }
func (d dir) goTool(args ...string) (string, error) { return d.run("go", args...) }

// run returns the output of a command, without surrounding white space. The
// error contains what the command printed.
func (d dir) run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = d.path
	cmd.Env = append(os.Environ(), d.env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s in %s: %w\n%s%s", name, strings.Join(args, " "), d.path, err, &out, &errs)
	}
	return strings.TrimSpace(out.String()), nil
}
