// Package demo runs a small shop on loopback whose dependencies are really
// stopped, hung and slowed, and prints what the breakers in front of them do.
package demo
