package breakergrpc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/switchgear-go/switchgear/adapters/breakergrpc"
	"github.com/switchgear-go/switchgear/breaker"
)

// A client whose calls are guarded, one breaker for each service. The set is
// the manager's, so operators see it as payments/grpc.testing.TestService.
func Example() {
	manager := breaker.NewManager(breaker.Settings{FailMax: 3, ResetTimeout: 30 * time.Second})
	guard := breakergrpc.New(breaker.SetOf[string](manager, "payments"))
	conn, err := grpc.NewClient("127.0.0.1:1", // nothing listens there
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(guard.UnaryClient),
		grpc.WithChainStreamInterceptor(guard.StreamClient))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	client := pb.NewTestServiceClient(conn)
	for range 4 {
		_, err = client.EmptyCall(context.Background(), &pb.Empty{})
		fmt.Println(status.Code(err), errors.Is(err, breaker.ErrOpen))
	}
	fmt.Println(manager.Status()[0].ID, manager.Status()[0].State)
	// Output:
	// Unavailable false
	// Unavailable false
	// Unavailable false
	// Unavailable true
	// payments/grpc.testing.TestService open
}

// orders is a service that needs a database.
type orders struct {
	pb.UnimplementedTestServiceServer
	database *breaker.Breaker
	query    func(context.Context) error
}

// EmptyCall answers from the database. When the database's breaker is open it
// says so at once, as a status that a client understands.
func (o *orders) EmptyCall(ctx context.Context, _ *pb.Empty) (*pb.Empty, error) {
	err := o.database.Do(ctx, o.query)
	switch {
	case errors.Is(err, breaker.ErrOpen):
		return nil, status.Error(codes.Unavailable, "orders are not available at the moment")
	case err != nil:
		return nil, status.Error(codes.Internal, "orders could not be read")
	}
	return &pb.Empty{}, nil
}

// A gRPC service with a breaker around what it depends on, and one around
// itself that rejects its callers while its handlers fail.
func Example_service() {
	manager := breaker.NewManager(breaker.Settings{FailMax: 2})
	guard := breakergrpc.New(breaker.SetOf[string](manager, "served"),
		breakergrpc.WithFailureCodes(codes.Internal, codes.Unknown))
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(guard.UnaryServer),
		grpc.ChainStreamInterceptor(guard.StreamServer))
	pb.RegisterTestServiceServer(server, &orders{
		database: manager.Breaker("database"),
		query:    func(context.Context) error { return errors.New("connection refused") },
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()

	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	for range 3 {
		_, err := pb.NewTestServiceClient(conn).EmptyCall(context.Background(), &pb.Empty{})
		fmt.Println(err)
	}
	// Output:
	// rpc error: code = Internal desc = orders could not be read
	// rpc error: code = Internal desc = orders could not be read
	// rpc error: code = Unavailable desc = served/grpc.testing.TestService: circuit breaker is open
}
