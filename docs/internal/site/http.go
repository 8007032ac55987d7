package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// schema is the part of JSON Schema that the document uses.
type schema struct {
	Ref         string            `json:"$ref"`
	Type        any               `json:"type"`
	Description string            `json:"description"`
	Enum        []any             `json:"enum"`
	Properties  map[string]schema `json:"properties"`
	Required    []string          `json:"required"`
	Items       *schema           `json:"items"`
	Additional  any               `json:"additionalProperties"`
}

type operation struct {
	Summary     string
	Description string
	Parameters  []struct {
		Name, In, Description string
		Required              bool
		Schema                schema
	}
	RequestBody *struct {
		Description string
		Content     map[string]struct{ Schema schema }
	}
	Responses map[string]struct {
		Description string
		Content     map[string]struct{ Schema schema }
	}
}

// httpPage returns the OpenAPI document as a page.
func httpPage(document []byte) (string, error) {
	var d struct {
		Info       struct{ Description string }
		Paths      map[string]map[string]operation
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(document, &d); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# HTTP API\n\n%s The document for programs is [openapi.json](../../ops/assets/openapi.json).\n", d.Info.Description)
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(d.Paths[path])) {
			writeOperation(&b, strings.ToUpper(method)+" "+path, d.Paths[path][method])
		}
	}
	b.WriteString("\n## Schemas\n")
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		s := d.Components.Schemas[name]
		fmt.Fprintf(&b, "\n### %s\n", name)
		if s.Description != "" {
			fmt.Fprintf(&b, "\n%s\n", sentence(s.Description))
		}
		if len(s.Enum) > 0 {
			fmt.Fprintf(&b, "\nOne of %s.\n", values(s.Enum))
		}
		if len(s.Properties) > 0 {
			writeProperties(&b, s)
		}
	}
	return b.String(), nil
}

func writeOperation(b *strings.Builder, title string, o operation) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n", title, sentence(o.Summary))
	if o.Description != "" {
		fmt.Fprintf(b, "\n%s\n", sentence(o.Description))
	}
	if len(o.Parameters) > 0 {
		b.WriteString("\n| parameter | in | type | meaning |\n|---|---|---|---|\n")
		for _, p := range o.Parameters {
			need := ""
			if p.Required {
				need = " (required)"
			}
			fmt.Fprintf(b, "| `%s`%s | %s | %s | %s |\n", p.Name, need, p.In, p.Schema.text(), cell(p.Description))
		}
	}
	if o.RequestBody != nil {
		for _, kind := range slices.Sorted(maps.Keys(o.RequestBody.Content)) {
			fmt.Fprintf(b, "\nBody, `%s`: %s\n", kind, o.RequestBody.Content[kind].Schema.text())
		}
	}
	b.WriteString("\n| status | meaning | answer |\n|---|---|---|\n")
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		r := o.Responses[status]
		var answers []string
		for _, kind := range slices.Sorted(maps.Keys(r.Content)) {
			answer := "`" + kind + "`"
			if text := r.Content[kind].Schema.text(); text != "" {
				answer += ": " + text
			}
			answers = append(answers, answer)
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", status, cell(r.Description), strings.Join(answers, ", "))
	}
}

func writeProperties(b *strings.Builder, s schema) {
	b.WriteString("\n| field | type | meaning |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		need := ""
		if !slices.Contains(s.Required, name) {
			need = " (may be absent)"
		}
		fmt.Fprintf(b, "| `%s`%s | %s | %s |\n", name, need, p.text(), cell(p.Description))
	}
}

// text returns a type in words, with links to the schemas that it names.
func (s schema) text() string {
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndex(s.Ref, "/")+1:]
		return "[" + name + "](#" + strings.ToLower(name) + ")"
	case s.Items != nil:
		return "array of " + s.Items.text()
	case len(s.Properties) > 0:
		var names []string
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			names = append(names, "`"+name+"`: "+s.Properties[name].text())
		}
		return "object with " + strings.Join(names, ", ")
	case len(s.Enum) > 0:
		return "one of " + values(s.Enum)
	}
	switch t := s.Type.(type) {
	case string:
		return t
	case []any:
		return strings.ReplaceAll(values(t), ", ", " or ")
	}
	return ""
}

func values(all []any) string {
	var texts []string
	for _, v := range all {
		texts = append(texts, fmt.Sprintf("`%v`", v))
	}
	return strings.Join(texts, ", ")
}

func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

// sentence returns s with a capital letter at its beginning and a full stop at
// its end.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}
