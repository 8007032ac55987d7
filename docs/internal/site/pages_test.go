package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yuin/goldmark/ast"
)

func TestIndexListsEveryPage(t *testing.T) {
	s := loadSite(t)
	for _, name := range files(t, "docs/*.md") {
		if s.pages[name] == nil {
			t.Errorf("%s is not in %s", name, index)
		}
	}
}

// Links of all Markdown files lead to a file that is there, and to a heading of it.
func TestLinks(t *testing.T) {
	s := &site{repo: repo, pages: map[string]*page{}}
	for _, name := range files(t, "*.md") {
		if strings.Contains(name, "testdata/") || strings.HasPrefix(name, ".github/") {
			continue
		}
		p, err := s.read(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range p.links {
			if external(l.target) {
				if !strings.HasPrefix(l.target, "https://") {
					t.Errorf("%s: got link %s, want https", name, l.target)
				}
				continue
			}
			to := resolve(name, l.target)
			info, err := os.Stat(filepath.Join(repo, filepath.FromSlash(to)))
			if err != nil {
				t.Errorf("%s: %s leads to no file", name, l.target)
				continue
			}
			_, anchor, found := strings.Cut(l.target, "#")
			if !found {
				continue
			}
			if info.IsDir() || path.Ext(to) != ".md" {
				t.Errorf("%s: %s has an anchor, want one only in a page", name, l.target)
				continue
			}
			q, err := s.read(to)
			if err != nil {
				t.Fatal(err)
			}
			if !q.ids[anchor] {
				t.Errorf("%s: %s has no heading #%s", name, to, anchor)
			}
		}
	}
}

// The Go code that pages show is code that is compiled, most of it in Examples.
func TestPagesShowCompiledCode(t *testing.T) {
	var all strings.Builder
	for _, name := range files(t, "*.go") {
		text, err := os.ReadFile(filepath.Join(repo, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(squeeze(string(text)) + "\n")
	}
	code, blocks := all.String(), 0
	for _, p := range loadSite(t).pages {
		_ = ast.Walk(p.tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			f, ok := n.(*ast.FencedCodeBlock)
			if !ok || !entering || string(f.Language(p.source)) != "go" {
				return ast.WalkContinue, nil
			}
			blocks++
			text := plainText(f, p.source)
			// A block may begin with the import that it needs, and be in parts.
			for _, part := range strings.Split(text, "\n\n") {
				part = squeeze(strings.TrimPrefix(part, "import "))
				if !strings.Contains(code, part) {
					t.Errorf("%s shows\n%s\nwhich no Go file has", p.name, text)
					break
				}
			}
			return ast.WalkContinue, nil
		})
	}
	if blocks < 20 {
		t.Errorf("found %d blocks of Go, want those of the recipes and the migration", blocks)
	}
}

var (
	commandLine = regexp.MustCompile("(?m)(?:^    (?:\\$ )?|`)(switchgear|circuit_breaker_fifo)((?: [^`\n]*)?)")
	flagInLine  = regexp.MustCompile(` (--?[a-z][a-z-]*)`)
)

// The commands that pages show exist, and have the flags that pages give them.
func TestPagesShowCommandsThatExist(t *testing.T) {
	s := loadSite(t)
	reference := string(s.pages["docs/reference/commands.md"].source)
	shown := 0
	for _, p := range s.pages {
		if p.name == "docs/reference/commands.md" {
			continue
		}
		for _, found := range commandLine.FindAllStringSubmatch(string(p.source), -1) {
			line, _, _ := strings.Cut(found[2], "  ") // what follows is a comment
			line = regexp.MustCompile(`"[^"]*"|'[^']*'`).ReplaceAllString(line, "X")
			words := strings.Fields(line)
			if found[1] != "switchgear" || len(words) == 0 || strings.HasPrefix(words[0], "-") {
				continue
			}
			if words[0] == "man" || words[0] == "completion" || words[0] == "help" {
				continue // not in the reference: they are for those who pack it
			}
			shown++
			_, section, ok := strings.Cut(reference, "\n## switchgear "+words[0]+"\n")
			if !ok {
				t.Errorf("%s shows %q, which is not a command", p.name, "switchgear"+found[2])
				continue
			}
			section, _, _ = strings.Cut(section, "\n## switchgear ")
			if len(words) > 1 && strings.Contains(section, "Available Commands") {
				_, sub, _ := strings.Cut(reference, "\n## switchgear "+words[0]+" "+words[1]+"\n")
				section += sub // whose help leaves out the flags of the command above it
			}
			global, _, _ := strings.Cut(reference, "\n## switchgear ps\n")
			for _, f := range flagInLine.FindAllStringSubmatch(line, -1) {
				if !strings.Contains(section+global, f[1]+" ") && !strings.Contains(section+global, f[1]+",") {
					t.Errorf("%s shows %q, whose help has no %s", p.name, "switchgear"+found[2], f[1])
				}
			}
		}
	}
	if shown < 10 {
		t.Errorf("found %d commands, want those of the README and of the page on operating", shown)
	}
}

func TestHeadingsAreNamedAsOnGitHub(t *testing.T) {
	g := &githubIDs{}
	for _, test := range [][2]string{
		{"What is proved, and what is not", "what-is-proved-and-what-is-not"},
		{"`fail_max`", "fail_max"},
		{"GET /v1/status", "get-v1status"},
		{"database/sql", "databasesql"},
		{"States", "states"},
		{"States", "states-1"},
		{"Größe – ja", "größe--ja"},
	} {
		if got := string(g.Generate([]byte(test[0]), ast.KindHeading)); got != test[1] {
			t.Errorf("%q: got %q, want %q", test[0], got, test[1])
		}
	}
}
