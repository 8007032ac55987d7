// Package examples shows circuit breakers beside what they are used with: retry
// libraries, a time limit, singleflight, a router, pools and their limits, HTTP
// clients that retry or authenticate by themselves (go-retryablehttp, the AWS
// SDK, oauth2), and a worker that reads a queue. Each is an example that is
// tested. It is a module of its own, so that those libraries are nobody else's
// requirement.
package examples
