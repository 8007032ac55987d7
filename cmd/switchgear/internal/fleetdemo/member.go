package fleetdemo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/ops"
)

// memberEnv makes the program a process of the shop.
const memberEnv = "SWITCHGEAR_DEMO_MEMBER"

// config is what a process of the shop is told.
type config struct {
	Name, Zone string
	Redis      string // URL
	Dependency string // URL
	Key        string
}

// line is what it says, one JSON object a line.
type line struct {
	Name       string              `json:"name"`
	Zone       string              `json:"zone"`
	Transition *breaker.Transition `json:"transition,omitempty"`
	Summary    string              `json:"summary,omitempty"`
	Status     *status             `json:"status,omitempty"`
}

type status struct {
	State        breaker.State `json:"state"`
	OK           uint64        `json:"ok"`
	Failed       uint64        `json:"failed"`
	Rejected     uint64        `json:"rejected"`
	Alone        bool          `json:"alone"`
	Coordinator  bool          `json:"coordinator"`
	Error        string        `json:"error,omitempty"`
	HeardMembers int           `json:"members"`
}

// Member is the process of the shop, if this is one: then it ends with its
// standard input, and reports true.
func Member() bool {
	text := os.Getenv(memberEnv)
	if text == "" {
		return false
	}
	var c config
	if err := json.Unmarshal([]byte(text), &c); err == nil {
		c.run()
	}
	return true
}

func (c *config) run() {
	logging.Disable()
	o, err := redis.ParseURL(c.Redis)
	if err != nil {
		return
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	say := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		l.Name, l.Zone = c.Name, c.Zone
		_ = out.Encode(l) // without a parent there is no reader
	}
	m := breaker.NewManager(settings, breaker.WithListener(breaker.Listener{
		StateChange: func(_ *breaker.Breaker, t breaker.Transition) { say(line{Transition: &t, Summary: t.Summary()}) },
	}))
	b := m.Breaker("payments")
	plane := ops.New(m, ops.Options{Service: "shop-" + c.Name})
	defer plane.Close()
	_, _ = plane.Listen() // it can be done without
	f, err := fleet.Join(context.Background(), m, fleet.Options{
		Redis: redis.NewClient(o), Group: group, Zone: c.Zone, Member: c.Name, Plane: plane, Key: []byte(c.Key),
	})
	if err != nil {
		return
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go c.trade(ctx, b)
	go func() {
		for ctx.Err() == nil {
			s := f.State()
			now := &status{State: b.State(), Alone: s.Alone, Coordinator: s.Coordinator, Error: s.LastError, HeardMembers: s.Members}
			for _, n := range m.Calls() {
				now.OK, now.Failed, now.Rejected = n.Successes, n.Failures, n.Rejected
			}
			say(line{Status: now})
			pause(ctx, 250*time.Millisecond)
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// trade makes a call a second: so few that a breaker alone would need five seconds to
// open, and together they need less.
func (c *config) trade(ctx context.Context, b *breaker.Breaker) {
	client := &http.Client{Timeout: time.Second}
	for ctx.Err() == nil {
		go func() {
			_ = b.Do(ctx, func(ctx context.Context) error {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Dependency+"/"+c.Zone+"/"+c.Name, nil)
				if err != nil {
					return err
				}
				res, err := client.Do(req)
				if err != nil {
					return err
				}
				defer res.Body.Close()
				if res.StatusCode != http.StatusOK {
					return errors.New(strings.ToLower(http.StatusText(res.StatusCode)))
				}
				return nil
			})
		}()
		pause(ctx, 750*time.Millisecond+rand.N(500*time.Millisecond))
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
