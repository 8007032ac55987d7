package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// All the small changes are compiled into one binary, each behind a switch
// that an environment variable turns on, so that a thousand mutants cost one
// compilation: a condition negated, a limit moved by one, an operand of && or
// || dropped, a statement left out.

// site is a place that can be changed.
type site struct {
	at   token.Position
	what string
}

// edit is text put into a file.
type edit struct {
	at    int
	text  string
	order int // among those at the same place: what opens later closes sooner
}

// instrument finds the sites of a file and puts the switches in.
type instrument struct {
	fset  *token.FileSet
	src   string
	edits []edit
	sites *[]site
}

func (x *instrument) offset(p token.Pos) int { return x.fset.Position(p).Offset }

func (x *instrument) text(n ast.Node) string { return x.src[x.offset(n.Pos()):x.offset(n.End())] }

// wrap puts text around a node, with %d for the number of a new site.
func (x *instrument) wrap(n ast.Node, what, before, after string) {
	*x.sites = append(*x.sites, site{x.fset.Position(n.Pos()), what})
	number := len(*x.sites)
	fill := func(s string) string { return strings.ReplaceAll(s, "%d", fmt.Sprint(number)) }
	span := x.offset(n.End()) - x.offset(n.Pos())
	x.edits = append(x.edits,
		edit{x.offset(n.Pos()), fill(before), -span},
		edit{x.offset(n.End()), fill(after), span})
}

func (x *instrument) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok != token.CONST
	case *ast.IfStmt:
		x.negate(n.Cond)
	case *ast.ForStmt:
		if n.Cond != nil {
			x.negate(n.Cond)
		}
	case *ast.SwitchStmt:
		if n.Tag == nil {
			x.cases(n.Body)
		}
	case *ast.BinaryExpr:
		x.binary(n)
	case *ast.BlockStmt:
		x.statements(n.List)
	case *ast.CaseClause:
		x.statements(n.Body)
	}
	return true
}

func (x *instrument) negate(cond ast.Expr) {
	x.wrap(cond, "negated: "+x.text(cond), "((", ") != mutated(%d))")
}

func (x *instrument) cases(body *ast.BlockStmt) {
	for _, c := range body.List {
		for _, cond := range c.(*ast.CaseClause).List {
			x.negate(cond)
		}
	}
}

func (x *instrument) binary(n *ast.BinaryExpr) {
	switch n.Op {
	case token.LAND:
		x.wrap(n.X, "dropped: "+x.text(n.X), "((", ") || mutated(%d))")
		x.wrap(n.Y, "dropped: "+x.text(n.Y), "((", ") || mutated(%d))")
	case token.LOR:
		x.wrap(n.X, "dropped: "+x.text(n.X), "((", ") && !mutated(%d))")
		x.wrap(n.Y, "dropped: "+x.text(n.Y), "((", ") && !mutated(%d))")
	case token.LSS, token.GTR:
		if x.pure(n) {
			x.wrap(n, "with =: "+x.text(n), "((", fmt.Sprintf(") || mutated(%%d) && (%s) == (%s))", x.text(n.X), x.text(n.Y)))
		}
	case token.LEQ, token.GEQ:
		if x.pure(n) {
			x.wrap(n, "without =: "+x.text(n), "((", fmt.Sprintf(") && !(mutated(%%d) && (%s) == (%s)))", x.text(n.X), x.text(n.Y)))
		}
	}
}

// pure reports whether n may be evaluated twice: no call but of what only
// looks.
func (x *instrument) pure(n ast.Expr) bool {
	pure := true
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			name := x.text(call.Fun)
			if i := strings.LastIndexByte(name, '.'); i >= 0 {
				name = name[i+1:]
			}
			pure = pure && slices.Contains([]string{"len", "Load", "load", "stateOf", "failsOf", "genOf", "float64", "int", "int32", "int64", "healthy"}, name)
		}
		return true
	})
	return pure
}

