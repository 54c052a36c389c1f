package route_test

import (
	"net/netip"
	"testing"

	"holdfast/httpparse"
	"holdfast/route"
)

// connect is the Env of a CONNECT to target.
func connect(t *testing.T, target string) *route.Env {
	t.Helper()
	head := []byte("CONNECT " + target + " HTTP/1.1\r\nHost: other.test:1\r\n\r\n")
	req := &httpparse.Request{}
	if done, err := req.Parse(head); !done || err != httpparse.OK {
		t.Fatalf("%s: %v", target, err)
	}
	e := &route.Env{}
	e.Reset()
	e.Head, e.Req = head, req
	parsed, err := httpparse.ParseTarget(req.Target.Of(head), req.MethodID)
	if err != httpparse.OK {
		t.Fatalf("%s: %v", target, err)
	}
	if err := e.SetHost(parsed); err != httpparse.OK {
		t.Fatalf("%s: %v", target, err)
	}
	if err := e.SetTarget(parsed, true); err != httpparse.OK {
		t.Fatalf("%s: %v", target, err)
	}
	return e
}

func tunnel(t *testing.T, spec route.TunnelPassSpec) *route.TunnelPass {
	t.Helper()
	if spec.Target == "" {
		spec.Target = "$host:$request_port"
	}
	if spec.Ports == nil {
		spec.Ports = []route.PortRange{{Low: 443, High: 443}}
	}
	p, err := route.NewCompiler(route.Process{}, nil).NewTunnelPass(&spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTunnelTarget(t *testing.T) {
	hosts := []route.ServerName{{Text: "a.test"}, {Text: "*.b.test"}, {Text: ".c.test"}, {Text: "~", Regexp: "(?i)^d[0-9]+$"}, {Text: "8.8.8.8"}}
	for _, tc := range []struct {
		spec    route.TunnelPassSpec
		target  string
		verdict route.TunnelVerdict
		where   string
	}{
		{route.TunnelPassSpec{}, "Example.test.:443", route.TunnelName, "example.test"},
		{route.TunnelPassSpec{}, "8.8.8.8:443", route.TunnelAddr, "8.8.8.8:443"},
		{route.TunnelPassSpec{}, "[2606:4700::1]:443", route.TunnelAddr, "[2606:4700::1]:443"},
		{route.TunnelPassSpec{}, "8.8.8.8:80", route.TunnelPort, ""},
		{route.TunnelPassSpec{}, "8.8.8.8:0", route.TunnelInvalid, ""},
		{route.TunnelPassSpec{}, "a%41.test:443", route.TunnelInvalid, ""},
		{route.TunnelPassSpec{}, "127.0.0.1:443", route.TunnelPrivate, ""},
		{route.TunnelPassSpec{}, "[::1]:443", route.TunnelPrivate, ""},
		{route.TunnelPassSpec{}, "[::ffff:8.8.8.8]:443", route.TunnelPrivate, ""},
		{route.TunnelPassSpec{}, "169.254.169.254:443", route.TunnelPrivate, ""},
		{route.TunnelPassSpec{}, "2130706433:443", route.TunnelName, "2130706433"},
		{route.TunnelPassSpec{AllowPrivate: true}, "127.0.0.1:443", route.TunnelAddr, "127.0.0.1:443"},
		{route.TunnelPassSpec{Ports: []route.PortRange{{Low: 1, High: 442}, {Low: 444, High: 65535}}}, "a.test:443", route.TunnelPort, ""},
		{route.TunnelPassSpec{Ports: []route.PortRange{{Low: 8000, High: 8999}}}, "a.test:8999", route.TunnelName, "a.test"},
		{route.TunnelPassSpec{Hosts: hosts}, "A.test:443", route.TunnelName, "a.test"},
		{route.TunnelPassSpec{Hosts: hosts}, "a.test.:443", route.TunnelName, "a.test"},
		{route.TunnelPassSpec{Hosts: hosts}, "x.y.b.test:443", route.TunnelName, "x.y.b.test"},
		{route.TunnelPassSpec{Hosts: hosts}, "b.test:443", route.TunnelHost, ""},
		{route.TunnelPassSpec{Hosts: hosts}, "c.test:443", route.TunnelName, "c.test"},
		{route.TunnelPassSpec{Hosts: hosts}, "D12:443", route.TunnelName, "d12"},
		{route.TunnelPassSpec{Hosts: hosts}, "8.8.8.8:443", route.TunnelAddr, "8.8.8.8:443"},
		{route.TunnelPassSpec{Hosts: hosts}, "8.8.4.4:443", route.TunnelHost, ""},
		{route.TunnelPassSpec{Hosts: hosts}, "a.test.evil:443", route.TunnelHost, ""},
		// A target without variables is the operator's own.
		{route.TunnelPassSpec{Target: "10.0.0.1:22", Group: 5}, "a.test:443", route.TunnelGroup, "group 5"},
		{route.TunnelPassSpec{Target: "10.0.0.1:22", Group: 5}, "a.test:22", route.TunnelPort, ""},
		// Variables may name an upstream block, but a client can't: it always names a port.
		{route.TunnelPassSpec{Target: "$host", Groups: map[string]int{"chat": 3}}, "chat:443", route.TunnelGroup, "group 3"},
		{route.TunnelPassSpec{Groups: map[string]int{"chat": 3}}, "chat:443", route.TunnelName, "chat"},
		{route.TunnelPassSpec{Target: "$host", Groups: map[string]int{"chat": 3}}, "other:443", route.TunnelInvalid, ""},
		// What variables lead to is judged like what was asked for.
		{route.TunnelPassSpec{Target: "10.0.0.1:$request_port"}, "a.test:443", route.TunnelPrivate, ""},
		{route.TunnelPassSpec{Target: "$host:22"}, "a.test:443", route.TunnelPort, ""},
	} {
		e := connect(t, tc.target)
		target, verdict := tunnel(t, tc.spec).Target(e)
		where := ""
		switch verdict {
		case route.TunnelGroup:
			where = "group " + string(rune('0'+target.Group))
		case route.TunnelAddr:
			where = target.Addr.String()
		case route.TunnelName:
			where = string(target.Host)
		}
		if verdict != tc.verdict || where != tc.where {
			t.Errorf("%s: verdict %d, %q; want %d, %q", tc.target, verdict, where, tc.verdict, tc.where)
		}
	}
}

// TestConnectVariables proves what location / and the variables see of a CONNECT.
func TestConnectVariables(t *testing.T) {
	text, err := route.NewCompiler(route.Process{}, nil).Compile("$uri $host $request_port$is_request_port $request_uri")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text.Append(nil, connect(t, "A.test:8443"))); got != "/ a.test 8443: A.test:8443" {
		t.Errorf("got %q", got)
	}
}

func TestIsPublic(t *testing.T) {
	for _, text := range []string{
		"8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "223.255.255.255",
		"2606:4700::1", "2a00::1", "2001:200::1", "2003::1",
	} {
		if !route.IsPublic(netip.MustParseAddr(text)) {
			t.Errorf("%s is public", text)
		}
	}
	for _, text := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.169.254",
		"172.16.0.0", "172.31.255.255", "192.0.0.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001::1", "2002:7f00:1::",
		"2001:db8::1", "fc00::1", "fdff::1", "fe80::1", "fe80::1%eth0", "2606:4700::1%eth0", "fec0::1", "ff02::1",
	} {
		if route.IsPublic(netip.MustParseAddr(text)) {
			t.Errorf("%s is not public", text)
		}
	}
	if route.IsPublic(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestTunnelBind(t *testing.T) {
	p := tunnel(t, route.TunnelPassSpec{Bind: "10.0.0.9"})
	if got := p.Bind(&route.Env{}); got != netip.MustParseAddrPort("10.0.0.9:0") {
		t.Errorf("bind %v", got)
	}
	if _, err := route.NewCompiler(route.Process{}, nil).NewTunnelPass(&route.TunnelPassSpec{Target: "x", Bind: "y"}); err == nil {
		t.Error("a name to bind to was taken")
	}
}
