// Package faults holds the tests in which something breaks under real
// processes: the program that owns the breakers is killed or stopped, the disk
// is full, hangs or is read-only, a stranger puts a file in the pipe's place,
// two hundred programs come at once, the wall clock is stepped. What is asked of
// each is the same: nothing is lost, nothing hangs, no stranger is let in.
//
// Faults inside one process (listeners that panic, invented keys, the races)
// are tested where the code is; docs/proof.md lists them all.
package faults
