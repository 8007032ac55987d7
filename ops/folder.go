package ops

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	socketFolder  = "switchgear"
	runtimeDirEnv = "SWITCHGEAR_RUNTIME_DIR"
)

// defaultRuntimeDir returns the directory in which the folder of the sockets
// is created; see Plane.Listen.
func defaultRuntimeDir() string {
	for _, name := range []string{runtimeDirEnv, "XDG_RUNTIME_DIR"} {
		if dir := os.Getenv(name); filepath.IsAbs(dir) {
			return dir
		}
	}
	if os.Getuid() == 0 {
		return "/run"
	}
	return filepath.Join(os.TempDir(), tempPrefix+strconv.Itoa(os.Getuid()))
}

const tempPrefix = "switchgear-" // followed by the user's number

// makeFolder creates the folder of the sockets, or checks the existing one.
func makeFolder(runtimeDir string) (string, error) {
	folder := filepath.Join(cmp.Or(runtimeDir, defaultRuntimeDir()), socketFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	return folder, checkFolder(folder, os.Geteuid())
}

// checkFolder makes sure that only user uid and root can put a socket into
// folder, or put another folder in its place, and that other users cannot
// enter it.
func checkFolder(folder string, uid int) error {
	if err := checkOwner(filepath.Dir(folder), uid, false); err != nil {
		return err
	}
	return checkOwner(folder, uid, true)
}

// checkOwner makes sure that only user uid and root can change what is in
// folder. A private folder must belong to uid, and no other user may enter it.
func checkOwner(folder string, uid int, private bool) error {
	info, err := os.Lstat(folder) // a link could be redirected by its owner
	if err != nil {
		return err
	}
	mode, owned := info.Mode(), owner(info)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder (%s)", folder, mode)
	case owned != uid && (private || owned != 0):
		return fmt.Errorf("%s belongs to another user", folder)
	case private && mode.Perm()&0o077 != 0:
		return fmt.Errorf("%s has mode %04o, want 0700: others could reach the sockets in it", folder, mode.Perm())
	case mode.Perm()&0o022 != 0 && mode&os.ModeSticky == 0:
		return fmt.Errorf("%s has mode %04o: others could replace what is in it", folder, mode.Perm())
	}
	return nil
}

// runtimeDirs returns the runtime dirs in which to look for sockets, each with
// the user it must belong to, or anyone.
func runtimeDirs(further []string) map[string]int {
	dirs := map[string]int{defaultRuntimeDir(): anyone}
	for _, dir := range further {
		dirs[dir] = anyone
	}
	if filepath.IsAbs(os.Getenv(runtimeDirEnv)) {
		return dirs
	}
	add := func(dir string, uid int) {
		if _, known := dirs[dir]; !known {
			dirs[dir] = uid
		}
	}
	add("/run", 0)
	for _, place := range []struct{ parent, prefix string }{{"/run/user", ""}, {os.TempDir(), tempPrefix}} {
		for _, name := range namesIn(place.parent, maxNames) {
			if number, ok := strings.CutPrefix(name, place.prefix); ok {
				if uid, err := strconv.Atoi(number); err == nil {
					add(filepath.Join(place.parent, name), uid)
				}
			}
		}
	}
	return dirs
}

const (
	anyone   = -1
	maxNames = 100_000 // entries read of a folder to which every user may add
)

// trustedOwner returns the user whose sockets are in folder, if the folder can
// be trusted: this user, or for root the user to whom it must belong.
func trustedOwner(folder string, whose int) (uid int, err error) {
	info, err := os.Lstat(folder)
	if err != nil {
		return 0, err
	}
	uid = owner(info)
	me := os.Geteuid()
	if uid != me && (me != 0 || whose != anyone && uid != whose) {
		return 0, fmt.Errorf("%s belongs to another user", folder)
	}
	return uid, checkFolder(folder, uid)
}

// namesIn returns up to most names of entries in folder, in no particular
// order.
func namesIn(folder string, most int) (names []string) {
	f, err := openFolder(folder)
	if err != nil {
		return nil
	}
	defer f.Close()
	for len(names) < most {
		more, err := f.Readdirnames(min(1024, most-len(names)))
		names = append(names, more...)
		if err != nil {
			break // either all entries have been read, or no more can be
		}
	}
	return names
}
