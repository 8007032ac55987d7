package main

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree is a workspace of this repository's root module and others, by folder: each
// requires others and has one file.
func tree(t *testing.T, modules map[string]string) dir {
	t.Helper()
	d := dir{path: t.TempDir(), env: []string{"GOWORK=off", "GOPROXY=off"}}
	work := "go 1.25.0\n"
	for _, folder := range slices.Sorted(maps.Keys(modules)) {
		text := modules[folder]
		requires, file, _ := strings.Cut(text, "\n")
		name := modulePath
		if folder != "." {
			name += "/" + folder
		}
		mod := "module " + name + "\n\ngo 1.25.0\n"
		for _, r := range strings.Fields(requires) {
			p, up := modulePath+"/"+r, strings.Repeat("../", strings.Count(folder, "/")+1)+r
			if r == "." {
				p = modulePath
			}
			mod += "require " + p + " v0.0.0\nreplace " + p + " => " + up + "\n"
		}
		write(t, d, filepath.Join(folder, "go.mod"), mod)
		kind := "code.go"
		if strings.Contains(file, "_test") {
			kind = "code_test.go"
		}
		write(t, d, filepath.Join(folder, kind), file)
		work += "use ./" + folder + "\n"
	}
	write(t, d, "go.work", work)
	write(t, d, "internal/x/x.go", "package x\n\nconst X = 1\n")
	return d
}

func TestPublished(t *testing.T) {
	const library, tests = "package a\n\nfunc F() {}\n", "package a_test\n"
	for _, test := range []struct {
		name    string
		modules map[string]string
		want    string
	}{
		{"layers", map[string]string{
			".": "\n" + library, "adapters/a": ".\n" + library, "adapters/b": ".\n" + library, "adapters/b/btest": ".\n" + tests,
			"examples/a": ".\n" + library, "cmd": ". adapters/a\npackage main\n\nfunc main() {}\n", "docs": "\npackage docs\n", "docs/internal/site": "\npackage main\n\nfunc main() {}\n",
		}, ". | adapters/a adapters/b | cmd"},
		{
			"requires tests",
			map[string]string{".": "\n" + library, "adapters/a": "t\n" + library, "t": "\n" + tests},
			"error: " + modulePath + "/adapters/a requires " + modulePath + "/t, which is not published: it has nothing for others, or is not in go.work",
		},
		{
			"internal",
			map[string]string{".": "\n" + library, "a": ".\npackage a\n\nimport \"" + modulePath + "/internal/x\"\n\nconst X = x.X\n"},
			"error: " + modulePath + "/a imports " + modulePath + "/internal/x, which is internal to another module",
		},
		{"internal in tests", map[string]string{".": "\n" + library, "a": ".\npackage a_test\n\nimport _ \"" + modulePath + "/internal/x\"\n"}, "."},
		{
			"cycle",
			map[string]string{".": "\n" + library, "a": "b\n" + library, "b": "a\n" + library},
			"error: " + modulePath + "/a and 1 more modules require each other",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var layers [][]module
			modules, err := published(tree(t, test.modules))
			if err == nil {
				layers, err = order(modules)
			}
			got := ""
			for i, layer := range layers {
				if i > 0 {
					got += " | "
				}
				for j, m := range layer {
					if j > 0 {
						got += " "
					}
					got += m.dir
				}
			}
			if err != nil {
				got = "error: " + err.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// What this repository publishes is not listed anywhere; this shows it.
func TestPublishedHere(t *testing.T) {
	modules, err := published(dir{path: filepath.Join("..", ".."), env: []string{"GOWORK=off"}})
	if err != nil {
		t.Fatal(err)
	}
	layers, err := order(modules)
	if err != nil {
		t.Fatal(err)
	}
	if first := layers[0]; len(first) != 1 || first[0].dir != "." {
		t.Errorf("the first layer is %v, want the root alone", first)
	}
	for i, layer := range layers {
		for _, m := range layer {
			t.Logf("%d %s: %d packages, %d programs", i, m.dir, len(m.packages), len(m.programs))
		}
	}
}
