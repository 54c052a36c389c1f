package shard

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/pool"
	"holdfast/route"
	"holdfast/upstream"
)

var exchangeSeed = flag.Int64("exchange.seed", 0, "the one seed that TestExchanges runs; 0: new ones")

// decoy is what bodies are made of: whoever takes a part of one for a request, or for a
// response, finds one that nobody sent.
const decoy = "GET /decoy HTTP/1.1\r\nHost: a\r\n\r\nHTTP/1.1 299 Decoy\r\nContent-Length: 0\r\n\r\n0\r\n\r\n5\r\n"

// payload is the body of n bytes that belongs to an id.
func payload(id string, n int) []byte {
	b := make([]byte, 0, n+len(decoy)+len(id))
	for len(b) < n {
		b = append(b, id...)
		b = append(b, decoy...)
	}
	return b[:n]
}

func sum(b []byte) string { return strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 16) }

// exchange is one request of a client and what is to come of it.
type exchange struct {
	id, method string
	body       []byte
	chunked    bool
	length     bool
	trailer    bool
	expect     bool
	do         [3]string // what each upstream does with it; the last is for those asked again
	raw        []byte
	headLen    int
	asked      int // how often an upstream had its head
	verdict    int // on its subrequest; 0: none comes
}

// cuts reports whether the answer may end short.
func (x *exchange) cuts() bool {
	return slices.ContainsFunc(x.do[:], func(do string) bool {
		return do == "cutlength" || do == "cutchunked" || do == "badtrailer" || do == "earlyclose"
	})
}

// trial is one shard with settings of its own, its upstreams and its clients.
type trial struct {
	*rig
	seed  int64
	pages bool // a request may be sent elsewhere inside
	accel bool // by an upstream
	mu    sync.Mutex
	byID  map[string]*exchange
	conns []net.Conn
	bad   []string
	wg    sync.WaitGroup
}

func (tr *trial) complain(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.bad) < 5 {
		tr.bad = append(tr.bad, fmt.Sprintf(format, args...))
	}
}

func (tr *trial) track(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	tr.mu.Lock()
	tr.conns = append(tr.conns, c)
	tr.mu.Unlock()
}

func pick[T any](rnd *rand.Rand, of ...T) T { return of[rnd.Intn(len(of))] }

