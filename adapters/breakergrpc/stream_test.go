package breakergrpc_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/switchgear-go/switchgear/breaker"
)

// sends is a handler that sends n messages and ends with err.
func sends(n int, err error) func(*pb.StreamingOutputCallRequest, pb.TestService_StreamingOutputCallServer) error {
	return func(_ *pb.StreamingOutputCallRequest, s pb.TestService_StreamingOutputCallServer) error {
		for range n {
			if err := s.Send(&pb.StreamingOutputCallResponse{}); err != nil {
				return err
			}
		}
		return err
	}
}

// sendsThenWaits sends n messages and then waits for the client to go.
func sendsThenWaits(n int) func(*pb.StreamingOutputCallRequest, pb.TestService_StreamingOutputCallServer) error {
	return func(r *pb.StreamingOutputCallRequest, s pb.TestService_StreamingOutputCallServer) error {
		_ = sends(n, nil)(r, s)
		<-s.Context().Done()
		return s.Context().Err()
	}
}

// receive reads a stream to its end.
func receive(s pb.TestService_StreamingOutputCallClient) (n int, err error) {
	for {
		if _, err := s.Recv(); err != nil {
			return n, err
		}
		n++
	}
}

func TestDownloadEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error // what the handler ends with
		want int   // failures
	}{
		{"well", nil, 0},
		{"with a failure after three messages", status.Error(codes.Unavailable, "going away"), 1},
		{"with an answer that is not a failure", status.Error(codes.NotFound, "no more"), 0},
		{"with a deadline of the service's own", status.Error(codes.DeadlineExceeded, "the database took too long"), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr, _, _ := serve(t, "", &fakeService{download: sends(3, test.err)})
			g, b := guarded(breaker.Settings{})
			client, _ := dial(t, addr, g)
			// The caller's deadline is near, but has not passed.
			s, err := client.StreamingOutputCall(within(t, 900*time.Millisecond), &pb.StreamingOutputCallRequest{})
			if err != nil {
				t.Fatal(err)
			}
			n, err := receive(s)
			if n != 3 || errors.Is(err, io.EOF) != (test.err == nil) {
				t.Errorf("got %d messages and %v", n, err)
			}
			wantFails(t, b, test.want)
		})
	}
}

// A success at a stream's end is one: it ends a row of failures. Before the
// end it is not.
func TestStreamIsJudgedAtItsEnd(t *testing.T) {
	addr, _, _ := serve(t, "", &fakeService{download: sends(2, nil)})
	g, b := guarded(breaker.Settings{})
	client, _ := dial(t, addr, g)
	_, _ = client.UnaryCall(t.Context(), echo(codes.Internal))
	s, err := client.StreamingOutputCall(t.Context(), &pb.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Recv()
	wantFails(t, b, 1)
	_, _ = receive(s)
	wantFails(t, b, 0)
}

func TestUpload(t *testing.T) {
	addr, _, _ := serve(t, "", &fakeService{upload: func(s pb.TestService_StreamingInputCallServer) error {
		n := int32(0)
		for {
			_, err := s.Recv()
			switch {
			case err == io.EOF && n == 0:
				return status.Error(codes.Internal, "nothing came")
			case err == io.EOF:
				return s.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: n})
			case err != nil:
				return err
			}
			n++
		}
	}})
	g, b := guarded(breaker.Settings{})
	client, _ := dial(t, addr, g, grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(1000)))
	upload := func(n, size int) error {
		s, err := client.StreamingInputCall(t.Context())
		if err != nil {
			return err
		}
		for range n {
			if err := s.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: make([]byte, size)}}); err != nil {
				return err
			}
		}
		_, err = s.CloseAndRecv()
		return err
	}
	wantCode(t, upload(0, 0), codes.Internal)
	wantFails(t, b, 1)
	wantCode(t, upload(1, 2000), codes.ResourceExhausted) // too large: the caller's own fault
	wantFails(t, b, 1)
	if err := upload(2, 10); err != nil {
		t.Error(err)
	}
	wantFails(t, b, 0)
}

func TestServerDiesUnderAStream(t *testing.T) {
	addr, _, stop := serve(t, "", &fakeService{duplex: func(s pb.TestService_FullDuplexCallServer) error {
		_ = s.Send(&pb.StreamingOutputCallResponse{})
		<-s.Context().Done()
		return s.Context().Err()
	}})
	g, b := guarded(breaker.Settings{})
	client, _ := dial(t, addr, g)
	s, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	stop()
	_, err = s.Recv()
	wantCode(t, err, codes.Unavailable)
	wantFails(t, b, 1)
	_, err = client.FullDuplexCall(t.Context())
	wantCode(t, err, codes.Unavailable)
	wantFails(t, b, 2)
}

