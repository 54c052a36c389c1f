package route

import (
	"net/netip"

	"holdfast/httpparse"
	"holdfast/proxyproto"
	"holdfast/tlsio/info"
)

// Env is everything a variable, a match or a header recipe may need to know about
// one request. The caller fills in what it knows, when it knows it, and reuses the
// Env for the next request after Reset. It belongs to one goroutine.
//
// The byte slices stay the caller's: they must not change until the last template
// of the request (its access log) has been rendered.
type Env struct {
	// Head is the buffer that Req's spans point into. Req may be nil before a head
	// was parsed; then the variables that need it are absent.
	Head []byte
	Req  *httpparse.Request

	// RawTarget is the request target as received, without scheme and authority
	// ($request_uri); URI the normalised path ($uri); Args what follows the first
	// "?" ($args). SetTarget fills them in.
	RawTarget []byte
	URI       []byte
	Args      []byte

	// Host is the requested host, lower-case and without port; empty if the request
	// has none. SetHost fills it in.
	Host []byte

	// Remote is the client's address; not valid for a unix-domain client.
	Remote netip.AddrPort
	// Local is the address the client connected to; not valid for a unix-domain
	// listener, whose path is LocalPath.
	Local     netip.AddrPort
	LocalPath string

	// ProxyProtocol is the header that the client's connection began with; nil without one.
	// It must not change until the request has ended.
	ProxyProtocol *proxyproto.Header

	// TLS is what the handshake with the client found out; nil without TLS.
	TLS *info.TLS

	// Server and Location are the results of FindServer and Locate; nil before.
	Server   *Server
	Location *Location

	// Connection is the connection's number, ConnectionRequests counts its requests,
	// this one included; ConnectionStartNs is when it was accepted.
	Connection         uint64
	ConnectionRequests uint32
	ConnectionStartNs  int64

	// NowNs is the present and StartNs the time of the request's first byte, both in
	// nanoseconds since 1970 (UTC).
	NowNs   int64
	StartNs int64

	// RequestLength is head and body as received, in bytes ($request_length).
	RequestLength int64
	// Status is the response's status; 0 if none was sent.
	Status int
	// ErrorStatus is what $status is within an error page, before there is an answer.
	ErrorStatus int
	// BytesSent counts what went to the client, BodyBytesSent the same without heads.
	BytesSent     int64
	BodyBytesSent int64
	// Pipelined says that the request was already there with the one before ($pipe).
	Pipelined bool
	// Completed says that the response was sent to its end ($request_completion).
	Completed bool

	// LimitReqStatus and LimitConnStatus are what became of the request at limit_req and
	// limit_conn; LimitRate is what takes the place of limit_rate.
	LimitReqStatus  LimitStatus
	LimitConnStatus LimitStatus
	LimitRate       RateSetting

	// UpstreamAddr is the peer last tried, "address:port" or "unix:path"; empty
	// while no upstream was asked, and then all $upstream_ variables are absent. BeginTry
	// sets it; the tries before are in the variables' lists too.
	UpstreamAddr string
	// UpstreamStatus is its response's status; 0 if it has not answered.
	UpstreamStatus int
	// UpstreamConnectMs, UpstreamHeaderMs and UpstreamResponseMs are the times from
	// the start of the try to the connection, the response head and the last byte, in
	// milliseconds; -1 while unknown.
	UpstreamConnectMs  int64
	UpstreamHeaderMs   int64
	UpstreamResponseMs int64
	// UpstreamBytesSent and UpstreamBytesReceived count bytes on the upstream
	// connections of all tries, UpstreamResponseLength those of the response's body.
	UpstreamBytesSent      int64
	UpstreamBytesReceived  int64
	UpstreamResponseLength int64

	// RespHead is the buffer that Resp's spans point into; Resp is nil until the
	// upstream's response head was parsed.
	RespHead []byte
	Resp     *httpparse.Response

	// Stream is for a session of the stream context, which has no request.
	Stream StreamEnv

	// moved says that URI is no longer that of RawTarget; internal, that RawTarget does
	// not go upstream any more either.
	moved, internal bool

	rewritten rewriteEnv
	tries     tries

	// Facts answers for variables about the system; nil leaves them absent. Socket is the
	// client's, for $tcpinfo_.
	Facts  Facts
	Socket int32

	body                           []byte // $request_body
	chunkedBytes                   int64  // of the body without its coding, if chunkedRead
	chunkedRead                    bool
	upstreamTrailers, sentTrailers []byte

	real realAddr

	// target is where a proxy_pass with variables leads, once Resolve was called.
	target endpoint

	// authority is that of an absolute-form target, which overrides Host.
	authority []byte

	// asGet says that the request goes on as a GET (SetGet).
	asGet bool

	// heldLocation is the Location line of a redirect that an error page answers; nil for none.
	heldLocation []byte
	// challenge is a line for the heads of answers (Auth.Challenge); nil for none.
	challenge []byte

	stuck stuck // StickTo

	carried carriedFields // of the response with X-Accel-Redirect

	ranges   []byteRange // of the file that JudgeFile judged
	captures captures
	link     linkState
	maps     []mapResult
	arena    []byte
	buffers  [][]byte
	sent     []byte
	id       requestID
	clock    clock
}