// newTrial makes a shard with random settings.
func newTrial(t *testing.T, seed int64) *trial {
	rnd := rand.New(rand.NewSource(seed))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("static"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), payload("large", 300<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	st := site{inFlight: pick(rnd, 0, 0, 0, 256<<10), set: func(s *route.Settings) {
		s.RequestBuffering, s.ClientBodyBufferSize = rnd.Intn(2) == 0, pick[int64](rnd, 8, 300, 16<<10)
		s.Buffering, s.BuffersSize = rnd.Intn(2) == 0, pick[int64](rnd, 1, 4<<10, 64<<10)
		s.PassTrailers, s.Sendfile = rnd.Intn(2) == 0, rnd.Intn(2) == 0
		s.ClientMaxBodySize = pick[int64](rnd, 0, 0, 1000)
		s.InterceptErrors, s.RecursiveErrorPages = rnd.Intn(2) == 0, rnd.Intn(2) == 0
		s.NextUpstream = pick(rnd, s.NextUpstream, s.NextUpstream, s.NextUpstream|route.NextOnInvalidHeader|
			route.NextOn404|route.NextOn500)
	}}
	st.tls = pick(rnd, legs{}, legs{}, legs{down: true}, legs{up: true}, legs{down: true, up: true},
		legs{down: true, up: true, version: tls.VersionTLS12})
	dead := rnd.Intn(3) == 0
	st.group = func(g *upstream.GroupSpec) {
		g.Servers[0].MaxFails = 0
		if dead {
			other := g.Servers[0]
			other.Addr = netip.MustParseAddrPort("127.0.0.1:1")
			other.Name = other.Addr.String()
			g.Servers = append(g.Servers, other)
		}
	}
	var pages []route.ErrorPageSpec
	for _, status := range []int{400, 404, 405, 408, 411, 413, 500, 502, 504} {
		if rnd.Intn(3) > 0 {
			target := pick(rnd, "@other", "@other", "/page", "/file", "/large", "/text", "/none", "http://b/")
			pages = append(pages, pageAs(pick(rnd, route.KeepStatus, route.OwnStatus, 200, 204), target, status))
		}
	}
	if rnd.Intn(3) == 0 {
		pages = nil
	}
	accel := rnd.Intn(3) == 0
	tr := &trial{seed: seed, pages: pages != nil || accel, accel: accel, byID: map[string]*exchange{}}
	inner := st.set
	var judged []func(*route.Settings)
	for range 3 {
		judge := func(*route.Settings) {}
		if rnd.Intn(3) == 0 {
			judge = judgedBy(t, pick(rnd, "/judge", "/judge", "/judge2", "/yes", "/file", "/none"))
		}
		judged = append(judged, judge)
	}
	slow := rnd.Intn(3) == 0
	key, err := route.NewCompiler(route.Process{}, nil).NewLimitKey("all")
	if err != nil {
		t.Fatal(err)
	}
	st.set = func(s *route.Settings) {
		inner(s)
		if s.Limits.ReqStatus = 503; slow {
			s.Limits.Reqs = []route.LimitReq{{LimitKey: key, Burst: 1 << 40}}
		}
	}
	st.options = func(o *Options) {
		const perSecond = 300
		o.Snapshot.RateZones = []RateZone{{Zone: o.Zones.OpenRate("all", "all", 1<<20), Rate: perSecond * 1000}}
	}
	own := "own$http_x_id"
	tr.rig = newRig(t, st,
		place{at: "/", up: 1, pages: pages, minor: pick[uint8](rnd, 0, 0, 0, 1), set: judged[0]},
		place{at: "/again/", pages: pages, set: judged[1], rewrite: func(b *route.RewriteBuilder) error {
			return b.Rule(route.RuleSpec{Pattern: "^/again(.*)$", Regexp: "^/again(.*)$", Replacement: "$1", Flag: route.RewriteLast})
		}},
		place{at: "/own/", up: 1, pages: pages, proxySetField: []route.SetHeader{{Name: "X-Place", Value: "own"}}, set: judged[1],
			spec: func(p *route.ProxySpec) { p.SetBody = &own }},
		place{at: "/bare/", up: 2, pages: pages, proxySetField: []route.SetHeader{{Name: "X-Place", Value: "bare"}}, set: judged[2],
			spec: func(p *route.ProxySpec) { p.DropBody = true }},
		place{at: "=/judge", up: 1, insideOnly: true}, place{at: "=/judge2", up: 2, insideOnly: true},
		place{at: "=/yes", code: 204, insideOnly: true},
		place{at: "@other", up: 2, pages: pages, minor: pick[uint8](rnd, 0, 0, 0, 1), set: judged[2]}, place{at: "=/page", up: 2, pages: pages},
		place{at: "=/file", root: dir}, place{at: "=/large", root: dir}, place{at: "=/text", code: 200, text: "text"},
		place{at: "/none", code: 404, pages: pages},
		place{at: "/try", root: dir, tries: []string{"$uri"}, otherwise: "@other", pages: pages})
	for i, l := range []*net.TCPListener{tr.back, tr.other} {
		tr.wg.Add(1)
		go func() {
			defer tr.wg.Done()
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				tr.track(c)
				tr.wg.Add(1)
				go func() { defer tr.wg.Done(); tr.backend(c.(*net.TCPConn), i) }()
			}
		}()
	}
	return tr
}

