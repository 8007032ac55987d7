package fifo

import (
	"cmp"
	"encoding/json"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// orderOf converts an order of the breaker package into one for id. Like
// PyBreaker, it allows overrides without an end and without a reason.
func orderOf(id string, b breaker.Order) ops.Order {
	o := ops.Order{ID: id, Verb: b.Verb, Actor: b.Actor, Reason: b.Reason, For: ops.Duration(b.For), IfVersion: b.IfVersion}
	if b.Verb == breaker.VerbForceOpen || b.Verb == breaker.VerbForceClosed {
		o.NoExpiry = b.For == 0
		o.Reason = cmp.Or(o.Reason, noReason)
	}
	return o
}

// statuses is the JSON answer to cmdLook, as in the HTTP API.
type statuses struct {
	Total    int          `json:"total"`
	Breakers []ops.Status `json:"breakers"`
}

// refused is the JSON of a refusal, as in the HTTP API.
type refused struct {
	Error *ops.Error `json:"error"`
}

// inJSON returns the reply to a word that PyBreaker does not have.
func inJSON(v any, err error) []byte {
	reply := success
	if err != nil {
		v, reply = refused{ops.AsError(err)}, failure
	}
	text, err := json.Marshal(v)
	if err != nil {
		return failure(upper(err.Error()))
	}
	return reply(string(text))
}
