package mongodb

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/switchgear-go/switchgear/breaker"
)

// server answers the driver's handshake as MongoDB does, and each find with
// what the test wants.
type server struct {
	net.Listener
	find atomic.Pointer[bson.D]
	hang atomic.Bool
}

func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

// serve reads and writes OP_MSG: a header of 16 bytes (length, id, id of the
// request, opcode), flags, and a section of kind 0 with one document.
func (s *server) serve(c net.Conn) {
	defer c.Close()
	for {
		head := make([]byte, 16)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		body := make([]byte, binary.LittleEndian.Uint32(head)-16)
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		reply := bson.D{
			{Key: "ok", Value: 1},
			{Key: "isWritablePrimary", Value: true},
			{Key: "helloOk", Value: true},
			{Key: "minWireVersion", Value: 0},
			{Key: "maxWireVersion", Value: 21},
			{Key: "maxBsonObjectSize", Value: 1 << 24},
			{Key: "maxMessageSizeBytes", Value: 48000000},
			{Key: "maxWriteBatchSize", Value: 100000},
		}
		if _, err := bson.Raw(body[5:]).LookupErr("find"); err == nil {
			if s.hang.Load() {
				continue
			}
			reply = *s.find.Load()
		}
		doc, err := bson.Marshal(reply)
		if err != nil {
			return
		}
		out := binary.LittleEndian.AppendUint32(nil, uint32(16+5+len(doc)))
		out = binary.LittleEndian.AppendUint32(out, 1)
		out = append(out, head[4:8]...)
		out = binary.LittleEndian.AppendUint32(out, 2013)
		out = append(out, 0, 0, 0, 0, 0)
		if _, err := c.Write(append(out, doc...)); err != nil {
			return
		}
	}
}

func found(docs ...bson.D) *bson.D {
	batch := bson.A{}
	for _, d := range docs {
		batch = append(batch, d)
	}
	return &bson.D{{Key: "ok", Value: 1}, {Key: "cursor", Value: bson.D{
		{Key: "id", Value: int64(0)}, {Key: "ns", Value: "shop.things"}, {Key: "firstBatch", Value: batch},
	}}}
}

func failed(code int) *bson.D {
	return &bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: "as asked"}}
}

func connect(t *testing.T, addr string) *mongo.Collection {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + addr + "/?directConnection=true").
		SetServerAPIOptions(options.ServerAPI(options.ServerAPIVersion1)).
		SetServerSelectionTimeout(300 * time.Millisecond).SetRetryReads(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client.Database("shop").Collection("things")
}

func TestClassify(t *testing.T) {
	s := newServer(t)
	things := connect(t, s.Addr().String())
	nobody := connect(t, "127.0.0.1:1")
	cancelled := func(ctx context.Context) context.Context {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(50*time.Millisecond, cancel)
		return ctx
	}
	for _, test := range []struct {
		name   string
		reply  *bson.D // nil: the server hangs
		want   breaker.Outcome
		c      *mongo.Collection
		ctx    func(context.Context) context.Context
		filter any
	}{
		{"a document", found(bson.D{{Key: "n", Value: 1}}), breaker.Success, things, nil, bson.D{}},
		{"no document", found(), breaker.Success, things, nil, bson.D{}},
		{"a bad query", failed(2), breaker.Success, things, nil, bson.D{}},
		{"no right to do that", failed(13), breaker.Success, things, nil, bson.D{}},
		{"not the primary", failed(10107), breaker.Failure, things, nil, bson.D{}},
		{"shutting down", failed(91), breaker.Failure, things, nil, bson.D{}},
		{"nobody listens", found(), breaker.Failure, nobody, nil, bson.D{}},
		{"hangs until the deadline", nil, breaker.Failure, things, func(ctx context.Context) context.Context {
			ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			t.Cleanup(cancel)
			return ctx
		}, bson.D{}},
		{"the caller cancels", nil, breaker.Ignored, things, cancelled, bson.D{}},
		{"a filter that cannot be marshalled", found(), breaker.Ignored, things, nil, make(chan int)},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := breaker.New("mongodb", breaker.Settings{FailMax: 100}, breaker.WithClassifier(Classify))
			_ = b.Do(t.Context(), func(context.Context) error { return mongo.ErrClientDisconnected }) // no evidence
			// From here on b looks at contexts before its calls, so that a busy
			// machine cannot make a call that ran into its deadline look like one
			// that began after it.
			late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Hour))
			defer cancel()
			_ = b.Do(late, func(ctx context.Context) error { return ctx.Err() })
			p, _ := b.Allow()
			_ = p.Settle(t.Context(), breaker.Failure, errors.New("earlier"))
			s.hang.Store(test.reply == nil)
			s.find.Store(test.reply)
			ctx := t.Context()
			if test.ctx != nil {
				ctx = test.ctx(ctx)
			}
			_, err := FindOne[bson.D](ctx, b, test.c, test.filter)
			fails := map[breaker.Outcome]int{breaker.Success: 0, breaker.Ignored: 1, breaker.Failure: 2}
			if got := b.FailCount(); got != fails[test.want] {
				t.Errorf("%v: %d failures after one that was there, want %d: %s", err, got, fails[test.want], test.want)
			}
		})
	}
}
