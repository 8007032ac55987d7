// Package wire is what the members of a fleet write into their store: bytes that
// others may have written, with another version, or with bad intent. A message
// is
//
//	version byte, flags byte, sections, and 16 bytes of HMAC if it is signed
//
// and a section is a type byte, its length, and its content. A section of an
// unknown type is skipped, so that a minor version may add some, and so may
// fields at the end of a section that is known. Another version byte is another
// major version, and is not read (F13). All that is read is bounded (F11).
//
//	wire.go     messages, signatures, reading and writing of fields
//	report.go   what a member says each beat
//	digest.go   what the coordinator publishes
//	record.go   what is in JSON: inventories, histories, orders and receipts
package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Version is the major version.
const Version = 1

const (
	flagSigned = 1
	macSize    = 16
)

// Errors of Open. Each message that is dropped is counted by one of them.
var (
	ErrVersion   = errors.New("another major version")
	ErrSignature = errors.New("no valid signature")
	ErrMalformed = errors.New("malformed message")
	ErrSize      = errors.New("message too large")
)

// Kind is what a message is. It is signed as well, so that none can pass for
// another.
type Kind byte

// The kinds.
const (
	KindReport    Kind = 'r'
	KindDigest    Kind = 'd'
	KindInventory Kind = 'n'
	KindOrder     Kind = 'o'
	KindReceipt   Kind = 'a'
	KindHistory   Kind = 'h'
)

// Limits of messages, in bytes.
const (
	MaxReport = 8 << 10
	MaxDigest = 64 << 10
	MaxRecord = 64 << 10
	MaxOrder  = 128 << 10 // it has a version for each member
)

func (k Kind) most() int {
	switch k {
	case KindReport:
		return MaxReport
	case KindDigest:
		return MaxDigest
	case KindOrder:
		return MaxOrder
	}
	return MaxRecord
}

// Seal signs messages of a group, and checks those of others. Without a key
// nothing is signed, and nothing checked.
type Seal struct {
	Group string
	Key   []byte
}

// Close makes a message of its sections.
func (s Seal) Close(k Kind, sections []byte) []byte {
	out := make([]byte, 2, 2+len(sections)+macSize)
	out[0] = Version
	out = append(out, sections...)
	if len(s.Key) > 0 {
		out[1] |= flagSigned
		out = append(out, s.mac(k, out)...)
	}
	return out
}

// Open returns the sections of a message.
func (s Seal) Open(k Kind, message []byte) ([]byte, error) {
	switch {
	case len(message) > k.most()+2+macSize:
		return nil, fmt.Errorf("%w: %d bytes, want at most %d", ErrSize, len(message), k.most())
	case len(message) < 2:
		return nil, fmt.Errorf("%w: %d bytes, want at least 2", ErrMalformed, len(message))
	case message[0] != Version:
		return nil, fmt.Errorf("%w: got %d, want %d", ErrVersion, message[0], Version)
	}
	body, signed := message, message[1]&flagSigned != 0
	if signed {
		if len(message) < 2+macSize {
			return nil, fmt.Errorf("%w: no room for a signature", ErrMalformed)
		}
		body = message[:len(message)-macSize]
	}
	if len(s.Key) > 0 && (!signed || !hmac.Equal(s.mac(k, body), message[len(body):])) {
		return nil, ErrSignature
	}
	return body[2:], nil
}

// Signed reports whether a message says that it is signed: its sender drops those that
// are not.
func Signed(message []byte) bool { return len(message) > 1 && message[1]&flagSigned != 0 }

func (s Seal) mac(k Kind, body []byte) []byte {
	h := hmac.New(sha256.New, s.Key)
	h.Write(binary.AppendUvarint(nil, uint64(len(s.Group))))
	h.Write([]byte(s.Group))
	h.Write([]byte{byte(k)})
	h.Write(body)
	return h.Sum(nil)[:macSize]
}

// section appends a section.
func section(b []byte, kind byte, content []byte) []byte {
	b = append(b, kind)
	b = binary.AppendUvarint(b, uint64(len(content)))
	return append(b, content...)
}

// sections calls f for each section, until f returns false.
func sections(b []byte, f func(kind byte, r *reader) bool) error {
	for len(b) > 0 {
		kind := b[0]
		r := reader{b: b[1:]}
		content := r.bytes(MaxOrder)
		if r.err != nil {
			return r.err
		}
		b = r.b
		in := reader{b: content}
		if !f(kind, &in) {
			return nil
		}
		if in.err != nil {
			return in.err
		}
	}
	return nil
}

func number[T ~int | ~uint64 | ~uint32 | ~uint8](b []byte, n T) []byte {
	return binary.AppendUvarint(b, uint64(n))
}

func text(b []byte, s string) []byte { return append(number(b, len(s)), s...) }

// millis appends a duration. Those below 0 are 0.
func millis(b []byte, d time.Duration) []byte {
	return number(b, uint64(max(0, d)/time.Millisecond))
}

// share appends a number in [0, 1] in ten thousandths: floats leave residue.
func share(b []byte, x float64) []byte { return number(b, uint64(x*10_000+0.5)) }

// flags packs up to eight of them.
func flags(fs ...bool) (out byte) {
	for i, f := range fs {
		if f {
			out |= 1 << i
		}
	}
	return out
}

// reader reads fields. After an error it reads zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, what)
	}
	r.b = nil
}

func (r *reader) uint() uint64 {
	if r.err != nil {
		return 0
	}
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail("no number")
		return 0
	}
	r.b = r.b[size:]
	return n
}

// int reads a number up to most.
func (r *reader) int(most int) int {
	n := r.uint()
	if n > uint64(most) {
		r.fail(fmt.Sprintf("got %d, want at most %d", n, most))
		return 0
	}
	return int(n)
}

func (r *reader) byte() byte {
	if r.err != nil || len(r.b) == 0 {
		r.fail("no byte")
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) fixed() uint64 {
	if r.err != nil || len(r.b) < 8 {
		r.fail("no fixed number")
		return 0
	}
	n := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

func (r *reader) bytes(most int) []byte {
	n := r.int(min(most, len(r.b)))
	out := r.b[:min(n, len(r.b))]
	r.b = r.b[len(out):]
	return out
}

func (r *reader) text(most int) string { return string(r.bytes(most)) }

// maxMillis is what a duration is cut to.
const maxMillis = uint64(1000 * time.Hour / time.Millisecond)

func (r *reader) millis() time.Duration {
	return time.Duration(min(r.uint(), maxMillis)) * time.Millisecond
}

func (r *reader) share() float64 { return float64(min(r.uint(), 10_000)) / 10_000 }

func (r *reader) flag(bits byte, i int) bool { return bits>>i&1 != 0 }

// more reports whether the section has further fields.
func (r *reader) more() bool { return r.err == nil && len(r.b) > 0 }
