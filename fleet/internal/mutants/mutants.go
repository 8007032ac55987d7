// Package mutants runs a package's own tests against slips that they must notice.
// All slips are compiled into one test binary, each behind a switch: a function that
// is to have one gets a copy that has it, and calls that instead when its switch is
// on. Files are not changed: go's -overlay flag puts others in their place.
package mutants

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Mutant is one slip.
type Mutant struct {
	Name string
	// Old occurs in one function of the package, once; New takes its place. If Old is
	// empty, New is done when the program begins.
	Old, New string
	// By is a regexp of the tests that notice it, as for go test -run.
	By string
}

// env has the number of the slip whose switch is on.
const env = "SWITCHGEAR_MUTANT"

// Kill is the body of TestMutants: each mutant must make one of its tests fail.
func Kill(t *testing.T, list []Mutant) {
	if os.Getenv(env) != "" {
		t.Skip("a mutant runs")
	}
	dir := t.TempDir()
	files, err := mutate(list)
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	for name, text := range files {
		path, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		replace[path] = filepath.Join(dir, name)
		if err := os.WriteFile(replace[path], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile, bin := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mutants.test")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	compile := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", overlayFile, "-o", bin, ".")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("the mutants do not compile: %v\n%s", err, out)
	}
	cpu := compile.ProcessState.UserTime() + compile.ProcessState.SystemTime()
	for i, m := range list {
		t.Run(m.Name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), bin, "-test.failfast", "-test.skip=^TestMutants$", "-test.run="+m.By)
			cmd.Env = append(os.Environ(), fmt.Sprint(env, "=", i+1))
			out, err := cmd.CombinedOutput()
			took := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			cpu += took
			if err == nil {
				t.Fatalf("survived\n%s", out)
			}
			t.Logf("%s: %s", took.Round(time.Millisecond), firstFailure(out))
		})
	}
	t.Logf("%d mutants, %s of a processor", len(list), cpu.Round(time.Millisecond))
}

// firstFailure is what the tests say first, in short.
func firstFailure(out []byte) []byte {
	out = bytes.TrimSpace(out)
	if i := bytes.Index(out, []byte("--- FAIL")); i >= 0 {
		out = out[i:]
	}
	return out[:min(len(out), 200)]
}

// mutate returns the texts of the package's files with all slips, and one more that
// has the switch.
func mutate(list []Mutant) (map[string][]byte, error) {
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	found := make([]int, len(list))
	for _, name := range pkg.GoFiles {
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files[name], err = mutateFile(src, list, found)
		if err != nil {
			return nil, err
		}
	}
	inits := ""
	for i, m := range list {
		switch {
		case m.Old == "":
			inits += fmt.Sprintf("\tif mutant == %d { %s }\n", i+1, m.New)
		case found[i] != 1:
			return nil, fmt.Errorf("%s: the text occurs in functions %d times, want once: %q", m.Name, found[i], m.Old)
		}
	}
	files["zz_mutants.go"] = fmt.Appendf(nil, "package %s\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\nvar mutant, _ = strconv.Atoi(os.Getenv(%q))\n\nfunc init() {\n%s}\n",
		pkg.Name, env, inits)
	return files, nil
}

// mutateFile gives the functions of one file their copies. found counts, by mutant,
// how often its text occurs.
func mutateFile(src []byte, list []Mutant, found []int) ([]byte, error) {
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, "", src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	at := func(p token.Pos) int { return fset.Position(p).Offset }
	var out, copies []byte
	done := 0
	for _, decl := range parsed.Decls {
		d, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		head, body := string(src[at(d.Pos()):at(d.Body.Lbrace)]), string(src[at(d.Body.Lbrace):at(d.Body.End())])
		out = append(out, src[done:at(d.Body.Lbrace)+1]...)
		done = at(d.Body.Lbrace) + 1
		for i, m := range list {
			if m.Old == "" || !strings.Contains(body, m.Old) {
				continue
			}
			found[i] += strings.Count(body, m.Old)
			copied := fmt.Sprintf("%s__%d", d.Name.Name, i+1)
			out = fmt.Appendf(out, " if mutant == %d { %s };", i+1, call(d, copied))
			copies = fmt.Appendf(copies, "\n%s%s\n", strings.Replace(head, " "+d.Name.Name+"(", " "+copied+"(", 1), strings.Replace(body, m.Old, m.New, 1))
		}
	}
	return append(append(out, src[done:]...), copies...), nil
}

// call is a call of a copy of d, with the same arguments.
func call(d *ast.FuncDecl, copied string) string {
	var args []string
	for _, p := range d.Type.Params.List {
		for _, n := range p.Names {
			args = append(args, n.Name)
		}
	}
	text := copied + "(" + strings.Join(args, ", ") + ")"
	if d.Recv != nil {
		text = d.Recv.List[0].Names[0].Name + "." + text
	}
	if d.Type.Results == nil {
		return text + "; return"
	}
	return "return " + text
}
