package house

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Everybody who requires the root module downloads its zip, on every machine that
// builds. Pictures and pages are in the module docs, which no other module requires.
func TestModuleZipIsSmall(t *testing.T) {
	const limit = 1100 << 10
	var size counter
	zipped := zip.NewWriter(&size)
	for _, name := range rootFiles(t) {
		switch filepath.Ext(name) {
		case ".png", ".jpg", ".gif", ".webp":
			t.Errorf("%s is in the root module, want pictures in docs", name)
		}
		w, err := zipped.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(read(t, name))); err != nil {
			t.Fatal(err)
		}
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	if t.Logf("the zip of the root module has %d kB", size>>10); size > limit {
		t.Errorf("the zip of the root module has %d kB, want %d at most", size>>10, limit>>10)
	}
}

// rootFiles is the files of the root module: those of the repository that are in no
// nested module.
func rootFiles(t *testing.T) (names []string) {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-co", "--exclude-standard")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("the files of the repository are not known without git: %v", err)
	}
	nested := modules(t)
	for _, name := range strings.Fields(string(out)) {
		inRoot := true
		for _, dir := range nested {
			inRoot = inRoot && (dir == "." || !strings.HasPrefix(name, dir+"/"))
		}
		if info, err := os.Stat(filepath.Join(root(t), name)); inRoot && err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	return names
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
