package route_test

import (
	"testing"

	"holdfast/httpparse"
	"holdfast/route"
)

// busySite is a configuration as people write it: masks, some locations, the map
// idiom, the usual fields.
type busySite struct {
	table  *route.Table
	line   *route.LogFormat
	target httpparse.Target
	head   string
}

func newBusySite(t testing.TB) *busySite {
	t.Helper()
	c := newCompiler()
	if problems := c.DefineMaps([]route.MapSpec{mapIdiom}); len(problems) > 0 {
		t.Fatal(problems[0])
	}
	locations := specs(t, c, []loc{
		{text: "/", pass: "http://web"}, {text: "/api/", pass: "http://api/v1/"}, {text: "= /healthz"},
		{text: "/static/"}, {text: "/ws/", pass: "http://chat"}, {text: "/ws/admin/"},
		{text: "/dyn/", pass: "http://$arg_b"},
	}, []route.SetHeader{
		{Name: "Upgrade", Value: "$http_upgrade"}, {Name: "Connection", Value: "$connection_upgrade"},
		{Name: "Host", Value: "$host"}, {Name: "X-Real-IP", Value: "$remote_addr"},
		{Name: "X-Forwarded-For", Value: "$proxy_add_x_forwarded_for"}, {Name: "X-Forwarded-Proto", Value: "$scheme"},
	})
	b := route.NewBuilder(c, 1)
	for _, s := range []route.ServerSpec{
		{Names: names("*.other.test", "other.*")},
		{Names: names("www.example.com", "example.com", ".example.net"), Locations: locations},
	} {
		s.Listens, s.Settings = []route.ListenUse{{}}, settings
		if _, err := b.AddServer(&s); err != nil {
			t.Fatal(err)
		}
	}
	s := &busySite{table: b.Table(), line: &route.LogFormat{Line: compile(t, c, route.CombinedFormat+
		` $request_time $msec $request_id $upstream_addr $upstream_response_time "$http_x_forwarded_for" `+
		`$connection_upgrade`)}}
	s.head = upgrade("/ws/room%201?user=ann", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101",
		"Accept: */*", "Accept-Language: en-US,en;q=0.5", "Accept-Encoding: gzip, deflate, br, zstd",
		"Cookie: sid=0123456789", "X-Forwarded-For: 198.51.100.7", "Pragma: no-cache",
		"Sec-WebSocket-Extensions: permessage-deflate")
	return s
}

// route goes the way of one request, without its heads.
func (s *busySite) route(e *route.Env) httpparse.Error {
	if err := e.SetHost(s.target); err != httpparse.OK {
		return err
	}
	e.Server = s.table.FindServer(0, e.Host, e)
	if err := e.SetTarget(s.target, e.Server.Settings.MergeSlashes); err != httpparse.OK {
		return err
	}
	e.Location, _ = e.Server.Locate(e)
	return httpparse.OK
}

