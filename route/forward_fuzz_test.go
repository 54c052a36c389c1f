package route_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"holdfast/httpparse"
	"holdfast/route"
)

// forwarders are the configurations that FuzzForward sends heads through.
var forwarders = sync.OnceValue(func() []*route.Proxy {
	c := route.NewCompiler(route.Process{}, nil)
	var out []*route.Proxy
	for _, spec := range []route.ProxySpec{
		{URL: "http://back", Minor: 1},
		{URL: "http://back"},
		{URL: "http://back:81/two/", Minor: 1, SetHeaders: []route.SetHeader{
			{Name: "Host", Value: "$host"}, {Name: "Upgrade", Value: "$http_upgrade"}, {Name: "Connection", Value: "$http_connection"},
			{Name: "X-Set", Value: "$uri$args$http_x"}, {Name: "TE", Value: "trailers"}, {Name: "Trailer", Value: "$http_trailer"},
		}},
		{URL: "http://back", Minor: 1, SetHeaders: []route.SetHeader{
			{Name: "Host", Value: "$http_host"}, {Name: "Upgrade", Value: "h2c"}, {Name: "Connection", Value: ""},
			{Name: "Expect", Value: "$http_expect"}, {Name: "X-Set", Value: "$request_uri $arg_x"},
		}},
		{URL: "http://back$uri?$args", Minor: 1, HideHeaders: []string{"X-Secret"}, PassHeaders: []string{"Server", "Date"}},
	} {
		spec.Pattern = "/"
		p, err := c.NewProxy(&spec)
		if err != nil {
			panic(err)
		}
		out = append(out, p)
	}
	return out
})

// The bits of the argument how of FuzzForward and FuzzForwardResponse, above the index
// of the forwarder in the lowest three.
const (
	howKeepalive = 8 << iota
	howTrailers
	howExpect // of a response: another status
	howGet    // of a response: to a HEAD
	howInternal
)

func FuzzForward(f *testing.F) {
	f.Fuzz(func(t *testing.T, head string, how uint8) {
		e := &route.Env{}
		e.Reset()
		if fill(e, head) != nil || e.Req.Check(e.Head) != httpparse.OK || e.Req.HeadLen != len(head) {
			return
		}
		p := forwarders()[int(how&7)%len(forwarders())]
		e.Location = &route.Location{Settings: settings, Proxy: p}
		if how&howInternal != 0 {
			e.SetInternal([]byte("/page" + string(e.URI) + "?" + string(e.Args)))
		}
		if p.Dynamic() {
			if _, ok := p.Resolve(e); !ok {
				if hasSlash(e.URI) {
					t.Fatalf("%q was not resolved", e.URI)
				}
				return
			}
		}
		form := route.RequestForm{
			Keepalive: how&howKeepalive != 0, Trailers: how&howTrailers != 0, Expect: how&howExpect != 0, Get: how&howGet != 0,
			Upgrade: e.Req.Upgrade(e.Head),
		}
		form.Framing, _ = e.Req.Framing(e.Head)
		if form.Get {
			form.Framing, form.Upgrade = httpparse.Framing{}, httpparse.UpgradeNone
		}
		if p.Minor == 0 && form.Framing.Kind == httpparse.BodyChunked && form.Upgrade == httpparse.UpgradeNone {
			return // the caller speaks HTTP/1.1 then
		}
		out, sent := p.AppendRequest(nil, e, form)
		checkForwarded(t, e, out, &form, sent)
	})
}

// hasSlash is false for the URI of "OPTIONS *" and CONNECT.
func hasSlash(uri []byte) bool { return len(uri) > 0 && uri[0] == '/' }