// newExchange is a random request.
func (tr *trial) newExchange(rnd *rand.Rand, id string) *exchange {
	x := &exchange{id: id, method: pick(rnd, "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE")}
	for i := range x.do {
		x.do[i] = pick(rnd, "length", "length", "chunked", "chunked", "trailers", "close", "early", "earlyclose", "interim", "hints",
			"404", "500", "nobody", "resethead", "resetbody", "cutlength", "cutchunked", "cuthead", "garbage", "badtrailer", "stale",
			"large", "toomuch", "slow")
		if tr.accel && rnd.Intn(3) == 0 {
			x.do[i] = "accel" + pick(rnd, "@other", "/page", "/file", "/large", "/text", "/none", "/again/"+id, "/bare/"+id, "/own/"+id)
		}
	}
	x.verdict = pick(rnd, 204, 204, 204, 204, 200, 401, 403, 500, 0)
	path := pick(rnd, "/"+id, "/"+id, "/"+id, "/none", "/try/"+id, "/file", "/large", "/text",
		"/again/"+id, "/own/"+id, "/bare/"+id)
	n := pick(rnd, 0, 1, 7, 100, 999, 5000, 70<<10, 400<<10)
	if x.method == "GET" || x.method == "HEAD" {
		n = pick(rnd, 0, 0, 0, 5)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: a\r\nX-Id: %s\r\n", x.method, path, id)
	if rnd.Intn(2) == 0 {
		b.WriteString("TE: trailers\r\nConnection: TE\r\n")
	}
	switch rnd.Intn(3) {
	case 0:
		x.chunked = x.method != "GET" && x.method != "HEAD" || rnd.Intn(4) == 0
	case 1:
		x.length = true
	}
	if x.chunked || x.length {
		x.body = payload(id, n)
		x.expect = rnd.Intn(4) == 0
	}
	if x.expect {
		b.WriteString("Expect: 100-continue\r\n")
	}
	switch {
	case x.length:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(x.body))
		x.headLen = b.Len()
		b.Write(x.body)
	case x.chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		x.headLen = b.Len()
		for rest := x.body; len(rest) > 0; {
			n := 1 + rnd.Intn(min(len(rest), pick(rnd, 3, 100, 100<<10)))
			if len(rest) > 5000 {
				n = min(len(rest), n+3000)
			}
			fmt.Fprintf(&b, "%x%s\r\n%s\r\n", n, pick(rnd, "", "", ";a=b"), rest[:n])
			rest = rest[n:]
		}
		b.WriteString("0\r\n")
		if x.trailer = rnd.Intn(2) == 0; x.trailer {
			fmt.Fprintf(&b, "X-Trail: %s\r\n", id)
		}
		b.WriteString("\r\n")
	default:
		b.WriteString("\r\n")
		x.headLen = b.Len()
	}
	x.raw = b.Bytes()
	tr.mu.Lock()
	tr.byID[id] = x
	tr.mu.Unlock()
	return x
}

// backend serves one upstream connection and checks what it gets.
func (tr *trial) backend(c *net.TCPConn, which int) {
	defer c.Close()
	br := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			var ne net.Error
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, &ne) {
				tr.complain("upstream %d: a request that does not parse: %v", which, err)
			}
			return
		}
		tr.mu.Lock()
		x := tr.byID[req.Header.Get("X-Id")]
		if x != nil && strings.HasPrefix(req.URL.Path, "/judge") {
			tr.mu.Unlock()
			if !tr.judgeIt(c, req, x) {
				return
			}
			continue
		}
		do := ""
		if x != nil {
			if do = x.do[which]; x.asked > 1 {
				do = x.do[2]
			}
			x.asked++
			if x.asked > 1 && !tr.pages && x.method == "POST" {
				tr.bad = append(tr.bad, "a POST was asked twice: "+x.id)
			}
		}
		tr.mu.Unlock()
		if x == nil {
			tr.complain("upstream %d: nobody asked for %s %s", which, req.Method, req.RequestURI)
			return
		}
		if !tr.answer(c, req, x, do, which) {
			return
		}
	}
}

// judgeIt answers a subrequest.
func (tr *trial) judgeIt(c net.Conn, req *http.Request, x *exchange) (more bool) {
	if req.Method != "GET" || req.ContentLength != 0 || len(req.TransferEncoding) > 0 || req.Header.Get("Expect") != "" {
		tr.complain("a subrequest %s %s of %d bytes, expects %q", req.Method, req.RequestURI, req.ContentLength, req.Header.Get("Expect"))
	}
	var text string
	switch x.verdict {
	case 0:
		_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 20")
		return false
	case 204:
		text = "HTTP/1.1 204 Yes\r\n\r\n"
	case 200:
		text = "HTTP/1.1 200 Yes\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(decoy)
	default:
		text = fmt.Sprintf("HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%s", x.verdict, len(decoy), decoy)
	}
	_, err := io.WriteString(c, text)
	return err == nil
}

