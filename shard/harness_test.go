package shard

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
	"holdfast/limit"
	"holdfast/observe"
	"holdfast/pool"
	"holdfast/route"
	"holdfast/tlsio"
	"holdfast/upstream"
)

// deadline is how long anything in these tests may take that should happen at once.
const deadline = 60 * time.Second

// sink collects log lines.
type sink struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (k *sink) Swap(full []byte) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.text.Write(full)
	return full[:0]
}

func (k *sink) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.String()
}

// site is what a test configures of its shard.
type site struct {
	set      func(*route.Settings)
	group    func(*upstream.GroupSpec)
	policy   Policy
	sessions int
	inFlight int
	headers  []route.SetHeader // proxy_set_header
	paused   bool              // no Run: the test turns the loop by hand
	minor0   bool              // proxy_http_version 1.0
	tls      legs
	options  func(*Options)
	noVar    bool // no location /var: whoever asks must not choose an address
}

// world is a shard with one listener and one upstream, both on loopback.
type world struct {
	t      testing.TB
	sh     *Shard
	front  string // address of the shard, or of what speaks TLS for its clients
	shard  string // address of the shard
	back   *net.TCPListener
	access *sink
	errors *sink
	peer   *upstream.Peer
	shims  []*shim
	dialed uint64 // by a fuzz target
}

const testFormat = `$request|$status|$body_bytes_sent|$request_length|$upstream_addr|$upstream_http_x|$pipe`

func defaultSettings(p *Policies, policy Policy) route.Settings {
	if policy == (Policy{}) {
		policy = Policy{TunnelBlockedMs: 240_000, LingerMs: 30_000, LingerReadMs: 5_000, Logs: LogSet{1}}
	}
	id, _ := p.Intern(policy)
	return route.Settings{
		ClientHeaderTimeout: 60_000, ClientBodyTimeout: 60_000, ClientSendTimeout: 60_000,
		ClientHeaderBufferSize: 1 << 10, LargeHeaderBuffers: route.Buffers{Count: 4, Size: 8 << 10},
		ClientMaxBodySize: 1 << 20,
		KeepaliveTimeout:  75_000, KeepaliveRequests: 1000, KeepaliveTime: 3600_000,
		LingeringClose: route.LingeringOn, LingeringTime: 30_000, LingeringTimeout: 5_000,
		ConnectTimeout: 60_000, SendTimeout: 60_000, ReadTimeout: 60_000,
		NextUpstream: route.NextOnError | route.NextOnTimeout,
		TCPNodelay:   true, MergeSlashes: true, IgnoreInvalidHeaders: true, WebsocketStrict: true, TunnelFrames: true,
		Policy: id,
	}
}

