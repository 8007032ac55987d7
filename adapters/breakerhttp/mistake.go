package breakerhttp

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// mistaken reports whether a call that failed with err was refused before it was
// sent, for what the program has made of the request or because the process has
// no file descriptor left, or was answered beyond a limit of the program's.
func (t *Transport) mistaken(req *http.Request, err error) bool {
	var address *net.AddrError // such as one with port 99999
	if errors.Is(err, http.ErrSkipAltProtocol) || errors.As(err, &address) ||
		errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return true
	}
	text := strings.TrimPrefix(err.Error(), "net/http: HTTP/1.x transport connection broken: ")
	if strings.HasSuffix(text, "http2: response header list larger than advertised limit") {
		return true
	}
	for _, refusal := range refusals {
		if strings.HasPrefix(text, refusal) {
			return true
		}
	}
	if scheme := req.URL.Scheme; scheme != "http" && scheme != "https" {
		return false // a registered protocol has its own rules
	}
	if req.Header == nil || !validFields(req.Header) || !validTrailer(req.Trailer) || hasControl(req.URL.RequestURI()) ||
		req.Body == nil && req.ContentLength != 0 {
		return true
	}
	// If a proxy function fails, nothing was sent either.
	base, ok := t.base.(*http.Transport)
	if !ok || base.Proxy == nil {
		return false
	}
	_, again := base.Proxy(req)
	return again != nil && (errors.Is(err, again) || err.Error() == again.Error())
}

// refusals is how errors begin with which net/http refuses to send a request or to
// take an answer, as they have no types of their own.
var refusals = []string{
	"Proxy Authentication Required", // the proxy's answer to CONNECT
	"net/http: server response headers exceeded ",
	"unsupported protocol scheme ",
	"net/http: invalid method ",
	"http: invalid Host header",
	"http: ContentLength=", // is not the length of the body
	"http2: request header list larger than peer's advertised limit",
	"http2: request body larger than specified content length",
	"http2: invalid Host header",
	"http2: invalid request :path ",
	"http2: invalid Upgrade request header",
	"http2: invalid Transfer-Encoding request header",
	"http2: invalid Connection request header",
}

// validFields reports whether net/http sends these names and values.
func validFields(h http.Header) bool {
	for name, values := range h {
		if name == "" || strings.ContainsFunc(name, notToken) {
			return false
		}
		for _, v := range values {
			if hasControl(strings.ReplaceAll(v, "\t", " ")) {
				return false
			}
		}
	}
	return true
}

// validTrailer reports whether net/http sends these fields after a body.
func validTrailer(h http.Header) bool {
	for name := range h {
		switch http.CanonicalHeaderKey(name) {
		case "Transfer-Encoding", "Trailer", "Content-Length":
			return false
		}
	}
	return validFields(h)
}

// notToken reports whether r must not be in the name of a field (RFC 9110, 5.6.2).
func notToken(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}