// checkForwarded demands that out is one request by our own rules, that it means what
// the client's meant, and that nothing of the client's hop is in it.
func checkForwarded(t *testing.T, e *route.Env, out []byte, form *route.RequestForm, sent route.RequestSent) {
	t.Helper()
	var r httpparse.Request
	done, refused := r.Parse(out)
	if !done || refused != httpparse.OK || r.HeadLen != len(out) {
		t.Fatalf("%q: done=%v %s, %d of %d bytes", out, done, refused, r.HeadLen, len(out))
	}
	if bytes.Contains(out[:len(out)-4], []byte("\r\n\r\n")) {
		t.Fatalf("%q: more than one head", out)
	}
	if refused = r.Check(out); refused != httpparse.OK {
		t.Fatalf("%q: %s", out, refused)
	}
	if framing, _ := r.Framing(out); framing != form.Framing {
		t.Fatalf("%q: framing %v became %v", out, form.Framing, framing)
	}
	if method := string(r.Method.Of(out)); method != string(e.Req.Method.Of(e.Head)) &&
		(!form.Get || method != "GET" || e.Req.MethodID == httpparse.MethodHead) {
		t.Fatalf("%q: another method", out)
	}
	if r.Count(httpparse.FieldHost) > 1 || r.Count(httpparse.FieldConnection) > 1 || r.Count(httpparse.FieldTE) > 1 {
		t.Fatalf("%q: a field of the hop twice", out)
	}
	if (r.Upgrade(out) != httpparse.UpgradeNone) != sent.Upgrade || r.Minor != sent.Minor {
		t.Fatalf("%q: reported %+v", out, sent)
	}
	if httpparse.ListHas(out, r.Fields, httpparse.FieldConnection, "close") != sent.Close {
		t.Fatalf("%q: reported %+v", out, sent)
	}
	if r.Count(httpparse.FieldTE) > 0 != httpparse.ListHas(out, r.Fields, httpparse.FieldConnection, "te") &&
		!httpparse.ListHas(e.Head, e.Req.Fields, httpparse.FieldConnection, "te") {
		t.Fatalf("%q: TE and Connection do not agree", out)
	}
	checkTarget(t, e, r.Target.Of(out))
	listed := httpparse.ListTokens(e.Head, e.Req.Fields, httpparse.FieldConnection)
	for token, ok := listed.Next(); ok; token, ok = listed.Next() {
		if value, found := r.FindName(out, token); found && !ours(string(token)) {
			t.Fatalf("%q: %q of the client's hop: %q", out, token, value)
		}
	}
	for _, id := range []httpparse.FieldID{httpparse.FieldKeepAlive, httpparse.FieldProxyConnection} {
		if r.Count(id) > 0 {
			t.Fatalf("%q: a field of the client's hop", out)
		}
	}
}

// ours reports whether a field called name is made here, or can't be removed.
func ours(name string) bool {
	switch strings.ToLower(name) {
	case "host", "connection", "te", "upgrade", "http2-settings", "expect", "trailer", "x-set", "content-length",
		"transfer-encoding", "content-type", "server", "date", "sec-websocket-key", "sec-websocket-version",
		"sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions":
		return true
	}
	return false
}

// checkTarget demands that target leads to e.URI and Args, behind what proxy_pass puts
// before them.
func checkTarget(t *testing.T, e *route.Env, target []byte) {
	t.Helper()
	if !hasSlash(e.URI) {
		return
	}
	parsed, refused := httpparse.ParseTarget(target, httpparse.MethodGet)
	if refused != httpparse.OK || parsed.Form != httpparse.TargetOrigin {
		t.Fatalf("%q: %s", target, refused)
	}
	if e.Location.Proxy.Dynamic() {
		return // there $uri is written as it renders, as in nginx
	}
	path, refused := httpparse.NormalizePath(nil, parsed.Path.Of(target), true)
	want := string(e.URI)
	if e.Location.Proxy.Port == "81" {
		want = "/two" + want
	}
	if refused != httpparse.OK || string(path) != want && !strings.Contains(want, "//") && !strings.HasSuffix(want, "/.") {
		t.Fatalf("%q: leads to %q, not %q: %s", target, path, want, refused)
	}
}

