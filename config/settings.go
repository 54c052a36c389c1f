package config

import "time"

// Settings are the values that http, server and location pass on to the levels
// inside them. Durations are exact; sizes are in bytes.
type Settings struct {
	// KeepaliveTimeout is how long an idle client connection stays open; 0 turns
	// keep-alive off (keepalive_timeout).
	KeepaliveTimeout time.Duration
	// KeepaliveHeader is the timeout told to the client in a Keep-Alive field; 0
	// means no such field (second argument of keepalive_timeout).
	KeepaliveHeader time.Duration
	// KeepaliveRequests is the number of requests per client connection.
	KeepaliveRequests int64
	// KeepaliveTime is how long a client connection may carry new requests.
	KeepaliveTime time.Duration

	// ClientHeaderTimeout bounds the reading of a whole request head. It, the two
	// header buffer sizes, MergeSlashes, UnderscoresInHeaders and
	// IgnoreInvalidHeaders are values of the server, the same in all its locations.
	ClientHeaderTimeout time.Duration
	// ClientBodyTimeout bounds the wait between two reads of a request body.
	ClientBodyTimeout time.Duration
	// SendTimeout bounds the wait between two writes to the client.
	SendTimeout time.Duration
	// ClientMaxBodySize is the largest request body; 0 means no limit.
	ClientMaxBodySize int64
	// ClientHeaderBufferSize is the size of the first buffer for a request head.
	ClientHeaderBufferSize int64
	// LargeClientHeaderBuffers is what a head may grow to.
	LargeClientHeaderBuffers Buffers
	// MaxHeaders bounds the field lines of a request head.
	MaxHeaders int
	// ClientBodyBufferSize is how much of a request body is held in memory before an
	// upstream is asked, at most bufferedMax.
	ClientBodyBufferSize int64
	// KeepaliveMinTimeout is how long an idle client connection stays open when the
	// process wants to end.
	KeepaliveMinTimeout time.Duration
	// ResetTimedout ends connections that timed out with a reset.
	ResetTimedout bool
	// WebsocketStrict refuses handshakes that break RFC 6455.
	WebsocketStrict bool
	// TunnelFrames follows WebSocket frames in tunnels.
	TunnelFrames bool

	LingeringClose LingeringClose
	// LingeringTime bounds a whole lingering close.
	LingeringTime time.Duration
	// LingeringTimeout bounds the wait for more data within it.
	LingeringTimeout time.Duration

	TCPNodelay           bool
	MergeSlashes         bool
	UnderscoresInHeaders bool
	IgnoreInvalidHeaders bool
	// DefaultType is the Content-Type of a return with a text, and of files whose
	// ending is not in Types.
	DefaultType string

	// ErrorPages are the error_page of a level, in file order; a level that has any
	// inherits none.
	ErrorPages          []ErrorPage
	RecursiveErrorPages bool
	// RewriteLog logs what rewrite directives do (rewrite_log).
	RewriteLog   bool
	ServerTokens ServerTokens
	// ServerName is the text of server_tokens for TokensText.
	ServerName string
	// AddHeaders are the fields of add_header, in file order; a level that has any
	// inherits none.
	AddHeaders []AddHeader
	// AddTrailers are those of add_trailer, in file order; a level that has any inherits none.
	AddTrailers []AddHeader
	// Expires is nil unless written. It is inherited apart from AddHeaders.
	Expires *Expires
	// EarlyHints are the conditions for a 103 to pass; none means never.
	EarlyHints []Text
	// Redirects say how redirects are made absolute.
	Redirects RedirectSettings
	// Chunked uses the chunked coding towards clients (chunked_transfer_encoding).
	Chunked bool

	Files FileSettings

	// AccessLogs is empty if access_log is off.
	AccessLogs []AccessLog
	// TunnelLogs are the lines about tunnels beside those of AccessLogs: those of
	// tunnel_log, and those at a tunnel's close that go to the files of AccessLogs.
	TunnelLogs []TunnelLog
	// TunnelAccess is tunnel_log without a path.
	TunnelAccess TunnelWhen
	// ErrorLogs are the error_log of a level, in file order; a level that has any inherits
	// none. Without any, those of the main context hold.
	ErrorLogs []ErrorLog
	// TunnelSendTimeout is how long a half of a tunnel may stay blocked
	// (tunnel_send_timeout).
	TunnelSendTimeout time.Duration

	Proxy ProxySettings
	// SSL are values of the server, the same in all its locations.
	SSL SSLSettings

	// Limits are inherited like every other value.
	Limits LimitSettings
	Auth   AuthSettings
	// Access are the allow and deny of a level, in file order; a level that has any
	// inherits none.
	Access []AccessRule
	// SatisfyAny lets a client in that one check admits (satisfy any).
	SatisfyAny  bool
	AuthRequest AuthRequestSettings
	Mirror      MirrorSettings
	// Referers is nil without valid_referers.
	Referers   *Referers
	SecureLink SecureLink
	Stream     StreamSettings
	Tunnel     TunnelSettings
	// TunnelLimits hold for tunnels of every kind.
	TunnelLimits TunnelLimits
	Resolver     ResolverSettings
	RealIP       RealIPSettings
	// ProxyProtocolTimeout bounds the wait for the header of the PROXY protocol.
	ProxyProtocolTimeout time.Duration
}

