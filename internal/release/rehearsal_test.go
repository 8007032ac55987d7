package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRehearsal cuts the next release of HEAD, and uses it as a stranger would: in
// empty folders, with nothing but the README and a module proxy. It takes minutes,
// so it runs only with SWITCHGEAR_REHEARSE=1, as in CI.
func TestRehearsal(t *testing.T) {
	if os.Getenv("SWITCHGEAR_REHEARSE") != "1" {
		t.Skip("SWITCHGEAR_REHEARSE=1 rehearses a release")
	}
	source := cloneHead(t)
	first := cutNext(t, source, []string{runtime.GOOS + "/" + runtime.GOARCH})
	s := stranger{first, t.TempDir()}

	t.Run("FirstCall", s.firstCall)
	for _, m := range slices.Concat(first.layers...) {
		if len(m.packages) > 0 {
			t.Run("Module/"+m.dir, func(t *testing.T) { s.use(t, m) })
		}
	}
	t.Run("AllModules", func(t *testing.T) { s.use(t, slices.Concat(first.layers...)...) })
	t.Run("Programs", s.programs)
	t.Run("Downloads", s.downloads)
	t.Run("NewerRoot", func(t *testing.T) {
		// The next release is cut from the first one, as its main has it.
		if _, err := source.git("pull", "-q", "--tags", first.clone.path, "main"); err != nil {
			t.Fatal(err)
		}
		t.Setenv("GOPROXY", "file://"+first.proxy()+","+do(t, source, "go", "env", "GOPROXY"))
		second := cutNext(t, source, nil)
		for _, m := range first.layers[1] {
			d := stranger{second, s.home}.folder(t)
			do(t, d, "go", "get", modulePath+"@"+second.version, m.path+"@"+first.version)
			write(t, d, "main.go", program(m.packages))
			do(t, d, "go", "build", "./...")
		}
	})
}

// cloneHead is a clone of this repository, with HEAD as its branch main.
func cloneHead(t *testing.T) dir {
	t.Helper()
	repo := dir{path: "."}
	top := do(t, repo, "git", "rev-parse", "--show-toplevel")
	d := dir{path: filepath.Join(t.TempDir(), "source")}
	do(t, repo, "git", "clone", "-q", top, d.path)
	do(t, d, "git", "checkout", "-q", "-B", "main")
	do(t, d, "git", "config", "user.name", "Rehearsal")
	do(t, d, "git", "config", "user.email", "rehearsal@example.com")
	return d
}

