package route_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"holdfast/route"
)

func streamEnv() *route.Env {
	e := &route.Env{}
	e.Reset()
	e.Remote, e.Local = netip.MustParseAddrPort("192.0.2.1:1000"), netip.MustParseAddrPort("192.0.2.2:443")
	e.Connection, e.ConnectionStartNs, e.NowNs = 7, 5e9, 6e9
	return e
}

const allStream = `$remote_addr:$remote_port $server_addr:$server_port $protocol $connection $upstream_addr $upstream_connect_time ` +
	`$ssl_preread_server_name,$ssl_preread_alpn_protocols,$ssl_preread_protocol $v $m|` +
	`$status $bytes_sent $bytes_received $session_time $msec $time_iso8601 $time_local ` +
	`$upstream_bytes_sent $upstream_bytes_received $upstream_first_byte_time $upstream_session_time`

func streamCompiler(t *testing.T) *route.Compiler {
	t.Helper()
	c := route.NewStreamCompiler(route.Process{}, nil, []string{"v", "unset"})
	m := route.MapSpec{Source: "$v", Name: "m", Default: "d", Entries: []route.MapEntry{{Pattern: "x", Value: "$v!"}}}
	if problems := c.DefineMaps([]route.MapSpec{m}); problems != nil {
		t.Fatal(problems)
	}
	return c
}

