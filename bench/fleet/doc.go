// Package fleet simulates fleets: processes that make calls by chance go through
// outages, with the shipped breakers, members and coordinator, and the store in
// memory, in virtual time. It has only tests: virtual time is that of
// testing/synctest.
//
//	GOWORK=off go test .                                 the rows that decided the defaults, with margins
//	SWITCHGEAR_FLEET_TABLE=100 GOWORK=off go test -v .   the table of docs/fleet.md
package fleet
