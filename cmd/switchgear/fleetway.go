package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/ops"
)

// fleetFlags say which fleet a command is for.
type fleetFlags struct {
	*globals
	redis, group, keyFile string
}

func (f *fleetFlags) define(flags *pflag.FlagSet) {
	flags.StringVar(&f.redis, "redis", "", "the `URL` of the store (default: $SWITCHGEAR_REDIS)")
	flags.StringVar(&f.group, "group", "", "the group that acts as one (default: $SWITCHGEAR_GROUP)")
	flags.StringVar(&f.keyFile, "key-file", "", "the `file` with the key (default: $SWITCHGEAR_FLEET_KEY_FILE)")
}

// fleetWay is a way to a fleet: the group in its store, or one of its members.
type fleetWay interface {
	View(context.Context) (*fleet.View, error)
	History(ctx context.Context, id string) ([]fleet.Past, error)
	Order(ctx context.Context, o fleet.Order, progress func(*fleet.Receipts)) (*fleet.Receipts, error)
	Close() error
}

// noFleet is the error of a way that did not work. A member says itself that the
// store does not answer.
func noFleet(err error) error {
	var said *ops.Error
	switch {
	case errors.Is(err, ops.ErrUnreachable):
		return err
	case errors.As(err, &said) && said.Code == "store":
		return unreachable("%w", err)
	}
	return unreachable("the store does not answer: %w", err)
}

// open returns the way to the fleet that the flags name: to the store, or else
// through one of its members.
func (f *fleetFlags) open(cmd *cobra.Command) (fleetWay, error) {
	switch {
	case f.redis != "" && len(f.processes) > 0:
		return nil, usage("-p and --redis, want one of them")
	case f.redis == "" && (len(f.processes) > 0 || os.Getenv("SWITCHGEAR_REDIS") == ""):
		return f.member(cmd)
	}
	return f.inStore()
}

// inStore is the way straight to the store.
func (f *fleetFlags) inStore() (*fleet.Group, error) {
	url := cmp.Or(f.redis, os.Getenv("SWITCHGEAR_REDIS"))
	name := cmp.Or(f.group, os.Getenv("SWITCHGEAR_GROUP"))
	switch {
	case url == "":
		return nil, usage("no store, want --redis URL, such as redis://127.0.0.1:6379, or SWITCHGEAR_REDIS")
	case name == "":
		return nil, usage("no group, want --group NAME, or SWITCHGEAR_GROUP")
	}
	logging.Disable() // of go-redis: what the store did is one line of ours
	client, err := redisClient(url)
	if err != nil {
		return nil, &codeError{exitUsage, fmt.Errorf("--redis: %w", err)}
	}
	defer client.Close() // fleet.Open makes its own connections
	var key []byte
	if file := cmp.Or(f.keyFile, os.Getenv("SWITCHGEAR_FLEET_KEY_FILE")); file != "" {
		if key, err = os.ReadFile(file); err != nil {
			return nil, &codeError{exitUsage, fmt.Errorf("--key-file: %w", err)}
		}
		key = []byte(strings.TrimRight(string(key), "\r\n"))
	}
	group, err := fleet.Open(client, name, key)
	if err != nil {
		return nil, &codeError{exitUsage, err}
	}
	return group, nil
}

// redisClient is a client for a URL: of one server, of Sentinels, or of a
// Cluster.
func redisClient(url string) (redis.UniversalClient, error) {
	switch {
	case strings.Contains(url, "master_name="):
		o, err := redis.ParseFailoverURL(url)
		if err != nil {
			return nil, err
		}
		return redis.NewFailoverClient(o), nil
	case strings.Contains(url, "addr="):
		o, err := redis.ParseClusterURL(url)
		if err != nil {
			return nil, err
		}
		return redis.NewClusterClient(o), nil
	}
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	return redis.NewClient(o), nil
}

// member is the way through a process that belongs to the fleet. Those of several
// fleets are distinguished by --group.
func (f *fleetFlags) member(cmd *cobra.Command) (fleetWay, error) {
	ctx, cancel := f.bound(cmd)
	defer cancel()
	all, err := f.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w (or want --redis URL, see switchgear fleet --help)", err)
	}
	want := cmp.Or(f.group, os.Getenv("SWITCHGEAR_GROUP"))
	var way *memberWay
	var groups []string
	for _, t := range all.targets {
		p, ok := t.(plane)
		if !ok {
			continue
		}
		w := &memberWay{client: p.client, poll: 100 * time.Millisecond}
		a, err := w.answer(ctx)
		if err != nil || a.Self == nil || want != "" && a.Self.Group != want {
			continue // it belongs to no fleet, or does not answer
		}
		if !slices.Contains(groups, a.Self.Group) {
			groups = append(groups, a.Self.Group)
		}
		way = w
	}
	switch {
	case way == nil && want != "":
		return nil, unreachable("no process that answers belongs to the fleet %s, want -p or --redis URL", want)
	case way == nil:
		return nil, unreachable("no process that answers belongs to a fleet, want -p or --redis URL")
	case len(groups) > 1:
		return nil, usage("there are processes of several fleets: %s; want --group", strings.Join(groups, ", "))
	}
	return way, nil
}

// memberWay asks a member over its operations plane.
type memberWay struct {
	client *ops.Client
	poll   time.Duration // between looks at receipts
}

func (w *memberWay) answer(ctx context.Context) (a fleet.Answer, err error) {
	err = w.client.Attached(ctx, "fleet", "", nil, nil, &a)
	return a, err
}

func (w *memberWay) View(ctx context.Context) (*fleet.View, error) {
	a, err := w.answer(ctx)
	if err == nil && a.View == nil {
		err = errors.New(a.Error)
	}
	return a.View, err
}

func (w *memberWay) History(ctx context.Context, id string) (past []fleet.Past, err error) {
	q := url.Values{}
	if id != "" {
		q.Set("id", id)
	}
	err = w.client.Attached(ctx, "fleet", "/history", q, nil, &past)
	return past, err
}

// Order waits as Group.Order does: the member answers at once, and then has the
// receipts as they come in.
func (w *memberWay) Order(ctx context.Context, o fleet.Order, progress func(*fleet.Receipts)) (*fleet.Receipts, error) {
	if !utf8.ValidString(o.ID) {
		return nil, fmt.Errorf("%w: the id %q is not UTF-8, which JSON cannot carry", breaker.ErrOrder, o.ID)
	}
	body, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	r, q := new(fleet.Receipts), url.Values{}
	if end, ok := ctx.Deadline(); ok { // so that the answer is here before
		q.Set("wait", (time.Until(end) * 3 / 4).Truncate(time.Millisecond).String())
	}
	if err := w.client.Attached(ctx, "fleet", "/orders", q, body, r); err != nil {
		return nil, err
	}
	for !o.DryRun {
		if progress != nil {
			progress(r)
		}
		if len(r.Silent) == 0 {
			break
		}
		select {
		case <-time.After(w.poll):
		case <-ctx.Done():
			return r, nil // the silent are named
		}
		var all []fleet.Receipts
		if w.client.Attached(ctx, "fleet", "/orders", nil, nil, &all) != nil {
			continue
		}
		i := slices.IndexFunc(all, func(x fleet.Receipts) bool { return x.ID == r.ID })
		if r.Gone = i < 0; !r.Gone {
			all[i].Members = max(all[i].Members, r.Members)
			r = &all[i]
		}
	}
	return r, nil
}

func (w *memberWay) Close() error {
	w.client.Close()
	return nil
}
