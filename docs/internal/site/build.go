package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/yuin/goldmark/ast"
)

const forge = "https://github.com/switchgear-go/switchgear"

//go:embed assets
var assets embed.FS

var layout = template.Must(template.ParseFS(assets, "assets/page.html"))

// build writes the site: each page at its place in the repository, so that
// links between pages stay as they are, with the pictures that pages show.
func (s *site) build(out string) error {
	var index []section
	for _, name := range slices.Sorted(maps.Keys(s.pages)) {
		p := s.pages[name]
		pictures := s.rewriteLinks(p)
		for _, picture := range pictures {
			data, err := os.ReadFile(filepath.Join(s.repo, filepath.FromSlash(picture)))
			if err != nil {
				return err
			}
			if err := put(out, picture, data); err != nil {
				return err
			}
		}
		text, err := s.render(p)
		if err != nil {
			return err
		}
		if err := put(out, p.output(), text); err != nil {
			return err
		}
		index = append(index, sections(p)...)
	}
	text, err := json.Marshal(index)
	if err != nil {
		return err
	}
	// A script instead of JSON: a browser may load it from a file, too.
	if err := put(out, "assets/search-index.js", append([]byte("const searchIndex = "), text...)); err != nil {
		return err
	}
	for _, name := range []string{"style.css", "search.js"} {
		data, err := assets.ReadFile("assets/" + name)
		if err != nil {
			return err
		}
		if err := put(out, "assets/"+name, data); err != nil {
			return err
		}
	}
	return nil
}

func put(out, name string, data []byte) error {
	name = filepath.Join(out, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o666)
}

// rewriteLinks changes links to pages so that they lead to their HTML, and
// links to other files so that they lead to the forge. It returns the pictures
// that the page shows.
func (s *site) rewriteLinks(p *page) (pictures []string) {
	for _, l := range p.links {
		if l.picture && external(l.target) {
			remove(l.node) // a badge: the site loads nothing from other hosts
			continue
		}
		if external(l.target) || strings.HasPrefix(l.target, "#") {
			continue
		}
		name := resolve(p.name, l.target)
		_, anchor, found := strings.Cut(l.target, "#")
		if found {
			anchor = "#" + anchor
		}
		switch n := l.node.(type) {
		case *ast.Image:
			pictures = append(pictures, name)
		case *ast.Link:
			to := s.pages[name]
			if to == nil {
				to = s.pages[path.Join(name, "README.md")]
			}
			if to == nil {
				n.Destination = []byte(forge + "/blob/main/" + name + anchor)
				continue
			}
			n.Destination = []byte(relative(p.output(), to.output()) + anchor)
		}
	}
	return pictures
}

// remove removes a node from its page, and parents that contain nothing else.
func remove(n ast.Node) {
	parent := n.Parent()
	parent.RemoveChild(parent, n)
	for c := parent.FirstChild(); c != nil; c = c.NextSibling() {
		if text, ok := c.(*ast.Text); !ok || text.Segment.Len() > 0 {
			return
		}
	}
	if parent.Parent() != nil {
		remove(parent)
	}
}

// relative returns the path from one file of the site to another.
func relative(from, to string) string {
	up := strings.Repeat("../", strings.Count(from, "/"))
	return up + to
}

type navPage struct {
	Title, Link string
	Current     bool
}

type navGroup struct {
	Title string
	Pages []navPage
}

func (s *site) render(p *page) ([]byte, error) {
	var body, out bytes.Buffer
	if err := markdown.Renderer().Render(&body, p.source, p.tree); err != nil {
		return nil, err
	}
	var nav []navGroup
	for _, g := range s.nav {
		to := navGroup{Title: g.title}
		for _, q := range g.pages {
			to.Pages = append(to.Pages, navPage{q.title, relative(p.output(), q.output()), q == p})
		}
		nav = append(nav, to)
	}
	// A table is as wide as it needs to be: its container scrolls, not the
	// page.
	text := strings.NewReplacer("<table>", `<div class="table" tabindex="0"><table>`, "</table>", "</table></div>").Replace(body.String())
	err := layout.Execute(&out, map[string]any{
		"Title":  p.title,
		"Home":   relative(p.output(), "index.html"),
		"Base":   strings.Repeat("../", strings.Count(p.output(), "/")),
		"Nav":    nav,
		"Body":   template.HTML(text), //nolint:gosec // the renderer leaves out raw HTML
		"Source": forge + "/blob/main/" + p.name,
	})
	return out.Bytes(), err
}

// section is what the search finds: the text below a heading.
type section struct {
	Page    string `json:"page"`
	Heading string `json:"heading"`
	Link    string `json:"link"`
	Text    string `json:"text"`
}

func sections(p *page) []section {
	var all []section
	for n := p.tree.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok {
			s := section{Page: p.title, Heading: plainText(h, p.source), Link: p.output()}
			if id, ok := h.AttributeString("id"); ok && len(all) > 0 {
				s.Link += "#" + string(id.([]byte))
			}
			all = append(all, s)
			continue
		}
		if len(all) > 0 {
			last := &all[len(all)-1]
			last.Text = strings.Join(strings.Fields(last.Text+" "+plainText(n, p.source)), " ")
		}
	}
	return all
}
