package fleetdemo

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/breaker"
)

// group is that of the demo.
const group = "demo"

// settings are those of the shop's breaker.
var settings = breaker.Settings{FailMax: 5, ResetTimeout: 10 * time.Second}

// Config says how the demo runs.
type Config struct {
	Out io.Writer     // where it prints what happens
	For time.Duration // how long it runs; 0: until its context is done
	// Redis is the URL of the store. "": one that is part of this program.
	Redis string
	// Members is the number of processes.
	Members int
}

// demo is what it has made.
type demo struct {
	journal
	dir   string
	way   *proxy
	procs []*process

	sceneMu sync.Mutex // guards the field below
	scene   *scene
}

type process struct {
	cmd *exec.Cmd
	in  io.Closer
	end chan struct{} // closed when all that it said is read
}

// Run runs the demo until c.For is over or ctx is done, both of which are
// success, and removes everything that it made.
func Run(ctx context.Context, c Config) (err error) {
	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	d := &demo{journal: journal{out: c.Out, began: time.Now(), last: map[string]line{}}, scene: &scenes[0]}
	if d.dir, err = os.MkdirTemp("", "switchgear-demo"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	url, closeStore, err := d.store(c.Redis)
	if err != nil {
		return err
	}
	defer closeStore()
	dependency, err := d.dependency()
	if err != nil {
		return err
	}
	defer dependency.Close()
	key := rand.Text()
	keyFile := filepath.Join(d.dir, "key")
	if err := os.WriteFile(keyFile, []byte(key+"\n"), 0o600); err != nil {
		return err
	}
	defer d.end()
	for i := range c.Members {
		zone := string(rune('a' + i%2))
		err := d.start(config{Name: fmt.Sprint("pod-", i), Zone: zone, Redis: url, Dependency: "http://" + dependency.Addr, Key: key})
		if err != nil {
			return err
		}
	}
	d.tell("%d processes in two zones guard payments, and act as one. In a second terminal:", c.Members)
	for _, line := range []string{
		"export SWITCHGEAR_REDIS=" + url,
		"export SWITCHGEAR_GROUP=" + group + " SWITCHGEAR_FLEET_KEY_FILE=" + keyFile,
		"switchgear fleet status",
		"switchgear fleet top",
		"switchgear fleet explain payments",
		`switchgear fleet force-open payments --for 1m --reason "a try"`,
		"switchgear console --orders",
	} {
		d.tell("  %s", line)
	}
	d.play(ctx)
	d.ending()
	return d.err
}

// store returns the URL of the store, by a way that can be cut.
func (d *demo) store(url string) (through string, closeIt func(), err error) {
	addr, stop := "", func() {}
	o := &redis.Options{}
	if url == "" {
		if addr, stop, err = runStore(); err != nil {
			return "", nil, err
		}
	} else {
		if o, err = redis.ParseURL(url); err != nil {
			return "", nil, err
		}
		if o.TLSConfig != nil || o.Network == "unix" {
			return "", nil, fmt.Errorf("the demo takes redis://HOST:PORT, not %s: it cuts the way to the store, and TLS and sockets do not go through its proxy", url)
		}
		addr = o.Addr
	}
	if d.way, err = newProxy(addr); err != nil {
		stop()
		return "", nil, err
	}
	login := ""
	if o.Username != "" || o.Password != "" {
		login = o.Username + ":" + o.Password + "@"
	}
	return fmt.Sprintf("redis://%s%s/%d", login, d.way.l.Addr(), o.DB), func() { d.way.close(); stop() }, nil
}

// dependency is what the breakers guard: an HTTP server that fails for some.
func (d *demo) dependency() (*http.Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &http.Server{Addr: l.Addr().String(), ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		zone, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		d.sceneMu.Lock()
		bad := d.scene.bad(zone, name)
		d.sceneMu.Unlock()
		if bad {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	go func() { _ = s.Serve(l) }() // until Close
	return s, nil
}

// start starts a process of the shop.
func (d *demo) start(c config) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), memberEnv+"="+string(text))
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{cmd, in, make(chan struct{})}
	d.procs = append(d.procs, p)
	go func() {
		defer close(p.end)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var l line
			if json.Unmarshal(lines.Bytes(), &l) == nil {
				d.take(l)
			}
		}
	}()
	return nil
}

// end ends the processes: each ends with its standard input, or is killed.
func (d *demo) end() {
	for _, p := range d.procs {
		p.in.Close()
	}
	for _, p := range d.procs {
		timer := time.AfterFunc(3*time.Second, func() { _ = p.cmd.Process.Kill() })
		<-p.end
		_ = p.cmd.Wait()
		timer.Stop()
	}
}

// play plays the scenes.
func (d *demo) play(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		s := &scenes[i%len(scenes)]
		d.sceneMu.Lock()
		d.scene = s
		d.sceneMu.Unlock()
		d.way.setCut(s.store)
		d.tell("== %s", s.tell)
		for over := time.Now().Add(s.long); time.Now().Before(over); {
			select {
			case <-tick.C:
				d.sum()
			case <-ctx.Done():
				return
			}
		}
	}
}
