package fleet_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
)

// A manager that joined twice would have two voices, which is enough to open the
// breakers of others (F3).
func TestJoinTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, time.Second).start().joined()
		x := c.all[0]
		for _, group := range []string{x.Group, "another"} {
			o := x.Options
			o.Group = group
			f, err := fleet.Join(t.Context(), &x.m, o)
			if !errors.Is(err, fleet.ErrOptions) || !strings.Contains(err.Error(), "has joined") {
				t.Errorf("joined group %q twice: %v, want that it has joined", group, err)
			}
			if err == nil {
				f.Close()
			}
		}
		if err := x.f.Close(); err != nil {
			t.Error(err)
		}
		f, err := fleet.Join(t.Context(), &x.m, x.Options)
		if err != nil {
			t.Fatalf("after it has left: %v", err)
		}
		f.Close()
	})
}

// What cannot be joined with is an error of one line, and no panic.
func TestJoinRefuses(t *testing.T) {
	good := fleet.Options{Store: fleettest.NewStore(), Group: "g"}
	for _, c := range []struct {
		change func(*fleet.Options)
		want   string
	}{
		{func(o *fleet.Options) { o.Quorum = math.NaN() }, "Quorum is NaN"},
		{func(o *fleet.Options) { o.Sure = math.NaN() }, "Sure is NaN"},
		{func(o *fleet.Options) { o.Store, o.Redis = nil, (*redis.Client)(nil) }, "nil"},
		{func(o *fleet.Options) { o.Store, o.Redis = nil, (*redis.ClusterClient)(nil) }, "nil"},
		{func(o *fleet.Options) { o.Store, o.Redis = nil, redis.NewRing(&redis.RingOptions{}) }, "*redis.Ring"},
		{func(o *fleet.Options) { o.Zone = "\xff" }, "Zone is"},
	} {
		var m breaker.Manager
		o := good
		c.change(&o)
		f, err := fleet.Join(t.Context(), &m, o)
		if !errors.Is(err, fleet.ErrOptions) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want %q", err, c.want)
		}
		if err == nil {
			f.Close()
			continue
		}
		// It has left nothing behind.
		if f, err = fleet.Join(t.Context(), &m, good); err != nil {
			t.Errorf("with what is right: %v", err)
			continue
		}
		f.Close()
	}
	if _, err := fleet.Join(t.Context(), nil, good); !errors.Is(err, fleet.ErrOptions) {
		t.Errorf("without a manager: %v, want ErrOptions", err)
	}
}

// An invalid zone in the environment is an error. If it were ignored, the process
// would act as one without a zone.
func TestJoinWithZoneOfEnvironment(t *testing.T) {
	for _, c := range []struct{ zone, want string }{
		{"eu-1a", ""},
		{strings.Repeat("z", 33), "SWITCHGEAR_ZONE is"},
		{"a\nb", "SWITCHGEAR_ZONE is"},
	} {
		t.Setenv("SWITCHGEAR_ZONE", c.zone)
		var m breaker.Manager
		f, err := fleet.Join(t.Context(), &m, fleet.Options{Store: fleettest.NewStore(), Group: "g"})
		if c.want != "" {
			if !errors.Is(err, fleet.ErrOptions) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q: got %v, want %q", c.zone, err, c.want)
			}
		} else if err != nil || f.State().Zone != c.zone {
			t.Errorf("%q: got %v", c.zone, err)
		}
		if err == nil {
			f.Close()
		}
	}
}

// Close does not wait for a store that hangs, and says in one line what it could not
// do there.
func TestCloseWhileTheStoreHangs(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	fleets := fleetsOn(t, s.client(), "g", 2)
	wait(t, "they are together", func() bool { return fleets[0].State().Joined && fleets[1].State().Members == 2 })
	s.pause()
	defer s.resume()
	for _, f := range fleets {
		began := time.Now()
		err := f.Close()
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want one line", err)
		}
		if took := time.Since(began); took > slack {
			t.Errorf("it took %s", took)
		}
		if err := f.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
	}
}
