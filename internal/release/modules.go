package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// gorelease compares the API of a module with that of its last release.
const gorelease = "golang.org/x/exp/cmd/gorelease@v0.0.0-20261113113407-e3970619a1a4"

const modulePath = "github.com/switchgear-go/switchgear"

// env lets the go command find the modules of this repository in the proxy of this
// run, and all others in the user's module cache or where the user gets them. The
// checksum database does not know ours yet. With -trimpath and without cgo, as the
// programs are built, no package needs to be compiled again in another folder.
func (r *release) env() []string {
	configured, _ := dir{path: "."}.goTool("env", "GOPROXY")
	cache, _ := dir{path: "."}.goTool("env", "GOMODCACHE")
	return []string{
		"GOWORK=off",
		"GOFLAGS=-modcacherw -trimpath",
		"CGO_ENABLED=0",
		"GOPROXY=file://" + r.proxy() + ",file://" + filepath.Join(cache, "cache", "download") + "," + configured,
		"GONOSUMDB=" + modulePath + "," + modulePath + "/*",
		"GOMODCACHE=" + filepath.Join(r.out, "modcache"),
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
	}
}

func (r *release) proxy() string { return filepath.Join(r.out, "proxy") }

// cutModules gives each module its requirements and its tag, layer by layer.
func (r *release) cutModules() error {
	if err := os.MkdirAll(filepath.Join(r.out, "api"), 0o777); err != nil {
		return err
	}
	tools := filepath.Join(r.out, "tools")
	if _, err := (dir{path: r.out, env: []string{"GOWORK=off", "GOBIN=" + tools}}).goTool("install", gorelease); err != nil {
		return err
	}
	for n, layer := range r.layers {
		for _, m := range layer {
			if err := r.require(m); err != nil {
				return fmt.Errorf("%s: %w", m.path, err)
			}
		}
		if n == 1 { // main remains usable for work: it ends before the first go.mod changes
			if _, err := r.clone.git("checkout", "-q", "-b", "release-"+r.version); err != nil {
				return err
			}
		}
		if changed, err := r.clone.git("status", "--porcelain"); err != nil {
			return err
		} else if changed != "" {
			if _, err := r.clone.git("commit", "-q", "-a", "-m", "release: requirements of "+r.version+", layer "+fmt.Sprint(n)); err != nil {
				return err
			}
		}
		for _, m := range layer {
			if err := r.reportAPI(m, tools); err != nil {
				return err
			}
			if _, err := r.clone.git("tag", "-a", "-m", m.tag(r.version), m.tag(r.version)); err != nil {
				return err
			}
			size, err := r.serve(m)
			if err != nil {
				return err
			}
			r.say("%-40s zip of %4d kB", m.tag(r.version), (size+1023)/1024)
		}
	}
	return nil
}

// require replaces the requirements of a module on others of this repository,
// which go.mod takes from their folders, by the version that is released.
func (r *release) require(m module) error {
	d := r.clone.sub(m.dir)
	args := []string{"mod", "edit"}
	for _, p := range m.requires {
		args = append(args, "-dropreplace="+p, "-require="+p+"@"+r.version)
	}
	if len(args) > 2 {
		if _, err := d.goTool(args...); err != nil {
			return err
		}
	}
	mod, err := readMod(d, "mod")
	if err != nil {
		return err
	}
	for _, replaced := range mod.Replace {
		return fmt.Errorf("go.mod replaces %s, want no replace that is not of a required module of this repository", replaced.Old.Path)
	}
	_, err = d.goTool("mod", "tidy")
	return err
}

// serve adds a tagged module to the proxy. The go command itself makes the zip of
// the tag, so it is the one that users get.
func (r *release) serve(m module) (size int64, err error) {
	cache := filepath.Join(r.out, "direct")
	d := dir{path: r.out, env: append(slices.Clone(r.clone.env),
		"GOPROXY=direct", "GOMODCACHE="+cache,
		"GIT_CONFIG_COUNT=1",
		"GIT_CONFIG_KEY_0=url.file://"+r.clone.path+".insteadOf",
		"GIT_CONFIG_VALUE_0=https://"+modulePath,
	)}
	text, err := d.goTool("mod", "download", "-json", m.path+"@"+r.version)
	if err != nil {
		return 0, err
	}
	var got struct{ Zip string }
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		return 0, err
	}
	info, err := os.Stat(got.Zip)
	if err != nil {
		return 0, err
	}
	// A module cache keeps downloads in the layout of a proxy.
	from := filepath.Join(cache, "cache", "download", m.path, "@v")
	to := filepath.Join(r.proxy(), m.path, "@v")
	if err := os.MkdirAll(to, 0o777); err != nil {
		return 0, err
	}
	for _, ending := range []string{".info", ".mod", ".zip"} {
		text, err := os.ReadFile(filepath.Join(from, r.version+ending))
		if err != nil {
			return 0, err
		}
		if err := os.WriteFile(filepath.Join(to, r.version+ending), text, 0o666); err != nil {
			return 0, err
		}
	}
	return info.Size(), os.WriteFile(filepath.Join(to, "list"), []byte(r.version+"\n"), 0o666)
}

// reportAPI writes what gorelease says about a module. It refuses a version that
// the changes since the last release do not allow.
func (r *release) reportAPI(m module, tools string) error {
	base := "none"
	if r.last != "" {
		if tagged, _ := r.clone.git("tag", "--list", m.tag(r.last)); tagged != "" {
			base = r.last
		}
	}
	text, err := r.clone.sub(m.dir).run(filepath.Join(tools, "gorelease"), "-base="+base, "-version="+r.version)
	if err != nil {
		return err
	}
	name := strings.ReplaceAll(strings.TrimPrefix(m.path, modulePath+"/"), "/", "-")
	if m.dir == "." {
		name = "root"
	}
	return os.WriteFile(filepath.Join(r.out, "api", name+".txt"), []byte(text+"\n"), 0o666)
}