// TestStreamLog proves that a line holds what was known when the session began, even when
// the Env has gone on to another one, and what its end brings.
func TestStreamLog(t *testing.T) {
	c := streamCompiler(t)
	line, err := c.NewStreamLog(allStream, route.EscapeDefault)
	if err != nil {
		t.Fatal(err)
	}
	server := &route.StreamServer{}
	if err := c.NewStreamSet(server, route.SetSpec{Name: "V", Value: "x"}); err != nil {
		t.Fatal(err)
	}
	e := streamEnv()
	e.UpstreamAddr, e.UpstreamConnectMs = "10.0.0.1:80", 12
	e.Stream.PrereadServerName, e.Stream.PrereadALPN = []byte("a\"b\x00"), []byte("h2,http/1.1")
	server.ApplySets(e)
	rendered := line.AppendOpen(nil, e)
	e.Reset()
	e.NowNs = 1e9

	at := time.Date(2030, 4, 5, 6, 7, 8, 90e6, time.Local)
	end := route.StreamEnd{
		NowNs: at.UnixNano(), StartNs: at.UnixNano() - 3_004e6, Status: 200, BytesSent: 11, BytesReceived: 22,
		Upstream: true, UpstreamBytesSent: 33, UpstreamBytesReceived: 44, UpstreamFirstByteMs: -1, UpstreamSessionTimeMs: 2001,
	}
	want := `192.0.2.1:1000 192.0.2.2:443 TCP 7 10.0.0.1:80 0.012 a\x22b\x00,h2,http/1.1,- x x!|200 11 22 3.004 ` +
		strings.Join([]string{msec(at), at.Format("2006-01-02T15:04:05-07:00"), at.Format("02/Jan/2006:15:04:05 -0700")}, " ") +
		" 33 44 - 2.001\n"
	if got := string(route.AppendStreamClose(nil, rendered, &end)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func msec(at time.Time) string {
	text := time.Duration(at.UnixNano()).Truncate(time.Millisecond)
	seconds := text / time.Second
	return strings.TrimSuffix(strings.TrimSpace(string(appendInt(int64(seconds)))), "") + "." + pad3(int64(text%time.Second/time.Millisecond))
}

func appendInt(n int64) []byte {
	if n < 10 {
		return []byte{byte('0' + n)}
	}
	return append(appendInt(n/10), byte('0'+n%10))
}

func pad3(n int64) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

// TestStreamLogEscapes proves that bytes 0 of a text survive, and what absence is.
func TestStreamLogEscapes(t *testing.T) {
	for _, tc := range []struct {
		escape route.Escape
		want   string
	}{
		{route.EscapeNone, "\x00a\x00\x02 |\n"},
		{route.EscapeJSON, `\u0000a\u0000\u0002 ` + "|\n"},
		{route.EscapeDefault, `\x00a\x00\x02 |-` + "\n"},
	} {
		line, err := streamCompiler(t).NewStreamLog("$ssl_preread_server_name $unset|$upstream_bytes_sent", tc.escape)
		if err != nil {
			t.Fatal(err)
		}
		e := streamEnv()
		e.Stream.PrereadServerName = []byte("\x00a\x00\x02")
		if got := string(route.AppendStreamClose(nil, line.AppendOpen(nil, e), &route.StreamEnd{})); got != tc.want {
			t.Errorf("escape %d: got %q, want %q", tc.escape, got, tc.want)
		}
	}
}

// TestStreamPrereadIsEmptyWhereLookedFor proves the difference between a hello that names
// nothing and none.
func TestStreamPrereadIsEmptyWhereLookedFor(t *testing.T) {
	line, err := streamCompiler(t).NewStreamLog("$ssl_preread_server_name|$ssl_preread_protocol", route.EscapeDefault)
	if err != nil {
		t.Fatal(err)
	}
	for hello, want := range map[bool]string{true: "|\n", false: "-|-\n"} {
		e := streamEnv()
		e.Stream.PrereadServerName, e.Stream.PrereadProtocol = nil, nil
		if hello {
			e.Stream.PrereadServerName, e.Stream.PrereadProtocol = []byte{}, []byte{}
		}
		if got := string(route.AppendStreamClose(nil, line.AppendOpen(nil, e), &route.StreamEnd{})); got != want {
			t.Errorf("hello %v: got %q, want %q", hello, got, want)
		}
	}
}

// TestStreamVariablesNow proves that the same variables have their present value in texts
// other than log lines.
func TestStreamVariablesNow(t *testing.T) {
	text, err := streamCompiler(t).Compile("$bytes_sent $bytes_received $session_time $protocol$unset")
	if err != nil {
		t.Fatal(err)
	}
	e := streamEnv()
	e.BytesSent, e.Stream.BytesReceived = 3, 4
	if got := string(text.Append(nil, e)); got != "3 4 1.000 TCP" {
		t.Errorf("got %q", got)
	}
}

func TestStreamResolve(t *testing.T) {
	c := streamCompiler(t)
	const name = "$ssl_preread_server_name"
	spec := route.StreamProxySpec{Target: name, Dynamic: true, Bind: []string{name}}
	p, err := c.NewStreamProxy(&spec, route.StreamProxy{})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"name": "name/name//", "10.0.0.1:80": "10.0.0.1:80/10.0.0.1/80/", "[::1]:80": "[::1]:80/[::1]/80/", "unix:/x": "////x", "": "",
		"a b": "", ":80": "", "unix:": "", "a:b": "", "a/b": "",
	} {
		e := streamEnv()
		e.Stream.PrereadServerName = []byte(text)
		target, ok := p.Resolve(e)
		got := string(target.Name) + "/" + string(target.Host) + "/" + string(target.Port) + "/" + string(target.Unix)
		if !ok {
			got = ""
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"10.0.0.1": "10.0.0.1:0", "[::1]:5": "[::1]:5", "x": "invalid AddrPort", "": "invalid AddrPort"} {
		e := streamEnv()
		e.Stream.PrereadServerName = []byte(text)
		addr, _ := p.Bind().Pick(e, 0, text[:min(len(text), 1)] == "[")
		if got := addr.String(); got != want {
			t.Errorf("bind %q: got %s, want %s", text, got, want)
		}
	}
}

func TestStreamRates(t *testing.T) {
	c := streamCompiler(t)
	p, err := c.NewStreamProxy(&route.StreamProxySpec{Target: "x:1", Download: "2m", Upload: "$ssl_preread_server_name"}, route.StreamProxy{})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int64{"": 0, "5": 5, "7k": 7 << 10, "1G": 1 << 30, "k": 0, "-1": 0, "9999999999999999999": 0, "x": 0} {
		e := streamEnv()
		e.Stream.PrereadServerName = []byte(text)
		if down, up := p.Rates(e); down != 2<<20 || up != want {
			t.Errorf("%q: rates %d and %d, want %d", text, down, up, want)
		}
	}
}

// TestStreamAllocations proves that a session's texts cost no memory once an Env has grown.
func TestStreamAllocations(t *testing.T) {
	c := streamCompiler(t)
	line, _ := c.NewStreamLog(allStream, route.EscapeDefault)
	server := &route.StreamServer{}
	if err := c.NewStreamSet(server, route.SetSpec{Name: "v", Value: "x$remote_addr"}); err != nil {
		t.Fatal(err)
	}
	e := streamEnv()
	open, done := make([]byte, 0, 4096), make([]byte, 0, 4096)
	end := &route.StreamEnd{NowNs: 1e18, Upstream: true}
	session := func() {
		e.Reset()
		e.Remote = netip.MustParseAddrPort("192.0.2.1:1000")
		e.UpstreamAddr = "10.0.0.1:80"
		server.ApplySets(e)
		open = line.AppendOpen(open[:0], e)
		done = route.AppendStreamClose(done[:0], open, end)
	}
	session()
	if n := testing.AllocsPerRun(100, session); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
