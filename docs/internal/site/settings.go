package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"strings"

	"github.com/switchgear-go/switchgear/breaker"
)

// settingsPage has the fields of breaker.Settings: their comments from the source,
// their keys and defaults from the code.
func settingsPage(source string) (string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
	if err != nil {
		return "", err
	}
	var fields []*ast.Field
	ast.Inspect(file, func(n ast.Node) bool {
		if t, ok := n.(*ast.TypeSpec); ok && t.Name.Name == "Settings" {
			fields = t.Type.(*ast.StructType).Fields.List
		}
		return true
	})
	if len(fields) == 0 {
		return "", fmt.Errorf("%s has no struct Settings", source)
	}
	usual := maps.Collect(breaker.Settings{}.WithDefaults().All())
	recommended := maps.Collect(breaker.Recommended().WithDefaults().All())

	var table, text strings.Builder
	for _, f := range fields {
		for _, name := range f.Names {
			key := keyOf(name.Name)
			if _, known := usual[key]; !known {
				return "", fmt.Errorf("the field %s has no key %s", name.Name, key)
			}
			fmt.Fprintf(&table, "| [`%s`](#%s) | `%s` | %s | %s |\n", key, key, name.Name, cmp.Or(usual[key], "off"), cmp.Or(recommended[key], "off"))
			fmt.Fprintf(&text, "\n## %s\n\n%s", key, paragraphs(f.Doc.Text()))
		}
	}
	return `# Settings

Every field of ` + "`breaker.Settings`" + `. The key is the name in JSON, in ` + "`breaker.conf`" + `, and for ` + "`switchgear set`" + `. Times have a unit,
as in ` + "`30s`" + `; rates are shares, as in ` + "`0.5`" + `; ` + "`off`" + ` switches a rule off. A field that is not set has its default.

| key | in Go | default | ` + "`Recommended()`" + ` |
|---|---|---|---|
` + table.String() + text.String(), nil
}

// keyOf returns the key of a field: its name in snake_case.
func keyOf(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && 'A' <= r && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}

// paragraphs returns a comment with one line for each paragraph.
func paragraphs(comment string) string {
	var b strings.Builder
	for _, p := range strings.Split(strings.TrimSpace(comment), "\n\n") {
		b.WriteString(strings.ReplaceAll(p, "\n", " ") + "\n\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