// readBody reads a request's body and compares it.
func (tr *trial) readBody(req *http.Request, x *exchange, which int) (whole bool) {
	body, err := io.ReadAll(req.Body)
	want := x.body
	own := req.Header.Get("X-Place") == "own"
	if tr.pages && (req.Method == "GET" || req.Method == "HEAD") && (req.ContentLength == 0 || own) {
		want = nil // that of an error page
	} else if req.Method != x.method || req.RequestURI == "/page" {
		tr.complain("upstream %d: %s %s of %d bytes for %s %s", which, req.Method, req.RequestURI, req.ContentLength, x.method, x.id)
	}
	if own {
		want = []byte("own" + x.id)
	} else if req.Header.Get("X-Place") == "bare" {
		want = nil
	}
	if err != nil {
		if !bytes.HasPrefix(want, body) {
			tr.complain("upstream %d: the part of a body of %d bytes is not one of %s", which, len(body), x.id)
		}
		return false
	}
	if !bytes.Equal(body, want) {
		tr.complain("upstream %d: a body of %d bytes, want %d (%s)", which, len(body), len(want), x.id)
	}
	if got := req.Trailer.Get("X-Trail"); got != "" && (got != x.id || !x.trailer) {
		tr.complain("upstream %d: trailer %q of %s", which, got, x.id)
	}
	return true
}

// answer does what the exchange says. It returns false when the connection is over.
func (tr *trial) answer(c *net.TCPConn, req *http.Request, x *exchange, do string, which int) (more bool) {
	body := payload(x.id, 200+len(x.id)*7)
	if do == "large" {
		body = payload(x.id, 700<<10)
	}
	wants := strings.EqualFold(req.Header.Get("Expect"), "100-continue")
	head := func(status string, fields string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\nX-Echo: %s\r\nX-Do: %s\r\nX-Sum: %s\r\n%s\r\n", status, x.id, do, sum(body), fields)
	}
	reset := func() { _ = c.SetLinger(0) }
	put := func(parts ...string) bool {
		for _, p := range parts {
			if req.Method == "HEAD" && p == string(body) {
				continue
			}
			if _, err := io.WriteString(c, p); err != nil {
				return false
			}
		}
		return true
	}
	length := head("200 OK", fmt.Sprintf("Content-Length: %d\r\n", len(body)))
	coded := head("200 OK", "Transfer-Encoding: chunked\r\n")
	chunk := func(b []byte) string { return fmt.Sprintf("%x\r\n%s\r\n", len(b), b) }
	if to, accelerates := strings.CutPrefix(do, "accel"); accelerates {
		return tr.readBody(req, x, which) && put(head("200 OK", fmt.Sprintf("X-Accel-Redirect: %s\r\nContent-Length: %d\r\n", to, len(body))), string(body))
	}
	switch do {
	case "early", "earlyclose":
		ok := put(length, string(body))
		if do == "earlyclose" || !ok {
			return false
		}
		return tr.readBody(req, x, which)
	case "resethead":
		reset()
		return false
	}
	if wants {
		put("HTTP/1.1 100 Continue\r\n\r\n")
	}
	if !tr.readBody(req, x, which) {
		return false
	}
	if req.Method == "HEAD" && do != "resetbody" && do != "cuthead" && do != "garbage" {
		return put(length)
	}
	switch do {
	case "chunked":
		return put(coded, chunk(body[:5]), chunk(body[5:]), "0\r\n\r\n")
	case "trailers":
		return put(coded, chunk(body), "0\r\nX-End: "+x.id+"\r\n\r\n")
	case "badtrailer":
		put(coded, chunk(body), "0\r\nX-End: "+x.id+"\r\nX bad\r\n\r\n")
		return false
	case "close":
		put(head("200 OK", "Connection: close\r\n"), string(body))
		return false
	case "interim", "hints":
		return put("HTTP/1.1 102 Processing\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", length, string(body))
	case "404":
		return put(head("404 Not Found", fmt.Sprintf("Content-Length: %d\r\n", len(body))), string(body))
	case "500":
		return put(head("500 Oops", "Transfer-Encoding: chunked\r\n"), chunk(body), "0\r\n\r\n")
	case "nobody":
		return put(head("204 No Content", ""))
	case "resetbody":
		reset()
		return false
	case "cutlength":
		put(length, string(body[:len(body)-1]))
		return false
	case "cutchunked":
		put(coded, chunk(body))
		return false
	case "cuthead":
		put(length[:len(length)/2])
		return false
	case "garbage":
		put("HTTP/1.1 2oo\r\n\r\n")
		return false
	case "stale":
		put(length, string(body))
		return false
	case "toomuch":
		// In one piece: what comes later can't be told from the next answer.
		put(length + string(body) + "HTTP/1.1 299 Decoy\r\nContent-Length: 0\r\n\r\n")
		return false
	case "slow":
		return put(length[:10], length[10:], string(body[:1]), string(body[1:]))
	}
	return put(length, string(body))
}