// cutNext cuts the version that the changelog announces. Where it announces none,
// as just after a release, it is the next patch.
func cutNext(t *testing.T, source dir, platforms []string) *release {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(source.path, changelogName))
	if err != nil {
		t.Fatal(err)
	}
	heading := regexp.MustCompile(`\n## (\d+\.\d+\.)(\d+)(.*)\n`).FindStringSubmatchIndex(string(text))
	if heading == nil {
		t.Fatalf("%s has no section of a version", changelogName)
	}
	group := func(n int) string { return string(text[heading[2*n]:heading[2*n+1]]) }
	version := "v" + group(1) + group(2)
	if group(3) != " - unreleased" {
		patch, _ := strconv.Atoi(group(2))
		version = "v" + group(1) + strconv.Itoa(patch+1)
		section := "\n## " + version[1:] + " - unreleased\n\n- rehearsal: a section.\n"
		write(t, source, changelogName, string(text[:heading[0]])+section+string(text[heading[0]:]))
		do(t, source, "git", "commit", "-q", "-a", "-m", "rehearsal: the next version")
	}
	r, err := newRelease(source.path, filepath.Join(t.TempDir(), "out"), version, logTo{t})
	if err == nil {
		err = r.cut(platforms)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// stranger has the released modules, from a proxy, and a home without a Go module.
type stranger struct {
	*release
	home string
}

// folder is a new empty one. The checksums of our modules are in no database yet.
func (s stranger) folder(t *testing.T) dir {
	t.Helper()
	d := dir{path: t.TempDir(), env: append(s.env(), "GOBIN="+filepath.Join(s.home, "bin"), "GOMODCACHE="+filepath.Join(s.home, "mod"))}
	do(t, d, "go", "mod", "init", "example.com/stranger")
	return d
}

func (s stranger) readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.clone.path, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (s stranger) firstCall(t *testing.T) {
	d := s.folder(t)
	began := time.Now()
	doLine(t, d, line(t, s.readme(t), `(?m)^    (go get \S+)`))
	block := line(t, s.readme(t), "(?s)```go\n(.*?)```")
	imported, rest, _ := strings.Cut(block, "\n\n")
	declared, call, _ := strings.Cut(rest, "\n\n")
	write(t, d, "main.go", fill(t, "testdata/firstcall.go.tmpl", "import", imported, "declare", declared, "call", call))
	out := do(t, d, "go", "run", ".")
	t.Logf("%.1f s from an empty folder to the first guarded call", time.Since(began).Seconds())
	if want := "queued: order 42 <nil>"; !strings.HasSuffix(out, want) {
		t.Errorf("the README's first code prints\n%s\nwant %q at its end", out, want)
	}
}

// use requires modules, and builds a program that imports all of their packages.
func (s stranger) use(t *testing.T, modules ...module) {
	d := s.folder(t)
	var packages []string
	for _, m := range modules {
		if len(m.packages) > 0 {
			do(t, d, "go", "get", m.path)
			packages = append(packages, m.packages...)
		}
	}
	write(t, d, "main.go", program(packages))
	do(t, d, "go", "mod", "tidy")
	do(t, d, "go", "vet", ".")
	do(t, d, "go", "build", "-o", "program", ".")
	mod, err := readMod(d, "mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Require {
		ours := strings.HasPrefix(r.Path+"/", modulePath+"/")
		known := slices.ContainsFunc(slices.Concat(s.layers...), func(m module) bool { return m.path == r.Path })
		if ours && (!known || r.Version != s.version) {
			t.Errorf("go.mod requires %s %s, want published modules at %s", r.Path, r.Version, s.version)
		}
	}
}

// programs installs what the README says, and types its commands beside a program
// with the README's code.
func (s stranger) programs(t *testing.T) {
	d := s.folder(t)
	began := time.Now()
	doLine(t, d, line(t, s.readme(t), "(go install [^`\\s]+@latest)"))
	for _, m := range slices.Concat(s.layers...) {
		for _, p := range m.programs {
			do(t, d, "go", "install", p+"@latest")
		}
	}
	doLine(t, d, line(t, s.readme(t), `(?m)^    (go get \S+)`))
	do(t, d, "go", "get", modulePath+"/adapters/breakerconf")
	operate := line(t, s.readme(t), `(?s)\n\n(    plane := ops\.New.*?)\n\n`)
	write(t, d, "main.go", fill(t, "testdata/operate.go.tmpl", "operate", operate))
	write(t, d, "breaker.conf", "[pybreaker]\ninput_path = "+s.home+"/{pid}.in\noutput_path = "+s.home+"/{pid}.out\n")
	do(t, d, "go", "build", "-o", "shop", ".") // as the README calls it

	sockets, err := os.MkdirTemp("", "sg") //nolint:usetesting // T.TempDir has the test's name in it, which is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	channel := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(channel.Close)
	d.env = append(d.env, "SWITCHGEAR_RUNTIME_DIR="+sockets, "SWITCHGEAR_NOTIFY_URL="+channel.URL, "PATH="+filepath.Join(s.home, "bin")+":"+os.Getenv("PATH"))
	cmd := exec.Command(filepath.Join(d.path, "shop"))
	cmd.Dir, cmd.Env, cmd.Stderr = d.path, append(os.Environ(), d.env...), os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	if said, err := bufio.NewReader(stdout).ReadString('\n'); err != nil && err != io.EOF || said != "ready\n" {
		t.Fatalf("the program says %q (%v), want ready", said, err)
	}
	// A module zip does not say from which commit it was made.
	if got, want := doLine(t, d, "switchgear --version"), "switchgear "+s.version+" ("+runtime.Version()+")"; got != want {
		t.Errorf("switchgear --version says %q, want %q", got, want)
	}
	if out := doLine(t, d, "switchgear status"); !strings.Contains(out, "payments") {
		t.Errorf("switchgear status prints\n%s\nwant payments in it", out)
	}
	t.Logf("%.1f s from an empty folder to the first switchgear status", time.Since(began).Seconds())

	commands := regexp.MustCompile(`(?m)^    \$ (.*)`).FindAllStringSubmatch(s.readme(t), -1)
	if len(commands) < 6 {
		t.Errorf("the README has %d commands, want those of two programs", len(commands))
	}
	for _, c := range commands {
		command, _, _ := strings.Cut(strings.ReplaceAll(c[1], "-p 1234", "-p "+strconv.Itoa(cmd.Process.Pid)), "  #")
		switch {
		case strings.HasPrefix(command, "switchgear top"):
			continue // needs a terminal
		case strings.HasPrefix(command, "switchgear record"):
			command = strings.ReplaceAll(command, "--for 10m", "--for 2s")
		case strings.HasPrefix(command, "switchgear notify"):
			command = "timeout --signal=INT 3 " + command + "; test $? = 124" // runs until it is stopped
		}
		t.Logf("$ %s\n%s", command, doLine(t, d, command))
	}
	if out := doLine(t, d, "switchgear status"); !strings.Contains(out, "FORCED-OPEN") {
		t.Errorf("after the README's commands, switchgear status prints\n%s\nwant FORCED-OPEN in it", out)
	}
	doLine(t, d, "switchgear demo --for 2s")
}

// downloads checks the archive for this platform: the sums, the documents, and the
// programs, which are those that go install makes except for the commit in them.
func (s stranger) downloads(t *testing.T) {
	dist := dir{path: filepath.Join(s.out, "dist")}
	do(t, dist, "sha256sum", "--check", "--strict", "checksums.txt")
	name := "switchgear_" + strings.TrimPrefix(s.version, "v") + "_" + runtime.GOOS + "_" + runtime.GOARCH
	d := dir{path: t.TempDir()}
	do(t, d, "tar", "xzf", filepath.Join(dist.path, name+".tar.gz"))
	d = d.sub(name)
	for _, m := range slices.Concat(s.layers...) {
		for _, p := range m.programs {
			do(t, d, "./"+path.Base(p), "--help")
			want := regexp.MustCompile("^" + regexp.QuoteMeta(path.Base(p)+" "+s.version) + ` \(commit [0-9a-f]{12}, ` + regexp.QuoteMeta(runtime.Version()) + `\)$`)
			if said := do(t, d, "./"+path.Base(p), "--version"); !want.MatchString(said) {
				t.Errorf("%s --version says %q, want %s", p, said, want)
			}
		}
	}
	for _, name := range []string{"LICENSE", "README.md", "man/man1/switchgear.1", "man/man1/switchgear-status.1", "completions/bash/switchgear", "completions/zsh/_switchgear", "completions/fish/switchgear.fish", "completions/powershell/switchgear.ps1"} {
		if info, err := os.Stat(filepath.Join(d.path, name)); err != nil || info.Size() == 0 {
			t.Errorf("the archive has no %s", name)
		}
	}
	do(t, d, "bash", "-n", "completions/bash/switchgear")
}

// program imports packages, and does nothing with them.
func program(packages []string) string {
	var b strings.Builder
	b.WriteString("package main\n\nimport (\n")
	for _, p := range packages {
		b.WriteString("\t_ \"" + p + "\"\n")
	}
	b.WriteString(")\n\nfunc main() {}\n")
	return b.String()
}
