package breakerconnect_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/switchgear-go/switchgear/adapters/breakerconnect"
	"github.com/switchgear-go/switchgear/breaker"
)

// One option guards a client. Nothing listens on the port, so two calls fail
// and the third is not tried.
func Example() {
	manager := breaker.NewManager(breaker.Settings{FailMax: 2})
	guard := breakerconnect.New(breaker.SetOf[string](manager, "rpc"))
	client := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](http.DefaultClient,
		"http://127.0.0.1:1/shop.v1.Payments/Charge", connect.WithInterceptors(guard))

	for range 3 {
		_, err := client.CallUnary(context.Background(), connect.NewRequest(wrapperspb.String("7.50")))
		fmt.Println(connect.CodeOf(err), errors.Is(err, breaker.ErrOpen))
	}
	// Output:
	// unavailable false
	// unavailable false
	// unavailable true
}

// A service whose handlers wait for one database rejects at once while it is
// down.
func ExampleGuard_WrapUnary() {
	manager := breaker.NewManager(breaker.Settings{})
	guard := breakerconnect.New(breaker.SetOf[string](manager, "handlers"))
	mux := http.NewServeMux()
	mux.Handle("/shop.v1.Payments/Charge", connect.NewUnaryHandler("/shop.v1.Payments/Charge",
		func(_ context.Context, r *connect.Request[wrapperspb.StringValue]) (*connect.Response[wrapperspb.StringValue], error) {
			return connect.NewResponse(r.Msg), nil
		}, connect.WithInterceptors(guard)))
}
