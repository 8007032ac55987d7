package breakerhttp

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"

	"github.com/switchgear-go/switchgear/breaker"
)

// writer notes the status of an answer as it is written. Like every
// http.ResponseWriter it belongs to one goroutine at a time.
type writer struct {
	http.ResponseWriter
	rules    *rules
	ctx      context.Context
	permit   breaker.Permit
	upload   *upload // the request's body, or nil without one
	status   int     // 0: the header has not been written
	settled  bool    // before the handler's end
	returned bool
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(status int) {
	w.note(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	w.note(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

func (w *writer) WriteString(s string) (int, error) {
	w.note(http.StatusOK)
	return io.WriteString(w.ResponseWriter, s)
}

// note records the first final status. A stream that begins well is judged
// now.
func (w *writer) note(status int) {
	if w.status != 0 || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	w.status = status
	if w.rules.outcome(status) != breaker.Success {
		return // judged when the handler returns
	}
	w.permit.Answered()
	if w.rules.stream(status, w.Header()) {
		w.settle()
	}
}

func (w *writer) settle() {
	if !w.settled {
		w.settled = true
		w.permit.Done(nil)
	}
}

// shape returns w with the optional interfaces that the server's own writer
// has over HTTP/1 or HTTP/2. http.ResponseController finds those of others.
func (w *writer) shape() http.ResponseWriter {
	flusher, flushes := w.ResponseWriter.(http.Flusher)
	hijacker, hijacks := w.ResponseWriter.(http.Hijacker)
	pusher, pushes := w.ResponseWriter.(http.Pusher)
	switch {
	case flushes && hijacks:
		return &http1Writer{flushWriter{w, flusher}, hijacker}
	case flushes && pushes:
		return &http2Writer{flushWriter{w, flusher}, pusher}
	case flushes:
		return &flushWriter{w, flusher}
	default:
		return w
	}
}

type flushWriter struct {
	*writer
	flusher http.Flusher
}

func (w *flushWriter) Flush() { _ = w.FlushError() }

func (w *flushWriter) FlushError() error {
	w.note(http.StatusOK)
	if f, ok := w.flusher.(interface{ FlushError() error }); ok {
		return f.FlushError()
	}
	w.flusher.Flush()
	return nil
}

type http1Writer struct {
	flushWriter
	hijacker http.Hijacker
}

// Hijack hands the connection over: what happens on it is no longer the
// handler's answer.
func (w *http1Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.hijacker.Hijack()
	if err == nil {
		w.settle()
	}
	return conn, rw, err
}

// ReadFrom lets the server send a file without copying it.
func (w *http1Writer) ReadFrom(src io.Reader) (int64, error) {
	w.note(http.StatusOK)
	return io.Copy(w.ResponseWriter, src) // finds its ReadFrom
}

type http2Writer struct {
	flushWriter
	pusher http.Pusher
}

func (w *http2Writer) Push(target string, opts *http.PushOptions) error {
	return w.pusher.Push(target, opts)
}
