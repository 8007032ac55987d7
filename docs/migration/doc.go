// Package migration shows other circuit breakers next to Switchgear: the same
// guard written with each, as tested code. README.md is the page to read.
package migration
