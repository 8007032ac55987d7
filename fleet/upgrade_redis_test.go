package fleet_test

import (
	"bufio"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
)

// Redis 5.0 is played by a newer server that has forgotten every command that was
// added since, HELLO and with it RESP3 included. A new option of an old command
// cannot be taken from it, so all commands are recorded, and looked up in what the
// server itself knows of the age of their options.
func TestRedis5(t *testing.T) {
	t.Parallel()
	added := commandsSince(t, "5.0.0")
	if len(added) < 30 || !slices.Contains(slices.Collect(maps.Keys(added)), "hello") {
		t.Fatalf("since 5.0 there are %d new commands: %v", len(added), added)
	}
	var args []string
	for name, tokens := range added {
		if tokens == nil {
			args = append(args, "--rename-command", name, "")
		}
	}
	s := startServer(t, args...)
	m := newMonitor(t, s.addr)
	c := s.client()
	defer c.Close()
	if err := c.Do(t.Context(), "GETDEL", "x").Err(); err == nil || !strings.Contains(err.Error(), "unknown command") {
		t.Fatalf("GETDEL, of 6.2: %v", err)
	}
	fleettest.TestStore(t, func(t *testing.T) (a, b fleet.Store) {
		return newRedis(t, c, t.Name()), newRedis(t, c, t.Name())
	})
	for _, f := range fleetsOn(t, c, "old", 2) {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	commands := m.all()
	if problem := newerThan(added, append(commands, []string{"set", "x", "y", "keepttl"})); len(problem) != 1 || problem[0] != "SET has KEEPTTL" {
		t.Errorf("used of what came after 5.0: %q", problem)
	}
	seen := map[string]bool{}
	for _, c := range commands {
		seen[c[0]] = true
	}
	for _, name := range []string{"client", "ping", "unsubscribe"} { // of go-redis, when it likes
		delete(seen, name)
	}
	want := strings.Fields("del eval evalsha exists get hdel hget hgetall hset pexpire publish set subscribe time")
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("the store is sent %q, want %q, which docs/fleet.md allows", got, want)
	}
}

// commandsSince returns, by name, the commands that a server has got after a
// version, with nil, and those that have got options since, with the words of
// these.
func commandsSince(t *testing.T, version string) map[string][]string {
	t.Helper()
	c := startServer(t).client()
	defer c.Close()
	docs, err := c.Do(t.Context(), "COMMAND", "DOCS").Result()
	if err != nil {
		t.Skip("SKIP: needs redis-server 7.0, which knows how old its commands are: " + err.Error())
	}
	out := map[string][]string{}
	for name, doc := range docs.(map[any]any) {
		d := doc.(map[any]any)
		if after(d["since"], version) {
			out[name.(string)] = nil
		} else if words := newWords(d["arguments"], version, false); len(words) > 0 {
			out[name.(string)] = words
		}
	}
	return out
}

// newWords are the words of the options that came after version.
func newWords(arguments any, version string, within bool) (words []string) {
	all, _ := arguments.([]any)
	for _, a := range all {
		arg := a.(map[any]any)
		added := within || after(arg["since"], version)
		if word, ok := arg["token"].(string); ok && added && word != "" {
			words = append(words, strings.ToUpper(word))
		}
		words = append(words, newWords(arg["arguments"], version, added)...)
	}
	return words
}

// after reports whether the version since is one after version.
func after(since any, version string) bool {
	text, _ := since.(string)
	a, b := strings.Split(text, "."), strings.Split(version, ".")
	for i := range min(len(a), len(b)) {
		x, _ := strconv.Atoi(a[i])
		y, _ := strconv.Atoi(b[i])
		if x != y {
			return x > y
		}
	}
	return false
}

// newerThan says which commands have an option that is among those added.
func newerThan(added map[string][]string, commands [][]string) (problems []string) {
	for _, c := range commands {
		for _, arg := range c[1:] {
			if word := strings.ToUpper(arg); slices.Contains(added[c[0]], word) {
				problems = append(problems, fmt.Sprintf("%s has %s", strings.ToUpper(c[0]), word))
			}
		}
	}
	return problems
}

// monitor records all commands of a server, those of scripts included.
type monitor struct {
	mu   sync.Mutex // guards the field below
	said [][]string
}

func newMonitor(t *testing.T, addr string) *monitor {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	lines := bufio.NewReader(conn)
	fmt.Fprint(conn, "MONITOR\r\n")
	if line, err := lines.ReadString('\n'); err != nil || line != "+OK\r\n" {
		t.Fatalf("MONITOR: %q, %v", line, err)
	}
	m := new(monitor)
	go func() {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			m.mu.Lock()
			m.said = append(m.said, words(line))
			m.mu.Unlock()
		}
	}()
	return m
}

// words are the command and its arguments of a line such as
// +1764140000.000001 [0 127.0.0.1:7000] "GET" "key".
func words(line string) (out []string) {
	_, rest, _ := strings.Cut(line, "] ")
	for rest != "" {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			break
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			word = quoted
		}
		out = append(out, word)
		rest = strings.TrimPrefix(rest[len(quoted):], " ")
	}
	if len(out) == 0 {
		return []string{line}
	}
	out[0] = strings.ToLower(out[0])
	return out
}

func (m *monitor) all() [][]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.said), func(c []string) bool { return c[0] == "getdel" })
}
