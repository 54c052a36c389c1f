// Package observe holds what is counted and why things ended: the closed set of
// close reasons, the sides, and the plain counters every shard owns. It is a leaf:
// no I/O, no locks; one shard writes its own counters and hands out copies.
package observe

// CloseReason says why a session or a tunnel ended. The first cause wins.
type CloseReason uint8

// The reasons. Every close has exactly one of them.
const (
	ReasonNone             CloseReason = iota
	ReasonDone                         // orderly: the response ended, or both halves of a tunnel reached their end
	ReasonReset                        // the side reset its connection (RST)
	ReasonAborted                      // the side closed in the middle of a message
	ReasonUnreachable                  // the peer is dead: keepalive or TCP_USER_TIMEOUT ran out, host unreachable
	ReasonIOError                      // any other socket error
	ReasonBadRequest                   // the client broke HTTP
	ReasonBadResponse                  // the upstream broke HTTP
	ReasonRefused                      // we answered by ourselves and closed: no route, return, limit
	ReasonHeadTimeout                  // client_header_timeout
	ReasonConnectTimeout               // proxy_connect_timeout on the last peer
	ReasonSendTimeout                  // proxy_send_timeout, send_timeout or tunnel_send_timeout
	ReasonReadTimeout                  // proxy_read_timeout
	ReasonBodyTimeout                  // client_body_timeout
	ReasonIdleTimeout                  // keepalive_timeout between two requests
	ReasonLingerTimeout                // lingering_timeout or lingering_time
	ReasonConnectFailed                // no peer accepted the connection
	ReasonOverload                     // a limit of ours: sessions, file descriptors, memory
	ReasonShutdown                     // holdfast stops
	ReasonEvicted                      // an idle connection gave way to a new one
	ReasonTLS                          // the TLS handshake failed, or the side broke TLS
	ReasonHandshakeTimeout             // ssl_handshake_timeout, proxy_protocol_timeout or preread_timeout
	ReasonPeerRemoved                  // the upstream's peer left its group (tunnels drain, tunnels close)
	ReasonLifetime                     // tunnel_max_lifetime
	reasonCount
)

// ReasonCount is the number of close reasons, for arrays indexed by one.
const ReasonCount = int(reasonCount)

var reasonNames = [...]string{
	ReasonNone:             "none",
	ReasonDone:             "done",
	ReasonReset:            "reset",
	ReasonAborted:          "aborted",
	ReasonUnreachable:      "unreachable",
	ReasonIOError:          "io_error",
	ReasonBadRequest:       "bad_request",
	ReasonBadResponse:      "bad_response",
	ReasonRefused:          "refused",
	ReasonHeadTimeout:      "head_timeout",
	ReasonConnectTimeout:   "connect_timeout",
	ReasonSendTimeout:      "send_timeout",
	ReasonReadTimeout:      "read_timeout",
	ReasonBodyTimeout:      "body_timeout",
	ReasonIdleTimeout:      "idle_timeout",
	ReasonLingerTimeout:    "linger_timeout",
	ReasonConnectFailed:    "connect_failed",
	ReasonOverload:         "overload",
	ReasonShutdown:         "shutdown",
	ReasonEvicted:          "evicted",
	ReasonTLS:              "tls_error",
	ReasonHandshakeTimeout: "handshake_timeout",
	ReasonPeerRemoved:      "peer_removed",
	ReasonLifetime:         "lifetime",
}

// String is the name used in logs and metric labels.
func (r CloseReason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "invalid"
}

// Side says who caused an end.
type Side uint8

// The sides.
const (
	SideNone     Side = iota
	SideClient        // the downstream connection
	SideUpstream      // the upstream connection
	SideProxy         // holdfast itself
	sideCount
)

// SideCount is the number of sides, for arrays indexed by one.
const SideCount = int(sideCount)

// String is the name used in logs and metric labels.
func (s Side) String() string {
	switch s {
	case SideClient:
		return "client"
	case SideUpstream:
		return "upstream"
	case SideProxy:
		return "proxy"
	}
	return "none"
}