func TestStreamsThatTheirCallerLeaves(t *testing.T) {
	t.Parallel()
	addr, _, _ := serve(t, "", &fakeService{download: sendsThenWaits(1)})
	start := func(t *testing.T, ctx context.Context) (pb.TestService_StreamingOutputCallClient, *breaker.Breaker) {
		t.Helper()
		g, b := guarded(breaker.Settings{FailMax: 1})
		client, _ := dial(t, addr, g)
		s, err := client.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
		return s, b
	}
	t.Run("a cancel while it receives is not evidence", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		s, b := start(t, ctx)
		time.AfterFunc(20*time.Millisecond, cancel)
		_, err := s.Recv()
		wantCode(t, err, codes.Canceled)
		wantState(t, b, breaker.Closed)
	})
	t.Run("a deadline after it has answered is not evidence", func(t *testing.T) {
		t.Parallel()
		s, b := start(t, within(t, time.Second))
		_, err := s.Recv()
		wantCode(t, err, codes.DeadlineExceeded)
		wantState(t, b, breaker.Closed)
	})
	t.Run("a deadline before it has answered is a failure", func(t *testing.T) {
		t.Parallel()
		g, b := guarded(breaker.Settings{FailMax: 1})
		addr, _, _ := serve(t, "", &fakeService{download: sendsThenWaits(0)})
		client, _ := dial(t, addr, g)
		s, err := client.StreamingOutputCall(within(t, time.Second), &pb.StreamingOutputCallRequest{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Recv()
		wantCode(t, err, codes.DeadlineExceeded)
		wantState(t, b, breaker.Open)
	})
	t.Run("a deadline of the service's own is a failure, answered or not", func(t *testing.T) {
		t.Parallel()
		g, b := guarded(breaker.Settings{FailMax: 1})
		addr, _, _ := serve(t, "", &fakeService{download: func(_ *pb.StreamingOutputCallRequest, s pb.TestService_StreamingOutputCallServer) error {
			_ = s.Send(&pb.StreamingOutputCallResponse{})
			return status.Error(codes.DeadlineExceeded, "the database took too long")
		}})
		client, _ := dial(t, addr, g)
		s, err := client.StreamingOutputCall(within(t, time.Minute), &pb.StreamingOutputCallRequest{})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Recv()
		_, err = s.Recv()
		wantCode(t, err, codes.DeadlineExceeded)
		wantState(t, b, breaker.Open)
	})
	t.Run("a header that does not come before the deadline is a failure", func(t *testing.T) {
		t.Parallel()
		g, b := guarded(breaker.Settings{FailMax: 1})
		addr, _, _ := serve(t, "", &fakeService{download: sendsThenWaits(0)})
		client, _ := dial(t, addr, g)
		s, err := client.StreamingOutputCall(within(t, time.Second), &pb.StreamingOutputCallRequest{})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Header() // hides the error
		_, err = s.Recv()
		wantCode(t, err, codes.DeadlineExceeded)
		wantState(t, b, breaker.Open)
	})
}

// fakeStream is a stream whose messages come when the test says so.
type fakeStream struct {
	grpc.ClientStream
	ctx  context.Context
	recv chan error
	send error
}

func (s *fakeStream) SendMsg(any) error            { return s.send }
func (s *fakeStream) Header() (metadata.MD, error) { return metadata.MD{}, nil }
func (s *fakeStream) RecvMsg(any) error {
	select {
	case err := <-s.recv:
		return err
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
}

// open starts a fake stream under ctx.
func open(t *testing.T, ctx context.Context, s breaker.Settings) (*fakeStream, grpc.ClientStream, *breaker.Breaker) {
	t.Helper()
	g, b := guarded(s)
	fake := &fakeStream{ctx: ctx, recv: make(chan error)}
	stream, err := g.StreamClient(ctx, &grpc.StreamDesc{ServerStreams: true}, nil, "/"+service+"/Watch",
		func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
			return fake, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return fake, stream, b
}

// A probe that its caller leaves gives its place back, whether its context was
// cancelled or its deadline passed while no call was waiting.
func TestAbandonedProbeGivesItsPlaceBack(t *testing.T) {
	for _, end := range []string{"cancel", "deadline"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				g, b := guarded(breaker.Settings{ProbeTimeout: time.Hour})
				b.HalfOpen(breaker.Order{})
				fake := &fakeStream{ctx: ctx, recv: make(chan error)}
				_, err := g.StreamClient(ctx, &grpc.StreamDesc{ServerStreams: true}, nil, "/"+service+"/Watch",
					func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
						return fake, nil
					})
				if err != nil {
					t.Fatal(err)
				}
				if got := b.Status().ProbesOut; got != 1 {
					t.Fatalf("%d probes are out, want the stream's", got)
				}
				if end == "cancel" {
					cancel()
				} else {
					time.Sleep(time.Minute)
				}
				synctest.Wait()
				if got := b.Status().ProbesOut; got != 0 {
					t.Errorf("%d probes are out after the %s, want none", got, end)
				}
				wantState(t, b, breaker.HalfOpen)
			})
		})
	}
}

