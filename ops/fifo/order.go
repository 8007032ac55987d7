package fifo

import (
	"cmp"
	"encoding/json"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// orderOf is the order that a verb and a breaker.Reason stand for, which know
// overrides without end and without a reason.
func orderOf(verb breaker.Verb, id string, r breaker.Order) ops.Order {
	o := ops.Order{ID: id, Verb: verb, Actor: r.Actor, Reason: r.Reason, For: ops.Duration(r.For)}
	if verb == breaker.VerbForceOpen || verb == breaker.VerbForceClosed {
		o.NoExpiry = r.For == 0
		o.Reason = cmp.Or(o.Reason, noReason)
	}
	return o
}

// statuses is the JSON that answers cmdLook, as it is the HTTP API's.
type statuses struct {
	Total    int          `json:"total"`
	Breakers []ops.Status `json:"breakers"`
}

// refused is the JSON of a refusal, as it is the HTTP API's.
type refused struct {
	Error *ops.Error `json:"error"`
}

// inJSON is the reply to a word of ours.
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
