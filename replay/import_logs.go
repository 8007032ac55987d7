package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// nginxVariables are those of a log_format that matter, with what they look like.
var nginxVariables = map[string]string{
	"msec": `[0-9.]+`, "time_iso8601": `\S+`, "time_local": `[^\]]+`,
	"upstream_response_time": listOf(`[-0-9.]+`), "upstream_status": listOf(`[-0-9]+`), "upstream_addr": listOf(`[^ ,]+`),
	"request_time": `[-0-9.]+`, "status": `[0-9]+`, "upstream_cache_status": `\S+`,
}

// listOf matches what nginx writes for several upstreams, see upstreams.
func listOf(item string) string { return item + `(?:(?:, | : )` + item + `)*` }

// nginxPattern makes a regular expression of a log_format.
func nginxPattern(format string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString("^")
	seen := map[string]bool{}
	for rest := format; rest != ""; {
		text, after, ok := strings.Cut(rest, "$")
		b.WriteString(regexp.QuoteMeta(text))
		if !ok {
			break
		}
		n := 0
		for n < len(after) && (after[n] == '_' || after[n] >= 'a' && after[n] <= 'z' || after[n] >= '0' && after[n] <= '9') {
			n++
		}
		name := after[:n]
		rest = after[n:]
		switch pattern, known := nginxVariables[name]; {
		case known && !seen[name]:
			fmt.Fprintf(&b, "(?P<%s>%s)", name, pattern)
			seen[name] = true
		default:
			b.WriteString(".*?")
		}
	}
	b.WriteString("$")
	if !seen["msec"] && !seen["time_iso8601"] && !seen["time_local"] {
		return nil, fmt.Errorf("replay: the log_format %q has no time, want $msec, $time_iso8601 or $time_local", format)
	}
	if !seen["upstream_status"] && !seen["status"] {
		return nil, fmt.Errorf("replay: the log_format %q has no status, want $upstream_status or $status", format)
	}
	return regexp.Compile(b.String())
}

// nginx reads an access log. Each upstream of a line is a call of its own. A line
// is written when the request ends.
func (im *importer) nginx(r io.Reader) error {
	pattern, err := nginxPattern(im.o.LogFormat)
	if err != nil {
		return err
	}
	several, local := 0, 0
	err = lines(r, func(n int, line string) {
		m := pattern.FindStringSubmatch(line)
		if m == nil {
			im.skip(n, "it does not match the log_format %q", im.o.LogFormat)
			return
		}
		get := func(name string) string {
			if i := pattern.SubexpIndex(name); i >= 0 {
				return m[i]
			}
			return ""
		}
		at, ok := nginxTime(get("msec"), get("time_iso8601"), get("time_local"))
		if !ok {
			im.skip(n, "its time cannot be read")
			return
		}
		statuses, tooks, addrs := upstreams(get("upstream_status")), upstreams(get("upstream_response_time")), upstreams(get("upstream_addr"))
		if pattern.SubexpIndex("upstream_status") < 0 {
			statuses, tooks = []string{get("status")}, []string{get("request_time")}
		}
		if len(statuses) == 1 && statuses[0] == "-" && (len(addrs) == 0 || addrs[0] == "-") {
			local++ // served without an upstream
			return
		}
		if len(statuses) > 1 {
			several++
		}
		// The last upstream answered when the request ended, the others before.
		end := at
		for i := len(statuses) - 1; i >= 0; i-- {
			took := time.Duration(0)
			if i < len(tooks) {
				took, _ = parseTook(tooks[i]) // "-": there was no answer
			}
			o, ok := im.status(statuses[i])
			if !ok {
				o = breaker.Failure // "-": there was no answer
			}
			key := ""
			if i < len(addrs) && addrs[i] != "-" {
				key = addrs[i]
			}
			im.add(end.Add(-took), took, o, false, key)
			end = end.Add(-took)
		}
	})
	if several > 0 {
		im.notes = append(im.notes, fmt.Sprintf("%d lines have several upstreams; each is a call of its own, and its time is reckoned back from the end of the request", several))
	}
	if local > 0 {
		im.notes = append(im.notes, fmt.Sprintf("%d lines are left out, because no upstream was asked", local))
	}
	return err
}

