package ops

// TransportFleet is the transport of orders for a whole fleet. The fleet itself keeps
// the overrides and settings that they order, and Options.Standing does not:
// otherwise a restart would bring back an override that was released while the
// process was down.
const TransportFleet = "fleet"

// Peer is who gave an order, as far as the transport knows.
type Peer struct {
	// Transport is "socket", "http", "pipe", "program" or "fleet".
	Transport string `json:"transport"`
	// UID is the user of the process at the other end of a socket, as the
	// kernel reports it; nil if unknown.
	UID *int `json:"uid,omitempty"`
	// PID is that process; 0 if unknown.
	PID int `json:"pid,omitempty"`
	// Addr is the network address that an HTTP request came from. Behind a
	// proxy it is the proxy's.
	Addr string `json:"addr,omitempty"`
}
