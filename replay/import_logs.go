package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
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

// nginxCombined is the format that nginx itself calls combined.
const nginxCombined = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`

// nginxPattern makes a regular expression of a log_format.
func nginxPattern(format string) (*regexp.Regexp, error) {
	if rest, ok := strings.CutPrefix(format, "combined"); ok {
		format = nginxCombined + rest
	}
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
	has := func(name string) bool { return pattern.SubexpIndex(name) >= 0 }
	several, local, dead := 0, 0, 0
	err = im.lines(r, func(n int, line string) {
		m := pattern.FindStringSubmatch(line)
		if m == nil {
			im.skip(n, "it does not match the log_format %q", im.o.LogFormat)
			return
		}
		get := func(name string) string {
			if has(name) {
				return m[pattern.SubexpIndex(name)]
			}
			return ""
		}
		at, ok := nginxTime(get("msec"), get("time_iso8601"), get("time_local"))
		if !ok {
			im.skip(n, "its time cannot be read")
			return
		}
		statuses, tooks, addrs := upstreams(get("upstream_status")), upstreams(get("upstream_response_time")), upstreams(get("upstream_addr"))
		if !has("upstream_status") {
			statuses = []string{get("status")}
			if has("request_time") {
				tooks = []string{get("request_time")}
			}
		}
		if len(statuses) == 1 && statuses[0] == "-" && (len(addrs) == 0 || addrs[0] == "-") {
			local++ // served without an upstream
			return
		}
		if len(statuses) > 1 {
			several++
		}
		im.dated(at)
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
			// The name of a group in place of an address: nginx had given up all
			// servers of the group, and asked none.
			turned := key != "" && !strings.Contains(key, ":")
			if turned {
				dead++
			}
			im.add(end.Add(-took), took, o, turned, key)
			end = end.Add(-took)
		}
	})
	if several > 0 {
		im.notes = append(im.notes, fmt.Sprintf("there are several upstreams in %s; each is a call of its own, and its time is calculated back from the end of the request", plural(several, "line")))
	}
	if dead > 0 {
		im.notes = append(im.notes, fmt.Sprintf("nginx rejected %s, because it had given up all servers: there is no outcome", plural(dead, "call")))
	}
	if !has("upstream_response_time") && !has("request_time") {
		im.notes = append(im.notes, "the log_format has no $upstream_response_time and no $request_time, so how long calls took is not known")
	}
	im.unasked(local)
	return err
}

// unasked notes how many lines are about requests that the proxy answered itself.
func (im *importer) unasked(lines int) {
	if lines > 0 {
		im.notes = append(im.notes, fmt.Sprintf("%s left out, because no upstream was asked", plural(lines, "line")))
	}
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
	"UAEX": "its authorization", "RLSE": "its rate limit", "IH": "a bad request", "DPE": "a bad request", "OM": "its overload manager", "DO": "its overload policy",
	"LH": "its own health check", "FI": "an injected fault", "NFCF": "no filter configuration",
}

// envoyFailed are the flags of calls that failed on their way to an upstream or
// there, whatever status the client got.
var envoyFailed = map[string]bool{
	"UF": true, "UC": true, "UT": true, "LR": true, "UR": true, "UPE": true, "URX": true, "UMSDR": true, "DF": true,
}

// envoy reads an access log in the default format of Envoy or of Istio, or in JSON
// with the fields start_time, duration, response_code, response_flags and
// upstream_cluster or upstream_host. Docker or kubectl may have written something
// before each line.
func (im *importer) envoy(r io.Reader) error {
	rejected := map[string]int{}
	retried, local := 0, 0
	err := im.lines(r, func(n int, line string) {
		e, ok := envoyLine(line)
		if !ok {
			im.skip(n, "it is neither in the default format of Envoy or Istio nor in JSON with start_time, duration, response_code and response_flags")
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
		if e.unasked && (e.flags == "-" || e.flags == "") {
			local++ // Envoy itself answered, with a redirect or by a rule
			return
		}
		o, ok := im.status(e.code)
		switch {
		case ok:
		case e.plainTCP: // a connection has no status; if it broke, a flag says so
			o = breaker.Success
		default:
			o = breaker.Failure // 0: there was no answer
		}
		turned := false
		for _, f := range strings.Split(e.flags, ",") {
			switch why, ok := envoyRejected[f]; {
			case ok:
				turned = true
				rejected[f+" ("+why+")"]++
			case f == "DC" || f == "DR": // the client went away
				o = breaker.Canceled
			case envoyFailed[f]:
				o = breaker.Failure
				if f == "URX" {
					retried++
				}
			}
		}
		im.dated(at)
		im.add(at, took, o, turned, e.upstream)
	})
	for _, why := range slices.Sorted(maps.Keys(rejected)) {
		im.notes = append(im.notes, fmt.Sprintf("Envoy rejected %s with %s: there is no outcome", plural(rejected[why], "call"), why))
	}
	im.unasked(local)
	if retried > 0 {
		im.notes = append(im.notes, fmt.Sprintf("for %s the log shows only the last of several attempts (URX)", plural(retried, "call")))
	}
	return err
}

type envoyEntry struct {
	at, duration, code, flags, upstream string
	plainTCP                            bool // it is a connection, not a request
	unasked                             bool // no upstream was asked
}

// envoyStart matches what an entry begins with in the default formats.
var envoyStart = regexp.MustCompile(`\[\d{4}-\d\d-\d\dT[0-9:.]+Z\] "`)

