package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Format is the form of a request's body.
type Format string

// The formats.
const (
	JSON         Format = "json"         // {"notices": [...], "left_out": 3}; the default
	Slack        Format = "slack"        // an incoming webhook of Slack, Mattermost or Rocket.Chat
	Alertmanager Format = "alertmanager" // POST /api/v2/alerts of Prometheus' Alertmanager
	PagerDuty    Format = "pagerduty"    // Events API v2; Options.Key is the routing key
)

// Formats returns all formats.
func Formats() []Format { return []Format{JSON, Slack, Alertmanager, PagerDuty} }

// bodies are the requests that deliver notices, of which leftOut more were
// dropped or had no room. PagerDuty takes one notice a request.
func (o *Options) bodies(notices []Notice, leftOut int) ([][]byte, error) {
	switch o.Format {
	case Slack:
		return one(slackBody(notices, leftOut))
	case Alertmanager:
		return one(alerts(notices))
	case PagerDuty:
		var all [][]byte
		for i := range notices {
			body, err := json.Marshal(page(&notices[i], o.Key))
			if err != nil {
				return nil, err
			}
			all = append(all, body)
		}
		return all, nil
	default:
		return one(struct {
			Notices []Notice `json:"notices"`
			LeftOut int      `json:"left_out,omitempty"`
		}{notices, leftOut})
	}
}

func one(v any) ([][]byte, error) {
	body, err := json.Marshal(v)
	return [][]byte{body}, err
}

// slackText escapes the three characters that have a meaning in Slack's text, so
// that an id cannot be a link or a mention.
var slackText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func slackBody(notices []Notice, leftOut int) any {
	var b strings.Builder
	for i := range notices {
		n := &notices[i]
		sign := ":warning:"
		if n.ends() {
			sign = ":white_check_mark:"
		} else if n.severity() == "critical" {
			sign = ":rotating_light:"
		}
		fmt.Fprintf(&b, "%s %s _(%s, %s)_", sign, slackText.Replace(n.Text), slackText.Replace(n.Process), slackText.Replace(n.Host))
		if n.Links != nil {
			for _, l := range []struct{ name, url string }{{"runbook", n.Links.Runbook}, {"dashboard", n.Links.Dashboard}} {
				if strings.HasPrefix(l.url, "https://") || strings.HasPrefix(l.url, "http://") {
					fmt.Fprintf(&b, " <%s|%s>", strings.ReplaceAll(slackText.Replace(l.url), "|", "%7C"), l.name)
				}
			}
			if n.Links.Owner != "" {
				fmt.Fprintf(&b, " owner: %s", slackText.Replace(n.Links.Owner))
			}
		}
		b.WriteByte('\n')
	}
	if leftOut > 0 {
		fmt.Fprintf(&b, "and %d more\n", leftOut)
	}
	return map[string]any{"text": b.String(), "mrkdwn": true}
}

type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt,omitzero"`
	EndsAt      time.Time         `json:"endsAt,omitzero"`
}

// alerts are the notices as Alertmanager takes them. It forgets an alert that is
// not sent again, so one that begins an episode has no end: Alertmanager's
// resolve_timeout decides.
func alerts(notices []Notice) []alert {
	out := make([]alert, 0, len(notices))
	for i := range notices {
		n := &notices[i]
		name := map[Kind]string{
			Opened: "BreakerOpen", Closed: "BreakerOpen", Flapping: "BreakerOpen", Failing: "BreakerOpen",
			OverrideEnding: "BreakerOverrideEnding", OverrideLost: "BreakerOverrideLost",
			AuditFailing: "BreakerAuditFailing", AuditWorks: "BreakerAuditFailing", PlaneNotice: "BreakerNotice",
		}[n.Kind]
		a := alert{
			Labels:      map[string]string{"alertname": name, "process": n.Process, "host": n.Host},
			Annotations: map[string]string{"summary": n.Text, "kind": string(n.Kind), "severity": n.severity()},
			StartsAt:    n.At,
		}
		if n.ID != "" {
			a.Labels["breaker"] = n.ID
		}
		if !n.Since.IsZero() {
			a.StartsAt = n.Since
		}
		if n.ends() {
			a.EndsAt = n.At
		}
		if n.Links != nil && n.Links.Runbook != "" {
			a.Annotations["runbook_url"] = n.Links.Runbook
		}
		if n.Links != nil && n.Links.Owner != "" {
			a.Annotations["owner"] = n.Links.Owner
		}
		out = append(out, a)
	}
	return out
}

type pageEvent struct {
	RoutingKey string       `json:"routing_key"`
	Action     string       `json:"event_action"`
	DedupKey   string       `json:"dedup_key"`
	Payload    *pagePayload `json:"payload,omitempty"`
	Links      []pageLink   `json:"links,omitempty"`
}

type pagePayload struct {
	Summary   string    `json:"summary"`
	Source    string    `json:"source"`
	Severity  string    `json:"severity"`
	Timestamp time.Time `json:"timestamp"`
	Component string    `json:"component,omitempty"`
	Class     string    `json:"class"`
}

type pageLink struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

// maxSummary is PagerDuty's limit.
const maxSummary = 1024

func page(n *Notice, key string) pageEvent {
	e := pageEvent{RoutingKey: key, Action: "trigger", DedupKey: shortened(n.episode(), 255)}
	if n.ends() {
		e.Action = "resolve"
		return e
	}
	e.Payload = &pagePayload{
		Summary: shortened(n.Text, maxSummary), Source: n.Host + " " + n.Process, Severity: n.severity(),
		Timestamp: n.At, Component: n.ID, Class: string(n.Kind),
	}
	if n.Links != nil && n.Links.Runbook != "" {
		e.Links = []pageLink{{n.Links.Runbook, "runbook"}}
	}
	return e
}

// shortened is text cut to at most so many bytes, at the end of a character.
func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-3], "") + "..."
}
