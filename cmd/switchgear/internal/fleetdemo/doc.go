// Package fleetdemo runs a shop of several real processes in two zones, whose
// breakers act as one, and breaks one process's network, a zone's, the
// dependency and the store in turn.
//
//	demo.go     the parent: starts and ends everything
//	script.go   what it breaks, and when
//	journal.go  what it tells
//	member.go   one process of the shop
//	proxy.go    the way to the store, which can be cut
package fleetdemo
