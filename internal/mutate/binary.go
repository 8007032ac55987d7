package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
)

// All changes are compiled into one binary, each behind a switch that an
// environment variable turns on, so that thousands of mutants need one
// compilation. Another variable names a file in which the switches that are
// reached are recorded.
const switchText = `package %s

import (
	"os"
	"strconv"
	"sync/atomic"
)

var (
	mutant, _        = strconv.Atoi(os.Getenv("SWITCHGEAR_MUTANT"))
	mutantsReachedTo = openReached()
	mutantsReached   [%d]atomic.Bool
)

func openReached() *os.File {
	name := os.Getenv("SWITCHGEAR_REACHED")
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	return f
}

// mutated allocates next to nothing: tests count the allocations of calls.
func mutated(n int) bool {
	if mutantsReachedTo != nil && !mutantsReached[n-1].Swap(true) {
		var line [24]byte
		if _, err := mutantsReachedTo.Write(append(strconv.AppendInt(line[:0], int64(n), 10), '\n')); err != nil {
			panic(err)
		}
	}
	return n == mutant
}

func zeroed[T any](n int, v T) T {
	if mutated(n) {
		var zero T
		return zero
	}
	return v
}

func either[T any](n int, v, other T) T {
	if mutated(n) {
		return other
	}
	return v
}

func masked[T ~uint64](n int, bits T) T {
	if mutated(n) {
		return 0
	}
	return bits
}

var _, _, _ = zeroed[int], either[int], masked[uint64]
`

// buildAll compiles the tests of the package in folder with all the changes,
// and the given named ones.
func buildAll(dir, folder string, list []named) (bin string, p *pkgSites, err error) {
	files, p, err := instrumentAll(folder, list)
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
	return bin, p, nil
}

// instrumentAll returns the text of each file of the package in folder that is
// compiled here, by its path, and of one additional file.
func instrumentAll(folder string, list []named) (files map[string]string, p *pkgSites, err error) {
	pkg, err := build.ImportDir(folder, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: run this at the root of the module", err)
	}
	dir, err := filepath.Abs(folder)
	if err != nil {
		return nil, nil, err
	}
	fset := token.NewFileSet()
	var parsed []*ast.File
	var texts []string
	for _, name := range pkg.GoFiles {
		src, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, nil, err
		}
		f, err := parser.ParseFile(fset, filepath.Join(dir, name), src, parser.ParseComments)
		if err != nil {
			return nil, nil, err
		}
		parsed, texts = append(parsed, f), append(texts, string(src))
	}
	if p, err = checkTypes(fset, parsed, list); err != nil {
		return nil, nil, err
	}
	files = map[string]string{}
	for i, name := range pkg.GoFiles {
		text, err := p.instrumentFile(filepath.Base(folder)+"/"+name, texts[i], parsed[i])
		if err != nil {
			return nil, nil, err
		}
		files[filepath.Join(dir, name)] = text
	}
	if err := p.leftOver(); err != nil {
		return nil, nil, err
	}
	files[filepath.Join(dir, "zz_mutated.go")] = fmt.Sprintf(switchText, pkg.Name, len(p.sites))
	return files, p, nil
}

// checkTypes examines a package's types, which determine what can be changed
// and how.
func checkTypes(fset *token.FileSet, parsed []*ast.File, list []named) (*pkgSites, error) {
	p := &pkgSites{
		fset: fset, seen: map[string]int{}, named: list,
		info: &types.Info{Types: map[ast.Expr]types.TypeAndValue{}},
	}
	conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	_, err := conf.Check(parsed[0].Name.Name, fset, parsed, p.info)
	return p, err
}

// writeOverlay writes files and the list by which go finds them.
func writeOverlay(dir string, files map[string]string) (string, error) {
	replace := map[string]string{}
	for path, text := range files {
		to := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[path] = to
	}
	return writeJSON(filepath.Join(dir, "overlay.json"), map[string]any{"Replace": replace})
}
