package breakerhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

// The field's adapters let a dead server, a 503 and a 500 pass for ever, and
// open on callers who cancel (field notes 4.11, 4.12).
func TestOutcomeOfErrors(t *testing.T) {
	errGone := errors.New("the user closed the page")
	for _, test := range []struct {
		name string
		ctx  func() (context.Context, context.CancelFunc)
		end  func(context.CancelFunc) error
		want string
	}{
		{"refused", background, func(context.CancelFunc) error { return errors.New("connection refused") }, "0 good, 1 bad"},
		{"cancelled", cancellable, func(cancel context.CancelFunc) error { cancel(); return context.Canceled }, "0 good, 0 bad"},
		{"cancelled, told otherwise", cancellable, func(cancel context.CancelFunc) error { cancel(); return errors.New("net/http: request canceled") }, "0 good, 0 bad"},
		{"cancelled with a cause", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(context.Background())
			return ctx, func() { cancel(errGone) }
		}, func(cancel context.CancelFunc) error { cancel(); return errGone }, "0 good, 0 bad"},
		{"cancelled by somebody else", background, func(context.CancelFunc) error { return context.Canceled }, "0 good, 1 bad"},
		{"a deadline that had passed", func() (context.Context, context.CancelFunc) {
			return context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
		}, func(context.CancelFunc) error { return context.DeadlineExceeded }, "0 good, 0 bad"},
		{"not this transport's", background, func(context.CancelFunc) error { return http.ErrSkipAltProtocol }, "0 good, 0 bad"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var seen outcomes
			b := breaker.New("api", breaker.Settings{}, breaker.WithListener(seen.listener()))
			ctx, cancel := test.ctx()
			defer cancel()
			var want error
			rt := breakerhttp.NewTransport(tripper(func(*http.Request) (*http.Response, error) {
				want = test.end(cancel)
				return nil, want
			}), breakerhttp.WithBreaker(b))
			if _, err := rt.RoundTrip(newRequest(t, ctx, "http://api.test")); err != want {
				t.Errorf("error %v, want the transport's own: %v", err, want)
			}
			if got := seen.String(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func background() (context.Context, context.CancelFunc) { return context.Background(), func() {} }

func cancellable() (context.Context, context.CancelFunc) {
	return context.WithCancel(context.Background())
}

type failingBody struct {
	io.Reader
	err error
}

func (f failingBody) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}

func (failingBody) Close() error { return nil }

func TestOutcomeOfTheBody(t *testing.T) {
	errReset := errors.New("connection reset by peer")
	readAll := func(b io.ReadCloser, _ context.CancelFunc) { io.Copy(io.Discard, b); b.Close() }
	for _, test := range []struct {
		name string
		end  error // where the body ends
		use  func(io.ReadCloser, context.CancelFunc)
		want string
	}{
		{"read to the end", io.EOF, readAll, "1 good, 0 bad"},
		{"read to the end, never closed", io.EOF, func(b io.ReadCloser, _ context.CancelFunc) { io.ReadAll(b) }, "1 good, 0 bad"},
		{"closed at once", errReset, func(b io.ReadCloser, _ context.CancelFunc) { b.Close() }, "1 good, 0 bad"},
		{"closed halfway", errReset, func(b io.ReadCloser, _ context.CancelFunc) { b.Read(make([]byte, 2)); b.Close() }, "1 good, 0 bad"},
		{"breaks off", errReset, readAll, "0 good, 1 bad"},
		{"breaks off too soon", io.ErrUnexpectedEOF, readAll, "0 good, 1 bad"},
		{"cancelled", context.Canceled, func(b io.ReadCloser, cancel context.CancelFunc) { cancel(); readAll(b, nil) }, "0 good, 0 bad"},
		{"cancelled, told otherwise", errReset, func(b io.ReadCloser, cancel context.CancelFunc) { cancel(); readAll(b, nil) }, "0 good, 0 bad"},
		{"deadline", context.DeadlineExceeded, readAll, "0 good, 1 bad"},
		{"never touched", errReset, func(io.ReadCloser, context.CancelFunc) {}, "0 good, 0 bad"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var seen outcomes
			b := breaker.New("api", breaker.Settings{}, breaker.WithListener(seen.listener()))
			rt := breakerhttp.NewTransport(tripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: failingBody{strings.NewReader("hello"), test.end}}, nil
			}), breakerhttp.WithBreaker(b))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			resp, err := rt.RoundTrip(newRequest(t, ctx, "http://api.test"))
			if err != nil {
				t.Fatal(err)
			}
			test.use(resp.Body, cancel)
			if got := seen.String(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// Field note 4.16: panics that no rival counts, and 4.4-4.6: probes that a
// panic or Goexit loses for ever.
func TestPanicsAndGoexitAreFailures(t *testing.T) {
	for name, end := range map[string]func(){
		"panic":  func() { panic("bug") },
		"Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			b := breaker.New("api", breaker.Settings{})
			b.HalfOpen(breaker.Order{})
			rt := breakerhttp.NewTransport(tripper(func(*http.Request) (*http.Response, error) { end(); return nil, nil }), breakerhttp.WithBreaker(b))
			var recovered any
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { recovered = recover() }()
				get(t, rt)
			}()
			<-done
			if name == "panic" && recovered != "bug" {
				t.Errorf("the caller recovered %v, want its own panic", recovered)
			}
			if got := b.State(); got != breaker.Open {
				t.Errorf("%s, want open", got)
			}
		})
	}
}