// snapshot has these locations: / and everything below it passes to the upstream,
// /var passes to $arg_to, /own is answered by the shard, /drop is cut (444).
func (w *world) snapshot(st site, addr netip.AddrPort, p *Policies, peers *upstream.Registry) *Snapshot {
	c := route.NewCompiler(route.Process{PID: 1, Hostname: "box", Version: "0"}, nil)
	line, err := c.Compile(testFormat)
	w.check(err)
	set := defaultSettings(p, st.policy)
	set.AccessLogs = []route.LogRef{{File: 0, Format: &route.LogFormat{Line: line}}}
	if st.set != nil {
		st.set(&set)
	}
	spec := upstream.GroupSpec{
		Name: "up", Keepalive: 32, KeepaliveRequests: 1000, KeepaliveTimeoutMs: 60_000, KeepaliveTimeMs: 3600_000,
		Servers: []upstream.ServerSpec{{Name: addr.String(), Addr: addr, Weight: 1, MaxFails: 1, FailTimeoutMs: 10_000}},
	}
	if st.group != nil {
		st.group(&spec)
	}
	g, err := upstream.NewGroup(peers, spec)
	w.check(err)
	w.peer = g.AppendPeers(nil)[0]
	location := func(m route.Modifier, pattern string, fill func(*route.Location)) route.LocationSpec {
		l := &route.Location{Settings: set}
		fill(l)
		return route.LocationSpec{Modifier: m, Pattern: pattern, Location: l}
	}
	minor := uint8(1)
	if st.minor0 {
		minor = 0
	}
	pass := func(url string) func(*route.Location) {
		return func(l *route.Location) {
			l.Proxy, err = c.NewProxy(&route.ProxySpec{URL: url, Minor: minor, Pattern: "/", SetHeaders: st.headers})
			w.check(err)
			l.Proxy.TLS = st.tls.proxyTLS()
		}
	}
	answer := func(code int, text string) func(*route.Location) {
		return func(l *route.Location) {
			l.Rewrite, err = returning(c, code, text)
			w.check(err)
		}
	}
	variable := "http://$arg_to"
	if st.noVar {
		variable = "http://up"
	}
	b := route.NewBuilder(c, 1)
	_, err = b.AddServer(&route.ServerSpec{
		Names: []route.ServerName{{Text: "a"}}, Listens: []route.ListenUse{{}}, Settings: set,
		Locations: []route.LocationSpec{
			location(route.Prefix, "/", pass("http://up")),
			location(route.Prefix, "/var", pass(variable)),
			location(route.Exact, "/own", answer(200, "own")),
			location(route.Exact, "/drop", answer(444, "")),
		},
	})
	w.check(err)
	return &Snapshot{
		Table: b.Table(), Groups: []*upstream.Group{g}, GroupByName: map[string]*upstream.Group{"up": g},
		Listeners: []ListenerInfo{st.tls.listener()}, UpstreamTLS: st.tls.upstreams(c),
	}
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// newWorld starts a shard and checks at the end of the test that it gave everything
// back.
func newWorld(t testing.TB, st site) *world {
	t.Helper()
	w := &world{t: t, access: &sink{}, errors: &sink{}}
	fdsBefore := openFDs(t)
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	w.check(err)
	w.back = l
	fd, errno := sys.ListenTCP(netip.MustParseAddrPort("127.0.0.1:0"), sys.ListenOptions{NoDelay: true})
	if errno != 0 {
		t.Fatal(errno)
	}
	w.front = sys.LocalAddr(fd).String()
	w.shard = w.front
	back := l.Addr().(*net.TCPAddr).AddrPort()
	if st.tls.up {
		var s *shim
		s, back = secureBack(t, st.tls, back)
		w.shims = append(w.shims, s)
	}
	policies, peers := &Policies{}, upstream.NewRegistry()
	sessions, inFlight := max(st.sessions, 1), st.inFlight
	if st.sessions == 0 {
		sessions = 1 << 16
	}
	if inFlight == 0 {
		inFlight = 64 << 20
	}
	var id atomic.Uint64
	opt := Options{
		SessionsMax: sessions, InFlightMax: inFlight, PipesMax: 16, Policies: policies, Peers: peers,
		Snapshot:   w.snapshot(st, back, policies, peers),
		Handshakes: tlsio.NewPool(tlsio.PoolOptions{}), Zones: &limit.Zones{},
		Logs: []LogSink{w.access}, Errors: w.errors, ErrorLevel: observe.LevelInfo,
		NextID: func() uint64 { return id.Add(1) }, Pid: 1,
	}
	if st.options != nil {
		st.options(&opt)
	}
	w.sh, err = New(opt, []int32{fd})
	w.check(err)
	if !st.paused {
		go w.sh.Run()
	}
	t.Cleanup(func() { w.end(st.paused, fdsBefore) })
	if st.tls.down {
		w.front = secureFront(t, st.tls, w.front)
	}
	return w
}

// end stops the shard and looks for what it left behind.
func (w *world) end(paused bool, fdsBefore int) {
	w.back.Close()
	for _, s := range w.shims {
		s.close()
	}
	if paused {
		w.sh.beginStop()
		w.sh.Run()
	} else {
		w.sh.Stop()
		select {
		case <-w.sh.Done():
		case <-time.After(deadline):
			w.t.Fatal("the shard did not stop")
		}
	}
	w.balanced()
	if n := w.peer.Connections.Load(); n != 0 {
		w.t.Errorf("%d connections in the peer's account at the end", n)
	}
	if w.sh.pooled.Len() != 0 {
		w.t.Errorf("%d pooled connections at the end", w.sh.pooled.Len())
	}
	until := time.Now().Add(deadline)
	for openFDs(w.t) > fdsBefore && time.Now().Before(until) {
		time.Sleep(time.Millisecond) // the test's own sockets close in their cleanups
	}
	if n := openFDs(w.t); n > fdsBefore {
		w.t.Errorf("%d descriptors are open, %d were before", n, fdsBefore)
	}
}

// balanced reports what is lent although no session is left.
func (w *world) balanced() {
	w.t.Helper()
	sh := w.sh
	bufs, _ := sh.bufs.Lent()
	held, _ := sh.mover.Bufs.Lent()
	if n, _ := sh.sealed.Lent(); n != 0 || sh.mover.TLS.Len() != 0 || len(sh.handshakes) != 0 {
		w.t.Errorf("left behind: %d TLS connections, %d buffers of theirs, %d handshakes", sh.mover.TLS.Len(), n, len(sh.handshakes))
	}
	if sh.sessions.Len() != 0 || bufs+held+sh.pipes.Lent()+sh.requests.lent() != 0 || sh.timers.Len() != 0 {
		w.t.Errorf("left behind: %d sessions, %d+%d buffers, %d pipes, %d requests, %d timers",
			sh.sessions.Len(), bufs, held, sh.pipes.Lent(), sh.requests.lent(), sh.timers.Len())
	}
}

// warmNet has package net open what it keeps for the life of the process.
var warmNet = sync.OnceFunc(func() {
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
	}
})

