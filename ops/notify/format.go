package notify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Format is the format of a request's body.
type Format string

// The formats.
const (
	JSON         Format = "json"         // {"notices": [...], "omitted": 3}
	Slack        Format = "slack"        // an incoming webhook of Slack, Mattermost or Rocket.Chat
	Alertmanager Format = "alertmanager" // POST /api/v2/alerts of the Alertmanager of Prometheus
	PagerDuty    Format = "pagerduty"    // Events API v2
)

// Formats returns all formats.
func Formats() []Format { return []Format{JSON, Slack, Alertmanager, PagerDuty} }

// perRequest is how many notices go into one request.
func (f Format) perRequest() int {
	if f == PagerDuty {
		return 1
	}
	return maxWaiting
}

// body returns the request for these notices. leftOut more were dropped.
func (o *Options) body(notices []Notice, leftOut int) ([]byte, error) {
	switch o.Format {
	case Slack:
		return json.Marshal(map[string]string{"text": slackText(notices, leftOut)})
	case Alertmanager:
		return json.Marshal(alerts(notices))
	case PagerDuty:
		return json.Marshal(page(&notices[0], o.Key))
	}
	return json.Marshal(struct {
		Notices []Notice `json:"notices"`
		Omitted int      `json:"omitted,omitempty"`
	}{notices, leftOut})
}

// slackEscape escapes the three characters that have a meaning in Slack's
// text, so that an id cannot become a link or a mention.
var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

const slackLines = 20

// slackText has one line for each of the newest notices, and counts the
// others.
func slackText(notices []Notice, leftOut int) string {
	if more := len(notices) - slackLines; more > 0 {
		notices, leftOut = notices[more:], leftOut+more
	}
	var b strings.Builder
	for i := range notices {
		n := &notices[i]
		sign := ":warning:"
		switch {
		case n.ends():
			sign = ":white_check_mark:"
		case n.severity() == "critical":
			sign = ":rotating_light:"
		case n.severity() == "info":
			sign = ":information_source:"
		}
		fmt.Fprintf(&b, "%s %s (%s)", sign, slackEscape.Replace(n.Text), slackEscape.Replace(n.source()))
		if n.Owner != "" {
			fmt.Fprintf(&b, ", owner: %s", slackEscape.Replace(n.Owner))
		}
		for _, l := range n.Links {
			fmt.Fprintf(&b, " <%s|%s>", strings.ReplaceAll(slackEscape.Replace(l.URL), "|", "%7C"), l.Name)
		}
		b.WriteByte('\n')
	}
	if leftOut > 0 {
		fmt.Fprintf(&b, "and %d more\n", leftOut)
	}
	return b.String()
}

// source returns the process that the notice is about.
func (n *Notice) source() string {
	text := n.Service + "/" + strconv.Itoa(n.PID)
	if n.Host != "" {
		text += " on " + n.Host
	}
	return oneLine(text, maxText)
}

type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// How long an alert lasts if its end is not known yet. Alertmanager considers
// an alert without an end resolved if it is not sent again within minutes.
const (
	alertLasts = 24 * time.Hour // until the notice about its end arrives
	pointLasts = time.Hour      // if there is no such notice
)

// alertNames returns the alerts that a notice starts or, if it ends an
// episode, ends.
func (k Kind) alertNames() []string {
	switch k {
	case Opened:
		return []string{"BreakerOpened"}
	case Flapping:
		return []string{"BreakerFlapping"}
	case Failing:
		return []string{"BreakerFailing"}
	case Closed:
		return []string{"BreakerOpened", "BreakerFlapping", "BreakerFailing"}
	case OverrideEnding:
		return []string{"BreakerOverrideEnding"}
	case OverrideLost:
		return []string{"BreakerOverrideLost"}
	case AuditFailing, AuditWorks:
		return []string{"BreakerAuditFailing"}
	}
	return []string{"BreakerReport"}
}

// alertSeverity is a label, so it must be the same when an alert starts and
// ends.
var alertSeverity = map[string]string{
	"BreakerFailing": "critical", "BreakerOverrideLost": "critical", "BreakerAuditFailing": "critical", "BreakerReport": "info",
}

func alerts(notices []Notice) (all []alert) {
	for i := range notices {
		n := &notices[i]
		for _, name := range n.Kind.alertNames() {
			a := alert{
				Labels: map[string]string{
					"alertname": name, "severity": cmp.Or(alertSeverity[name], "warning"),
					"service": n.Service, "pid": strconv.Itoa(n.PID),
				},
				Annotations: map[string]string{"summary": n.Text},
				StartsAt:    n.At,
			}
			if n.Host != "" {
				a.Labels["host"] = n.Host
			}
			if n.ID != "" {
				a.Labels["breaker"] = n.ID
			}
			if !n.Since.IsZero() && n.Since.Before(n.At) {
				a.StartsAt = n.Since
			}
			switch {
			case n.ends():
				a.EndsAt = n.At
			case n.Until.After(n.At):
				a.EndsAt = n.Until
			case n.Kind == OverrideLost || n.Kind == Report:
				a.EndsAt = n.At.Add(pointLasts)
			default:
				a.EndsAt = n.At.Add(alertLasts)
			}
			if n.Owner != "" {
				a.Annotations["owner"] = n.Owner
			}
			for _, l := range n.Links {
				a.Annotations[l.Name+"_url"] = l.URL
				if l.Name == "dashboard" {
					a.GeneratorURL = l.URL
				}
			}
			all = append(all, a)
		}
	}
	return all
}

type pageEvent struct {
	RoutingKey string       `json:"routing_key"`
	Action     string       `json:"event_action"`
	DedupKey   string       `json:"dedup_key"`
	Payload    *pagePayload `json:"payload,omitempty"` // a resolve event has none
	Links      []pageLink   `json:"links,omitempty"`
}

type pagePayload struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  string            `json:"severity"`
	Timestamp time.Time         `json:"timestamp"`
	Component string            `json:"component,omitempty"`
	Group     string            `json:"group"`
	Class     string            `json:"class"`
	Details   map[string]string `json:"custom_details,omitempty"`
}

type pageLink struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

const maxDedupKey = 255

func page(n *Notice, key string) pageEvent {
	e := pageEvent{RoutingKey: key, Action: "trigger", DedupKey: n.episode()}
	if n.ends() {
		e.Action = "resolve"
		return e
	}
	e.Payload = &pagePayload{
		Summary: n.Text, Source: n.source(), Severity: n.severity(), Timestamp: n.At,
		Component: n.ID, Group: n.Service, Class: string(n.Kind),
	}
	if n.Owner != "" {
		e.Payload.Details = map[string]string{"owner": n.Owner}
	}
	for _, l := range n.Links {
		e.Links = append(e.Links, pageLink{l.URL, l.Name})
	}
	return e
}

// episode returns the name under which PagerDuty knows what a notice is about.
// All notices about the health of one breaker of one process have the same
// name.
func (n *Notice) episode() string {
	about := string(n.Kind)
	switch n.Kind {
	case Opened, Closed, Flapping, Failing:
		about = "health"
	case AuditFailing, AuditWorks:
		about = "audit"
	case Report:
		about += " " + n.Text // each notice stands alone
	}
	return shortKey(fmt.Sprintf("%s/%s/%d/%s/%s", n.Host, n.Service, n.PID, about, n.ID))
}
