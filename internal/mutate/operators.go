package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// The operators, by their names in keys:
//
//	negated   a condition, or a bool that is returned
//	dropped   an operand of && or ||
//	bound     a comparison that takes the limit itself in, or leaves it out
//	without   a bit of a mask, named instead of numbered
//	arith     + for -, - for +, a product without its second factor
//	zeroed    the result of a call, or what is returned, is the zero value
//	shared    the settings of a key's set instead of the key's own
//	stored    a plain store instead of a compare-and-swap
//	left-out  a statement
//	overwritten  a plain store instead of an addition
//	unlocked  a lock that is not taken
//	late      a lock or a store that comes one statement too late, or what comes before it
//	stale     an earlier load in place of a load

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
			for _, c := range n.Body.List {
				for _, cond := range c.(*ast.CaseClause).List {
					x.negate(cond)
				}
			}
		}
	case *ast.ReturnStmt:
		x.returned(n)
	case *ast.BinaryExpr:
		x.binary(n)
	case *ast.SelectorExpr:
		x.plain[n.X] = true // a zero receiver is found by any test
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			x.plain[n.X] = x.plain[n]
		}
	case *ast.ExprStmt:
		x.plain[n.X] = true
	case *ast.GoStmt:
		x.plain[n.Call] = true
	case *ast.DeferStmt:
		x.plain[n.Call] = true
	case *ast.CallExpr:
		x.call(n)
	case *ast.FuncDecl:
		x.unlock(n.Body)
	case *ast.BlockStmt:
		x.statements(n.List)
	case *ast.CaseClause:
		x.statements(n.Body)
	}
	return true
}

func (x *instrument) negate(cond ast.Expr) {
	x.plain[cond] = true
	x.wrap(cond, "negated", "((", ") != mutated(%d))")
}

func (x *instrument) returned(n *ast.ReturnStmt) {
	for _, r := range n.Results {
		t, known := x.info.Types[r]
		switch {
		case !known || t.IsNil():
		case isBool(t.Type):
			x.negate(r)
		case t.Value != nil, isCall(r): // a constant, or zeroed as a call
		default:
			x.wrap(r, "zeroed", "zeroed(%d, ", ")")
		}
	}
}

func isBool(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsBoolean != 0
}

func isCall(e ast.Expr) bool {
	_, ok := e.(*ast.CallExpr)
	return ok
}

func (x *instrument) binary(n *ast.BinaryExpr) {
	switch n.Op {
	case token.LAND:
		x.drop(n.X, "((", ") || mutated(%d))")
		x.drop(n.Y, "((", ") || mutated(%d))")
	case token.LOR:
		x.drop(n.X, "((", ") && !mutated(%d))")
		x.drop(n.Y, "((", ") && !mutated(%d))")
	case token.LSS, token.GTR:
		if x.pure(n) {
			x.wrap(n, "bound", "((", fmt.Sprintf(") || mutated(%%d) && (%s) == (%s))", x.text(n.X), x.text(n.Y)))
		}
	case token.LEQ, token.GEQ:
		if x.pure(n) {
			x.wrap(n, "bound", "((", fmt.Sprintf(") && !(mutated(%%d) && (%s) == (%s)))", x.text(n.X), x.text(n.Y)))
		}
	case token.ADD:
		x.arith(n, fmt.Sprintf("(%s) - (%s)", x.text(n.X), x.text(n.Y)))
	case token.SUB:
		x.arith(n, fmt.Sprintf("(%s) + (%s)", x.text(n.X), x.text(n.Y)))
	case token.MUL:
		x.arith(n, x.text(n.X))
	case token.OR:
		x.bit(n.X)
		x.bit(n.Y)
	}
}

// bit leaves a bit out that is named in an expression.
func (x *instrument) bit(operand ast.Expr) {
	name, ok := operand.(*ast.Ident)
	if !ok || x.info.Types[name].Value == nil {
		return
	}
	if b, ok := x.info.Types[name].Type.Underlying().(*types.Basic); ok && b.Kind() == types.Uint64 {
		x.wrap(name, "without", "masked(%d, ", ")")
	}
}

func (x *instrument) drop(operand ast.Expr, before, after string) {
	x.plain[operand] = true
	x.wrap(operand, "dropped", before, after)
}

