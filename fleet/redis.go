package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
)

// redisStore is a Store in Redis from 5.0 or Valkey. All keys of a group are in
// one slot, and the major version of what they hold is in their names, so that
// two majors never meet:
//
//	sg1:{group}:r        hash    reports by member
//	sg1:{group}:n        hash    inventories by member
//	sg1:{group}:a:ORDER  hash    receipts of an order, by member
//	sg1:{group}:h        hash    what breakers went through last, by member
//	sg1:{group}:o        hash    orders by id: "number:milliseconds:" and the order; by # the newest number
//	sg1:{group}:t        string  the newest term
//	sg1:{group}:l        string  the lease: holder and term
//	sg1:{group}:d        string  the digest; also the channel of digests, in database N above 0 sg1:{group}:d:N
type redisStore struct {
	client  redis.UniversalClient
	prefix  string
	deaf    time.Duration // after so long without a digest a subscription is taken for dead
	reports string
	digest  string
	channel string // of digests
	lease   string
	term    string
	orders  string
}

const (
	keepFor    = time.Hour   // how long the store keeps what members have reported after the last of them
	keepDigest = time.Minute // and the digest: its evidence is never older than that
)

// NewRedis returns a Store in Redis or Valkey. Its connections are its own, made
// with the options of client: address, TLS, user, password, Sentinel. Times, retries
// and sizes differ, because a fleet gives up sooner and needs little; it reads from
// masters only, and asks no Limiter. client must be a *redis.Client, also of
// redis.NewFailoverClient, or a *redis.ClusterClient.
func NewRedis(client redis.UniversalClient, group string) (Store, error) {
	own, err := copyClient(client)
	if err != nil {
		return nil, err
	}
	prefix := fmt.Sprintf("sg%d:{%s}:", wire.Version, group) // major versions never meet
	s := &redisStore{
		client: own, prefix: prefix, deaf: 3 * time.Second,
		reports: prefix + string(ReportTable), digest: prefix + "d", lease: prefix + "l", term: prefix + "t", orders: prefix + "o",
	}
	s.channel = s.digest
	if c, ok := own.(*redis.Client); ok && c.Options().DB > 0 { // channels are those of all databases
		s.channel += ":" + strconv.Itoa(c.Options().DB)
	}
	return s, nil
}

func (s *redisStore) table(t Table) string { return s.prefix + string(t) }

func (s *redisStore) Beat(ctx context.Context, member string, report []byte) ([]byte, error) {
	p := s.client.Pipeline()
	put := p.HSet(ctx, s.reports, member, report)
	get := p.Get(ctx, s.digest)
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	if err := put.Err(); err != nil {
		return nil, err
	}
	return bytesOf(get)
}

func (s *redisStore) Digest(ctx context.Context) ([]byte, error) {
	p := s.client.Pipeline()
	get, led := p.Get(ctx, s.digest), p.Exists(ctx, s.lease)
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	if n, err := led.Result(); n == 0 {
		return nil, err
	}
	return bytesOf(get)
}

// bytesOf is nil for a key that does not exist.
func bytesOf(cmd *redis.StringCmd) ([]byte, error) {
	b, err := cmd.Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return b, err
}

func (s *redisStore) Put(ctx context.Context, t Table, field string, value []byte) error {
	p := s.client.Pipeline()
	p.HSet(ctx, s.table(t), field, value)
	p.PExpire(ctx, s.table(t), keepFor)
	_, err := p.Exec(ctx)
	return err
}

func (s *redisStore) All(ctx context.Context, t Table) (map[string][]byte, error) {
	return hash(s.client.HGetAll(ctx, s.table(t)))
}

func hash(cmd *redis.MapStringStringCmd) (map[string][]byte, error) {
	all, err := cmd.Result()
	if err != nil {
		return nil, err
	}
	out := make(map[string][]byte, len(all))
	for k, v := range all {
		out[k] = []byte(v)
	}
	return out, nil
}

var dropScript = redis.NewScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1`)

func (s *redisStore) Drop(ctx context.Context, t Table, field string, value []byte) error {
	if value == nil {
		return s.client.HDel(ctx, s.table(t), field).Err()
	}
	return dropScript.Run(ctx, s.client, []string{s.table(t)}, field, value).Err()
}

// leadScript: terms grow also when the store has lost them, because who asks
// says which one it knows.
var leadScript = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local term = math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[2])) + 1
redis.call('SET', KEYS[2], string.format('%.0f', term))
redis.call('SET', KEYS[1], ARGV[1] .. '/' .. string.format('%.0f', term), 'PX', ARGV[3])
return term`)

func (s *redisStore) Lead(ctx context.Context, holder string, after uint64, ttl time.Duration) (uint64, error) {
	term, err := leadScript.Run(ctx, s.client, []string{s.lease, s.term}, holder, after, ttl.Milliseconds()).Int64()
	return uint64(max(0, term)), err
}