// envoyLine reads a line, without what stands before the entry.
func envoyLine(line string) (e envoyEntry, ok bool) {
	if !strings.HasPrefix(line, "{") {
		if at := envoyStart.FindStringIndex(line); at != nil {
			return envoyText(line[at[0]:])
		}
		at := strings.Index(line, `{"`)
		if at < 0 {
			return envoyText(line)
		}
		line = line[at:]
	}
	var x map[string]json.RawMessage
	if json.Unmarshal([]byte(line), &x) != nil {
		return e, false
	}
	// A value that is not set is "-", or null where numbers are not strings.
	get := func(k string) string {
		if s := rawText(x[k]); s != "null" && s != "-" {
			return s
		}
		return ""
	}
	e = envoyEntry{at: get("start_time"), duration: get("duration"), code: get("response_code"), flags: get("response_flags"), upstream: get("upstream_cluster")}
	host := get("upstream_host")
	if e.upstream == "" {
		e.upstream = host
	}
	_, hasHost := x["upstream_host"]
	e.unasked = hasHost && host == ""
	_, hasMethod := x["method"]
	e.plainTCP = hasMethod && get("method") == ""
	return e, e.at != "" && e.duration != ""
}

// envoyText reads a line in one of the default formats:
//
//	[start] "request" code flags            received sent duration service-time "for" "agent" "id" "authority" "host"
//	[start] "request" code flags details termination "why" received sent duration ... "host" cluster local ...
//
// The first is Envoy's, the second Istio's. Older versions of Istio write fewer
// fields between the flags and the numbers, and after the cluster.
func envoyText(line string) (e envoyEntry, ok bool) {
	f, quoted := envoyFields(line)
	// What lies between the flags and the numbers differs, between versions, too.
	k := 4
	for ; k+2 < len(f); k++ {
		if isNumber(f[k]) && isNumber(f[k+1]) && isNumber(f[k+2]) {
			break
		}
	}
	const after = 6 // fields after the numbers: the service time and five in quotes
	if k+2+after >= len(f) {
		return e, false
	}
	e = envoyEntry{at: f[0], code: f[2], flags: f[3], duration: f[k+2], plainTCP: f[1] == "- - -"}
	// The host is the last of the five in quotes; if there are not five, the agent
	// contains quotes, and the host is the last of all in quotes.
	host := k + 2 + after
	if slices.Contains(quoted[host-4:host+1], false) || host+1 < len(f) && quoted[host+1] {
		for host = len(f) - 1; host > k+2 && !quoted[host]; host-- {
		}
	}
	e.unasked = f[host] == "-"
	if !e.unasked {
		e.upstream = f[host]
	}
	if host+1 < len(f) && f[host+1] != "-" {
		e.upstream = f[host+1] // the cluster
	}
	return e, true
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// envoyFields splits a line at blanks; quotes and brackets hold a field together.
func envoyFields(line string) (out []string, quoted []bool) {
	for {
		line = strings.TrimLeft(line, " ")
		if line == "" {
			return out, quoted
		}
		quoted = append(quoted, line[0] == '"')
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
