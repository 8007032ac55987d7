package ops

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// checkHost refuses a request for a host name that is not this handler's. A
// foreign page can make its own name resolve to this host, and a browser would
// then treat this host as the page's origin (DNS rebinding). An IP address
// cannot be made to point to another host, and neither can localhost.
func (o *Options) checkHost(r *http.Request) error {
	if len(o.Hosts) == 0 && !byLoopback(r) {
		return nil
	}
	host := hostname(r.Host)
	if _, err := netip.ParseAddr(host); err == nil || host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return nil
	}
	if slices.ContainsFunc(o.Hosts, func(name string) bool { return hostname(name) == host }) {
		return nil
	}
	return refuse(http.StatusMisdirectedRequest, "host", "the request is for the host %.100q, want a name that is listed in Options.Hosts", host)
}

// byLoopback reports whether r came in at a loopback address.
func byLoopback(r *http.Request) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && at.IP.IsLoopback()
}

// hostname returns a Host header without its port, and without the dot that
// may end a name.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