func (s *redisStore) Collect(ctx context.Context) (map[string][]byte, uint64, error) {
	p := s.client.Pipeline()
	all := p.HGetAll(ctx, s.reports)
	newest := p.HGet(ctx, s.orders, newestField)
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, 0, err
	}
	reports, err := hash(all)
	if err != nil {
		return nil, 0, err
	}
	number, err := newest.Uint64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, 0, err
	}
	return reports, number, nil
}

// publishScript is fenced: a coordinator that has slept through its lease
// changes nothing (F8).
var publishScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
redis.call('PEXPIRE', KEYS[3], ARGV[5])
redis.call('PUBLISH', ARGV[6], ARGV[3])
return 1`)

func (s *redisStore) Publish(ctx context.Context, holder string, term uint64, ttl time.Duration, digest []byte) error {
	done, err := publishScript.Run(ctx, s.client, []string{s.lease, s.digest, s.reports},
		token(holder, term), ttl.Milliseconds(), digest, keepDigest.Milliseconds(), keepFor.Milliseconds(), s.channel).Int()
	if err == nil && done == 0 {
		err = ErrStale
	}
	return err
}

func token(holder string, term uint64) string { return holder + "/" + strconv.FormatUint(term, 10) }

var resignScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`)

func (s *redisStore) Resign(ctx context.Context, holder string, term uint64) error {
	return resignScript.Run(ctx, s.client, []string{s.lease}, token(holder, term)).Err()
}

// Listen subscribes. A digest is published at least each second, so a
// subscription that hears nothing for three is dead, whatever its connection
// says: a master that is frozen takes a PING and never answers.
func (s *redisStore) Listen(ctx context.Context, f func(digest []byte)) error {
	sub := s.client.Subscribe(ctx, s.channel)
	defer sub.Close()
	// Receive waits for the network, not for ctx.
	defer context.AfterFunc(ctx, func() { sub.Close() })()
	for {
		got, err := sub.ReceiveTimeout(ctx, s.deaf)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
			return nil
		}
		if err != nil {
			return err
		}
		if m, ok := got.(*redis.Message); ok {
			f([]byte(m.Payload))
		}
	}
}

// newestField has the newest order's number. It cannot be the id of an order.
const newestField = "#"

// addScript: the time is the server's, so that no two members compare clocks
// (F9).
var addScript = redis.NewScript(`
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old then return string.match(old, '^%d+') end
local newest = tonumber(redis.call('HGET', KEYS[1], '#') or '0')
local number = tonumber(ARGV[3])
if number == 0 then number = newest + 1 end
redis.call('HSET', KEYS[1], '#', string.format('%.0f', math.max(newest, number)))
local now = redis.call('TIME')
local at = now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(ARGV[4])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:%.0f:', number, at) .. ARGV[2])
return string.format('%.0f', number)`)

func (s *redisStore) Add(ctx context.Context, id string, order []byte, number uint64, age time.Duration) (uint64, error) {
	return addScript.Run(ctx, s.client, []string{s.orders}, id, order, number, age.Milliseconds()).Uint64()
}

var ordersScript = redis.NewScript(`
local now = redis.call('TIME')
local out = redis.call('HGETALL', KEYS[1])
table.insert(out, string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000)))
return out`)

func (s *redisStore) Orders(ctx context.Context) (out []StoredOrder, newest uint64, err error) {
	all, err := ordersScript.Run(ctx, s.client, []string{s.orders}).StringSlice()
	if err != nil || len(all) == 0 {
		return nil, 0, err
	}
	now, err := strconv.ParseInt(all[len(all)-1], 10, 64)
	if err != nil {
		return nil, 0, fmt.Errorf("fleet: the store's time: %w", err)
	}
	for i := 0; i+1 < len(all); i += 2 {
		if all[i] == newestField {
			newest, _ = strconv.ParseUint(all[i+1], 10, 64) // else it is not ours
			continue
		}
		number, rest, _ := bytes.Cut([]byte(all[i+1]), []byte(":"))
		at, order, ok := bytes.Cut(rest, []byte(":"))
		n, err1 := strconv.ParseUint(string(number), 10, 64)
		ms, err2 := strconv.ParseInt(string(at), 10, 64)
		if !ok || err1 != nil || err2 != nil {
			continue // not ours
		}
		age := min(max(0, now-ms), int64(1000*24*time.Hour/time.Millisecond))
		out = append(out, StoredOrder{ID: all[i], Number: n, Age: time.Duration(age) * time.Millisecond, Order: order})
	}
	return out, newest, nil
}

func (s *redisStore) Remove(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	return s.client.HDel(ctx, s.orders, ids...).Err()
}

func (s *redisStore) Close() error { return s.client.Close() }
