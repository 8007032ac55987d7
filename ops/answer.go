package ops

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// writeTime is how long a reader may take to receive an answer. A slower one
// is cut off, so that it does not hold the answer in memory forever.
const writeTime = 30 * time.Second

// answer makes a large answer in its turn and writes it. Making it takes a
// processor, so only one is made at a time. Writing it may take as long as the
// reader needs, up to writeTime.
func (e *endpoint) answer(w http.ResponseWriter, r *http.Request, kind string, build func(*bytes.Buffer) error) error {
	leave, err := e.enter(r)
	if err != nil {
		return err
	}
	defer leave()
	text, zipped, err := e.build(r, build)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	if zipped {
		h.Set("Content-Encoding", "gzip")
		h.Set("Vary", "Accept-Encoding")
	}
	write(w, r, text.Bytes())
	return nil
}

// build makes the text of an answer. It is compressed if the reader accepts
// that, except on the socket, where compressing would cost more than it saves.
func (e *endpoint) build(r *http.Request, build func(*bytes.Buffer) error) (text bytes.Buffer, zipped bool, err error) {
	select {
	case e.making <- struct{}{}:
	case <-r.Context().Done():
		return text, false, busy("the reader has gone")
	}
	defer func() { <-e.making }()
	if err := build(&text); err != nil {
		return text, false, err
	}
	if e.socket || text.Len() < 1024 || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		return text, false, nil
	}
	var small bytes.Buffer
	z, _ := gzip.NewWriterLevel(&small, gzip.BestSpeed) // the level is valid
	_, _ = z.Write(text.Bytes())                        // a buffer accepts everything
	_ = z.Close()
	return small, true, nil
}

// write writes a whole answer. It ignores errors: they mean that the reader
// has gone or was cut off.
func write(w http.ResponseWriter, r *http.Request, text []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	if r.Method == http.MethodHead {
		return
	}
	c := http.NewResponseController(w)
	// A shorter limit of the server stays in force.
	if s, ok := r.Context().Value(http.ServerContextKey).(*http.Server); !ok || s.WriteTimeout <= 0 || s.WriteTimeout > writeTime {
		if c.SetWriteDeadline(time.Now().Add(writeTime)) == nil {
			defer func() { _ = c.SetWriteDeadline(time.Time{}) }() // the connection is used for the next request
		}
	}
	if _, err := w.Write(text); err == nil {
		_ = c.Flush()
	}
}

// writeJSON answers with v, which is small.
func writeJSON(w http.ResponseWriter, r *http.Request, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	write(w, r, append(text, '\n'))
	return nil
}

// answerJSON answers with the result of get, which may be large.
func (e *endpoint) answerJSON(w http.ResponseWriter, r *http.Request, get func() (any, error)) error {
	return e.answer(w, r, "application/json", func(out *bytes.Buffer) error {
		v, err := get()
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(v)
	})
}

func writeError(w http.ResponseWriter, err error) {
	e := AsError(err)
	if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	text, _ := json.Marshal(map[string]*Error{"error": e}) // everything in it can be encoded
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(e.Status)
	_, _ = w.Write(append(text, '\n')) // an error means that the client has gone
}
