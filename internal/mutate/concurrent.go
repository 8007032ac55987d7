package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// The changes that break what goroutines share: locks that are not taken, or
// too late, and values that were read too early.

// unlock removes each lock that a function takes and releases itself, together
// with its release.
func (x *instrument) unlock(body *ast.BlockStmt) {
	calls := map[string][]ast.Stmt{} // by the text of the lock
	var locks []string
	ast.Inspect(body, func(n ast.Node) bool {
		s, ok := n.(ast.Stmt)
		if !ok {
			return true
		}
		lock, method := x.lockCall(s)
		if (method == "Lock" || method == "RLock") && !slices.Contains(locks, lock) {
			locks = append(locks, lock)
		}
		if method != "" {
			calls[lock] = append(calls[lock], s)
		}
		return true
	})
	for _, lock := range locks {
		if len(calls[lock]) < 2 {
			continue // another function releases it
		}
		number := x.add(calls[lock][0], "unlocked", lock)
		for _, s := range calls[lock] {
			x.wrapAs(number, s, "if !mutated(%d) { ", " }")
		}
	}
}

// lockCall returns the lock and the method of a statement that takes or releases
// a lock, else "".
func (x *instrument) lockCall(s ast.Stmt) (lock, method string) {
	var e ast.Expr
	switch s := s.(type) {
	case *ast.ExprStmt:
		e = s.X
	case *ast.DeferStmt:
		e = s.Call
	}
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return "", ""
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Lock", "Unlock", "RLock", "RUnlock"}, sel.Sel.Name) {
		return "", ""
	}
	return x.text(sel.X), sel.Sel.Name
}

// later moves a statement past the one after it: one that takes a lock, that
// comes before the release of one, or that stores what others read without a
// lock, or comes before that.
func (x *instrument) later(list []ast.Stmt) {
	for i, s := range list {
		rest := list[i+1:]
		_, method := x.lockCall(s)
		if method == "Lock" || method == "RLock" {
			for len(rest) > 0 && isDefer(rest[0]) {
				rest = rest[1:]
			}
		}
		if len(rest) == 0 || !movable(s) || leaves(rest[0]) || isDefer(rest[0]) {
			continue
		}
		_, after := x.lockCall(rest[0])
		if method != "" || after != "" || x.publishes(s) || x.publishes(rest[0]) {
			number := x.add(s, "late", x.text(s))
			x.wrapAs(number, s, "if !mutated(%d) { ", " }")
			x.edits = append(x.edits, edit{at: x.offset(rest[0].End()), text: fmt.Sprintf("; if mutated(%d) { %s }", number, x.text(s))})
		}
	}
}

func isDefer(s ast.Stmt) bool {
	_, ok := s.(*ast.DeferStmt)
	return ok
}

// movable reports whether a statement can be moved: it declares nothing.
func movable(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.ExprStmt, *ast.IncDecStmt:
		return true
	case *ast.AssignStmt:
		return s.Tok != token.DEFINE
	}
	return false
}

// leaves reports whether a statement may end its block.
func leaves(s ast.Stmt) (found bool) {
	ast.Inspect(s, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt, *ast.BranchStmt:
			found = true
		}
		return true
	})
	return found
}

// publishes reports whether a statement is a call that stores what is read
// without a lock.
func (x *instrument) publishes(s ast.Stmt) bool {
	e, ok := s.(*ast.ExprStmt)
	if !ok {
		return false
	}
	call, ok := e.X.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"Store", "setWord", "edit", "clearEvicted"}, sel.Sel.Name)
}

// stale makes later loads of a block return what an earlier one of the same has
// returned.
func (x *instrument) stale(list []ast.Stmt) {
	for i, s := range list {
		define, ok := s.(*ast.AssignStmt)
		if !ok || define.Tok != token.DEFINE || len(define.Lhs) != 1 || len(define.Rhs) != 1 {
			continue
		}
		load := x.text(define.Rhs[0])
		if !strings.HasSuffix(load, ".load()") && !strings.HasSuffix(load, ".Load()") {
			continue
		}
		for _, later := range list[i+1:] {
			ast.Inspect(later, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && x.text(call) == load {
					x.wrap(call, "stale", "either(%d, ", ", "+x.text(define.Lhs[0])+")")
				}
				return true
			})
		}
	}
}

// overwrite stores what should be added.
func (x *instrument) overwrite(s ast.Stmt) {
	instead := ""
	switch s := s.(type) {
	case *ast.IncDecStmt:
		if s.Tok == token.INC {
			instead = x.text(s.X) + " = 1"
		}
	case *ast.AssignStmt:
		to := x.text(s.Lhs[0])
		call, ok := s.Rhs[0].(*ast.CallExpr)
		switch {
		case s.Tok == token.ADD_ASSIGN:
			instead = to + " = " + x.text(s.Rhs[0])
		case s.Tok == token.ASSIGN && ok && x.text(call.Fun) == "append" && x.text(call.Args[0]) == to:
			instead = to + " = append((" + to + ")[:0:0]" + x.src[x.offset(call.Args[0].End()):x.offset(call.End())]
		}
	case *ast.ExprStmt:
		call, ok := s.X.(*ast.CallExpr)
		if !ok {
			return
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if ok && sel.Sel.Name == "Add" && strings.HasPrefix(types.TypeString(x.info.Types[sel.X].Type, nil), "sync/atomic.") {
			instead = x.text(sel.X) + ".Store(" + x.text(call.Args[0]) + ")"
		}
	}
	if instead != "" {
		x.wrap(s, "overwritten", "if mutated(%d) { "+instead+" } else { ", " }")
	}
}
