package shard

import (
	"net/netip"
	"time"

	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/route"
	"holdfast/upstream"
)

// Request is what one request needs beside its session's record. It is lent at the
// first byte of a head and returned when the response has ended, or the tunnel has
// begun. The objects are reused, and so is the memory they have grown.
type Request struct {
	env  route.Env
	req  httpparse.Request
	resp httpparse.Response

	snapshot *Snapshot
	server   *route.Server
	location *route.Location
	proxy    *route.Proxy        // nil for an answer of our own
	bind     netip.AddrPort      // the local address of the upstream's connection, if one is asked for
	stream   *route.StreamServer // of a stream's connection
	tls      *UpstreamTLS        // nil: the upstream is spoken to in the clear
	tlsName  string              // the name it is to have
	group    *upstream.Group
	peer     *upstream.Peer
	choice   upstream.Choice
	sticky   stickyState

	head     uint32 // buffer: the head; B[R:W] is what came behind it and is not used yet
	body     uint32 // buffer: the request body, as far as it is held, 0: none
	glued    int    // length of a whole request body that lies behind the head in its buffer
	ahead    uint32 // buffer: what the client sent behind its request body, 0: none
	respHead uint32 // buffer: a response head that came in pieces; kept for $upstream_http_
	headSent int64  // bytes of heads on the way to the client, for $body_bytes_sent
	up       flow   // the request body, towards the upstream
	down     flow   // the response body, towards the client
	file     file   // the file that is the answer's body, if one is open

	passedMs int64 // start of the first try
	tryMs    int64 // start of the current try
	tries    int
	identity uint32 // with which TLS, and as whom; connections of others are not used
	upConn   uint32 // slot + 1 of the upstream's connection among the pooled ones, 0: not one of them
	interims int    // 1xx responses of the upstream in this try

	wait     wait  // what the timer bounds
	waitMark int64 // the count of bytes that shows progress of it, when the timer was set
	counted  int64 // bytes that are in a peer's account already

	tunnelCount uint32 // number of the count that it is in because it may become a tunnel, 0: none
	retrySec    int    // the delay that a refusal asks for, 0: the usual one

	upgrade   httpparse.UpgradeKind
	sentHead  bool // the upstream may have some of this request
	answered  bool // a final status went to the client
	keepDown  bool // the client's connection may carry another request
	keepUp    bool // so may the upstream's
	askedUp   bool // the upstream was asked to switch
	upFailed  bool // no upstream answered
	outcome   bool // the outcome of an upgrade was counted
	quiet     bool // the access log has no line for it (tunnel_log)
	gotBytes  bool // the upstream has sent something in this try
	whole     bool // all of the request body is at hand: it can be sent once more
	cut       bool // the request body was not taken to its end
	discarded bool // some of it was read and not kept: no upstream can have it
	expects   bool // the client waits for a 100 before it sends its body
	buffers   bool // the response may be read ahead of the client
	asked100  bool // the upstream was asked for that 100

	phase      phase       // of the configuration that is asked next
	check      uint8       // of the access phase that is asked next
	denied     int         // the status of a check that failed where another may still admit (satisfy any)
	sub        *subrequest // the request is one of our own (auth_request): &outer; nil: it is the client's
	outer      subrequest
	lastStatus int                // of an answer that another peer's was asked for instead of
	status     int                // takes the place of the answer's own (error_page), 0: does not
	methodUp   httpparse.MethodID // of the upstream's request
	ownBody    []byte             // takes the place of the client's (proxy_set_body)
	order      uint64             // of a verdict that the session waits for in Access, 0: none
	failed     int                // the status that led to an error page
	hops       int                // internal redirects so far
	internal   bool               // it was sent elsewhere inside
	paged      bool               // an error page answers
	lastPage   bool               // no other error page may follow it
	broken     bool               // its head was refused: no upstream may see it
	plainOnTLS bool               // it came without TLS where TLS is spoken
	connect    bool               // a CONNECT: it becomes a tunnel without a request to the upstream
	mirrors    bool               // its body is read for copies of it (mirror)
	resolving  bool               // its name is being resolved
	nameOrder  uint64             // of that question
	named      bool               // it was: the next try is the first
	asGet      bool               // an error page's request: a GET without the client's body
}

// requestPool lends requests by index.
type requestPool struct {
	table []*Request // by index; nil where the object was given up
	free  []uint32   // objects to lend
	bare  []uint32   // indexes without an object
	low   int        // the fewest that were free since the last trim
}

