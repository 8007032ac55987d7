package main

import (
	"encoding/json"
	"html"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	attribute = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	idInHTML  = regexp.MustCompile(`id="([^"]*)"`)
)

// The site that is built has no link or picture that leads nowhere, and its search
// finds every page.
func TestSite(t *testing.T) {
	out := filepath.Join(t.TempDir(), "site")
	s := loadSite(t)
	if err := s.build(out); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(out, filepath.FromSlash(name)))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	exists := func(from, target string) {
		name, anchor, _ := strings.Cut(html.UnescapeString(target), "#")
		to := from
		if name != "" {
			to = path.Join(path.Dir(from), name)
		}
		text := read(to)
		if anchor == "" {
			return
		}
		for _, id := range idInHTML.FindAllStringSubmatch(text, -1) {
			if html.UnescapeString(id[1]) == anchor {
				return
			}
		}
		t.Errorf("%s links to %s, which has no such heading", from, target)
	}
	for _, p := range s.pages {
		for _, a := range attribute.FindAllStringSubmatch(read(p.output()), -1) {
			if !external(a[1]) {
				exists(p.output(), a[1])
			}
		}
	}
	var index []section
	if err := json.Unmarshal([]byte(strings.TrimPrefix(read("assets/search-index.js"), "const searchIndex = ")), &index); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, entry := range index {
		name, _, _ := strings.Cut(entry.Link, "#")
		found[name] = true
		exists("index.html", entry.Link)
	}
	for _, p := range s.pages {
		if !found[p.output()] {
			t.Errorf("the search does not find %s", p.name)
		}
	}
}
