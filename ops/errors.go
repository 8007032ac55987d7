package ops

import (
	"errors"
	"net/http"

	"github.com/switchgear-go/switchgear/breaker"
)

// Error is a refusal as it is transmitted: the JSON with which the API
// answers, and the error that a Client returns. errors.Is matches it with what
// was wrong: breaker.ErrOrder, ErrUnknown, ErrVersion, ErrSettings or ErrShadow,
// or this package's ErrConfirm or ErrRefused.
type Error struct {
	Code    string   `json:"code"` // "order", "unknown", "version", "settings", "confirm", "refused", ...
	Message string   `json:"message"`
	ID      string   `json:"id,omitempty"`      // for "unknown" and "confirm": the id in the order or question
	Near    []string `json:"near,omitempty"`    // for "unknown": the nearest ids
	Matched int      `json:"matched,omitempty"` // for "confirm": the number to confirm
	Status  int      `json:"-"`                 // of HTTP
}

// ErrRefused is matched by the error for an order that its sender may not
// give.
var ErrRefused = errors.New("not allowed")

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Is reports whether target is the error that the code stands for.
func (e *Error) Is(target error) bool {
	for _, c := range codes {
		if c.code == e.Code {
			return c.err == target
		}
	}
	return false
}

var codes = []struct {
	code   string
	err    error
	status int
}{
	{"order", breaker.ErrOrder, http.StatusBadRequest},
	{"unknown", breaker.ErrUnknown, http.StatusNotFound},
	{"version", breaker.ErrVersion, http.StatusConflict},
	{"settings", breaker.ErrSettings, http.StatusUnprocessableEntity},
	{"confirm", ErrConfirm, http.StatusConflict},
	{"shadow", breaker.ErrShadow, http.StatusConflict},
	{"refused", ErrRefused, http.StatusForbidden},
}

// AsError returns err as an Error: with a code that programs can switch on, and the
// status for HTTP. Use it to answer orders that ParseOrder received; err must not
// be nil.
func AsError(err error) *Error {
	e := &Error{Code: "internal", Message: err.Error(), Status: http.StatusInternalServerError}
	var already *Error
	if errors.As(err, &already) {
		return already
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			e.Code, e.Status = c.code, c.status
			break
		}
	}
	var unknown *breaker.UnknownError
	if errors.As(err, &unknown) {
		e.ID, e.Near = unknown.ID, unknown.Near
	}
	var confirm *ConfirmError
	if errors.As(err, &confirm) {
		e.ID, e.Matched = confirm.ID, confirm.Matched
	}
	return e
}