// arenaBytesMax is how much memory an Env keeps from one request to the next.
const arenaBytesMax = 16 << 10

// Reset makes e ready for the next request. It keeps the memory e has grown, up to
// a bound, and nothing of the request.
func (e *Env) Reset() {
	kept := Env{
		arena:              e.arena[:0],
		buffers:            e.buffers,
		sent:               e.sent[:0],
		ranges:             e.ranges[:0],
		clock:              e.clock,
		Stream:             e.Stream.reset(),
		rewritten:          e.rewritten.reset(),
		tries:              e.tries.reset(),
		UpstreamConnectMs:  -1,
		UpstreamHeaderMs:   -1,
		UpstreamResponseMs: -1,
	}
	// Cleared, so that a pooled Env keeps no old configuration's memory alive.
	clear(e.captures.named)
	kept.captures.named = e.captures.named[:0]
	clear(e.maps)
	kept.maps = e.maps[:0]
	if cap(kept.arena) > arenaBytesMax {
		kept.arena = nil
	}
	if cap(kept.sent) > arenaBytesMax {
		kept.sent = nil
	}
	for i := range kept.buffers {
		if cap(kept.buffers[i]) > arenaBytesMax {
			kept.buffers[i] = nil
		}
	}
	*e = kept
}

// settings are those of the location, else of the server; nil if neither is known.
func (e *Env) settings() *Settings {
	switch {
	case e.Location != nil:
		return &e.Location.Settings
	case e.Server != nil:
		return &e.Server.Settings
	}
	return nil
}

// borrow takes an empty scratch buffer that nobody else writes to until giveBack.
// Rendering may nest (a map's source may be a map), so there is more than one.
func (e *Env) borrow() []byte {
	last := len(e.buffers) - 1
	if last < 0 {
		return make([]byte, 0, 512)
	}
	buf := e.buffers[last]
	e.buffers[last] = nil
	e.buffers = e.buffers[:last]
	return buf[:0]
}

func (e *Env) giveBack(buf []byte) { e.buffers = append(e.buffers, buf) }

// render is t rendered into memory that lives until Reset.
func (e *Env) render(t Template) []byte {
	buf := t.Append(e.borrow(), e)
	kept := e.keep(buf)
	e.giveBack(buf)
	return kept
}

// keep copies b into memory that lives until Reset.
func (e *Env) keep(b []byte) []byte {
	at := len(e.arena)
	e.arena = append(e.arena, b...)
	return e.arena[at:len(e.arena):len(e.arena)]
}
