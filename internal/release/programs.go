package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

var allPlatforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

// buildPrograms builds every program of the release for each platform, twice:
// in two folders and with two build caches. The bytes must be equal, so that
// anyone can build them again and compare.
func (r *release) buildPrograms(platforms []string) error {
	if len(platforms) == 0 {
		return nil
	}
	var modules []module
	for _, layer := range r.layers {
		modules = append(modules, slices.DeleteFunc(slices.Clone(layer), func(m module) bool { return len(m.programs) == 0 })...)
	}
	files, err := r.documents(modules)
	if err != nil {
		return err
	}
	dated, err := r.clone.git("log", "-1", "--format=%cI")
	if err != nil {
		return err
	}
	when, err := time.Parse(time.RFC3339, dated)
	if err != nil {
		return err
	}
	again := dir{path: filepath.Join(r.out, "again"), env: append(slices.Clone(r.clone.env), "GOCACHE="+filepath.Join(r.out, "gocache"))}
	if _, err := r.clone.git("clone", "-q", r.clone.path, again.path); err != nil {
		return err
	}
	dist := filepath.Join(r.out, "dist")
	if err := os.MkdirAll(dist, 0o777); err != nil {
		return err
	}
	var sums strings.Builder
	for _, platform := range platforms {
		goos, goarch, _ := strings.Cut(platform, "/")
		content := slices.Clone(files)
		for _, m := range modules {
			first, err := build(r.clone, m, r.version, goos, goarch)
			if err != nil {
				return err
			}
			second, err := build(again, m, r.version, goos, goarch)
			if err != nil {
				return err
			}
			for i := range first {
				if !bytes.Equal(first[i].data, second[i].data) {
					return fmt.Errorf("%s for %s differs when it is built again", first[i].name, platform)
				}
			}
			content = append(content, first...)
		}
		name := fmt.Sprintf("switchgear_%s_%s_%s", strings.TrimPrefix(r.version, "v"), goos, goarch)
		pack, ending := packTar, ".tar.gz"
		if goos == "windows" {
			pack, ending = packZip, ".zip"
		}
		data, err := pack(name, content, when)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dist, name+ending), data, 0o666); err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name+ending)
		r.say("%-40s %5d kB", name+ending, (len(data)+1023)/1024)
		for _, f := range content {
			if f.mode&0o100 != 0 {
				r.say("  %-38s %5d kB", f.name, (len(f.data)+1023)/1024)
			}
		}
	}
	return os.WriteFile(filepath.Join(dist, "checksums.txt"), []byte(sums.String()), 0o666)
}

// build returns the programs of a module for one platform, as files of an
// archive.
func build(repo dir, m module, version, goos, goarch string) ([]file, error) {
	bin, err := os.MkdirTemp("", "release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(bin)
	if _, err := repo.git("checkout", "-q", m.tag(version)); err != nil {
		return nil, err
	}
	d := repo.sub(m.dir).with("GOOS="+goos, "GOARCH="+goarch)
	args := []string{"build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", bin + string(filepath.Separator)}
	if _, err := d.goTool(append(args, m.programs...)...); err != nil {
		return nil, err
	}
	var files []file
	for _, program := range m.programs {
		name := path.Base(program)
		if goos == "windows" {
			name += ".exe"
		}
		data, err := os.ReadFile(filepath.Join(bin, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, 0o755, data})
	}
	return files, nil
}

// documents returns what the archives of all platforms contain besides the
// programs. A program that has the commands "man" and "completion" writes its
// own pages and completions.
func (r *release) documents(modules []module) ([]file, error) {
	var files []file
	for _, name := range []string{"LICENSE", "README.md", changelogName} {
		data, err := os.ReadFile(filepath.Join(r.clone.path, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, 0o644, data})
	}
	scratch := filepath.Join(r.out, "documents")
	for _, m := range modules {
		programs, err := build(r.clone, m, r.version, runtime.GOOS, runtime.GOARCH)
		if err != nil {
			return nil, err
		}
		for _, p := range programs {
			pages := filepath.Join(scratch, p.name+"-man")
			if err := os.MkdirAll(pages, 0o777); err != nil {
				return nil, err
			}
			run := filepath.Join(scratch, p.name)
			if err := os.WriteFile(run, p.data, 0o755); err != nil {
				return nil, err
			}
			d := dir{path: scratch}
			if _, err := d.run(run, "man", pages); err != nil {
				continue // circuit_breaker_fifo has the commands of PyBreaker's program and no others
			}
			found, err := readFolder(pages, "man/man1")
			if err != nil {
				return nil, err
			}
			files = append(files, found...)
			for shell, name := range map[string]string{"bash": p.name, "zsh": "_" + p.name, "fish": p.name + ".fish", "powershell": p.name + ".ps1"} {
				script, err := d.run(run, "completion", shell)
				if err != nil {
					return nil, err
				}
				files = append(files, file{"completions/" + shell + "/" + name, 0o644, []byte(script + "\n")})
			}
		}
	}
	if !slices.ContainsFunc(files, func(f file) bool { return strings.HasPrefix(f.name, "man/") }) {
		return nil, errors.New("no program writes manual pages")
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

func readFolder(dir, as string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, file{path.Join(as, e.Name()), 0o644, data})
	}
	return files, nil
}
