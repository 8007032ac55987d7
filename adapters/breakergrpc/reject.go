package breakergrpc

import (
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/switchgear-go/switchgear/breaker"
)

// Reason and Domain are those of the google.rpc.ErrorInfo of a rejection. Its
// metadata has "breaker", the breaker's id, and "state", the state that
// rejects.
const (
	Reason = "CIRCUIT_BREAKER_OPEN"
	Domain = "switchgear"
)

// rejection is the error of a rejected call: a breaker's error on the side
// that rejected, a gRPC status on the wire.
type rejection struct {
	breaker *breaker.Breaker
	open    error
}

// reject makes an error from open that gRPC understands. If the program's own
// error (breaker.WithOpenError) has a status, it keeps it.
func reject(b *breaker.Breaker, open error) error {
	if _, plain := open.(*breaker.OpenError); !plain { //nolint:errorlint // a wrapped one is the program's own
		if _, ok := status.FromError(open); ok {
			return open
		}
	}
	return &rejection{b, open}
}

func (r *rejection) Error() string { return r.open.Error() }
func (r *rejection) Unwrap() error { return r.open }

// GRPCStatus returns what is sent over the wire. Its message does not contain
// what the breaker saw: not every client may see errors of other calls.
func (r *rejection) GRPCStatus() *status.Status {
	s := status.New(codes.Unavailable, r.breaker.ID()+": "+breaker.ErrOpen.Error())
	with, err := s.WithDetails(r.details()...)
	if err != nil {
		return s // the breaker's name is not valid UTF-8: a status without details is better than none
	}
	return with
}

func (r *rejection) details() []protoadapt.MessageV1 {
	info := &errdetails.ErrorInfo{Reason: Reason, Domain: Domain, Metadata: map[string]string{"breaker": r.breaker.ID()}}
	out := []protoadapt.MessageV1{info}
	if e := (*breaker.OpenError)(nil); errors.As(r.open, &e) {
		info.Metadata["state"] = e.State.String()
		if after := e.RetryAfter(); after > 0 {
			out = append(out, &errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
		}
	}
	return out
}

// noRetry is the trailer with which a server asks a client's retry policy not
// to retry.
func noRetry() metadata.MD { return metadata.Pairs("grpc-retry-pushback-ms", "-1") }
