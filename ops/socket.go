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

// Server is a process's unix socket.
type Server struct {
	folder  string
	path    string // in folder
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
// belongs to another user, or that others may enter, is refused. What a dead
// process of the same number left is replaced; a second socket of this process
// is called <pid>-2.sock, and so on.
//
// Errors match errors.ErrUnsupported where there are no unix sockets.
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
	go func() { _ = s.http.Serve(guardedListener{s.socket}) }() // ends with Close
	p.mu.Lock()
	p.servers = append(p.servers, s)
	p.mu.Unlock()
	return s, nil
}

// Path is where the socket is.
func (s *Server) Path() string { return s.path }

// Close removes the socket and ends its connections. Plane.Close does it too.
func (s *Server) Close() error {
	_ = locked(s.folder, func() error {
		if there, err := os.Lstat(s.path); err == nil && os.SameFile(there, s.remains) {
			return os.Remove(s.path)
		}
		return nil
	}) // a folder that is gone took it along
	err := s.http.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}

const (
	maxSocketsHere = 256 // of one process
	maxSwept       = 1000
	maxSocketPath  = 103 // of macOS; Linux has some more
	knock          = 100 * time.Millisecond
)

// bind makes the socket, and removes those of dead processes. What is there
// under its name stays unless its process is dead. The folder is locked: nobody
// else takes a name or a dead one's place meanwhile.
func (s *Server) bind() error {
	sweep(s.folder)
	for n := 1; n <= maxSocketsHere; n++ {
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
	return fmt.Errorf("%s: %w, as are %d sockets of this process", s.path, os.ErrExist, maxSocketsHere)
}

// bindAt binds under a name of its own and then takes path, so that the socket
// is 0600 before anybody can find it.
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
		_ = os.Remove(fresh) // it has not got its name, or else it is not there
		return err
	}
	s.socket = socket
	return nil
}

// sweep removes the sockets of dead processes. All that have a name with .sock
// are listened on, so one that refuses is dead.
func sweep(folder string) {
	for _, name := range namesIn(folder, maxSwept) {
		if path := filepath.Join(folder, name); strings.HasSuffix(name, ".sock") && refuses(path) {
			_ = os.Remove(path) // it is in nobody's way
		}
	}
}

// refuses reports whether nobody listens at the socket any more. One whose
// process is stopped, or has too much to do, takes no connection but does not
// refuse it.
func refuses(path string) bool {
	c, err := net.DialTimeout("unix", path, knock)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// lockPatience is how long somebody may keep the folder locked: it takes
// milliseconds.
const lockPatience = 5 * time.Second

// binding is held where there is no lock on a folder, which keeps out the other
// planes of this process as well.
var binding sync.Mutex

// locked runs f while nobody else makes or removes sockets in folder. The lock
// ends with its holder.
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
	defer func() { _ = unlockFile(dir) }() // closing does, too
	return f()
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
