package breakerconnect_test

import (
	"context"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/switchgear-go/switchgear/adapters/breakerconnect"
	"github.com/switchgear-go/switchgear/breaker"
)

// What the interceptor of a handler costs, and what a client's whole call costs.
func BenchmarkUnary(b *testing.B) {
	set := breaker.NewSet[string]("rpc", breaker.Settings{}, breaker.SetOptions{})
	g := breakerconnect.New(set)
	req := connect.NewRequest(wrapperspb.String("hello"))
	next := func(context.Context, connect.AnyRequest) (connect.AnyResponse, error) { return nil, nil }
	for name, call := range map[string]connect.UnaryFunc{"bare": next, "guarded": g.WrapUnary(next)} {
		b.Run("handler/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := call(context.Background(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	srv := serve(b, echo{})
	for name, g := range map[string]*breakerconnect.Guard{"bare": nil, "guarded": g} {
		b.Run("call/"+name, func(b *testing.B) {
			b.ReportAllocs()
			c := dial(srv.Client(), srv.URL, "Unary", g)
			for b.Loop() {
				if err := call(context.Background(), c, "hello"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	set.Breaker(service).ForceOpen(breaker.Order{})
	c := dial(http.DefaultClient, "http://127.0.0.1:1", "Unary", g)
	b.Run("rejected", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if call(context.Background(), c, "hello") == nil {
				b.Fatal("not rejected")
			}
		}
	})
}
