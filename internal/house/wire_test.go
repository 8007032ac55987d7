package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// On the wire a duration is a string such as "1m30s", or its name has its unit.
// A time.Duration is written as a number, so a type with such a field writes
// itself, or the field is an ops.Duration.
func TestDurationsAreStringsOnTheWire(t *testing.T) {
	for _, files := range sources(t) {
		written := map[string]bool{} // types with a MarshalJSON
		numbers := map[string]string{}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range parsed.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Name.Name == "MarshalJSON" && d.Recv != nil {
						written[typeName(d.Recv.List[0].Type)] = true
					}
				case *ast.GenDecl:
					for _, s := range d.Specs {
						if s, ok := s.(*ast.TypeSpec); ok {
							if field := numberField(s); field != "" {
								numbers[s.Name.Name] = file + ": " + s.Name.Name + "." + field
							}
						}
					}
				}
			}
		}
		for name, field := range numbers {
			if !written[name] {
				t.Errorf("%s is a duration that is written as a number", field)
			}
		}
	}
}

// numberField returns the first field of a struct that JSON would show as a
// number of nanoseconds, without saying so in its name.
func numberField(s *ast.TypeSpec) string {
	x, ok := s.Type.(*ast.StructType)
	if !ok {
		return ""
	}
	for _, f := range x.Fields.List {
		if f.Tag == nil || typeName(f.Type) != "time.Duration" {
			continue
		}
		tag, err := strconv.Unquote(f.Tag.Value)
		if err != nil {
			continue
		}
		name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
		if name != "" && name != "-" && !strings.HasSuffix(name, "_ns") {
			return f.Names[0].Name
		}
	}
	return ""
}

// typeName returns the name of a type, or of what it points to.
func typeName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return typeName(x.X)
	case *ast.SelectorExpr:
		return typeName(x.X) + "." + x.Sel.Name
	case *ast.Ident:
		return x.Name
	}
	return ""
}