func (p *requestPool) lent() int { return len(p.table) - len(p.free) - len(p.bare) }

// trim gives up half of the objects that were of no use since the last trim, however
// many others are lent, and reports whether there are more to give up.
func (p *requestPool) trim() (more bool) {
	n := len(p.free)
	for range (p.low + 1) / 2 {
		n--
		p.table[p.free[n]] = nil
		p.bare = append(p.bare, p.free[n])
	}
	p.free = p.free[:n]
	p.low = n
	if len(p.bare) == len(p.table) {
		p.table, p.free, p.bare = nil, nil, nil
	}
	return n > 0
}

func (p *requestPool) get() (uint32, *Request) {
	if n := len(p.free); n > 0 {
		i := p.free[n-1]
		p.free = p.free[:n-1]
		p.low = min(p.low, n-1)
		return i, p.table[i]
	}
	r := &Request{}
	r.recycle()
	if n := len(p.bare); n > 0 {
		i := p.bare[n-1]
		p.bare = p.bare[:n-1]
		p.table[i] = r
		return i, r
	}
	p.table = append(p.table, r)
	return uint32(len(p.table) - 1), r
}

func (p *requestPool) put(i uint32) { p.free = append(p.free, i) }

// cold is the session's request. It must have one.
func (sh *Shard) cold(s *Session) *Request { return sh.requests.table[s.request-1] }

// lendRequest gives the session a request with an empty head buffer.
func (sh *Shard) lendRequest(s *Session) *Request {
	i, r := sh.requests.get()
	s.request = i + 1
	sh.startRequest(s, r)
	r.head, _ = sh.bufs.Get(int(r.server.Settings.ClientHeaderBufferSize))
	return r
}

// recycle empties r but for the memory it has grown. Nothing of a request stays
// reachable from an unused one: a snapshot least of all. It owns no buffer any more.
func (r *Request) recycle() {
	r.env.Reset()
	r.req.Reset()
	r.resp.Reset()
	*r = Request{env: r.env, req: r.req, resp: r.resp}
}

// startRequest readies a recycled r for the next head on the connection.
func (sh *Shard) startRequest(s *Session, r *Request) {
	r.snapshot = sh.snapshotOf(s)
	r.server = r.snapshot.Table.Default(int(s.listener))
	s.policy = r.server.Settings.Policy
	r.req.MaxFields = int(r.server.Settings.MaxHeaders)
	e := &r.env
	e.Connection = s.id
	e.Facts, e.Socket = (*facts)(sh), s.Down.FD
	e.NowNs = sh.wallNs()
	e.StartNs = e.NowNs
	e.ConnectionStartNs = e.NowNs - (sh.nowMs-sh.tickMs(s.openedTick))*int64(time.Millisecond)
	e.TLS = nil
	if id := s.Down.TLS(); id != 0 {
		e.TLS = sh.mover.TLS.Info(id)
	}
	e.ProxyProtocol = sh.proxied.of[s.slot]
	sh.fillAddresses(s, e)
}

// fillAddresses fills in both ends of the client's connection.
func (sh *Shard) fillAddresses(s *Session, e *route.Env) {
	l := &sh.snapshotOf(s).Listeners[s.listener]
	if l.Unix != "" {
		e.LocalPath = l.Unix
		return
	}
	e.Remote = sh.remoteAddr(s)
	e.Local = l.Addr
	if l.Wildcard {
		e.Local = sys.LocalAddr(s.Down.FD)
	}
}

// releaseRequest returns the session's request with all it has on loan, after its
// access log line.
func (sh *Shard) releaseRequest(s *Session) {
	if s.request == 0 {
		return
	}
	r := sh.cold(s)
	sh.endRequest(s, r)
	sh.dropBuffers(r)
	sh.closeFile(r)
	i := s.request - 1
	s.request = 0
	r.recycle()
	sh.requests.put(i)
	sh.houseSoon()
}

func (sh *Shard) dropBuffers(r *Request) {
	for _, id := range [...]*uint32{&r.head, &r.body, &r.ahead, &r.respHead} {
		if *id != 0 {
			sh.bufs.Put(*id)
			*id = 0
		}
	}
	sh.drop(&r.up)
	sh.drop(&r.down)
	sh.drop(&r.outer.up)
}

// headBuf is the buffer of the client's head.
func (sh *Shard) headBuf(r *Request) *pool.Buf { return sh.bufs.At(r.head) }
