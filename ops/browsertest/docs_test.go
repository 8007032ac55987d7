package browsertest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// buildDocs builds the documentation site from this checkout, once.
var buildDocs = sync.OnceValues(func() (folder string, err error) {
	folder = filepath.Join(scratch, "site")
	cmd := exec.Command("go", "run", "./internal/site", "-out", folder)
	cmd.Dir = filepath.Join("..", "..", "docs")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go run ./internal/site: %w\n%s", err, said)
	}
	return folder, nil
})

// serveDocs serves the documentation site, and returns the paths of its pages.
func serveDocs(t *testing.T) (url string, paths []string) {
	t.Helper()
	folder, err := buildDocs()
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		if rel, relErr := filepath.Rel(folder, path); relErr == nil && strings.HasSuffix(path, ".html") {
			paths = append(paths, "/"+filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(folder)))
	t.Cleanup(server.Close)
	return server.URL, paths
}

func TestDocsFitAndCanBeRead(t *testing.T) {
	long(t)
	t.Parallel()
	url, paths := serveDocs(t)
	p := open(t, url, 1280, 800, "light")
	for _, path := range paths {
		p.visit(url + path)
		for _, look := range []struct {
			width  int64
			scheme string
		}{{1280, "light"}, {1280, "dark"}, {360, "dark"}, {360, "light"}} {
			p.screen(look.width, 800, look.scheme)
			if wide := eval[int](p, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
				t.Errorf("%s at %d px: %d px too wide", path, look.width, wide)
			}
			for _, text := range eval[[]string](p, faint) {
				t.Errorf("%s, %s: too faint: %s", path, look.scheme, text)
			}
			for _, e := range eval[[]string](p, nameless) {
				t.Errorf("%s: without a name: %s", path, e)
			}
			for _, e := range eval[[]string](p, `[...document.images].filter((i) => !i.complete || i.naturalWidth === 0 || !i.alt).map((i) => i.src)`) {
				t.Errorf("%s: a picture that does not show, or has no text: %s", path, e)
			}
			if path == "/docs/concepts.html" || path == "/index.html" {
				p.shot("docs" + strings.ReplaceAll(strings.TrimSuffix(path, ".html"), "/", "-") + "-" + look.scheme + map[bool]string{true: "-phone"}[look.width == 360])
			}
		}
	}
}

func TestDocsAreSearched(t *testing.T) {
	long(t)
	t.Parallel()
	url, _ := serveDocs(t)
	for _, width := range []int64{1280, 360} {
		p := open(t, url+"/docs/migration/index.html", width, 800, "light")
		p.press("/")
		p.write("#search", "leases")
		p.until("the results are there", `document.querySelector("#results a")?.innerText.includes("Concepts › Leases")`)
		p.shot("docs-search")
		p.press(kb.Enter)
		p.until("the first result is opened", `location.pathname === "/docs/concepts.html" && location.hash === "#leases" && document.readyState === "complete"`)
		p.write("#search", "nothingislikethis")
		p.says("Nothing found.")
	}
}
