package notify

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Options say where notices are sent, and which. A zero field means its
// default.
type Options struct {
	// URL is the address to which notices are posted. Its path and query are
	// secrets. For Alertmanager, the path is /api/v2/alerts if the URL has
	// none. URL is required, except for PagerDuty, where the default is
	// https://events.pagerduty.com/v2/enqueue.
	URL string
	// Format of the body. Default: JSON.
	Format Format
	// Header is sent with each request, such as an Authorization.
	Header http.Header
	// Key is PagerDuty's routing key. It is required for PagerDuty and not
	// used otherwise.
	Key string
	// Kinds are the kinds of notices to send. Default: all.
	Kinds []Kind
	// Wait is how long a notice waits for others to go with it. Default: 2 s.
	Wait time.Duration
	// Every is the minimum time between two requests. Default: 10 s; for
	// PagerDuty, which accepts one notice per request, 1 s.
	Every time.Duration
	// FailingFor is how long a breaker must have been failing before a notice
	// is sent. Default: 15 minutes.
	FailingFor time.Duration
	// FlapsPerHour is how often a breaker must open within an hour to be
	// called flapping. From then on its trips are not sent one by one.
	// Default: 5.
	FlapsPerHour int
	// EndingWithin is how long before the end of an override a notice is sent.
	// Default: 10 minutes, or half of the override's time if that is less.
	EndingWithin time.Duration
	// Look is the time between checks for what no event reports: that
	// something lasts, or was lost. Default: 30 s.
	Look time.Duration
	// Failed is called when notices cannot be delivered, and once with nil
	// when they can be again. It must not block.
	Failed func(error)
	// Client makes the requests. Redirects are followed only if it is
	// configured to follow them.
	Client *http.Client
}

const (
	pagerDutyURL     = "https://events.pagerduty.com/v2/enqueue"
	alertmanagerPath = "/api/v2/alerts"
)

func (o Options) withDefaults() Options {
	o.Format = cmp.Or(o.Format, JSON)
	every := 10 * time.Second
	switch o.Format {
	case PagerDuty:
		o.URL = cmp.Or(o.URL, pagerDutyURL)
		every = time.Second
	case Alertmanager:
		if u, err := url.Parse(o.URL); err == nil && u.Host != "" && strings.Trim(u.Path, "/") == "" {
			u.Path = alertmanagerPath
			o.URL = u.String()
		}
	}
	o.Wait = cmp.Or(o.Wait, 2*time.Second)
	o.Every = cmp.Or(o.Every, every)
	o.FailingFor = cmp.Or(o.FailingFor, 15*time.Minute)
	o.FlapsPerHour = cmp.Or(o.FlapsPerHour, 5)
	o.EndingWithin = cmp.Or(o.EndingWithin, 10*time.Minute)
	o.Look = cmp.Or(o.Look, 30*time.Second)
	client := http.Client{}
	if o.Client != nil {
		client = *o.Client
	}
	if client.CheckRedirect == nil { // the receiver must not choose where notices go
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	o.Client = &client
	return o
}

// check returns what is wrong with o, without its secrets.
func (o *Options) check() error {
	u, err := url.Parse(o.URL)
	switch {
	case o.URL == "":
		return errors.New("notify: got no URL, want that of a webhook")
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("notify: got an invalid URL, want https://host/path")
	case !slices.Contains(Formats(), o.Format):
		return fmt.Errorf("notify: got the format %q, want one of %v", o.Format, Formats())
	case o.Format == PagerDuty && o.Key == "":
		return errors.New("notify: got no key, want the routing key of a PagerDuty service")
	case o.FlapsPerHour < 0:
		return fmt.Errorf("notify: got FlapsPerHour %d, want a number above 0", o.FlapsPerHour)
	}
	for _, k := range o.Kinds {
		if !slices.Contains(Kinds(), k) {
			return fmt.Errorf("notify: got the kind %q, want some of %v", k, Kinds())
		}
	}
	for _, d := range []struct {
		name string
		time.Duration
	}{{"Wait", o.Wait}, {"Every", o.Every}, {"FailingFor", o.FailingFor}, {"EndingWithin", o.EndingWithin}, {"Look", o.Look}} {
		if d.Duration < 0 {
			return fmt.Errorf("notify: got %s %s, want a time above 0", d.name, d.Duration)
		}
	}
	return nil
}

// host returns the part of the URL that may be shown.
func (o *Options) host() string {
	if u, err := url.Parse(o.URL); err == nil && u.Host != "" {
		return u.Host
	}
	return "an unknown host"
}

// String returns the options without their secrets.
func (o Options) String() string {
	return fmt.Sprintf("{%s to %s}", cmp.Or(o.Format, JSON), o.host())
}

// GoString returns what String returns.
func (o Options) GoString() string { return o.String() }

// hide replaces secrets in the text of an error.
func (o *Options) hide(text string) string {
	secrets := []string{o.URL, o.Key}
	if u, err := url.Parse(o.URL); err == nil {
		secrets = append(secrets, u.RequestURI(), u.Path, u.EscapedPath(), u.RawQuery)
		if u.User != nil {
			secrets = append(secrets, u.User.String())
		}
	}
	for _, values := range o.Header {
		secrets = append(secrets, values...)
	}
	for _, s := range secrets {
		if len(s) > 1 { // "/" is not a secret
			text = strings.ReplaceAll(text, s, "[secret]")
		}
	}
	return text
}
