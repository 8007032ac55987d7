package main

import (
	"errors"
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// A named mutant is a change to one function, or to one mask. The function
// gets a copy with the change, and a switch that calls the copy.

// applyNamed makes the copies of a function that the list asks for.
func (x *instrument) applyNamed(d *ast.FuncDecl) error {
	for i := range x.named {
		m := &x.named[i]
		if m.in != x.in {
			continue
		}
		body := x.text(d.Body)
		if n := strings.Count(body, m.old); n != 1 {
			return fmt.Errorf("%q: the text to change occurs %d times in %s, want once:\n%s", m.name, n, m.in, m.old)
		}
		m.number = x.addKey(d, x.in+" named "+m.name, m.old)
		args, err := arguments(d)
		if err != nil {
			return fmt.Errorf("%q: %w", m.name, err)
		}
		copied := fmt.Sprintf("%s__%d", d.Name.Name, m.number)
		call := copied + "(" + args + ")"
		if d.Recv != nil {
			call = d.Recv.List[0].Names[0].Name + "." + call
		}
		if d.Type.Results == nil {
			call += "; return"
		} else {
			call = "return " + call
		}
		x.edits = append(x.edits, edit{at: x.offset(d.Body.Lbrace) + 1, text: fmt.Sprintf(" if mutated(%d) { %s };", m.number, call)})
		head := x.src[x.offset(d.Pos()):x.offset(d.Body.Lbrace)]
		head = strings.Replace(head, " "+d.Name.Name, " "+copied, 1)
		fmt.Fprintf(&x.tail, "\n%s%s\n", head, strings.Replace(body, m.old, m.new, 1))
	}
	return nil
}

// arguments returns the function's parameters as the arguments of a call.
func arguments(d *ast.FuncDecl) (string, error) {
	var names []string
	for _, p := range d.Type.Params.List {
		if len(p.Names) == 0 {
			return "", errors.New("a parameter has no name")
		}
		for _, n := range p.Names {
			names = append(names, n.Name)
		}
		if _, ok := p.Type.(*ast.Ellipsis); ok {
			names[len(names)-1] += "..."
		}
	}
	return strings.Join(names, ", "), nil
}

// namedBit gives a bit of a mask its number, where the list asks for it.
func (x *instrument) namedBit(bit string, number int) {
	for i := range x.named {
		if m := &x.named[i]; m.in == x.in && m.old == bit {
			m.number = number
		}
	}
}

// leftOver returns an error for what the list asks for and could not be
// applied.
func (p *pkgSites) leftOver() error {
	i := slices.IndexFunc(p.named, func(m named) bool { return m.number == 0 })
	if i < 0 {
		return nil
	}
	return fmt.Errorf("%q: no function or mask is called %s, or it has no %s", p.named[i].name, p.named[i].in, p.named[i].old)
}
