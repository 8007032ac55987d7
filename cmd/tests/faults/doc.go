// Package faults contains tests in which something fails around real
// processes: the program that owns the breakers is killed or stopped, the disk
// is full, hangs or is read-only, another user puts a file in the place of the
// pipe, two hundred programs come at once, the wall clock is stepped. Each
// time the requirements are the same: nothing is lost, nothing hangs, and no
// other user gets in.
//
// Faults within one process (listeners that panic, invented keys, races) are
// tested next to the code; docs/proof.md lists them all.
package faults
