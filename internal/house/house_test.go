// Package house checks the rules of the house that no compiler checks.
package house

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/switchgear-go/switchgear"

// root is the folder of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Fields(string(out))
}

// Users of the root module get our code and the standard library, and no test
// code in production.
func TestRootModuleImportsNothingFromOutside(t *testing.T) {
	std := map[string]bool{}
	for _, p := range goList(t, "std") {
		std[p] = true
	}
	for _, pkg := range goList(t, "./...") {
		for _, dep := range goList(t, "-deps", pkg) {
			ours := dep == module || strings.HasPrefix(dep, module+"/")
			if !ours && !std[dep] {
				t.Errorf("%s imports %s, which is neither ours nor the standard library's", pkg, dep)
			}
			if dep == "testing" && pkg != module+"/breakertest" {
				t.Errorf("%s links the package testing into programs", pkg)
			}
		}
	}
}

func TestRootModuleRequiresNothing(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"require", "replace", "tool"} {
		if strings.Contains(string(text), word) {
			t.Errorf("go.mod has a %q line", word)
		}
	}
}

// Package breaker imports nothing of this module except internal packages.
func TestBreakerImportsInternalOnly(t *testing.T) {
	for _, dep := range goList(t, "-deps", "./breaker") {
		if strings.HasPrefix(dep, module+"/") && dep != module+"/breaker" && !strings.HasPrefix(dep, module+"/internal/") {
			t.Errorf("breaker imports %s", dep)
		}
	}
}

// Every module is in the workspace, so that `go test work` tests it, except those
// that require other circuit breakers, whose dependencies would raise the
// versions of all modules of the workspace.
func TestWorkspaceListsEveryModule(t *testing.T) {
	work, err := os.ReadFile(filepath.Join(root(t), "go.work"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range modules(t) {
		listed := strings.Contains(string(work), "\t./"+dir+"\n") || dir == "." && strings.Contains(string(work), "\t.\n")
		others := dir == "bench" || strings.HasPrefix(dir, "bench/") || dir == "docs/migration"
		if listed == others {
			t.Errorf("module %s: listed in go.work is %t", dir, listed)
		}
	}
}

// modules is the folders with a go.mod, relative to the root.
func modules(t *testing.T) (dirs []string) {
	t.Helper()
	base := root(t)
	err := filepath.WalkDir(base, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == ".tmp" || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.Name() == "go.mod" {
			rel, err := filepath.Rel(base, filepath.Dir(path))
			dirs = append(dirs, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// The README's first Go block is a tested Example, and imports what go get gets.
func TestReadmeShowsTheTestedExample(t *testing.T) {
	readme := read(t, "README.md")
	_, block, ok := strings.Cut(readme, "```go\n")
	block, _, closed := strings.Cut(block, "```")
	if !ok || !closed {
		t.Fatal("README.md has no Go block")
	}
	imports, code, ok := strings.Cut(block, "\n\n")
	if want := "import \"" + module + "/breaker\""; !ok || imports != want {
		t.Errorf("the README's first block begins with %q, want %q", imports, want)
	}
	if _, err := parser.ParseFile(token.NewFileSet(), "README.md", "package p\nfunc _() {\n"+code+"}", 0); err != nil {
		t.Errorf("the README's first block is not valid Go: %v", err)
	}
	example := squeeze(read(t, "breaker/example_readme_test.go"))
	for _, part := range strings.Split(code, "\n\n") {
		if !strings.Contains(example, squeeze(part)) {
			t.Errorf("the README shows\n%s\nwhich is not in breaker/example_readme_test.go", part)
		}
	}
}

func TestReadmeIsShort(t *testing.T) {
	lines := strings.Split(read(t, "README.md"), "\n")
	if len(lines) > 150 {
		t.Errorf("README.md has %d lines, want 150 at most", len(lines))
	}
	for i, line := range lines {
		if strings.Contains(line, "breaker.Do(") {
			if i >= 15 {
				t.Errorf("the first guarded call is in line %d, want it by line 15", i+1)
			}
			return
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// squeeze makes all white space alike.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }
