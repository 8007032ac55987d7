package ops

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// checkHost refuses a request that was meant for another name than this
// handler's. A page elsewhere can have its own name resolve to this host, and
// would then be of this origin for a browser (DNS rebinding). An address cannot
// be made to mean another host, nor can localhost.
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
	return refuse(http.StatusMisdirectedRequest, "host", "the request is for the host %.100q, which is none of this handler's: a name that is has to stand in Options.Hosts", host)
}

// byLoopback reports whether r came in at an address of this host alone.
func byLoopback(r *http.Request) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && at.IP.IsLoopback()
}

// hostname is a Host header without its port, and without the dot that may end
// a name.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