// dump describes the sessions.
func (tr *trial) dump() string {
	text := make(chan string, 1)
	tr.sh.Post(func(sh *Shard) {
		var b strings.Builder
		n, held := sh.bufs.Lent()
		fmt.Fprintf(&b, "%d buffers of %d bytes, full %v, %d starved, %d files\n", n, held, sh.bufs.Full(), len(sh.starved), sh.files)
		sh.sessions.Each(func(_ pool.Handle, s *Session) {
			fmt.Fprintf(&b, "%s flags %b down %b up %d %b", s.state, s.flags, s.Down.Bits, s.Up.FD, s.Up.Bits)
			if s.request != 0 {
				r := sh.cold(s)
				fmt.Fprintf(&b, " %s wait %d file %+v\n  up %+v\n  down %+v", r.env.RawTarget, r.wait, r.file, r.up, r.down)
			}
			b.WriteByte('\n')
		})
		text <- b.String()
	})
	return <-text
}

// client sends a few requests, cut and glued at random, and checks the answers.
func (tr *trial) client(seed int64, name string) {
	rnd := rand.New(rand.NewSource(seed))
	c, err := net.Dial("tcp", tr.front)
	if err != nil {
		tr.complain("dial: %v", err)
		return
	}
	defer c.Close()
	tr.track(c)
	var list []*exchange
	for i := range 1 + rnd.Intn(6) {
		list = append(list, tr.newExchange(rnd, fmt.Sprintf("%s-%d", name, i)))
	}
	quits := rnd.Intn(12) == 0
	goes := make(chan bool, 64) // the reader has seen a 100 (true) or a final answer
	over := make(chan struct{})
	defer close(over)
	tr.wg.Add(1)
	go func() {
		defer tr.wg.Done()
		tr.write(rnd, c.(*net.TCPConn), list, quits, goes, over)
	}()
	br := bufio.NewReader(c)
	for i, x := range list {
		last, err := tr.read(br, x, goes)
		// An answer that is cut resets the connection, and with it what was on its way. The
		// reader sees the end alone if the writer saw the reset.
		reset := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF)
		if reset && slices.ContainsFunc(list[i+1:], (*exchange).cuts) {
			return
		}
		if err != nil && !quits {
			tr.complain("%s %s (%v, %d bytes, expect %v): %v\n%s", x.method, x.id, x.do, len(x.body), x.expect, err, tr.dump())
		}
		if err != nil {
			return
		}
		if last {
			if b, err := br.ReadByte(); err == nil {
				rest, _ := br.Peek(min(br.Buffered(), 100))
				tr.complain("behind the last answer, of %s (%v): %q%q", x.id, x.do, b, rest)
			}
			return
		}
	}
}

// write sends the requests of a client.
func (tr *trial) write(rnd *rand.Rand, c *net.TCPConn, list []*exchange, quits bool, goes <-chan bool, over <-chan struct{}) {
	var glued []byte
	flush := func() bool {
		for len(glued) > 0 {
			n := len(glued)
			if rnd.Intn(2) == 0 {
				n = 1 + rnd.Intn(n)
			}
			if _, err := c.Write(glued[:n]); err != nil {
				return false
			}
			if glued = glued[n:]; rnd.Intn(3) == 0 {
				turned := make(chan struct{})
				tr.sh.Post(func(*Shard) { close(turned) })
				<-turned
			}
			if quits && rnd.Intn(10) == 0 {
				_ = c.SetLinger(rnd.Intn(2) - 1)
				c.Close()
				return false
			}
		}
		return true
	}
	finals := 0
	for i, x := range list {
		if !x.expect || rnd.Intn(3) == 0 {
			if glued = append(glued, x.raw...); rnd.Intn(2) == 0 && !flush() {
				return
			}
			continue
		}
		if glued = append(glued, x.raw[:x.headLen]...); !flush() {
			return
		}
		for goOn := false; !goOn; {
			select {
			case hundred := <-goes:
				if !hundred {
					finals++
				}
				// After a final answer the body is still due, if the connection lives.
				goOn = hundred && finals == i || finals > i
			case <-over:
				return
			}
		}
		glued = append(glued, x.raw[x.headLen:]...)
	}
	flush()
}

