package breakerhttp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"time"
)

// upload notes what becomes of a request's body, which is the caller's doing:
// where it cannot be read, is not as long as announced, or keeps the transport
// waiting, it is broken, and the dependency is not to blame. The transport reads
// on another goroutine.
type upload struct {
	ctx     context.Context
	length  int64     // as announced; 0 or less: unknown
	began   time.Time // of the call
	broken  atomic.Bool
	reading atomic.Int32 // Reads under way
	waited  atomic.Int64 // how long the latest Read took; while it is under way, see noteStall
}

// stall is how long a body must keep the transport waiting before it is taken
// for the reason why the server gave up: servers allow some seconds.
const stall = time.Second

// noteStall notes, when a call has failed, whether the body had kept the server
// waiting for most of it. It is not asked once an answer has begun: from there
// on both sides may wait as long as they like.
func (u *upload) noteStall() {
	if u == nil {
		return
	}
	now := time.Since(u.began)
	waited := time.Duration(u.waited.Load())
	if waited < 0 { // -1 less the time when the Read began, after began
		waited += now + 1
	}
	if waited >= max(stall, now/2) {
		u.broken.Store(true)
	}
}

// watchUpload returns the request to send: req itself where its body cannot
// break, else a copy whose body is watched.
func watchUpload(req *http.Request) (*http.Request, *upload) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	if size, ok := plain(req); ok {
		if size == req.ContentLength || size < 0 || req.ContentLength <= 0 {
			return req, nil
		}
		u := &upload{ctx: req.Context(), began: time.Now()}
		u.broken.Store(true) // it is not as long as announced
		return req, u
	}
	u := &upload{ctx: req.Context(), length: req.ContentLength, began: time.Now()}
	watched := req.WithContext(req.Context())
	watched.Body = u.watch(req.Body)
	if again := req.GetBody; again != nil {
		watched.GetBody = func() (io.ReadCloser, error) { // for a second attempt
			body, err := again()
			if err != nil {
				u.broken.Store(true)
				return body, err
			}
			return u.watch(body), nil
		}
	}
	return watched, u
}

// plain reports whether a body is to be left as it is, and its size, or -1 if that
// is not known. net/http sends what is in memory with the head in one packet, and
// a file over plain HTTP with sendfile.
func plain(req *http.Request) (size int64, ok bool) {
	body := any(req.Body)
	if t := reflect.TypeOf(body); t == nopCloser || t == nopCloserWriterTo {
		body = reflect.ValueOf(body).Field(0).Interface()
	}
	switch r := body.(type) {
	case *os.File:
		return -1, req.URL.Scheme == "http"
	case *bytes.Reader:
		return int64(r.Len()), true
	case *bytes.Buffer:
		return int64(r.Len()), true
	case *strings.Reader:
		return int64(r.Len()), true
	}
	return 0, false
}

// What io.NopCloser makes of a reader without WriteTo, and of one with it.
var (
	nopCloser         = reflect.TypeOf(io.NopCloser(nil))
	nopCloserWriterTo = reflect.TypeOf(io.NopCloser(struct {
		io.Reader
		io.WriterTo
	}{}))
)

// excuses reports whether a call that failed with err did so by its body.
func (u *upload) excuses(req *http.Request, err error) bool {
	if u == nil {
		var path *fs.PathError
		file, ok := req.Body.(*os.File)
		return ok && errors.As(err, &path) && path.Path == file.Name()
	}
	return u.broken.Load() || u.reading.Load() > 0 && u.late()
}

// late reports whether the caller's time is over. Where that happens while the
// body keeps the transport waiting, it is the caller's doing.
func (u *upload) late() bool { return u.ctx.Err() == context.DeadlineExceeded }

// watch makes a body tell u how reading it went.
func (u *upload) watch(body io.ReadCloser) io.ReadCloser {
	return &uploadBody{ReadCloser: body, upload: u}
}

type uploadBody struct {
	io.ReadCloser
	upload *upload
	n      int64 // bytes read; belongs to the one who reads
	whole  atomic.Bool
	closed atomic.Bool
}

func (b *uploadBody) Read(p []byte) (int, error) {
	u, inTime, start := b.upload, !b.upload.late(), time.Since(b.upload.began)
	u.waited.Store(int64(-1 - start))
	u.reading.Add(1)
	n, err := b.ReadCloser.Read(p)
	u.reading.Add(-1)
	u.waited.Store(int64(time.Since(u.began) - start))
	if inTime && u.late() {
		u.broken.Store(true) // net/http may have waited for this Read before it gave up
	}
	b.n += int64(n)
	switch length := u.length; {
	case err == io.EOF:
		b.whole.Store(true)
		if length > 0 && b.n != length {
			u.broken.Store(true)
		}
	case err != nil && !b.closed.Load(), // a transport that gives up closes the body under the Read
		length > 0 && b.n > length:
		u.broken.Store(true)
	}
	return n, err
}

func (b *uploadBody) Close() error {
	b.closed.Store(true)
	err := b.ReadCloser.Close()
	if err != nil && b.whole.Load() {
		b.upload.broken.Store(true) // net/http takes it for the request's
	}
	return err
}
