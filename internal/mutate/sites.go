package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// The small changes: a condition negated, a limit moved by one, an operand of
// && or || dropped, a statement left out.

// site is a place that can be changed. Its place in the list, counted from 1,
// is the number of the mutant.
type site struct {
	at   token.Position
	name string // "folder/file function: change", with a number where that repeats
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
	file  string // "folder/file"
	in    string // the function
	edits []edit
	sites *[]site
	seen  map[string]int
}

// instrumentFile is the text of a file with a switch at each site, which are
// added to sites. name is "folder/file".
func instrumentFile(name, src string, sites *[]site) (string, error) {
	x := &instrument{fset: token.NewFileSet(), src: src, file: name, sites: sites, seen: map[string]int{}}
	f, err := parser.ParseFile(x.fset, name, src, parser.ParseComments)
	if err != nil {
		return "", err
	}
	for _, d := range f.Decls {
		x.in = "var"
		if d, ok := d.(*ast.FuncDecl); ok {
			x.in = d.Name.Name
			if d.Recv != nil {
				x.in = strings.TrimLeft(x.text(d.Recv.List[0].Type), "*") + "." + x.in
			}
		}
		ast.Inspect(d, x.visit)
	}
	return x.apply(), nil
}

func (x *instrument) offset(p token.Pos) int { return x.fset.Position(p).Offset }

func (x *instrument) text(n ast.Node) string { return x.src[x.offset(n.Pos()):x.offset(n.End())] }

// wrap puts text around a node, with %d for the number of a new site.
func (x *instrument) wrap(n ast.Node, what, before, after string) {
	at := x.fset.Position(n.Pos())
	name := fmt.Sprintf("%s %s: %s", x.file, x.in, strings.Join(strings.Fields(what), " "))
	if x.seen[name]++; x.seen[name] > 1 {
		name += fmt.Sprintf(" (%d)", x.seen[name])
	}
	*x.sites = append(*x.sites, site{at, name})
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
