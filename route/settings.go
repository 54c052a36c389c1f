package route

// Settings are the values of a server or a location that the data path reads. They
// are merged (nothing has to be looked up in an outer level) and never change.
// Times are in milliseconds, sizes in bytes; the nginx directive is in parentheses.
type Settings struct {
	// Resolver is 1 + the index of the resolver for names that variables yield, 0: none (resolver).
	Resolver int32
	// SSLVerifyClient is what is asked of a client's certificate (ssl_verify_client): VerifyOff
	// and so on.
	SSLVerifyClient uint8
	// SSLVerifyRules is the same number for servers that verify certificates of clients by the
	// same authorities and lists; 0 for those that ask for none.
	SSLVerifyRules uint32
	// ClientHeaderTimeout bounds the reading of a whole request head (client_header_timeout).
	ClientHeaderTimeout int64
	// ClientBodyTimeout bounds the wait between two reads of a request body (client_body_timeout).
	ClientBodyTimeout int64
	// ClientSendTimeout bounds the wait between two writes to the client (send_timeout).
	ClientSendTimeout int64
	// ClientHeaderBufferSize is the first buffer for a request head (client_header_buffer_size).
	ClientHeaderBufferSize int64
	// LargeHeaderBuffers is what a request head may grow to (large_client_header_buffers).
	LargeHeaderBuffers Buffers
	// ClientMaxBodySize is the largest request body; 0 means no limit (client_max_body_size).
	ClientMaxBodySize int64

	// KeepaliveTimeout is how long an idle client connection stays open; 0 turns
	// keep-alive off (keepalive_timeout).
	KeepaliveTimeout int64
	// KeepaliveHeaderSec is the timeout in seconds told to the client in a Keep-Alive
	// field; 0 means no such field (second argument of keepalive_timeout).
	KeepaliveHeaderSec int64
	// KeepaliveRequests is the number of requests on one client connection (keepalive_requests).
	KeepaliveRequests int64
	// KeepaliveTime is how long a client connection may carry new requests (keepalive_time).
	KeepaliveTime int64

	// LingeringClose says when to read on after the last answer (lingering_close).
	LingeringClose LingeringClose
	// LingeringTime bounds a whole lingering close (lingering_time).
	LingeringTime int64
	// LingeringTimeout bounds the wait for more data within it (lingering_timeout).
	LingeringTimeout int64

	// ConnectTimeout bounds one try to connect (proxy_connect_timeout).
	ConnectTimeout int64
	// SendTimeout bounds the wait between two writes to the upstream (proxy_send_timeout).
	SendTimeout int64
	// ReadTimeout bounds the wait between two reads from the upstream (proxy_read_timeout).
	ReadTimeout int64
	// NextUpstreamTimeout bounds all tries together; 0 means no limit (proxy_next_upstream_timeout).
	NextUpstreamTimeout int64
	// NextUpstreamTries is the number of peers tried; 0 means no limit (proxy_next_upstream_tries).
	NextUpstreamTries int32
	// NextUpstream says which failures lead to the next peer (proxy_next_upstream).
	NextUpstream NextUpstream

	// TunnelReadTimeout and TunnelSendTimeout are ReadTimeout and SendTimeout where
	// they were written in the configuration; 0 means that a tunnel has none.
	TunnelReadTimeout int64
	TunnelSendTimeout int64
	// TunnelBlockedTimeout is how long a half of a tunnel may find its destination
	// not reading (tunnel_send_timeout).
	TunnelBlockedTimeout int64

	// TCPNodelay sets TCP_NODELAY (tcp_nodelay).
	TCPNodelay bool
	// ProxySocketKeepalive turns TCP keepalive on for upstream connections (proxy_socket_keepalive).
	ProxySocketKeepalive bool
	// MergeSlashes joins adjacent slashes in $uri (merge_slashes).
	MergeSlashes bool
	// UnderscoresInHeaders lets request fields with "_" in their name pass (underscores_in_headers).
	UnderscoresInHeaders bool
	// IgnoreInvalidHeaders drops request fields whose name has other characters than
	// letters, digits and "-" (ignore_invalid_headers).
	IgnoreInvalidHeaders bool

	// RealIP finds the address of a client behind other proxies; nil where none is believed
	// (set_real_ip_from).
	RealIP *RealIP

	// MaxHeaders bounds the field lines of a request head (max_headers).
	MaxHeaders int32
	// KeepaliveMinTimeout is how long an idle client connection stays open when the
	// process wants to end (keepalive_min_timeout).
	KeepaliveMinTimeout int64
	// ResetTimedout ends connections that timed out with a reset (reset_timedout_connection).
	ResetTimedout bool

	// RequestBuffering holds a request body of up to ClientBodyBufferSize bytes before
	// an upstream is asked; a larger one is streamed (proxy_request_buffering,
	// client_body_buffer_size).
	RequestBuffering     bool
	ClientBodyBufferSize int64
	// Buffering reads up to BuffersSize bytes of a response ahead of a client that
	// reads slowly (proxy_buffering, proxy_buffers).
	Buffering   bool
	BuffersSize int64

	// WebsocketStrict refuses WebSocket handshakes that break RFC 6455, of either side
	// (websocket_strict).
	WebsocketStrict bool
	// Origins are the Origin fields that WebSocket handshakes may have; nil for any
	// (websocket_origin).
	Origins *Origins
	// TunnelCount is the number of the count that tunnels are in, 0 for none; at most TunnelsMax
	// may be in it. Who finds it full is asked to come back after TunnelsRetry seconds and up
	// to half as many more (tunnels_max).
	TunnelCount  uint32
	TunnelsMax   int64
	TunnelsRetry int64
	// TunnelFrames follows the frames of WebSocket tunnels (tunnel_frames).
	TunnelFrames bool
	// PassTrailers lets trailer fields pass in both directions (proxy_pass_trailers).
	PassTrailers bool
	// EarlyHints decides whether a 103 passes (early_hints); nil for never.
	EarlyHints *EarlyHints

	// ErrorPages are the pages for statuses (error_page).
	ErrorPages ErrorPages
	// InterceptErrors lets ErrorPages answer for an upstream too (proxy_intercept_errors).
	InterceptErrors bool
	// RecursiveErrorPages lets an error page lead to another (recursive_error_pages).
	RecursiveErrorPages bool
	// RewriteLog logs what rewrite directives do (rewrite_log).
	RewriteLog bool

	// Redirects say how redirects to a path are made absolute.
	Redirects RedirectForm
	// NoChunked lets the end of the connection end a response of unknown length
	// (chunked_transfer_encoding off).
	NoChunked bool
	// Trailers are the fields to add behind bodies (add_trailer); nil for none.
	Trailers *Trailers
	// IgnoreClientAbort goes on without the client (proxy_ignore_client_abort).
	IgnoreClientAbort bool

	// ServerName is the value of the Server field and of the footer of error pages
	// (server_tokens); empty means "holdfast".
	ServerName string
	// Headers are the fields to add to answers (add_header, expires); nil for none.
	Headers *Headers

	// Types and DefaultType give files their Content-Type (types, default_type).
	Types       *Types
	DefaultType string
	// MaxRanges bounds the ranges of one answer; 0 turns ranges off, -1 means no limit
	// of its own (max_ranges).
	MaxRanges int32
	// ETag adds the ETag of a file (etag).
	ETag bool
	// IfModifiedSince is how If-Modified-Since is compared (if_modified_since).
	IfModifiedSince IfModifiedSince
	// Sendfile lets the kernel copy files (sendfile).
	Sendfile bool
	// LogNotFound logs files that are not there (log_not_found).
	LogNotFound bool

	// Limits are asked once the location is known (limit_conn).
	Limits Limits

	// Access are the rules about clients' addresses; nil for none (allow, deny).
	Access *Access
	// SatisfyAny lets a client in that one of Access, Auth and AuthRequest admits (satisfy any).
	SatisfyAny bool
	// AuthRequest asks another location; nil for none (auth_request).
	AuthRequest *AuthRequest
	// Mirror has copies of requests sent elsewhere; nil for none (mirror).
	Mirror *Mirror
	// Referers is nil without valid_referers, SecureLink without secure_link and secure_link_secret.
	Referers   *Referers
	SecureLink *SecureLink
	// Auth asks for a name and a password; nil for no such thing (auth_basic).
	Auth *Auth

	// Policy is the number of what holds for a connection beyond its request, from the
	// shards' table of policies.
	Policy uint16

	// AccessLogs are the lines to write for each request; empty means off (access_log).
	AccessLogs []LogRef
	// TunnelLogs are the indexes of the files that get the line at a tunnel's close (tunnel_log).
	TunnelLogs []int
	// TunnelLines are the other lines about tunnels, in the order of their tunnel_log.
	TunnelLines []TunnelLogRef
	// TunnelQuiet leaves out the lines of AccessLogs for requests that became tunnels
	// (tunnel_log close, tunnel_log off).
	TunnelQuiet bool
}