// The first message passes a probe: the stream itself may go on for hours.
func TestFirstMessagePassesAProbe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g, b := guarded(breaker.Settings{})
	b.HalfOpen(breaker.Order{})
	addr, _, _ := serve(t, "", &fakeService{download: sendsThenWaits(1)})
	client, _ := dial(t, addr, g)
	s, err := client.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	wantState(t, b, breaker.HalfOpen)
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	wantState(t, b, breaker.Closed)
}

// A slow call is one whose answer is slow to begin, not a long stream.
func TestSlowStreams(t *testing.T) {
	for _, test := range []struct {
		name        string
		first, next time.Duration
		want        breaker.State
	}{
		{"soon begun, long", time.Second, time.Hour, breaker.Closed},
		{"late begun", 5 * time.Second, 0, breaker.Open},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				fake, stream, b := open(t, ctx, breaker.Settings{SlowCall: 5 * time.Second, SlowRate: 1, MinCalls: 1})
				go func() {
					time.Sleep(test.first)
					fake.recv <- nil
					time.Sleep(test.next)
					fake.recv <- io.EOF
				}()
				for stream.RecvMsg(nil) == nil {
				}
				wantState(t, b, test.want)
			})
		})
	}
}

// The deadline passes while a message is awaited, and the message wins:
// the call is over, and the stream is settled without evidence.
func TestDeadlineThatAMessageOutruns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g, b := guarded(breaker.Settings{})
		b.HalfOpen(breaker.Order{})
		fake := &fakeStream{ctx: context.Background(), recv: make(chan error)} // does not see the end
		stream, err := g.StreamClient(ctx, &grpc.StreamDesc{ClientStreams: true}, nil, "/"+service+"/Watch",
			func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
				return slowHeader{fake}, nil
			})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = stream.Header() }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if got := b.Status().ProbesOut; got != 1 {
			t.Errorf("%d probes are out while a call on the stream is under way, want 1", got)
		}
		fake.recv <- nil
		synctest.Wait()
		if got := b.Status().ProbesOut; got != 0 {
			t.Errorf("%d probes are out after the stream was left, want 0", got)
		}
	})
}

// A message that is too large says nothing of the service, and ends the stream.
func TestMessageTooLargeGivesAProbeBack(t *testing.T) {
	addr, _, _ := serve(t, "", &fakeService{upload: func(s pb.TestService_StreamingInputCallServer) error {
		_, err := s.Recv()
		return err
	}})
	g, b := guarded(breaker.Settings{})
	b.HalfOpen(breaker.Order{})
	client, _ := dial(t, addr, g, grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(1000)))
	s, err := client.StreamingInputCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: make([]byte, 2000)}}), codes.ResourceExhausted)
	if got := b.Status().ProbesOut; got != 0 {
		t.Errorf("%d probes are out, want the place given back", got)
	}
	wantState(t, b, breaker.HalfOpen)
}

// Where SendMsg says io.EOF, the outcome is RecvMsg's to tell, even if the
// context ends in between.
func TestOutcomeOwedBySendMsg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		fake, stream, b := open(t, ctx, breaker.Settings{FailMax: 1})
		fake.send = io.EOF
		if err := stream.SendMsg(nil); err != io.EOF {
			t.Fatalf("SendMsg returned %v, want io.EOF", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		wantCode(t, stream.RecvMsg(nil), codes.DeadlineExceeded)
		wantState(t, b, breaker.Open)
	})
}

// slowHeader has its header when the test says so.
type slowHeader struct{ *fakeStream }

func (s slowHeader) Header() (metadata.MD, error) {
	return metadata.MD{}, <-s.recv
}

func TestStreamsCostNoGoroutine(t *testing.T) {
	const streams = 50
	count := func(with bool) int {
		addr, _, _ := serve(t, "", &fakeService{download: sendsThenWaits(1)})
		g, _ := guarded(breaker.Settings{})
		if !with {
			g = nil
		}
		client, conn := dial(t, addr, g)
		ctx, cancel := context.WithCancel(t.Context())
		before := runtime.NumGoroutine()
		for range streams {
			s, err := client.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		n := runtime.NumGoroutine() - before
		cancel()
		_ = conn.Close()
		return n
	}
	bare, with := count(false), count(true)
	if with > bare+streams/2 {
		t.Errorf("%d streams have %d goroutines with a breaker and %d without", streams, with, bare)
	}
}

func TestOpenBreakerStartsNoStream(t *testing.T) {
	g, b := guarded(breaker.Settings{})
	b.Open(breaker.Order{})
	client, _ := dial(t, "127.0.0.1:1", g)
	_, err := client.FullDuplexCall(t.Context())
	wantRejection(t, err, b)
}
