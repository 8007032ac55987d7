package ops

import (
	"errors"
	"net/http"

	"github.com/switchgear-go/switchgear/breaker"
)

// Error is a refusal as it travels: the JSON that the API answers with, and
// the error that a Client returns. It matches, with errors.Is, what the refusal
// is about: breaker.ErrOrder, ErrUnknown, ErrVersion, ErrSettings or ErrShadow, or
// ErrConfirm or ErrRefused of this package.
type Error struct {
	Code    string   `json:"code"` // "order", "unknown", "version", "settings", "confirm", "refused", ...
	Message string   `json:"message"`
	ID      string   `json:"id,omitempty"`      // "unknown", "confirm": the id that the order or question had
	Near    []string `json:"near,omitempty"`    // "unknown": the nearest ids
	Matched int      `json:"matched,omitempty"` // "confirm": the number to confirm
	Status  int      `json:"-"`                 // of HTTP
}

// ErrRefused is matched by the error for an order that its giver may not give.
var ErrRefused = errors.New("not allowed")

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Is tells what the refusal is about.
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

// AsError is err as an Error, for those that carry answers elsewhere.
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