func (x *instrument) arith(n *ast.BinaryExpr, other string) {
	t, known := x.info.Types[n]
	if !known || t.Value != nil || !x.pure(n) {
		return
	}
	b, ok := t.Type.Underlying().(*types.Basic)
	if !ok || b.Info()&types.IsNumeric == 0 || x.info.Types[n.X].Value != nil && n.Op == token.MUL {
		return
	}
	x.wrap(n, "arith", "either(%d, ", ", "+other+")")
}

// pure reports whether n may be evaluated twice: it calls only functions
// without side effects.
func (x *instrument) pure(n ast.Expr) bool {
	pure := true
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			name := x.text(call.Fun)
			if i := strings.LastIndexByte(name, '.'); i >= 0 {
				name = name[i+1:]
			}
			looks := x.info.Types[call.Fun].IsType() ||
				slices.Contains([]string{"len", "min", "max", "Load", "load", "Sub", "Seconds", "stateOf", "unitsOf", "genOf", "settings", "healthy", "most", "step"}, name)
			pure = pure && looks
		}
		return true
	})
	return pure
}

func (x *instrument) call(n *ast.CallExpr) {
	if sel, ok := n.Fun.(*ast.SelectorExpr); ok {
		method, on := sel.Sel.Name, x.text(sel.X)
		args := func(i int) string { return x.text(n.Args[i]) }
		swap := func(store string) {
			x.wrap(n, "stored", "func() bool { if mutated(%d) { "+store+"; return true }; return ", " }()")
		}
		switch {
		case method == "settings" && len(n.Args) == 0:
			x.wrap(n, "shared", "func() *compiled { if mutated(%d) { return ("+on+").cfg.settings.Load() }; return ", " }()")
			return
		case method == "CompareAndSwap" && len(n.Args) == 2:
			swap(on + ".Store(" + args(1) + ")")
		case strings.HasPrefix(method, "CompareAndSwap") && len(n.Args) == 3:
			swap(on + "." + strings.Replace(method, "CompareAndSwap", "Store", 1) + "(" + args(0) + ", " + args(2) + ")")
		case method == "swapWord":
			swap("for !" + on + ".swapWord(" + on + ".load(), " + args(1) + ") {}")
		}
	}
	t, known := x.info.Types[n]
	if !known || x.plain[n] || t.Value != nil || t.IsVoid() || x.info.Types[n.Fun].IsType() || x.info.Types[n.Fun].IsBuiltin() {
		return
	}
	if _, several := t.Type.(*types.Tuple); !several {
		x.wrap(n, "zeroed", "zeroed(%d, ", ")")
	}
}

// masks makes variables of constants that are bits or-ed together, so that
// each bit can be left out.
func (x *instrument) masks(d *ast.GenDecl) {
	for _, s := range d.Specs {
		spec := s.(*ast.ValueSpec)
		if len(spec.Names) != 1 || len(spec.Values) != 1 {
			continue
		}
		bits := orOperands(spec.Values[0])
		if len(bits) < 2 {
			continue
		}
		x.in = spec.Names[0].Name
		fmt.Fprintf(&x.tail, "\nvar %s = uint64(0)", x.in)
		for _, bit := range bits {
			text := x.text(bit)
			number := x.addKey(bit, x.in+" without "+text, text)
			x.namedBit(text, number)
			fmt.Fprintf(&x.tail, " | masked(%d, %s)", number, text)
		}
		x.tail.WriteByte('\n')
		from := x.offset(spec.Pos())
		// A declaration without parentheses must declare something.
		x.edits = append(x.edits, edit{at: from, cut: x.offset(spec.End()) - from, text: "_ = 0"})
	}
}

// orOperands returns the names in an expression that consists only of names
// with | between them.
func orOperands(e ast.Expr) []ast.Expr {
	switch e := e.(type) {
	case *ast.Ident:
		return []ast.Expr{e}
	case *ast.BinaryExpr:
		left, right := orOperands(e.X), orOperands(e.Y)
		if e.Op == token.OR && left != nil && right != nil {
			return append(left, right...)
		}
	}
	return nil
}

// statements lets each statement be left out that the compiler can do without.
func (x *instrument) statements(list []ast.Stmt) {
	x.later(list)
	x.stale(list)
	for _, s := range list {
		x.overwrite(s)
		switch s := s.(type) {
		case *ast.ExprStmt:
			if strings.HasPrefix(x.text(s), "panic(") {
				continue
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE || strings.HasPrefix(x.text(s), "_ = ") && !strings.Contains(x.text(s), "(") {
				continue
			}
		case *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt:
		default:
			continue
		}
		x.wrap(s, "left-out", "if !mutated(%d) { ", " }")
	}
}
