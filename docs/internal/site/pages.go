package main

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
)

// index is the page that lists all others.
const index = "docs/README.md"

// site is the pages of the repository.
type site struct {
	repo  string // its folder
	pages map[string]*page
	nav   []group
}

// group is a heading of the index with the pages that it lists.
type group struct {
	title string
	pages []*page
}

type page struct {
	name   string // the file, relative to the repository, with slashes
	title  string
	source []byte
	tree   ast.Node
	links  []link
	ids    map[string]bool // the anchors of its headings
}

// link is a link or a picture of a page.
type link struct {
	node    ast.Node
	target  string
	picture bool
}

// output returns where a page is in the site: README.md becomes the index of
// its folder.
func (p *page) output() string {
	base := strings.TrimSuffix(p.name, ".md")
	if path.Base(base) == "README" {
		return path.Join(path.Dir(base), "index.html")
	}
	return base + ".html"
}

// markdown parses what GitHub parses. Raw HTML is left out.
var markdown = goldmark.New(
	goldmark.WithExtensions(extension.GFM),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(html.WithXHTML()),
)

// load reads the index and the pages that it lists.
func load(repo string) (*site, error) {
	s := &site{repo: repo, pages: map[string]*page{}}
	top, err := s.read(index)
	if err != nil {
		return nil, err
	}
	for n := top.tree.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Heading:
			if n.Level == 2 {
				s.nav = append(s.nav, group{title: plainText(n, top.source)})
			}
		case *ast.List:
			if len(s.nav) == 0 {
				continue
			}
			g := &s.nav[len(s.nav)-1]
			for item := n.FirstChild(); item != nil; item = item.NextSibling() {
				l, ok := firstLink(item)
				if !ok {
					return nil, fmt.Errorf("%s: an item of %q has no link", index, g.title)
				}
				name := resolve(index, string(l.Destination))
				if s.pages[name] != nil {
					return nil, fmt.Errorf("%s lists %s twice", index, name)
				}
				p, err := s.read(name)
				if err != nil {
					return nil, err
				}
				g.pages = append(g.pages, p)
			}
		}
	}
	return s, nil
}

func firstLink(n ast.Node) (found *ast.Link, ok bool) {
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if l, is := n.(*ast.Link); is && entering && found == nil {
			found = l
		}
		return ast.WalkContinue, nil
	})
	return found, found != nil
}

func (s *site) read(name string) (*page, error) {
	if p := s.pages[name]; p != nil {
		return p, nil
	}
	source, err := os.ReadFile(filepath.Join(s.repo, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	p := &page{name: name, source: source, ids: map[string]bool{}}
	p.tree = markdown.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(&githubIDs{}))))
	err = ast.Walk(p.tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			if id, ok := n.AttributeString("id"); ok {
				p.ids[string(id.([]byte))] = true
			}
			if p.title == "" {
				p.title = plainText(n, source)
			}
		case *ast.Link:
			p.links = append(p.links, link{n, string(n.Destination), false})
		case *ast.Image:
			p.links = append(p.links, link{n, string(n.Destination), true})
		}
		return ast.WalkContinue, nil
	})
	s.pages[name] = p
	return p, err
}

// resolve returns the file that a relative link of a page leads to, without an
// anchor.
func resolve(from, target string) string {
	target, _, _ = strings.Cut(target, "#")
	if unescaped, err := url.PathUnescape(target); err == nil {
		target = unescaped
	}
	if target == "" {
		return from
	}
	return path.Join(path.Dir(from), target)
}

func external(target string) bool {
	u, err := url.Parse(target)
	return err == nil && u.Scheme != ""
}

// plainText returns the text of a node without its markup.
func plainText(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Text:
			if entering {
				b.Write(n.Segment.Value(source))
				if n.SoftLineBreak() {
					b.WriteByte(' ')
				}
			}
		case *ast.String:
			if entering {
				b.Write(n.Value)
			}
		case *ast.FencedCodeBlock, *ast.CodeBlock:
			if entering {
				lines := n.Lines()
				for i := range lines.Len() {
					segment := lines.At(i)
					b.Write(segment.Value(source))
				}
			}
		}
		if !entering && n.Type() == ast.TypeBlock {
			b.WriteByte(' ')
		}
		return ast.WalkContinue, nil
	})
	return strings.TrimSpace(b.String())
}

// githubIDs names headings as GitHub does, so that a link to one works on both.
type githubIDs struct{ used map[string]int }

var notInID = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_ -]+`)

func (g *githubIDs) Generate(value []byte, _ ast.NodeKind) []byte {
	id := strings.ReplaceAll(notInID.ReplaceAllString(strings.ToLower(string(value)), ""), " ", "-")
	if g.used == nil {
		g.used = map[string]int{}
	}
	n, taken := g.used[id]
	g.used[id] = n + 1
	if taken {
		id = fmt.Sprintf("%s-%d", id, n)
	}
	return []byte(id)
}

func (g *githubIDs) Put([]byte) {}
