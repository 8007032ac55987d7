package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// The small changes; see operators.go for what they are. This file finds the
// places, names them and puts a switch at each.

// site is a place that can be changed. Its index in the list of a package,
// counted from 1, is the number of the mutant.
type site struct {
	file string // folder/file
	line int
	key  string // "function operator n": the n-th place of the function for this operator
	text string // what is changed, for readers
}

// String is a line of survivors.txt.
func (s *site) String() string { return s.key + keyEnd + s.text }

// keyEnd separates a key from the text.
const keyEnd = "  // "

// edit is text put into a file, in place of the next cut bytes.
type edit struct {
	at     int
	text   string
	cut    int
	order  int // less than 0: it opens something of this length, more: it closes it
	number int // of two of the same length, what opens later closes sooner
}

// pkgSites is the sites of a package.
type pkgSites struct {
	fset  *token.FileSet
	info  *types.Info
	sites []site
	seen  map[string]int // keys without their number
	named []named        // those that can be applied still
}

// instrument puts the switches into a file.
type instrument struct {
	*pkgSites
	file  string // folder/file
	src   string
	in    string // the function
	edits []edit
	tail  strings.Builder // appended to the file
	plain map[ast.Expr]bool
}

// instrumentFile returns the text of a parsed file with a switch at each site,
// and adds the sites to the package's. name is folder/file.
func (p *pkgSites) instrumentFile(name, src string, f *ast.File) (string, error) {
	x := &instrument{pkgSites: p, src: src, file: name, plain: map[ast.Expr]bool{}}
	for _, d := range f.Decls {
		x.in = "var"
		switch d := d.(type) {
		case *ast.FuncDecl:
			x.in = funcName(d)
			if err := x.applyNamed(d); err != nil {
				return "", err
			}
		case *ast.GenDecl:
			if d.Tok == token.CONST {
				x.masks(d)
				continue
			}
		}
		ast.Inspect(d, x.visit)
	}
	return x.apply(), nil
}

// funcName returns how a function is called in keys: Breaker.judge, or
// newBreaker.
func funcName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	t := d.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	switch g := t.(type) {
	case *ast.IndexExpr:
		t = g.X
	case *ast.IndexListExpr:
		t = g.X
	}
	return t.(*ast.Ident).Name + "." + d.Name.Name
}

func (x *instrument) offset(p token.Pos) int { return x.fset.Position(p).Offset }

func (x *instrument) text(n ast.Node) string { return x.src[x.offset(n.Pos()):x.offset(n.End())] }

// add enters a site and returns its number.
func (x *instrument) add(n ast.Node, operator, text string) int {
	key := x.in + " " + operator
	x.seen[key]++
	return x.addKey(n, fmt.Sprintf("%s %d", key, x.seen[key]), text)
}

func (x *instrument) addKey(n ast.Node, key, text string) int {
	x.sites = append(x.sites, site{x.file, x.fset.Position(n.Pos()).Line, key, strings.Join(strings.Fields(text), " ")})
	return len(x.sites)
}

// wrap puts text around a node, with %d for the number of a new site.
func (x *instrument) wrap(n ast.Node, operator, before, after string) {
	x.wrapAs(x.add(n, operator, x.text(n)), n, before, after)
}

// wrapAs is wrap for a site that has a number already.
func (x *instrument) wrapAs(site int, n ast.Node, before, after string) {
	number := fmt.Sprint(site)
	span := x.offset(n.End()) - x.offset(n.Pos())
	x.edits = append(x.edits,
		edit{at: x.offset(n.Pos()), text: strings.ReplaceAll(before, "%d", number), order: -span},
		edit{at: x.offset(n.End()), text: strings.ReplaceAll(after, "%d", number), order: span})
}

// apply returns the text with all edits.
func (x *instrument) apply() string {
	for i := range x.edits {
		x.edits[i].number = i
	}
	slices.SortFunc(x.edits, func(a, b edit) int {
		closes, other := a.order > 0, b.order > 0
		switch {
		case a.at != b.at:
			return a.at - b.at
		case closes != other && closes:
			return -1 // what closes comes before what opens
		case closes != other:
			return 1
		case a.order != b.order:
			return a.order - b.order // wide opens first, narrow closes first
		case closes:
			return b.number - a.number
		}
		return a.number - b.number
	})
	var out strings.Builder
	from := 0
	for _, e := range x.edits {
		out.WriteString(x.src[from:e.at])
		out.WriteString(e.text)
		from = e.at + e.cut
	}
	out.WriteString(x.src[from:])
	out.WriteString(x.tail.String())
	return out.String()
}
