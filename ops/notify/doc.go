// Package notify sends what operators need to know about breakers to a webhook:
// trips and recoveries, flapping, a dependency that has been failing for a long time,
// an override that is about to end or was lost, and an audit log that fails.
//
// In a program, one line beside its operations plane:
//
//	n, err := notify.Start(plane, notify.Options{URL: os.Getenv("SLACK_WEBHOOK"), Format: notify.Slack})
//	if err != nil { ... }
//	defer n.Close()
//
// The command "switchgear notify" does the same for all processes of a host.
//
// # Delivery
//
// Notices that come within Options.Wait of each other go out together, in one
// request every Options.Every at most. A request that fails, by the network or
// with status 429 or 5xx, is repeated with growing pauses, and Retry-After is
// obeyed. Any other status is a refusal, and what was refused is lost. Up to 1,000
// notices wait; beyond that the oldest are dropped and counted. Nothing is kept
// when the process ends.
//
// # Secrets
//
// The path and query of the URL, the headers and the key are secrets: they are in
// no error, notice or log, and not in the String of Options.
package notify
