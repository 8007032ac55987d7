// Release cuts a version of every published module into a scratch clone:
// changelog, go.mod files, tags, the report on API changes, and the archives of
// the programs. It pushes nothing.
//
//	go run ./internal/release -out /tmp/release v0.1.0
//
// It creates in the folder of -out:
//
//	repo/      a clone with the commits and tags of the release
//	proxy/     a module proxy that serves the released modules (GOPROXY=file://...)
//	api/       what gorelease says about each module
//	dist/      the archives of the programs, and their checksums
//	modcache/  the module cache that this run used
//
// The modules of one release have one version. The root module is tagged first,
// then the modules that require it, then those that require these: each go.mod
// names versions that exist already, and its go.sum has their checksums.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(os.Stderr, "release: %v\n", err)
		}
		os.Exit(1)
	}
}

func run(args []string, log io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	from := flags.String("from", ".", "the `folder` of the repository, on a clean branch main")
	out := flags.String("out", "", "the `folder` to write to, which must not exist")
	platforms := flags.String("platforms", strings.Join(allPlatforms, ","), "the `list` of platforms to build the programs for")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("got no version, want one such as v0.1.0")
	}
	if *out == "" {
		return errors.New("got no -out, want a folder to write to")
	}
	r, err := newRelease(*from, *out, flags.Arg(0), log)
	if err != nil {
		return err
	}
	if err := r.cut(strings.Split(*platforms, ",")); err != nil {
		return err
	}
	r.sayWhatIsLeft()
	return nil
}

func (r *release) cut(platforms []string) error {
	if err := r.dateChangelog(); err != nil {
		return err
	}
	if err := r.cutModules(); err != nil {
		return err
	}
	return r.buildPrograms(platforms)
}

// release is one run. Its commands see the modules of this repository through the
// scratch clone alone, and never the user's module cache, where a version that
// was cut for a rehearsal would later pass for the published one.
type release struct {
	version string
	last    string // the release before, or ""
	clone   dir    // the scratch clone
	out     string
	log     io.Writer
	layers  [][]module
}

func newRelease(from, out, version string, log io.Writer) (*release, error) {
	if err := checkVersion(version); err != nil {
		return nil, err
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(out); err == nil {
		return nil, fmt.Errorf("%s exists, want a new folder", out)
	}
	source := dir{path: from}
	if source.path, err = source.git("rev-parse", "--show-toplevel"); err != nil {
		return nil, err
	}
	branch, err := source.git("branch", "--show-current")
	if err != nil {
		return nil, err
	}
	if branch != "main" {
		return nil, fmt.Errorf("got branch %q, want main", branch)
	}
	if changed, err := source.git("status", "--porcelain"); err != nil || changed != "" {
		return nil, errors.Join(err, fmt.Errorf("%s is not clean:\n%s", source.path, changed))
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return nil, err
	}
	if _, err := source.git("clone", "-q", "--no-hardlinks", "--branch", "main", source.path, filepath.Join(out, "repo")); err != nil {
		return nil, err
	}
	r := &release{version: version, out: out, log: log}
	r.clone = dir{path: filepath.Join(out, "repo"), env: r.env()}
	if err := r.nameCommitter(source); err != nil {
		return nil, err
	}
	if tagged, _ := r.clone.git("tag", "--list", version); tagged != "" {
		return nil, fmt.Errorf("%s is tagged already", version)
	}
	r.last, _ = r.clone.git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")
	if r.last != "" && compareVersions(version, r.last) <= 0 {
		return nil, fmt.Errorf("got version %s, want one after %s", version, r.last)
	}
	modules, err := published(dir{path: r.clone.path, env: []string{"GOWORK=off"}})
	if err != nil {
		return nil, err
	}
	r.layers, err = order(modules)
	return r, err
}

// nameCommitter copies the name that the source repository commits with. The
// commits are dated like the one they stand on, so that a release that is cut
// twice has the same commits and the same binaries.
func (r *release) nameCommitter(source dir) error {
	for _, key := range []string{"user.name", "user.email"} {
		value, err := source.git("config", key)
		if err != nil {
			return fmt.Errorf("git config %s: %w", key, err)
		}
		if _, err := r.clone.git("config", key, value); err != nil {
			return err
		}
	}
	date, err := r.clone.git("log", "-1", "--format=%cI")
	if err != nil {
		return err
	}
	r.clone.env = append(r.clone.env, "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)
	return nil
}

func (r *release) say(format string, args ...any) { fmt.Fprintf(r.log, format+"\n", args...) }

// sayWhatIsLeft prints the commands that publish. Each tag is pushed
// separately: a push of many tags at once starts no workflows on GitHub.
func (r *release) sayWhatIsLeft() {
	r.say("\n%s is cut in %s and nothing is pushed. To publish it with %s:\n", r.version, r.out, runtime.Version())
	r.say("  cd %s", r.clone.path)
	r.say("  git remote set-url origin REPOSITORY")
	r.say("  git push origin main")
	for _, layer := range r.layers {
		for _, m := range layer {
			r.say("  git push origin %s", m.tag(r.version))
		}
	}
}
