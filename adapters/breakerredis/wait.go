package breakerredis

import (
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
	for i, arg := range args {
		switch strings.ToLower(argText(arg)) {
		case "block":
			return waitArg(args, i+1, time.Millisecond)
		case "streams":
			return 0
		}
	}
	return 0
}

// waitArg reads the limit of a wait. 0 is no limit, and what cannot be read may
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
