package breakerredis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// wait is how long a command may block at the server on purpose: 0 for one that
// does not block, forever for one without a limit.
type wait time.Duration

const forever = wait(1<<63 - 1)

// grace is how late the answer to a wait that is over may come.
const grace = time.Second

// over reports whether a command that began then should have been answered.
func (w wait) over(began time.Time) bool {
	return w != forever && time.Since(began) > time.Duration(w)+grace
}

// waitOf is the wait of a command, a pipeline or a transaction. go-redis lets a
// command read for its wait and ten seconds more, but a pipeline and a generic
// Cmd for ReadTimeout alone, so that these end early again and again: they are
// taken to wait forever.
func waitOf(cmds []redis.Cmder) wait {
	if len(cmds) == 1 {
		w := waitOfOne(cmds[0])
		if _, generic := cmds[0].(*redis.Cmd); generic && w != 0 {
			return forever
		}
		return w
	}
	if len(cmds) > 0 && cmds[0].Name() == "multi" {
		return 0 // nothing blocks in a transaction
	}
	for _, cmd := range cmds {
		if waitOfOne(cmd) != 0 {
			return forever
		}
	}
	return 0
}

// waitOfRequest is the wait of the first command that has one in the beginning of
// a request as it is sent: lines that end with CR LF, for each command "*2", and
// for each argument "$4" and the argument. An argument that looks like a "*2" can
// only make it see a wait where there is none.
func waitOfRequest(request []byte) wait {
	var args []any
	for line := range strings.SplitSeq(strings.TrimSuffix(string(request), "\r\n"), "\r\n") {
		switch {
		case strings.HasPrefix(line, "*"):
			if w := waitOfOne(redis.NewCmd(context.Background(), args...)); w != 0 {
				return w
			}
			args = nil
		case !strings.HasPrefix(line, "$"):
			args = append(args, line)
		}
	}
	return waitOfOne(redis.NewCmd(context.Background(), args...))
}

func waitOfOne(cmd redis.Cmder) wait {
	switch cmd.Name() {
	case "blpop", "brpop", "brpoplpush", "blmove", "bzpopmin", "bzpopmax":
		return waitArg(cmd.Args(), len(cmd.Args())-1, time.Second)
	case "blmpop", "bzmpop":
		return waitArg(cmd.Args(), 1, time.Second)
	case "blmovem":
		return waitArg(cmd.Args(), 5, time.Second)
	case "wait", "waitaof":
		return waitArg(cmd.Args(), len(cmd.Args())-1, time.Millisecond)
	case "migrate":
		return waitArg(cmd.Args(), 5, time.Millisecond)
	case "xread", "xreadgroup", "ts.read":
		return waitOption(cmd.Args())
	}
	return 0
}

// waitOption is the wait of a command that blocks only with the option BLOCK.
// What follows STREAMS are names.
func waitOption(args []any) wait {
	for i := 1; i < len(args); i++ {
		switch strings.ToLower(argText(args[i])) {
		case "group":
			i += 2 // names too
		case "block":
			return waitArg(args, i+1, time.Millisecond)
		case "streams":
			return 0
		}
	}
	return 0
}

// waitArg reads the limit of a wait. 0 means no limit, and what cannot be read may
// be any time.
func waitArg(args []any, i int, unit time.Duration) wait {
	if i >= len(args) {
		return forever
	}
	n, err := strconv.ParseFloat(argText(args[i]), 64)
	if err != nil || n <= 0 || n > float64(forever/wait(unit))/2 {
		return forever
	}
	return max(1, wait(n*float64(unit)))
}

// argText is an argument of one of the types that numbers and options have.
func argText(arg any) string {
	switch v := arg.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case *string:
		if v != nil {
			return *v
		}
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
		return fmt.Sprint(v)
	}
	return ""
}
