package breakergrpc_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/switchgear-go/switchgear/adapters/breakergrpc"
	"github.com/switchgear-go/switchgear/breaker"
)

// BenchmarkUnary is a call over loopback, bare and guarded.
func BenchmarkUnary(b *testing.B) {
	for _, kind := range []string{"bare", "guarded"} {
		b.Run(kind, func(b *testing.B) {
			addr, _, _ := serve(b, "", &fakeService{})
			client, _ := dial(b, addr, guardIf(kind == "guarded"))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.EmptyCall(b.Context(), &pb.Empty{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStream is a message of a stream over loopback, bare and guarded.
func BenchmarkStream(b *testing.B) {
	for _, kind := range []string{"bare", "guarded"} {
		b.Run(kind, func(b *testing.B) {
			addr, _, _ := serve(b, "", &fakeService{duplex: echoes})
			client, _ := dial(b, addr, guardIf(kind == "guarded"))
			s, err := client.FullDuplexCall(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Send(&pb.StreamingOutputCallRequest{}); err != nil {
					b.Fatal(err)
				}
				if _, err := s.Recv(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkInterceptor is what the interceptor alone costs, and a rejection.
func BenchmarkInterceptor(b *testing.B) {
	g, br := guarded(breaker.Settings{})
	call := func() error {
		return g.UnaryClient(b.Context(), "/"+service+"/EmptyCall", nil, nil, nil, nothing)
	}
	b.Run("closed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = call()
		}
	})
	b.Run("open", func(b *testing.B) {
		br.ForceOpen(breaker.Order{})
		b.ReportAllocs()
		for b.Loop() {
			_ = call()
		}
	})
}

func nothing(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
	return nil
}

func guardIf(on bool) *breakergrpc.Guard {
	if !on {
		return nil
	}
	g, _ := guarded(breaker.Settings{})
	return g
}

func echoes(s pb.TestService_FullDuplexCallServer) error {
	for {
		if _, err := s.Recv(); err != nil {
			return nil //nolint:nilerr // the client is done
		}
		if err := s.Send(&pb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}