// read reads and checks the answer to x. last says that the connection ends with it.
func (tr *trial) read(br *bufio.Reader, x *exchange, goes chan<- bool) (last bool, err error) {
	hundreds := 0
	for {
		resp, err := http.ReadResponse(br, &http.Request{Method: x.method})
		if err != nil {
			return true, fmt.Errorf("no answer: %w", err)
		}
		if resp.StatusCode < 200 {
			if resp.StatusCode == 100 {
				if hundreds++; hundreds > 1 || !x.expect {
					return true, fmt.Errorf("%d 100s", hundreds)
				}
				goes <- true
			}
			continue
		}
		body, err := io.ReadAll(resp.Body)
		goes <- false
		return resp.Close || err != nil, tr.judge(x, resp, body, err)
	}
}

// judge compares an answer with what it says to be.
func (tr *trial) judge(x *exchange, resp *http.Response, body []byte, err error) error {
	do := resp.Header.Get("X-Do")
	if resp.StatusCode == 299 {
		return errors.New("a decoy")
	}
	if echo := resp.Header.Get("X-Echo"); echo != "" {
		if echo != x.id {
			return fmt.Errorf("an answer to %s", echo)
		}
		cut := do == "cutlength" || do == "cutchunked" || do == "badtrailer"
		empty := x.method == "HEAD" || resp.StatusCode == 204 || do == "nobody"
		switch {
		case cut && err == nil && !empty:
			return fmt.Errorf("%s passes for whole", do)
		case !cut && do != "earlyclose" && err != nil:
			return fmt.Errorf("%s: %w after %d bytes", do, err, len(body))
		case err == nil && !empty && sum(body) != resp.Header.Get("X-Sum"):
			return fmt.Errorf("%s: another body of %d bytes", do, len(body))
		}
		if end := resp.Trailer.Get("X-End"); end != "" && end != x.id {
			return fmt.Errorf("trailer %q", end)
		}
		return nil
	}
	switch text := string(body); {
	case err != nil:
		return fmt.Errorf("an answer of our own, %d: %w", resp.StatusCode, err)
	case text == "", text == "static", text == "text", strings.Contains(text, "</html>"), text == string(payload("large", 300<<10)):
		return nil
	}
	return fmt.Errorf("status %d with %d bytes: %.100q", resp.StatusCode, len(body), body)
}

// Random requests, framed, cut and glued in all ways, meet upstreams that do all kinds
// of things under random settings: each answer belongs to its request, each body comes
// whole or not at all, nothing of one message is taken for another, and nothing is left.
func TestExchanges(t *testing.T) {
	budget := 10 * time.Second
	if testing.Short() {
		budget = time.Second
	}
	seed := *exchangeSeed
	if seed == 0 {
		seed = time.Now().UnixNano() % 1e9
	}
	for start := time.Now(); !t.Failed() && time.Since(start) < budget; seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { runTrial(t, seed) })
		if *exchangeSeed != 0 {
			return
		}
	}
}

func runTrial(t *testing.T, seed int64) {
	tr := newTrial(t, seed)
	var clients sync.WaitGroup
	for i := range 6 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			tr.client(seed*100+int64(i), fmt.Sprintf("%d.%d", seed, i))
		}()
	}
	clients.Wait()
	tr.back.Close()
	tr.other.Close()
	tr.mu.Lock()
	for _, c := range tr.conns {
		c.Close()
	}
	tr.mu.Unlock()
	tr.wg.Wait()
	for _, text := range tr.bad {
		t.Error(text)
	}
	tr.eventually("nothing left", func(sh *Shard) bool {
		bufs, _ := sh.bufs.Lent()
		return sh.sessions.Len()-len(sh.closed) == 0 && bufs+sh.pipes.Lent()+sh.requests.lent()+sh.files == 0 &&
			int(tr.peer.Connections.Load()+tr.peer2.Connections.Load()) == sh.pooled.Len() &&
			tr.peer.Active.Load()+tr.peer2.Active.Load() == 0
	})
	if t.Failed() {
		t.Logf("again: go test ./shard -run TestExchanges -exchange.seed %d\n%s\n%s", seed, tr.errors, tr.access)
	}
}