func openFDs(t testing.TB) int {
	warmNet()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// ask runs f on the shard's thread.
func (w *world) ask(f func(*Shard)) {
	w.t.Helper()
	done := make(chan struct{})
	w.sh.Post(func(sh *Shard) { f(sh); close(done) })
	select {
	case <-done:
	case <-time.After(deadline):
		w.t.Fatal("the shard does not turn")
	}
}

// eventually asks until cond holds.
func (w *world) eventually(what string, cond func(*Shard) bool) {
	w.t.Helper()
	until := time.Now().Add(deadline)
	for {
		ok := false
		w.ask(func(sh *Shard) { ok = cond(sh) })
		if ok {
			return
		}
		if time.Now().After(until) {
			w.ask(func(sh *Shard) { w.t.Logf("sessions by state: %v\n%s", sh.counters.Sessions, w.errors) })
			w.t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (w *world) state(want State) {
	w.t.Helper()
	w.eventually("a session in "+want.String(), func(sh *Shard) bool { return sh.counters.Sessions[want] > 0 })
}

func (w *world) empty() {
	w.t.Helper()
	w.eventually("no session left", func(sh *Shard) bool { return sh.sessions.Len()-len(sh.closed) == 0 })
}

// logged waits for text in a log.
func (w *world) logged(k *sink, text string) {
	w.t.Helper()
	until := time.Now().Add(deadline)
	for !strings.Contains(k.String(), text) {
		if time.Now().After(until) {
			w.t.Fatalf("log %q has no %q", k, text)
		}
		time.Sleep(time.Millisecond)
	}
}

// only is the session of a world that has one. It must be used within ask.
func only(sh *Shard) (s *Session) {
	sh.sessions.Each(func(_ pool.Handle, each *Session) {
		if each.state != Closed {
			s = each
		}
	})
	return s
}

// expireNow lets the timer of the only session run out at once.
func (w *world) expireNow() {
	w.t.Helper()
	w.ask(func(sh *Shard) {
		s := only(sh)
		if s == nil || !s.timer.Armed() {
			w.t.Error("no timer is set")
			return
		}
		sh.timers.Cancel(s.slot)
		sh.onTimer(s)
	})
}

// conn is a raw connection with deadlines.
type conn struct {
	*net.TCPConn
	w *world
	r *bufio.Reader
}

func (w *world) wrap(c net.Conn, err error) *conn {
	w.t.Helper()
	w.check(err)
	w.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(deadline))
	return &conn{TCPConn: c.(*net.TCPConn), w: w, r: bufio.NewReaderSize(c, 1<<17)}
}

// client connects to the shard.
func (w *world) client() *conn {
	w.t.Helper()
	return w.wrap(net.Dial("tcp", w.front))
}

// upstream takes the next connection that the shard makes.
func (w *world) upstream() *conn {
	w.t.Helper()
	_ = w.back.SetDeadline(time.Now().Add(deadline))
	return w.wrap(w.back.Accept())
}

func (c *conn) send(text string) {
	c.w.t.Helper()
	_, err := c.Write([]byte(text))
	c.w.check(err)
}

func (c *conn) sendf(format string, args ...any) {
	c.w.t.Helper()
	c.send(fmt.Sprintf(format, args...))
}

// head reads up to and including the empty line.
func (c *conn) head() string {
	c.w.t.Helper()
	var b strings.Builder
	for !strings.HasSuffix(b.String(), "\r\n\r\n") {
		ch, err := c.r.ReadByte()
		if err != nil {
			c.w.t.Fatalf("head ends after %q: %v", b.String(), err)
		}
		b.WriteByte(ch)
	}
	return b.String()
}

// want reads exactly text.
func (c *conn) want(text string) {
	c.w.t.Helper()
	buf := make([]byte, len(text))
	n, err := io.ReadFull(c.r, buf)
	if string(buf[:n]) != text {
		c.w.t.Fatalf("got %q (%v), want %q", buf[:n], err, text)
	}
}

// response reads a whole response to method.
func (c *conn) response(method string) (*http.Response, string) {
	c.w.t.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	c.w.check(err)
	body, err := io.ReadAll(resp.Body)
	c.w.check(err)
	return resp, string(body)
}

// status reads a whole response to a GET and compares its status.
func (c *conn) status(want int) *http.Response {
	c.w.t.Helper()
	resp, _ := c.response("GET")
	if resp.StatusCode != want {
		c.w.t.Errorf("status %d, want %d", resp.StatusCode, want)
	}
	return resp
}

// end reads the end of the stream.
func (c *conn) end() {
	c.w.t.Helper()
	if b, err := c.r.ReadByte(); err != io.EOF {
		c.w.t.Fatalf("got %q, %v, want the end", b, err)
	}
}

// delivered waits until the kernel of the other side has all that was sent.
func (c *conn) delivered() {
	c.w.t.Helper()
	raw, err := c.SyscallConn()
	c.w.check(err)
	for until := time.Now().Add(deadline); ; time.Sleep(time.Millisecond) {
		var unacked int
		var failed error
		c.w.check(raw.Control(func(fd uintptr) { unacked, failed = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) }))
		c.w.check(failed)
		if unacked == 0 {
			return
		}
		if time.Now().After(until) {
			c.w.t.Fatalf("%d bytes never arrive", unacked)
		}
	}
}

func (c *conn) reset() {
	_ = c.SetLinger(0)
	c.TCPConn.Close()
}

const (
	wsKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	wsAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
	wsAsk    = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + wsKey + "\r\n\r\n"
	wsAnswer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Accept: " + wsAccept + "\r\n\r\n"
	okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: mark\r\n\r\nok"
)

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }

// tunnel opens a WebSocket tunnel.
func (w *world) tunnel() (down, up *conn) {
	w.t.Helper()
	down = w.client()
	down.send(wsAsk)
	up = w.upstream()
	up.head()
	up.send(wsAnswer)
	if head := down.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		w.t.Fatalf("answer %q", head)
	}
	return down, up
}

// returning is the directives of a location that only has a return.
func returning(c *route.Compiler, code int, text string) (*route.Rewrite, error) {
	ret, err := c.NewReturn(code, text, "text/plain")
	b := c.NewRewrite()
	b.Return(ret)
	return b.Rewrite(), err
}