// prepare parses the head once.
func (s *busySite) prepare(t testing.TB) (*route.Env, *httpparse.Request, *httpparse.Response) {
	t.Helper()
	e := newEnv(t, s.head)
	var err httpparse.Error
	if s.target, err = httpparse.ParseTarget(e.Req.Target.Of(e.Head), e.Req.MethodID); err != httpparse.OK {
		t.Fatal(err)
	}
	respond(t, e, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nServer: x\r\nDate: y\r\n\r\n")
	return e, e.Req, e.Resp
}

// request is the whole way of one request through this package.
func (s *busySite) request(e *route.Env, was *route.Env, buf []byte) (out []byte, upgraded bool) {
	e.Reset()
	e.Head, e.Req, e.Remote, e.Local, e.NowNs, e.StartNs = was.Head, was.Req, was.Remote, was.Local, was.NowNs, was.StartNs
	if s.route(e) != httpparse.OK || e.Location == nil || e.Location.Proxy == nil {
		return buf[:0], false
	}
	form := route.RequestForm{Upgrade: e.Req.Upgrade(e.Head)}
	buf, sent := e.Location.Proxy.AppendRequest(buf[:0], e, form)
	e.RespHead, e.Resp, e.UpstreamAddr, e.Status = was.RespHead, was.Resp, "192.0.2.9:80", 101
	buf = e.Location.Proxy.AppendResponse(buf, e, route.ResponseForm{})
	buf = s.line.Append(buf, e)
	buf = route.AppendError(buf, e, 503, route.ReplyForm{})
	return buf, sent.Upgrade
}

func TestNothingIsAllocatedForARequest(t *testing.T) {
	s := newBusySite(t)
	was, _, _ := s.prepare(t)
	e := &route.Env{}
	buf := make([]byte, 0, 16<<10)
	buf, upgraded := s.request(e, was, buf)
	if !upgraded || e.Location.Name != "/ws/" {
		t.Fatalf("not the way meant: location %v, upgraded %v, %q", e.Location, upgraded, buf)
	}
	if n := testing.AllocsPerRun(100, func() { buf, _ = s.request(e, was, buf) }); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
	// A new second makes the clock's texts anew.
	if n := testing.AllocsPerRun(100, func() {
		was.NowNs += 1e9
		buf, _ = s.request(e, was, buf)
	}); n != 0 {
		t.Errorf("%v allocations per request in a new second", n)
	}
}

func TestNothingIsAllocatedForADynamicProxyPass(t *testing.T) {
	s := newBusySite(t)
	s.head = get("/dyn/x?b=group:81/p")
	was, _, _ := s.prepare(t)
	e := &route.Env{}
	buf := make([]byte, 0, 16<<10)
	resolved := false
	run := func() {
		e.Reset()
		e.Head, e.Req, e.Remote, e.Local = was.Head, was.Req, was.Remote, was.Local
		s.route(e)
		_, resolved = e.Location.Proxy.Resolve(e)
		buf, _ = e.Location.Proxy.AppendRequest(buf[:0], e, route.RequestForm{})
	}
	run()
	if !resolved {
		t.Fatalf("not resolved: %q", buf)
	}
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}

func TestResetKeepsNothingOfTheRequest(t *testing.T) {
	s := newBusySite(t)
	was, _, _ := s.prepare(t)
	e := &route.Env{}
	s.request(e, was, nil)
	e.Reset()
	c := newCompiler()
	if problems := c.DefineMaps([]route.MapSpec{mapIdiom}); len(problems) > 0 {
		t.Fatal(problems[0])
	}
	tmpl := compile(t, c, "$uri$args$request_uri$host$http_host$connection_upgrade$upstream_addr$status$remote_addr$1")
	if got := string(tmpl.Append(nil, e)); got != "close000unix:" {
		t.Errorf("got %q", got)
	}
}

func BenchmarkRoute(b *testing.B) {
	s := newBusySite(b)
	e, _, _ := s.prepare(b)
	was := *e
	b.ReportAllocs()
	for b.Loop() {
		e.Reset()
		e.Head, e.Req = was.Head, was.Req
		s.route(e)
	}
}

func BenchmarkRequest(b *testing.B) {
	s := newBusySite(b)
	e, _, _ := s.prepare(b)
	s.route(e)
	buf := make([]byte, 0, 16<<10)
	form := route.RequestForm{Upgrade: httpparse.UpgradeWebSocket}
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = e.Location.Proxy.AppendRequest(buf[:0], e, form)
	}
}

func BenchmarkResponse(b *testing.B) {
	s := newBusySite(b)
	e, _, _ := s.prepare(b)
	s.route(e)
	buf := make([]byte, 0, 16<<10)
	b.ReportAllocs()
	for b.Loop() {
		buf = e.Location.Proxy.AppendResponse(buf[:0], e, route.ResponseForm{})
	}
}

func BenchmarkLogLine(b *testing.B) {
	s := newBusySite(b)
	e, _, _ := s.prepare(b)
	s.route(e)
	buf := make([]byte, 0, 16<<10)
	b.ReportAllocs()
	for b.Loop() {
		buf = s.line.Append(buf[:0], e)
	}
}
