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

// writeTime is how long a reader may take for an answer. Who takes longer is cut
// off, so that it does not hold the memory of the answer for ever.
const writeTime = 30 * time.Second

// answer makes a large answer in its turn and writes it. Making it takes a
// processor, and so one is made at a time; writing it takes as long as the
// reader likes, up to writeTime.
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

// build makes the text of an answer, compressed for a reader that takes it so:
// on the socket that would cost more than it saves.
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
	z, _ := gzip.NewWriterLevel(&small, gzip.BestSpeed) // the level is good
	_, _ = z.Write(text.Bytes())                        // a buffer takes all
	_ = z.Close()
	return small, true, nil
}

// write writes a whole answer. That its reader has gone, or was cut off, is
// nobody's concern.
func write(w http.ResponseWriter, r *http.Request, text []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	if r.Method == http.MethodHead {
		return
	}
	c := http.NewResponseController(w)
	// A server with a limit of its own that is shorter keeps it.
	if s, ok := r.Context().Value(http.ServerContextKey).(*http.Server); !ok || s.WriteTimeout <= 0 || s.WriteTimeout > writeTime {
		if c.SetWriteDeadline(time.Now().Add(writeTime)) == nil {
			defer func() { _ = c.SetWriteDeadline(time.Time{}) }() // the connection goes on to the next request
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

// answerJSON answers with what of says, which may be large.
func (e *endpoint) answerJSON(w http.ResponseWriter, r *http.Request, of func() (any, error)) error {
	return e.answer(w, r, "application/json", func(out *bytes.Buffer) error {
		v, err := of()
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
	text, _ := json.Marshal(map[string]*Error{"error": e}) // it has nothing that JSON cannot carry
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(e.Status)
	_, _ = w.Write(append(text, '\n')) // the client is gone: nobody to tell
}