func FuzzForwardResponse(f *testing.F) {
	c := route.NewCompiler(route.Process{}, nil)
	headers, err := c.NewHeaders(&route.HeadersSpec{Expires: "1h", Modified: true, Add: []route.AddHeader{
		{Name: "X-Set", Value: "$upstream_http_x$uri", Always: true}, {Name: "ETag", Value: "$upstream_http_y"},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, head string, how uint8) {
		var resp httpparse.Response
		if done, refused := resp.Parse([]byte(head)); !done || refused != httpparse.OK || resp.HeadLen != len(head) {
			return
		}
		method := "GET"
		if how&howGet != 0 {
			method = "HEAD"
		}
		e := newEnv(t, method+" /a%0d%0ab HTTP/1.1\r\nHost: h\r\n\r\n")
		p := forwarders()[int(how&7)%len(forwarders())]
		e.Location = &route.Location{Settings: settings, Proxy: p}
		if how&howInternal != 0 {
			e.Location.Settings.Headers = headers
		}
		e.RespHead, e.Resp = []byte(head), &resp
		framing, refused := resp.Framing(e.RespHead, e.Req.MethodID)
		if refused != httpparse.OK {
			return
		}
		if resp.Status < 200 && resp.Status != 101 {
			out := p.AppendInterim(nil, e)
			checkReturned(t, e, out, resp.Status, httpparse.Framing{})
			return
		}
		form := route.ResponseForm{Framing: framing, Keepalive: how&howKeepalive != 0, Trailers: how&howTrailers != 0}
		status := resp.Status
		if how&howExpect != 0 && status != 101 {
			form.Status = 404
			status = 404
			if framing.Kind == httpparse.BodyNone {
				framing = httpparse.Framing{Kind: httpparse.BodyLength}
			}
		}
		if e.Req.MethodID == httpparse.MethodHead {
			framing = httpparse.Framing{}
		}
		checkReturned(t, e, p.AppendResponse(nil, e, form), status, framing)
	})
}

// checkReturned demands that out is one response head with that status and framing,
// without anything of the upstream's hop.
func checkReturned(t *testing.T, e *route.Env, out []byte, status int, framing httpparse.Framing) {
	t.Helper()
	var r httpparse.Response
	done, refused := r.Parse(out)
	if !done || refused != httpparse.OK || r.HeadLen != len(out) || r.Status != status || r.Minor != 1 {
		t.Fatalf("%q: done=%v %s, %d of %d bytes", out, done, refused, r.HeadLen, len(out))
	}
	if got, refused := r.Framing(out, e.Req.MethodID); refused != httpparse.OK || got != framing {
		t.Fatalf("%q: framing %v, %s, want %v", out, got, refused, framing)
	}
	if status < 200 && r.Count(httpparse.FieldContentLength)+r.Count(httpparse.FieldTransferEncoding) > 0 {
		t.Fatalf("%q: framing without a body", out)
	}
	listed := httpparse.ListTokens(e.RespHead, e.Resp.Fields, httpparse.FieldConnection)
	for token, ok := listed.Next(); ok; token, ok = listed.Next() {
		made := strings.EqualFold(string(token), "keep-alive") || strings.EqualFold(string(token), "etag") ||
			strings.EqualFold(string(token), "expires") || strings.EqualFold(string(token), "cache-control")
		if _, found := r.FindName(out, token); found && !ours(string(token)) && !made {
			t.Fatalf("%q: %q of the upstream's hop", out, token)
		}
	}
	if r.Count(httpparse.FieldProxyConnection)+r.Count(httpparse.FieldKeepAlive)+r.Count(httpparse.FieldTE) > 0 {
		t.Fatalf("%q: a field of the upstream's hop", out)
	}
}

func FuzzForwardTrailers(f *testing.F) {
	f.Fuzz(func(t *testing.T, section string, how uint8) {
		buf := []byte(section)
		fields, refused := httpparse.ParseFields(buf, nil, 0)
		if refused != httpparse.OK {
			return
		}
		p := forwarders()[int(how&7)%len(forwarders())]
		out := (&route.Proxy{}).AppendResponseTrailers(nil, buf, fields)
		for _, out := range [][]byte{out, p.AppendRequestTrailers(nil, buf, fields), p.AppendResponseTrailers(nil, buf, fields)} {
			passed, refused := httpparse.ParseFields(out, nil, 0)
			if refused != httpparse.OK || len(passed) > len(fields) {
				t.Fatalf("%q: %s", out, refused)
			}
			for i := range passed {
				name := strings.ToLower(strings.ReplaceAll(string(passed[i].Name.Of(out)), "_", "-"))
				switch id := httpparse.FieldIDOf([]byte(name)); {
				case id == httpparse.FieldETag:
				case id != httpparse.FieldOther, strings.HasPrefix(name, "content-"), strings.HasPrefix(name, "if-"):
					t.Fatalf("%q: %q must not trail", out, name)
				}
			}
		}
		if again, _ := httpparse.ParseFields(out, nil, 0); string((&route.Proxy{}).AppendResponseTrailers(nil, out, again)) != string(out) {
			t.Fatalf("%q: not the same when it goes on", out)
		}
	})
}