// nginxTime reads the first of the times that is there.
func nginxTime(msec, iso, local string) (time.Time, bool) {
	switch {
	case msec != "":
		return parseAt(msec)
	case iso != "":
		return parseAt(iso)
	default:
		t, err := time.Parse("02/Jan/2006:15:04:05 -0700", local)
		return t, err == nil
	}
}

// upstreams splits what nginx writes for several upstreams: "a, b" for those that
// were tried in turn, "a : b" for those of an internal redirect.
func upstreams(s string) []string {
	if s == "" {
		return nil
	}
	parts := strings.FieldsFunc(strings.ReplaceAll(s, " : ", ","), func(r rune) bool { return r == ',' })
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// The response flags of Envoy for calls that did not reach an upstream: Envoy
// rejected them itself.
var envoyRejected = map[string]string{
	"UO": "its own circuit breaker", "UH": "no healthy upstream", "NR": "no route", "NC": "no cluster", "RL": "its rate limit",
	"UAEX": "its authorization", "RLSE": "its rate limit", "IH": "a bad request", "DPE": "a bad request", "OM": "its overload manager", "DO": "dropped",
}

// envoy reads an access log in the default format, or in JSON with the fields
// start_time, duration, response_code, response_flags and upstream_cluster or
// upstream_host.
func (im *importer) envoy(r io.Reader) error {
	rejected := map[string]int{}
	err := lines(r, func(n int, line string) {
		e, ok := envoyLine(line)
		if !ok {
			im.skip(n, "it is neither in the default format of Envoy nor in JSON with start_time, duration, response_code and response_flags")
			return
		}
		at, ok := parseAt(e.at)
		if !ok {
			im.skip(n, "got the start time %q, want RFC 3339", e.at)
			return
		}
		took, ok := parseTook(e.duration + "ms")
		if !ok {
			im.skip(n, "got the duration %q, want milliseconds", e.duration)
			return
		}
		o, ok := im.status(e.code)
		if !ok {
			o = breaker.Failure // 0: there was no answer
		}
		turned := false
		for _, f := range strings.Split(e.flags, ",") {
			switch why, ok := envoyRejected[f]; {
			case ok:
				turned = true
				rejected[f+" ("+why+")"]++
			case f == "DC": // the client went away
				o = breaker.Canceled
			case f == "UF" || f == "UC" || f == "UT" || f == "LR" || f == "UR" || f == "UPE" || f == "URX" || f == "LH":
				o = breaker.Failure
			}
		}
		im.add(at, took, o, turned, e.upstream)
	})
	for why, n := range rejected {
		im.notes = append(im.notes, fmt.Sprintf("%d calls were rejected by Envoy with %s, and have no outcome", n, why))
	}
	return err
}

type envoyEntry struct{ at, duration, code, flags, upstream string }

// envoyLine reads a line.
func envoyLine(line string) (e envoyEntry, ok bool) {
	if strings.HasPrefix(line, "{") {
		var x map[string]json.RawMessage
		if json.Unmarshal([]byte(line), &x) != nil {
			return e, false
		}
		get := func(k string) string {
			if s := rawText(x[k]); s != "null" && s != "-" {
				return s
			}
			return ""
		}
		e = envoyEntry{get("start_time"), get("duration"), get("response_code"), get("response_flags"), get("upstream_cluster")}
		if e.upstream == "" {
			e.upstream = get("upstream_host")
		}
		return e, e.at != "" && e.duration != ""
	}
	f := envoyFields(line)
	// [start] "request" code flags received sent duration upstream-time "for" "agent" "id" "authority" "host"
	if len(f) < 7 {
		return e, false
	}
	e = envoyEntry{at: f[0], code: f[2], flags: f[3], duration: f[6]}
	// Newer versions have the details and the termination after the flags.
	if n := len(f); n >= 13 {
		e.duration = f[n-7]
		if f[n-1] != "-" {
			e.upstream = f[n-1]
		}
	}
	return e, true
}

// envoyFields splits a line at blanks; quotes and brackets hold a field together.
func envoyFields(line string) (out []string) {
	for {
		line = strings.TrimLeft(line, " ")
		if line == "" {
			return out
		}
		end := " "
		switch line[0] {
		case '"':
			line, end = line[1:], `"`
		case '[':
			line, end = line[1:], `]`
		}
		field, rest, _ := strings.Cut(line, end)
		out = append(out, field)
		line = rest
	}
}