// Buffers is a number of buffers and the size of each in bytes.
type Buffers struct {
	Count int32
	Size  int64
}

// LingeringClose says when to read on after the last answer (lingering_close).
type LingeringClose uint8

// The values of lingering_close.
const (
	LingeringOff    LingeringClose = iota // close at once
	LingeringOn                           // linger where the client may still be sending
	LingeringAlways                       // always linger
)

// NextUpstream is the set of failures after which the next peer is tried
// (proxy_next_upstream).
type NextUpstream uint16

// The members of NextUpstream; zero is off.
const (
	NextOnError         NextUpstream = 1 << iota // connecting, sending or reading the head failed
	NextOnTimeout                                // the same, by a timeout
	NextOnInvalidHeader                          // the head was empty or breaks HTTP
	NextOn500                                    // the answer had this status
	NextOn502
	NextOn503
	NextOn504
	NextOn403
	NextOn404
	NextOn429
	NextNonIdempotent // also for requests that must not be sent twice
)

// IfModifiedSince is how the time of a file is compared (if_modified_since).
type IfModifiedSince uint8

// The values of if_modified_since.
const (
	IfModifiedExact  IfModifiedSince = iota // equal times
	IfModifiedOff                           // never: the field is ignored
	IfModifiedBefore                        // not later
)

// Values of Settings.SSLVerifyClient.
const (
	VerifyOff          = iota // none is asked for
	VerifyOn                  // requests without a good one are refused
	VerifyOptional            // requests with a bad one are refused
	VerifyOptionalNoCA        // none is refused: who gets the request judges $ssl_client_verify
)
