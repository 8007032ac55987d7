package ops

import (
	"time"
)

// AuditEntry is a line of the audit log: an order, the start of a process, or
// a notice about an order that the process found when it started.
type AuditEntry struct {
	// N numbers the lines of this log, including those that could not be
	// written.
	N       uint64    `json:"n"`
	Time    time.Time `json:"time"`
	Service string    `json:"service"`
	PID     int       `json:"pid"` // the process that carried it out, or started
	// Start marks the start of a process: it created its operations plane.
	// There is no order.
	Start bool `json:"start,omitempty"`
	// Notice says what happened to an order of Options.Standing when the
	// process started: it was applied again, or why it was not. Order is that
	// order. Or it says that a recording of calls began or ended; then there is
	// no order.
	Notice string `json:"notice,omitempty"`
	// Order is what was ordered. If it was refused, long texts are cut.
	Order   Order    `json:"order,omitzero"`
	Peer    Peer     `json:"peer"`
	Receipt *Receipt `json:"receipt,omitempty"` // nil if the order was refused
	Error   string   `json:"error,omitempty"`   // why it was refused
	// Repeats, if not 0, is the number of refusals that this line stands for;
	// it shows the newest of them. They came from the same peer and for the
	// same reason, within a minute after one that has its own line. Refusals
	// of peers that may give no orders are counted together, whatever they
	// ordered.
	Repeats int `json:"repeats,omitempty"`
	// Prev is the Hash of the previous line, or "" in the first line of a log.
	// The first line of a file that replaced another one has the hash of that
	// file's last line.
	Prev string `json:"prev"`
	// Hash is the SHA-256, in hexadecimal, of the line up to this field: of
	// everything before `,"hash":`.
	Hash string `json:"hash"`
}