// statements lets each statement be left out that the compiler can do without.
func (x *instrument) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			if strings.HasPrefix(x.text(s), "panic(") {
				continue
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE || strings.HasPrefix(x.text(s), "_ = ") && !strings.Contains(x.text(s), "(") {
				continue
			}
		case *ast.IncDecStmt, *ast.DeferStmt:
		default:
			continue
		}
		line, _, _ := strings.Cut(x.text(s), "\n")
		x.wrap(s, "left out: "+line, "if !mutated(%d) { ", " }")
	}
}

// apply is the text with all edits.
func (x *instrument) apply() string {
	slices.SortStableFunc(x.edits, func(a, b edit) int {
		if a.at != b.at {
			return a.at - b.at
		}
		// What closes comes before what opens; wide opens first, narrow closes first.
		if (a.order > 0) != (b.order > 0) {
			if a.order > 0 {
				return -1
			}
			return 1
		}
		return a.order - b.order
	})
	var out strings.Builder
	from := 0
	for _, e := range x.edits {
		out.WriteString(x.src[from:e.at])
		out.WriteString(e.text)
		from = e.at
	}
	out.WriteString(x.src[from:])
	return out.String()
}

const switchText = `package breaker

import (
	"os"
	"strconv"
)

var mutant, _ = strconv.Atoi(os.Getenv("SWITCHGEAR_MUTANT"))

func mutated(n int) bool { return n == mutant }
`

// instrumentAll makes the overlay of the whole package.
func instrumentAll(dir string) (overlay string, sites []site, err error) {
	names, err := filepath.Glob("breaker/*.go")
	if err != nil {
		return "", nil, err
	}
	files := map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_purego.go") || strings.HasSuffix(name, "doc.go") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return "", nil, err
		}
		x := &instrument{fset: token.NewFileSet(), src: string(src), sites: &sites}
		f, err := parser.ParseFile(x.fset, name, src, parser.ParseComments)
		if err != nil {
			return "", nil, err
		}
		ast.Inspect(f, x.visit)
		path, err := filepath.Abs(name)
		if err != nil {
			return "", nil, err
		}
		files[path] = x.apply()
	}
	path, err := filepath.Abs("breaker/zz_mutated.go")
	if err != nil {
		return "", nil, err
	}
	files[path] = switchText
	overlay, err = writeOverlay(dir, files)
	return overlay, sites, err
}

// slow is the tests that are left for what the others do not kill; chance is
// those that take long and kill by chance, left out.
const (
	slow   = "Explore"
	chance = "Stress|Soak|Churn|ManyNames|Inline|OverrideReplaced"
)

// runAll runs every step-th mutant.
func runAll(tests, only string, limit time.Duration, step int) error {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	overlay, sites, err := instrumentAll(dir)
	if err != nil {
		return err
	}
	bin := filepath.Join(dir, "breaker.test")
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", bin, "./breaker").CombinedOutput(); err != nil {
		return fmt.Errorf("the instrumented package does not compile: %w\n%s", err, out)
	}
	if end, out := runTests(bin, tests, 10*limit, nil); end != survived {
		return fmt.Errorf("the tests fail without a mutant:\n%s", out)
	}
	count := map[fate]int{}
	run := 0
	for i := 0; i < len(sites); i += step {
		s := sites[i]
		place := fmt.Sprintf("%s:%d", s.at.Filename, s.at.Line)
		if !strings.Contains(place, only) {
			continue
		}
		run++
		env := []string{fmt.Sprintf("SWITCHGEAR_MUTANT=%d", i+1)}
		end, _ := runTests(bin, tests, limit, env, "-test.skip", slow+"|"+chance)
		if end == survived && tests == "" {
			end, _ = runTests(bin, slow, limit, env)
		}
		count[end]++
		if end != killed {
			fmt.Printf("%-9s  %s %s\n", end, place, s.what)
		}
	}
	fmt.Printf("%d mutants of %d: %d killed, %d timed out, %d survived\n",
		run, len(sites), count[killed], count[timedOut], count[survived])
	return nil
}