func TestBodyKeepsItsMethods(t *testing.T) {
	for _, test := range []struct {
		name             string
		body             io.ReadCloser
		writerTo, writer bool
	}{
		{"plain", stream(strings.NewReader("x")), false, false},
		{"WriterTo", io.NopCloser(strings.NewReader("x")), true, false},
		{"a connection", struct {
			io.ReadCloser
			io.Writer
		}{stream(strings.NewReader("x")), io.Discard}, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var seen outcomes
			b := breaker.New("api", breaker.Settings{}, breaker.WithListener(seen.listener()))
			rt := breakerhttp.NewTransport(tripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: test.body}, nil
			}), breakerhttp.WithBreaker(b))
			resp, err := rt.RoundTrip(newRequest(t, t.Context(), "http://api.test"))
			if err != nil {
				t.Fatal(err)
			}
			_, writerTo := resp.Body.(io.WriterTo)
			_, writer := resp.Body.(io.Writer)
			if writerTo != test.writerTo || writer != test.writer {
				t.Errorf("WriterTo %t, Writer %t, want %t, %t", writerTo, writer, test.writerTo, test.writer)
			}
			if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "x" {
				t.Errorf("body %q, %v", got, err)
			}
			if got := seen.String(); got != "1 good, 0 bad" {
				t.Error(got)
			}
		})
	}
}

func TestWriterTo(t *testing.T) {
	b := breaker.New("api", breaker.Settings{})
	b.HalfOpen(breaker.Order{})
	rt := breakerhttp.NewTransport(tripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("hello"))}, nil
	}), breakerhttp.WithBreaker(b))
	var got strings.Builder
	resp, err := rt.RoundTrip(newRequest(t, t.Context(), "http://api.test"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(&got, resp.Body); err != nil || got.String() != "hello" {
		t.Errorf("copied %q, %v", got.String(), err)
	}
	if got := b.State(); got != breaker.Closed {
		t.Errorf("%s after the whole body, want closed", got)
	}
}

// A deadline that passes between two reads of the answer is the reader's doing.
// One that passes while the body keeps a reader waiting is not.
func TestDeadlineOfAReader(t *testing.T) {
	for name, test := range map[string]struct {
		reader time.Duration // what it does between two Reads
		hangs  bool          // the rest of the body does not come
		want   string
	}{
		"in time":          {0, false, "1 good, 0 bad"},
		"the reader waits": {time.Hour, false, "0 good, 0 bad"},
		"the body waits":   {0, true, "0 good, 1 bad"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen outcomes
				b := breaker.New("api", breaker.Settings{}, breaker.WithListener(seen.listener()))
				rt := breakerhttp.NewTransport(tripper(func(r *http.Request) (*http.Response, error) {
					rest := readFunc(func() error {
						if test.hangs {
							<-r.Context().Done()
						}
						if err := r.Context().Err(); err != nil {
							return err
						}
						return io.EOF
					})
					return &http.Response{StatusCode: 200, Body: stream(io.MultiReader(strings.NewReader("hello"), rest))}, nil
				}), breakerhttp.WithBreaker(b))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				resp, err := rt.RoundTrip(newRequest(t, ctx, "http://api.test"))
				if err != nil {
					t.Fatal(err)
				}
				_, _ = resp.Body.Read(make([]byte, 10))
				time.Sleep(test.reader)
				_, _ = io.Copy(io.Discard, resp.Body)
				if got := seen.String(); got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}
			})
		})
	}
}
