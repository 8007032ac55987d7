package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

const settingsHelp = `All settings, with defaults in brackets:

  fail_max           opens after this many failures in a row [5]
  successes_to_forgive  this many successes make up for one failure; off: one
                     makes up for all [off]
  fail_within        failures count only while each comes within this time of
                     the one before [off]
  fail_for           minimum time from the first failure to opening by
                     fail_max [off]
  reset_timeout      how long it stays open before a call may probe [1m]
  success_threshold  successful probes that close it [1]
  probes             calls admitted at the same time in half-open [1]
  probe_timeout      a probe that takes longer gives its place to another
                     [the larger of reset_timeout and 30s]
  window             the time that the rates are computed over [10s]
  window_calls       computes the rates over this many calls instead [off]
  min_calls          calls that the window must hold before a rate may open it
                     [20, or window_calls if that is less]
  failure_rate       opens when this share of the calls fails [off]
  confidence         opens when it is this sure that more than failure_rate
                     fail, regardless of min_calls [off]
  slow_call          a call that takes this long or longer is slow [off]
  slow_rate          opens when this share of the calls is slow [off]
  bad_rate           opens when this share of the calls fails or is slow [off]
  reset_backoff      multiplies the open time after each failed probe [1]
  reset_max          the longest open time [off]
  reset_jitter       varies open times at random by this share [0]
  ramp               time after closing in which the share of admitted calls
                     grows from none to all [off]

The documentation of breaker.Settings describes them in full.`

func setCommand(g *globals) *cobra.Command {
	var o orderFlags
	cmd := &cobra.Command{
		Use:   "set ID KEY=VALUE...",
		Short: "Change settings of a breaker, live",
		Long: `Change settings of a running breaker, either all of them or none. Its state and
its counts are kept. With name/* it changes the common settings of a set, which
also apply to keys that are created later.

"switchgear help settings" lists the keys. Times have a unit (30s), rates are
shares (0.5), "off" switches a rule off, and 0 restores the default. All other
settings stay as they are. The change survives a restart of the process only if
its program keeps orders (ops.Options.Standing).

See "switchgear help orders" for what all orders have in common.`,
		Example: `  switchgear set payments fail_max=10 reset_timeout=30s --reason "too nervous"
  switchgear set payments failure_rate=off --if-version 17
  switchgear set 'inventory/*' failure_rate=0.3 --dry-run`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage("switchgear set needs an id and at least one KEY=VALUE, as in: switchgear set payments fail_max=10")
			}
			return nil
		},
		ValidArgsFunction: g.completeSet,
		RunE: func(cmd *cobra.Command, args []string) error {
			patch, err := patchOf(args[1:])
			if err == nil {
				err = o.check(cmd)
			}
			if err != nil {
				return err
			}
			return g.carryOut(cmd, o.orders(ops.VerbSet, args[:1], patch), &o)
		},
	}
	o.define(cmd)
	return cmd
}

// patchOf returns the JSON object for KEY=VALUE arguments. Their meaning is
// checked here, before any process is asked.
func patchOf(args []string) ([]byte, error) {
	var fields []string
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, usage("%q, want KEY=VALUE, such as fail_max=10", arg)
		}
		field, err := patchField(key, value)
		if err != nil {
			return nil, &codeError{exitUsage, fmt.Errorf("%s: %w", arg, err)}
		}
		fields = append(fields, field)
	}
	patch := []byte("{" + strings.Join(fields, ",") + "}")
	if err := new(breaker.Settings).UnmarshalJSON(patch); err != nil {
		return nil, &codeError{exitUsage, err}
	}
	return patch, nil
}

// patchField returns `"key":value`. It also writes a zero, which asks for the
// default and which the settings' own JSON leaves out.
func patchField(key, value string) (string, error) {
	var s breaker.Settings
	if err := s.Set(key, value); err != nil {
		return "", err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	if inner := strings.Trim(string(text), "{}"); inner != "" {
		return inner, nil
	}
	for _, zero := range []string{`:0`, `:"0s"`} {
		field := fmt.Sprintf("%q%s", key, zero)
		if s.UnmarshalJSON([]byte("{"+field+"}")) == nil {
			return field, nil
		}
	}
	return "", fmt.Errorf("%w: %s=%s", breaker.ErrSettings, key, value)
}
