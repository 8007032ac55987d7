package breakerconnect

import (
	"errors"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/switchgear-go/switchgear/breaker"
)

// Reason and Domain are those of the google.rpc.ErrorInfo of a rejection. Its
// metadata has "breaker", the breaker's id, and "state", the state that
// rejects. Package breakergrpc uses the same.
const (
	Reason = "CIRCUIT_BREAKER_OPEN"
	Domain = "switchgear"
)

// reject makes a *connect.Error from a breaker's error. If the program's own
// error (breaker.WithOpenError) is one already, it stays as it is.
func reject(b *breaker.Breaker, client bool, open error) error {
	var own *connect.Error
	if errors.As(open, &own) {
		return open
	}
	if !client {
		open = &quiet{open, b.ID()}
	}
	e := connect.NewError(connect.CodeUnavailable, open)
	info := &errdetails.ErrorInfo{Reason: Reason, Domain: Domain, Metadata: map[string]string{"breaker": b.ID()}}
	details := []proto.Message{info}
	if o := (*breaker.OpenError)(nil); errors.As(open, &o) {
		info.Metadata["state"] = o.State.String()
		if after := o.RetryAfter(); after > 0 {
			details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
		}
	}
	for _, m := range details {
		// Fails for an id that is not UTF-8: a rejection without the detail is
		// better than none.
		if d, err := connect.NewErrorDetail(m); err == nil {
			e.AddDetail(d)
		}
	}
	return e
}

// quiet is the rejection of a server. It is sent to clients, so it does not
// contain what the breaker saw: not every client may see errors of other
// calls.
type quiet struct {
	open error
	id   string
}

func (q *quiet) Error() string { return q.id + ": " + breaker.ErrOpen.Error() }
func (q *quiet) Unwrap() error { return q.open }
