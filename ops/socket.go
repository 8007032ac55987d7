package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	socketFolder  = "switchgear"
	runtimeDirEnv = "SWITCHGEAR_RUNTIME_DIR"
)

// Server is a process's unix socket.
type Server struct {
	path    string
	socket  *net.UnixListener
	http    *http.Server
	remains os.FileInfo
}

// Listen serves the plane as HTTP on a unix socket, <runtime dir>/switchgear/
// <pid>.sock, until Close. The runtime dir is Options.RuntimeDir, or else
// SWITCHGEAR_RUNTIME_DIR, or else XDG_RUNTIME_DIR, or else /run for root, or
// else a folder of the user's own under the temporary folder.
//
// Folder and socket are for this user alone (0700, 0600), and each connection's
// user, as the kernel reports it, must be this one or root. A folder that
// belongs to somebody else, or that others may enter, is refused. What a dead
// process of the same number left is replaced; a second socket of this process
// is called <pid>-2.sock, and so on.
//
// Errors match errors.ErrUnsupported where there are no unix sockets.
func (p *Plane) Listen() (*Server, error) {
	folder, err := makeFolder(p.o.RuntimeDir)
	if err != nil {
		return nil, fmt.Errorf("ops: listen: %w", err)
	}
	sweep(folder)
	socket, path, err := bind(folder)
	if err != nil {
		return nil, fmt.Errorf("ops: listen: %w", err)
	}
	s := &Server{path: path, socket: socket}
	if s.remains, err = os.Lstat(path); err != nil {
		socket.Close()
		return nil, fmt.Errorf("ops: listen: %w", err)
	}
	e := &endpoint{Plane: p, socket: true}
	s.http = &http.Server{
		Handler:           e.mux(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnContext:       withPeer,
		ErrorLog:          log.New(io.Discard, "", 0), // the library prints nothing
	}
	go func() { _ = s.http.Serve(guardedListener{socket}) }() // ends with Close
	p.mu.Lock()
	p.servers = append(p.servers, s)
	p.mu.Unlock()
	return s, nil
}

// Path is where the socket is.
func (s *Server) Path() string { return s.path }

// Close removes the socket and ends its connections. Plane.Close does it too.
func (s *Server) Close() error {
	if there, err := os.Lstat(s.path); err == nil && os.SameFile(there, s.remains) {
		_ = os.Remove(s.path) // a folder that is gone took it along
	}
	err := s.http.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}

// makeFolder makes the folder of the sockets, or checks the one there is.
func makeFolder(runtimeDir string) (string, error) {
	dir := cmp.Or(runtimeDir, defaultRuntimeDir())
	folder := filepath.Join(dir, socketFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	if err := checkOwner(dir, false); err != nil {
		return "", err
	}
	return folder, checkOwner(folder, true)
}

// checkOwner makes sure that nobody but this user and root can change what is
// in folder; for ourselves, that nobody else can enter it either.
func checkOwner(folder string, ourselves bool) error {
	info, err := os.Lstat(folder)
	if err != nil {
		return err
	}
	mode, uid := info.Mode(), owner(info)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is no folder (%s)", folder, mode)
	case uid != os.Geteuid() && (ourselves || uid != 0):
		return fmt.Errorf("%s belongs to another user", folder)
	case ourselves && mode.Perm()&0o077 != 0:
		return fmt.Errorf("%s has mode %04o, want 0700: others could reach the sockets in it", folder, mode.Perm())
	case mode.Perm()&0o022 != 0 && mode&os.ModeSticky == 0:
		return fmt.Errorf("%s has mode %04o: others could replace what is in it", folder, mode.Perm())
	}
	return nil
}

func defaultRuntimeDir() string {
	for _, name := range []string{runtimeDirEnv, "XDG_RUNTIME_DIR"} {
		if dir := os.Getenv(name); filepath.IsAbs(dir) {
			return dir
		}
	}
	if os.Getuid() == 0 {
		return "/run"
	}
	return filepath.Join(os.TempDir(), "switchgear-"+strconv.Itoa(os.Getuid()))
}

const (
	maxSocketsHere = 16
	maxSwept       = 1000
	maxSocketPath  = 103 // of macOS; Linux has some more
	knock          = 100 * time.Millisecond
)

// bind makes the socket. What is there under its name is replaced only if
// nobody answers at it.
func bind(folder string) (*net.UnixListener, string, error) {
	var last error
	for n := 1; n <= maxSocketsHere; n++ {
		name := strconv.Itoa(os.Getpid())
		if n > 1 {
			name += "-" + strconv.Itoa(n)
		}
		path := filepath.Join(folder, name+".sock")
		socket, err := bindAt(folder, path)
		if err == nil {
			return socket, path, nil
		}
		if last = err; !errors.Is(err, os.ErrExist) {
			break
		}
	}
	return nil, "", last
}

// bindAt binds under a name of its own and then takes path, so that the socket
// is 0600 before anybody can find it, and so that a dead one's place is taken
// in one step.
func bindAt(folder, path string) (*net.UnixListener, error) {
	if answers(path) {
		return nil, fmt.Errorf("%s: %w, and is answered", path, os.ErrExist)
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("%s has %d bytes, want at most %d: choose a shorter Options.RuntimeDir", path, len(path), maxSocketPath)
	}
	fresh := filepath.Join(folder, fmt.Sprintf(".%08x", rand.Uint32()))
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, err
	}
	socket.SetUnlinkOnClose(false) // Close removes path, if it is still ours
	err = os.Chmod(fresh, 0o600)
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		socket.Close()
		_ = os.Remove(fresh) // it has not got its name, or else it is not there
		return nil, err
	}
	return socket, nil
}

// sweep removes the sockets of dead processes. All that have a name with .sock
// are listened on, so one that refuses is dead.
func sweep(folder string) {
	paths, _ := filepath.Glob(filepath.Join(folder, "*.sock")) // the pattern is good
	for _, path := range paths[:min(len(paths), maxSwept)] {
		if refuses(path) {
			_ = os.Remove(path) // somebody else was faster
		}
	}
}

func refuses(path string) bool {
	c, err := net.DialTimeout("unix", path, knock)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

func answers(path string) bool {
	c, err := net.DialTimeout("unix", path, knock)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// guardedListener hands out only the connections of this user and of root.
type guardedListener struct{ *net.UnixListener }

func (l guardedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		p := peerOfSocket(c)
		if p.allowed(os.Getuid()) {
			return peerConn{c, p}, nil
		}
		c.Close()
	}
}

// allowed reports whether the kernel says that the peer is user uid or root.
func (p *Peer) allowed(uid int) bool {
	if p.UID == nil {
		return !kernelTells
	}
	return *p.UID == uid || *p.UID == 0
}

type peerConn struct {
	*net.UnixConn
	peer Peer
}

func withPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, c.(peerConn))
}
