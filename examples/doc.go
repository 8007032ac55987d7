// Package examples shows circuit breakers together with what they are used
// with: retry libraries, a time limit, singleflight, a router, pools and their
// limits, HTTP clients that retry or authenticate themselves
// (go-retryablehttp, the AWS SDK, oauth2), and a worker that reads a queue.
// Each is a tested example. It is a separate module, so that other modules do
// not get those libraries as requirements.
package examples
