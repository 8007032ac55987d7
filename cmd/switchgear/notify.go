package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/ops/notify"
)

// The variables with secrets. Command lines are visible to every user of a
// host.
const (
	notifyURL  = "SWITCHGEAR_NOTIFY_URL"
	notifyKey  = "SWITCHGEAR_NOTIFY_KEY"
	notifyAuth = "SWITCHGEAR_NOTIFY_AUTHORIZATION"
)

func notifyCommand(g *globals) *cobra.Command {
	var o notify.Options
	var format, urlFile, keyFile string
	var kinds []string
	var test bool
	cmd := &cobra.Command{
		Use:   "notify",
		Short: "Send notices about all processes to a webhook",
		Long: `Send notices about all processes to a webhook until Ctrl-C. Run it as a service,
once on each host. Processes that start later are watched too, unless -p names
others. A program can do the same itself, with package ops/notify.

  opened           a breaker opened automatically
  closed           it closed again, or its process ended
  flapping         it opens again and again; its trips are not reported singly
  failing          it has not closed for a while
  override-ending  an override ends soon
  override-lost    an override was lost when its process ended or restarted
  audit-failing    the audit log cannot be written
  audit-works      the audit log can be written again
  report           what the program reported, such as a deployment

The URL of the webhook is a secret, like everything else that grants access.
Secrets are read from the environment or from files, and are never shown:

  SWITCHGEAR_NOTIFY_URL            the URL. --format alertmanager adds the path
                                   /api/v2/alerts if the URL has none;
                                   --format pagerduty needs no URL
  SWITCHGEAR_NOTIFY_KEY            the routing key of a PagerDuty service
  SWITCHGEAR_NOTIFY_AUTHORIZATION  sent as the header Authorization

Notices that occur together are sent together. A request that fails is repeated
until it is accepted or refused.`,
		Example: `  SWITCHGEAR_NOTIFY_URL=https://hooks.slack.com/services/... switchgear notify --format slack
  switchgear notify --format alertmanager --url-file /etc/switchgear/alertmanager
  switchgear notify --format pagerduty --key-file key --kinds failing,closed
  switchgear notify --format slack --test`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.URL, err = secret(notifyURL, urlFile); err != nil {
				return err
			}
			if o.Key, err = secret(notifyKey, keyFile); err != nil {
				return err
			}
			if auth := os.Getenv(notifyAuth); auth != "" {
				o.Header = http.Header{"Authorization": {auth}}
			}
			o.Format = notify.Format(format)
			for _, k := range kinds {
				o.Kinds = append(o.Kinds, notify.Kind(k))
			}
			s := &sender{g: g, cmd: cmd, watched: make(map[string]*sent)}
			o.Failed = s.failed
			if s.n, err = notify.New(o); err != nil {
				return usage("%s", strings.TrimPrefix(err.Error(), "notify: "))
			}
			if test {
				return s.test()
			}
			return s.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", string(notify.JSON), "json, slack (Mattermost and Rocket.Chat as well),\nalertmanager or pagerduty")
	f.StringVar(&urlFile, "url-file", "", "a `file` with the URL, instead of the variable")
	f.StringVar(&keyFile, "key-file", "", "a `file` with the key, instead of the variable")
	f.StringSliceVar(&kinds, "kinds", nil, "send only these `kinds`, such as opened,closed")
	f.DurationVar(&o.Wait, "wait", 2*time.Second, "how long a notice waits for others to go with it")
	f.DurationVar(&o.Every, "every", 0, "minimum time between requests (default 10s, or 1s for\npagerduty)")
	f.DurationVar(&o.FailingFor, "failing-for", 15*time.Minute, "how long a breaker must have been failing to be\nreported")
	f.IntVar(&o.FlapsPerHour, "flaps", 5, "how often a breaker may open in an hour before it is\ncalled flapping")
	f.DurationVar(&o.EndingWithin, "ending-within", 10*time.Minute, "how long before its end an override is reported")
	f.BoolVar(&test, "test", false, "send one notice, say whether it was accepted, and exit")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(words(notify.Formats()), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("kinds", cobra.FixedCompletions(words(notify.Kinds()), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func words[S ~string](all []S) (out []string) {
	for _, s := range all {
		out = append(out, string(s))
	}
	return out
}

// secret returns the secret in a file, or in a variable.
func secret(variable, file string) (string, error) {
	if file == "" {
		return os.Getenv(variable), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", usage("%w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// sender watches processes as they come and go.
type sender struct {
	g       *globals
	cmd     *cobra.Command
	n       *notify.Notifier
	watched map[string]*sent // by name
}

// sent is a process that is watched.
type sent struct {
	plane
	ended func()
}

func (s *sender) say(format string, args ...any) {
	fmt.Fprintln(s.cmd.ErrOrStderr(), "switchgear: "+oneLine(fmt.Sprintf(format, args...)))
}

// failed is notify.Options.Failed.
func (s *sender) failed(err error) {
	if err == nil {
		s.say("notices are delivered again")
		return
	}
	s.say("notices are not delivered: %s", strings.TrimPrefix(err.Error(), "notify: "))
}

func (s *sender) test() error {
	ctx, cancel := s.g.bound(s.cmd)
	defer cancel()
	host, _ := os.Hostname() // on an error the name is "", which says as much
	err := s.n.Send(ctx, notify.Notice{Kind: notify.Report, At: time.Now(), Service: "switchgear", PID: os.Getpid(), Host: host, Text: "This is a test of switchgear notify."})
	if err = errors.Join(err, s.n.Close()); err != nil {
		return &codeError{exitUnreachable, errors.New(strings.TrimPrefix(err.Error(), "notify: "))}
	}
	fmt.Fprintln(s.cmd.OutOrStdout(), "A test notice was sent and accepted.")
	return nil
}

// run looks for processes that started or ended until ctx is done. What is
// queued then is still sent.
func (s *sender) run(ctx context.Context) error {
	for first := true; ; first = false {
		f, err := s.g.find(ctx)
		if first {
			f.warn(s.cmd)
		}
		if err != nil && first && len(s.g.processes) > 0 {
			return errors.Join(err, s.n.Close())
		}
		found := make(map[string]bool)
		for _, t := range f.targets {
			p, ok := t.(plane)
			if !ok {
				return errors.Join(usage("%s is a pipe, which has no events; name the socket or the URL of the process", t.name()), s.n.Close())
			}
			found[p.name()] = true
			if s.watched[p.name()] == nil {
				s.watched[p.name()] = &sent{p, s.n.Watch(p.client)}
				if !first {
					s.say("watching %s", p.name())
				}
			}
		}
		s.forget(ctx, found)
		if first {
			s.say("watching %s, Ctrl-C ends it", plain.Count(len(f.targets), "process", "processes"))
		}
		select {
		case <-ctx.Done():
			return s.n.Close()
		case <-time.After(lookForNew):
		}
	}
}

// forget forgets processes that are gone for good, but not those that do not
// answer at present. A process at a URL may come back.
func (s *sender) forget(ctx context.Context, found map[string]bool) {
	for name, x := range s.watched {
		if found[name] || x.path == "" {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, s.g.timeout)
		_, err := x.client.Process(ctx)
		cancel()
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			s.say("%s has ended", name)
			x.ended()
			delete(s.watched, name)
		}
	}
}
