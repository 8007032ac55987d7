package replay

import (
	"fmt"
	"time"
)

// Options say what a Recorder keeps. The zero value suits most programs.
type Options struct {
	// Bytes is the memory for calls, of which each takes 24 bytes. Default 8
	// MiB, which holds about 350,000 calls.
	Bytes int
	// Program names the program in the files. Default: none.
	Program string
	// Keys says what the files show of the keys of a set. Default: KeysHashed.
	Keys Keys
	// ErrorTexts also records the texts of the errors that transitions name, the
	// actors and reasons of orders, and trace ids. They may hold anything.
	// Default: none of them.
	ErrorTexts bool
	// Dir, when set, is the directory to which each trip writes a file. Record fails
	// if it cannot create a file there. Default: trips write nothing.
	Dir string
	// MaxFiles is the number of such files of this Program that are kept in Dir,
	// whichever process wrote them; the oldest are removed. Default 10.
	MaxFiles int
	// After is how long after a trip its file is written, so that it shows what
	// followed. Further trips during this time share the file. Default 10 s.
	After time.Duration
}

// Keys says what a file shows of the keys of a set.
type Keys uint8

const (
	// KeysHashed writes the HMAC-SHA-256 of each key, cut to 64 bits, under a
	// random key that is never written. Within a file equal keys can be
	// recognised; between files and programs they cannot.
	KeysHashed Keys = iota
	// KeysPlain writes the keys as they are.
	KeysPlain
	// KeysOmitted writes a number in place of each key.
	KeysOmitted
)

// check refuses what is no use, and fills in the defaults.
func (o *Options) check() error {
	switch {
	case o.Bytes < 0:
		return fmt.Errorf("replay: Bytes is %d, want 0 or more", o.Bytes)
	case o.MaxFiles < 0:
		return fmt.Errorf("replay: MaxFiles is %d, want 0 or more", o.MaxFiles)
	case o.After < 0:
		return fmt.Errorf("replay: After is %v, want 0 or more", o.After)
	}
	if o.Bytes == 0 {
		o.Bytes = 8 << 20
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = 10
	}
	if o.After == 0 {
		o.After = 10 * time.Second
	}
	return nil
}
