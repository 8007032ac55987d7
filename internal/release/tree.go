package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// module is a module of this repository.
type module struct {
	path     string   // its module path
	dir      string   // its folder, relative to the root, "." for the root
	requires []string // the modules of this repository that it requires
	programs []string // the import paths of its programs
}

func (m module) tag(version string) string {
	if m.dir == "." {
		return version
	}
	return m.dir + "/" + version
}

// goMod is the part of `go mod edit -json` and `go work edit -json` that we read.
type goMod struct {
	Module  struct{ Path string }
	Require []struct{ Path, Version string }
	Replace []struct{ Old, New struct{ Path, Version string } }
	Use     []struct{ DiskPath string }
}

func readMod(d dir, verb string) (goMod, error) {
	var m goMod
	text, err := d.goTool(verb, "edit", "-json")
	if err == nil {
		err = json.Unmarshal([]byte(text), &m)
	}
	return m, err
}

// published is the modules that users can require or install. Those are the
// modules of the workspace that have something to use: a program, or a package
// with an exported name, outside of internal folders and tests. The others hold
// tests and tools of this repository; no published module may require one.
func published(root dir) ([]module, error) {
	work, err := readMod(dir{path: root.path}, "work")
	if err != nil {
		return nil, err
	}
	var all []module
	for _, use := range work.Use {
		d := root.sub(use.DiskPath)
		mod, err := readMod(d, "mod")
		if err != nil {
			return nil, err
		}
		m := module{path: mod.Module.Path, dir: path.Clean(filepath.ToSlash(use.DiskPath))}
		for _, r := range mod.Require {
			m.requires = append(m.requires, r.Path)
		}
		usable, programs, err := surface(d)
		if err != nil {
			return nil, err
		}
		if m.programs = programs; usable {
			all = append(all, m)
		}
	}
	top := slices.IndexFunc(all, func(m module) bool { return m.dir == "." })
	if top < 0 {
		return nil, errors.New("the root module is not in go.work, or exports nothing")
	}
	ours := all[top].path
	for i := range all {
		all[i].requires = slices.DeleteFunc(all[i].requires, func(p string) bool { return p != ours && !strings.HasPrefix(p, ours+"/") })
		for _, p := range all[i].requires {
			if !slices.ContainsFunc(all, func(m module) bool { return m.path == p }) {
				return nil, fmt.Errorf("%s requires %s, which is not published: it has nothing but tests, or is not in go.work", all[i].path, p)
			}
		}
	}
	return all, nil
}

// surface says whether others can use a module, and has its programs.
func surface(d dir) (usable bool, programs []string, err error) {
	text, err := d.goTool("list", "-json=Name,ImportPath,Dir,GoFiles,IgnoredGoFiles", "./...")
	if err != nil {
		return false, nil, err
	}
	for list := json.NewDecoder(bytes.NewReader([]byte(text))); ; {
		var p struct {
			Name, ImportPath, Dir   string
			GoFiles, IgnoredGoFiles []string
		}
		if err := list.Decode(&p); errors.Is(err, io.EOF) {
			return usable, programs, nil
		} else if err != nil {
			return false, nil, err
		}
		if slices.Contains(strings.Split(p.ImportPath, "/"), "internal") {
			continue
		}
		if p.Name == "main" {
			programs = append(programs, p.ImportPath)
			usable = true
			continue
		}
		for _, name := range append(p.GoFiles, p.IgnoredGoFiles...) {
			if strings.HasSuffix(name, "_test.go") || usable {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return false, nil, err
			}
			usable = ast.FileExports(file)
		}
	}
}

// order sorts modules into layers. A layer requires only modules of the layers
// before it.
func order(modules []module) ([][]module, error) {
	var layers [][]module
	done := map[string]bool{}
	for len(modules) > 0 {
		var layer, rest []module
		for _, m := range modules {
			if slices.ContainsFunc(m.requires, func(p string) bool { return !done[p] }) {
				rest = append(rest, m)
			} else {
				layer = append(layer, m)
			}
		}
		if len(layer) == 0 {
			return nil, fmt.Errorf("%s and %d other modules require each other", rest[0].path, len(rest)-1)
		}
		for _, m := range layer {
			done[m.path] = true
		}
		layers = append(layers, layer)
		modules = rest
	}
	return layers, nil
}