// ProxySettings are the proxy_* values.
type ProxySettings struct {
	// HTTPMinor is the minor version spoken to the upstream: 0 or 1.
	HTTPMinor uint8
	// SetHeaders are the fields of proxy_set_header, in file order; a level that
	// has any inherits none. nginx's own Host and Connection are not in it.
	SetHeaders []SetHeader
	// PassHeaders and HideHeaders are the names of proxy_pass_header and
	// proxy_hide_header as written. nginx's built-in hide list is not in it.
	PassHeaders, HideHeaders []string

	// ConnectTimeout bounds one try to connect.
	ConnectTimeout time.Duration
	// ReadTimeout and SendTimeout bound the wait between two reads from, or writes
	// to, the upstream. For a tunnel they count only where ReadTimeoutSet or
	// SendTimeoutSet says that they were written, here or at an outer level.
	ReadTimeout, SendTimeout       time.Duration
	ReadTimeoutSet, SendTimeoutSet bool

	// SocketKeepalive turns TCP keepalive on for upstream connections; true unless
	// written otherwise (a deviation from nginx).
	SocketKeepalive bool

	NextUpstream NextUpstream
	// NextUpstreamTries is the number of peers tried; 0 means no limit.
	NextUpstreamTries int
	// NextUpstreamTimeout bounds all tries together; 0 means no limit.
	NextUpstreamTimeout time.Duration

	// RequestBuffering holds a request body of up to ClientBodyBufferSize before an
	// upstream is asked; a larger one is streamed.
	RequestBuffering bool
	// Buffering reads up to BuffersSize bytes of a response, at most bufferedMax, ahead
	// of a client that reads slowly.
	Buffering   bool
	BuffersSize int64
	// PassTrailers lets trailer fields pass in both directions.
	PassTrailers bool
	// InterceptErrors lets ErrorPages answer for an upstream, too.
	InterceptErrors bool

	SSL ProxySSLSettings
	// ProxyProtocol is the version of the header that goes to the upstream first: 0 for none, 1 or 2.
	ProxyProtocol uint8

	// Heads are the values about the heads sent and received.
	Heads ProxyHeads
}

// SetHeader is one proxy_set_header.
type SetHeader struct {
	Position
	Name string
	// Value may contain variables. A value that is empty when rendered drops the field.
	Value string
}

// bufferedMax bounds what is held of one body in one direction: the size of the
// largest buffer that a shard lends.
const bufferedMax = 128 << 10

// Buffers is a number of buffers and the size of each in bytes.
type Buffers struct {
	Count int
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

// NextUpstream is the set of failures after which the next peer is tried.
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

// defaultSettings are the values of the http level before anything is read.
func defaultSettings() Settings {
	return Settings{
		KeepaliveTimeout:         75 * time.Second,
		KeepaliveRequests:        1000,
		KeepaliveTime:            time.Hour,
		ClientHeaderTimeout:      60 * time.Second,
		ClientBodyTimeout:        60 * time.Second,
		SendTimeout:              60 * time.Second,
		ClientMaxBodySize:        1 << 20,
		ClientHeaderBufferSize:   1 << 10,
		LargeClientHeaderBuffers: Buffers{Count: 4, Size: 8 << 10},
		MaxHeaders:               200,
		ResetTimedout:            true,
		ClientBodyBufferSize:     16 << 10,
		WebsocketStrict:          true,
		TunnelFrames:             true,
		LingeringClose:           LingeringOn,
		LingeringTime:            30 * time.Second,
		LingeringTimeout:         5 * time.Second,
		TCPNodelay:               true,
		MergeSlashes:             true,
		IgnoreInvalidHeaders:     true,
		DefaultType:              "text/plain",
		Redirects:                RedirectSettings{Absolute: true, Port: true},
		Chunked:                  true,
		Mirror:                   MirrorSettings{Body: true},
		TunnelSendTimeout:        240 * time.Second,
		Files:                    defaultFileSettings(),
		Limits:                   defaultLimitSettings(),
		Stream:                   defaultStreamSettings(),
		Tunnel:                   defaultTunnelSettings(),
		TunnelLimits:             defaultTunnelLimits(),
		Resolver:                 defaultResolverSettings(),
		Proxy: ProxySettings{
			HTTPMinor:        1,
			ConnectTimeout:   60 * time.Second,
			ReadTimeout:      60 * time.Second,
			SendTimeout:      60 * time.Second,
			SocketKeepalive:  true,
			NextUpstream:     NextOnError | NextOnTimeout,
			RequestBuffering: true,
			Buffering:        true,
			BuffersSize:      64 << 10,
			SSL:              defaultProxySSL(),
		},
		SSL:    defaultSSL(),
		RealIP: defaultRealIP(), ProxyProtocolTimeout: proxyHeaderTimeout,
	}
}
