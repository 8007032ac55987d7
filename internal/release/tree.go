package main

import (
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
	packages []string // those of the packages that others can use
	foreign  []string // its imports of internal packages of other modules
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
	Replace []struct {
		Old, New struct{ Path, Version string }
	}
	Use []struct{ DiskPath string }
}

// readMod reads go.mod or go.work. It names the file, since GOWORK=off would hide
// go.work.
func readMod(d dir, kind string) (goMod, error) {
	var m goMod
	text, err := d.goTool(kind, "edit", "-json", "go."+kind)
	if err == nil {
		err = json.Unmarshal([]byte(text), &m)
	}
	return m, err
}

// published returns the modules that users can require or install. Those are
// the modules of the workspace that have something to use: a program, or a
// package with an exported name, except in tests and in folders "internal" and
// "examples". The others contain tests, code to copy and tools of this
// repository; no published module may require one.
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
		if err := m.look(d); err != nil {
			return nil, err
		}
		if len(m.programs)+len(m.packages) > 0 {
			all = append(all, m)
		}
	}
	for i := range all {
		if len(all[i].foreign) > 0 {
			return nil, fmt.Errorf("%s, which is internal to another module", all[i].foreign[0])
		}
		all[i].requires = slices.DeleteFunc(all[i].requires, func(p string) bool { return p != modulePath && !strings.HasPrefix(p, modulePath+"/") })
		for _, p := range all[i].requires {
			if !slices.ContainsFunc(all, func(m module) bool { return m.path == p }) {
				return nil, fmt.Errorf("%s requires %s, which is not published: it has nothing for others, or is not in go.work", all[i].path, p)
			}
		}
	}
	return all, nil
}

// look finds out what others can use of a module. An internal package of
// another module is refused: the two are released with one version, but a
// program may use a newer version of one than of the other.
func (m *module) look(d dir) error {
	text, err := d.goTool("list", "-json=Name,ImportPath,Dir,GoFiles,IgnoredGoFiles,Imports,TestImports,XTestImports", "./...")
	if err != nil {
		return err
	}
	for list := json.NewDecoder(strings.NewReader(text)); ; {
		var p struct {
			Name, ImportPath, Dir              string
			GoFiles, IgnoredGoFiles            []string
			Imports, TestImports, XTestImports []string
		}
		if err := list.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if internal(imported) && strings.HasPrefix(imported, modulePath+"/") && !strings.HasPrefix(imported, m.path+"/") {
				m.foreign = append(m.foreign, p.ImportPath+" imports "+imported)
			}
		}
		switch {
		case internal(p.ImportPath), has(p.ImportPath, "examples"):
		case p.Name == "main":
			m.programs = append(m.programs, p.ImportPath)
		default:
			exports, err := exports(p.Dir, append(p.GoFiles, p.IgnoredGoFiles...))
			if err != nil {
				return err
			}
			if exports {
				m.packages = append(m.packages, p.ImportPath)
			}
		}
	}
}

func internal(importPath string) bool { return has(importPath, "internal") }

func has(importPath, element string) bool {
	return slices.Contains(strings.Split(importPath, "/"), element)
}

// exports reports whether a file that is not a test has an exported name.
func exports(folder string, names []string) (bool, error) {
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return false, err
		}
		if ast.FileExports(file) {
			return true, nil
		}
	}
	return false, nil
}

// order sorts modules into layers. A layer requires only modules of earlier
// layers.
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
			return nil, fmt.Errorf("%s and %d more modules require each other", rest[0].path, len(rest)-1)
		}
		for _, m := range layer {
			done[m.path] = true
		}
		layers = append(layers, layer)
		modules = rest
	}
	return layers, nil
}
