package ops

import (
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
	"strings"
	"sync"
	"syscall"
	"time"
)

// Server serves a plane on a unix socket.
type Server struct {
	folder  string
	path    string // in folder
	socket  *net.UnixListener
	http    *http.Server
	remains os.FileInfo
}

// Listen serves the plane over HTTP on a unix socket, <runtime
// dir>/switchgear/<pid>.sock, until Close. The runtime dir is the first of
// these that is set: Options.RuntimeDir, SWITCHGEAR_RUNTIME_DIR,
// XDG_RUNTIME_DIR; otherwise it is /run for root, and for other users a
// private folder under the temporary folder.
//
// Folder and socket are accessible to this user alone (0700, 0600), and the
// user of each connection, as the kernel reports it, must be this user or
// root. A folder that belongs to another user, or that other users may enter,
// is refused. A socket that a dead process with the same id left is replaced;
// a second socket of this process is called <pid>-2.sock, and so on.
//
// The error matches errors.ErrUnsupported where there are no unix sockets.
func (p *Plane) Listen() (*Server, error) {
	folder, err := makeFolder(p.o.RuntimeDir)
	if err != nil {
		return nil, fmt.Errorf("ops: listen: %w", err)
	}
	s := &Server{folder: folder}
	if err := locked(folder, s.bind); err != nil {
		return nil, fmt.Errorf("ops: listen: %w", err)
	}
	e := &endpoint{Plane: p, gate: p.local, socket: true}
	s.http = &http.Server{
		Handler:           e.mux(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnContext:       withPeer,
		ErrorLog:          log.New(io.Discard, "", 0), // the library prints nothing
	}
	go func() { _ = s.http.Serve(guardedListener{s.socket}) }() // done when Close is called
	p.mu.Lock()
	p.servers = append(p.servers, s)
	p.mu.Unlock()
	return s, nil
}

// Path returns the path of the socket.
func (s *Server) Path() string { return s.path }

// Close removes the socket and closes its connections. Plane.Close does this,
// too.
func (s *Server) Close() error {
	_ = locked(s.folder, func() error {
		if there, err := os.Lstat(s.path); err == nil && os.SameFile(there, s.remains) {
			return os.Remove(s.path)
		}
		return nil
	}) // if the folder is gone, so is the socket
	err := s.http.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}

const (
	maxOwnSockets = 256 // of one process
	maxSwept      = 1000
	maxSocketPath = 103 // of macOS; Linux allows a few more
	knock         = 100 * time.Millisecond
)

// bind creates the socket, and removes those of dead processes. A socket with
// the same name is replaced only if its process is dead. The folder is locked,
// so that no other process takes a name or removes a dead socket at the same
// time.
func (s *Server) bind() error {
	sweep(s.folder)
	for n := 1; n <= maxOwnSockets; n++ {
		name := strconv.Itoa(os.Getpid())
		if n > 1 {
			name += "-" + strconv.Itoa(n)
		}
		s.path = filepath.Join(s.folder, name+".sock")
		if _, err := os.Lstat(s.path); err == nil && !refuses(s.path) {
			continue
		}
		return s.bindAt(s.path)
	}
	return fmt.Errorf("%s: %w, as are %d sockets of this process", s.path, os.ErrExist, maxOwnSockets)
}

// bindAt binds under a temporary name and then renames to path, so that the
// socket has mode 0600 before others can find it.
func (s *Server) bindAt(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("%s has %d bytes, want at most %d: choose a shorter Options.RuntimeDir", path, len(path), maxSocketPath)
	}
	fresh := filepath.Join(s.folder, fmt.Sprintf(".%08x", rand.Uint32()))
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return err
	}
	socket.SetUnlinkOnClose(false) // Close removes path, if it is still ours
	err = os.Chmod(fresh, 0o600)
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err == nil {
		s.remains, err = os.Lstat(path)
	}
	if err != nil {
		socket.Close()
		_ = os.Remove(fresh) // either it still has its temporary name, or it is not there
		return err
	}
	s.socket = socket
	return nil
}

// sweep removes the sockets of dead processes. Every socket with a name in
// .sock was listened on before it got that name, so one that refuses
// connections is dead.
func sweep(folder string) {
	for _, name := range namesIn(folder, maxSwept) {
		if path := filepath.Join(folder, name); strings.HasSuffix(name, ".sock") && refuses(path) {
			_ = os.Remove(path) // a socket that cannot be removed does no harm
		}
	}
}

// refuses reports whether no process listens at the socket any more. If the
// process is stopped or too busy, it accepts no connection, but does not
// refuse it either.
func refuses(path string) bool {
	c, err := net.DialTimeout("unix", path, knock)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// lockPatience is how long another process may keep the folder locked. Usually
// it takes milliseconds.
const lockPatience = 5 * time.Second

// binding replaces the lock where folders cannot be locked. It also excludes
// other planes of this process.
var binding sync.Mutex

// locked runs f while no other process creates or removes sockets in folder.
// The lock ends with its holder.
func locked(folder string, f func() error) error {
	dir, err := openFolder(folder)
	if err != nil {
		return err
	}
	defer dir.Close()
	binding.Lock()
	defer binding.Unlock()
	for late := time.Now().Add(lockPatience); ; time.Sleep(time.Millisecond) {
		err := lockFile(dir)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(late) {
			return fmt.Errorf("lock %s: %w", folder, err)
		}
	}
	defer func() { _ = unlockFile(dir) }() // closing unlocks it, too
	return f()
}

// guardedListener accepts only connections of this user and of root.
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
