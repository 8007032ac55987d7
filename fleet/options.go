package fleet

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/fleet/internal/verdict"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
	"github.com/switchgear-go/switchgear/ops"
)

// ErrOptions is matched by the error of Join for invalid options.
var ErrOptions = errors.New("invalid fleet options")

// Options say which processes act as one, and how. Group, and Redis or Store, are
// required.
type Options struct {
	// Redis is a client of the store: a *redis.Client, including one made by
	// redis.NewFailoverClient, or a *redis.ClusterClient. The fleet opens its own
	// connections with the client's options, so the client may be closed or busy.
	Redis redis.UniversalClient
	// Store is another store, instead of Redis; for tests fleettest.NewStore().
	Store Store

	// Group names the processes that act as one: those of one service that call the same
	// dependencies. Up to 64 bytes without { and }.
	Group string
	// Zone is the part of the group whose members fail together, such as an
	// availability zone. A zone's evidence is judged before the fleet's, and a
	// bad zone opens only itself. Up to 32 bytes without { and }. Default: the environment
	// variable SWITCHGEAR_ZONE, else none.
	Zone string
	// Member is the name of this process on screens. Default: host/pid.
	Member string
	// Build is the version of the program, for screens.
	Build string

	// Plane carries out the orders that are given to the fleet. Without one, or
	// without Key, this process refuses them.
	Plane *ops.Plane
	// Key signs the messages of the members, who drop messages that are not signed
	// with it. Orders require it. At least 16 bytes, the same in all members.
	Key []byte

	// Only says which breakers and sets take part, by name. Default: all.
	Only func(name string) bool

	// Beat is how often a member reports what it has counted. Default 1s; from
	// 100ms to 10s. It must be the same in all members.
	Beat time.Duration
	// ProbeEvery is the time from a verdict to the fleet's first probe, multiplied
	// by Settings.ResetBackoff after each that fails. Default: a fifth of
	// Settings.ResetTimeout, and at least a second: one process probes for all,
	// so the fleet can afford to ask more often.
	ProbeEvery time.Duration
	// Quorum is the share of the processes with evidence that must be against the
	// dependency, at least two. In (0, 1]. Default 0.5.
	Quorum float64
	// Sure is how certain the sum of their evidence must be. In [0.5, 1).
	// Default 0.99.
	Sure float64
	// Advise makes this process take part in verdicts without following them, and
	// refuse the orders that are given to the fleet, for a trial. Orders that are
	// given to the process itself are carried out.
	Advise bool

	// OnChange is called when the process joins, becomes alone, or becomes the
	// coordinator or stops being it. It runs on one goroutine of the fleet, one call at a
	// time; while it runs, further changes wait, and only the newest is reported. It
	// must not call Close, which waits for it.
	OnChange func(State)
}

// Limits of what options name, in bytes.
const (
	maxGroup = 64
	minKey   = 16
)

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrOptions, fmt.Sprintf(format, args...))
}

func (o *Options) check() error {
	switch {
	case o.Redis == nil && o.Store == nil:
		return bad("no Redis and no Store, want one of them")
	case o.Redis != nil && o.Store != nil:
		return bad("Redis and Store, want one of them")
	case o.Group == "" || len(o.Group) > maxGroup || !plain(o.Group):
		return bad("Group is %q, want 1 to %d bytes of text without braces", o.Group, maxGroup)
	case !isZone(o.Zone):
		return bad("Zone is %q, want up to %d bytes of text without braces", o.Zone, wire.MaxZone)
	case len(o.Member) > wire.MaxMember || !plain(o.Member):
		return bad("Member is %q, want up to %d bytes of text", o.Member, wire.MaxMember)
	case len(o.Build) > wire.MaxMember || !plain(o.Build):
		return bad("Build is %q, want up to %d bytes of text", o.Build, wire.MaxMember)
	case len(o.Key) > 0 && len(o.Key) < minKey:
		return bad("Key has %d bytes, want %d or more, or none", len(o.Key), minKey)
	case o.Beat != 0 && (o.Beat < 100*time.Millisecond || o.Beat > 10*time.Second):
		return bad("Beat is %s, want 100ms to 10s", o.Beat)
	case o.ProbeEvery < 0:
		return bad("ProbeEvery is %s, want a positive duration, or 0 for the default", o.ProbeEvery)
	case !(o.Quorum >= 0 && o.Quorum <= 1): // NaN is neither
		return bad("Quorum is %g, want a share in (0, 1]", o.Quorum)
	case o.Sure != 0 && !(o.Sure >= 0.5 && o.Sure < 1):
		return bad("Sure is %g, want a share in [0.5, 1)", o.Sure)
	}
	return nil
}

// plain reports whether s can be part of a key, and be shown.
func plain(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == '{' || r == '}' {
			return false
		}
	}
	return utf8.ValidString(s)
}

func isZone(name string) bool { return len(name) <= wire.MaxZone && plain(name) }

func (o Options) withDefaults() (Options, error) {
	if o.Zone == "" {
		if o.Zone = os.Getenv("SWITCHGEAR_ZONE"); !isZone(o.Zone) {
			return o, bad("the environment variable SWITCHGEAR_ZONE is %q, want up to %d bytes of text without braces", o.Zone, wire.MaxZone)
		}
	}
	if o.Member == "" {
		host, _ := os.Hostname()
		if o.Member = fmt.Sprintf("%.*s/%d", wire.MaxMember-20, host, os.Getpid()); !plain(o.Member) {
			return o, bad("the name of this host is %q, want text without braces, or Member", host)
		}
	}
	if o.Beat == 0 {
		o.Beat = time.Second
	}
	if o.Only == nil {
		o.Only = func(string) bool { return true }
	}
	return o, nil
}

func (o *Options) params() verdict.Params {
	p := verdict.Defaults()
	p.Beat = o.Beat
	if o.Quorum > 0 {
		p.Quorum = o.Quorum
	}
	if o.Sure > 0 {
		p.Sure = o.Sure
	}
	return p
}
