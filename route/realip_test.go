package route_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/proxyproto"
	"holdfast/route"
)

func networks(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestAddrSet(t *testing.T) {
	set := route.NewAddrSet(networks("10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::1/128",
		"::ffff:198.51.100.0/120", "255.255.255.255/32"))
	for text, want := range map[string]bool{
		"9.255.255.255": false, "10.0.0.0": true, "10.1.2.3": true, "11.255.255.255": true, "12.0.0.0": false,
		"192.0.2.6": false, "192.0.2.7": true, "192.0.2.8": false, "2001:db8::": true, "2001:db8:ffff::1": true,
		"2001:db9::": false, "::1": true, "::2": false, "::": false, "198.51.100.9": true, "::ffff:10.9.9.9": true,
		"::ffff:12.0.0.1": false, "2001:db8::1%eth0": true, "255.255.255.255": true, "0.0.0.0": false,
	} {
		if got := set.Has(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	var none route.AddrSet
	all := route.NewAddrSet(networks("0.0.0.0/0", "::/0"))
	for _, text := range []string{"0.0.0.0", "1.2.3.4", "::", "ffff::"} {
		if a := netip.MustParseAddr(text); none.Has(a) || !all.Has(a) {
			t.Errorf("%s: in nothing %v, in all %v", text, none.Has(a), all.Has(a))
		}
	}
}

// TestAddrSetAsItsNetworks compares with asking each network.
func TestAddrSetAsItsNetworks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() netip.Addr {
		if rng.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10, byte(rng.IntN(4)), byte(rng.IntN(4) * 64), byte(rng.IntN(256))})
		}
		return netip.AddrFrom16([16]byte{0x20, 1, byte(rng.IntN(3)), 15: byte(rng.IntN(256))})
	}
	for range 200 {
		var list []netip.Prefix
		for range rng.IntN(12) {
			a := random()
			list = append(list, netip.PrefixFrom(a, rng.IntN(a.BitLen()+1)).Masked())
		}
		set := route.NewAddrSet(list)
		for range 200 {
			a, want := random(), false
			for _, p := range list {
				want = want || p.Contains(a)
			}
			if set.Has(a) != want {
				t.Fatalf("%s in %s: %v", a, list, !want)
			}
		}
	}
}

const realIPText = "$remote_addr|$remote_port|$realip_remote_addr|$realip_remote_port"

// realIPCases are lists of an X-Forwarded-For, one for a line, and what they make of the
// address of a believed peer, with and without real_ip_recursive. Believed are unix:,
// 10.0.0.0/8 and 2001:db8::/32.
var realIPCases = []struct {
	lines            []string
	plain, recursive string // "" for no change
}{
	{[]string{"192.0.2.1"}, "192.0.2.1|", "192.0.2.1|"},
	{[]string{"192.0.2.1:8080"}, "192.0.2.1|8080", "192.0.2.1|8080"},
	{[]string{"2001:db9::1"}, "2001:db9::1|", "2001:db9::1|"},
	{[]string{"[2001:db9::1]:99"}, "2001:db9::1|99", "2001:db9::1|99"},
	{[]string{"[2001:db9::1]"}, "", ""},
	{[]string{"192.0.2.1, 192.0.2.2"}, "192.0.2.2|", "192.0.2.2|"},
	{[]string{"192.0.2.1,192.0.2.2"}, "192.0.2.2|", "192.0.2.2|"},
	{[]string{"192.0.2.1, 10.0.0.1"}, "10.0.0.1|", "192.0.2.1|"},
	{[]string{"198.51.100.1, 192.0.2.1, 10.0.0.1, 2001:db8::7"}, "2001:db8::7|", "192.0.2.1|"},
	{[]string{"10.0.0.2, 10.0.0.1"}, "10.0.0.1|", "10.0.0.2|"},
	{[]string{"junk, 10.0.0.1"}, "10.0.0.1|", "10.0.0.1|"},
	{[]string{"192.0.2.1, junk, 10.0.0.1"}, "10.0.0.1|", "10.0.0.1|"},
	{[]string{"junk"}, "", ""},
	{[]string{"192.0.2.1, junk"}, "", ""},
	{[]string{"192.0.2.1, , ,"}, "192.0.2.1|", "192.0.2.1|"},
	{[]string{"192.0.2.1 192.0.2.2"}, "192.0.2.2|", "192.0.2.2|"},
	{[]string{"192.0.2.1:0"}, "", ""},
	{[]string{"192.0.2.1:65536"}, "", ""},
	{[]string{"192.0.2.1:"}, "", ""},
	{[]string{"192.0.2.256"}, "", ""},
	{[]string{"192.0.2.1%eth0"}, "", ""},
	{[]string{"localhost"}, "", ""},
	{[]string{"192.0.2.1", "192.0.2.2"}, "192.0.2.2|", "192.0.2.2|"},
	{[]string{"192.0.2.1", "10.0.0.1"}, "10.0.0.1|", "192.0.2.1|"},
	{[]string{"198.51.100.1, 192.0.2.1", "10.0.0.2, 10.0.0.1"}, "10.0.0.1|", "192.0.2.1|"},
	{[]string{"junk", "10.0.0.1"}, "10.0.0.1|", "10.0.0.1|"},
	{[]string{"192.0.2.1", "junk"}, "", ""},
	{[]string{"192.0.2.1", "junk, 10.0.0.1"}, "10.0.0.1|", "10.0.0.1|"},
}

func realIPHead(lines []string) (fields []string) {
	for _, line := range lines {
		fields = append(fields, "X-Forwarded-For: "+line)
	}
	return fields
}

func TestRealIP(t *testing.T) {
	tmpl := compile(t, newCompiler(), realIPText)
	for _, recursive := range []bool{false, true} {
		p := route.NewRealIP(&route.RealIPSpec{
			From: networks("10.0.0.0/8", "2001:db8::/32"), UnixFrom: true, Header: "x-forwarded-FOR", Recursive: recursive,
		})
		for _, c := range realIPCases {
			want := c.plain
			if recursive {
				want = c.recursive
			}
			for peer, original := range map[string]string{"10.9.9.9:5": "10.9.9.9|5", "": "unix:|"} {
				e := newEnv(t, get("/", realIPHead(c.lines)...))
				e.Remote = netip.AddrPort{}
				if peer != "" {
					e.Remote = netip.MustParseAddrPort(peer)
				}
				e.UseRealIP(p)
				full := want + "|" + original
				if want == "" {
					full = original + "|" + original
				}
				if got := string(tmpl.Append(nil, e)); got != full {
					t.Errorf("%q, recursive %v: %s, want %s", c.lines, recursive, got, full)
				}
			}
			e := newEnv(t, get("/", realIPHead(c.lines)...)) // from 192.0.2.7, who is not believed
			e.UseRealIP(p)
			if got := string(tmpl.Append(nil, e)); got != "192.0.2.7|40000|192.0.2.7|40000" {
				t.Errorf("%q from a stranger: %s", c.lines, got)
			}
		}
	}
}

// TestNginxRealIP asks nginx for the same cases.
func TestNginxRealIP(t *testing.T) {
	server := func(name, recursive string) string {
		return fmt.Sprintf(`server { listen unix:DIR/%s; set_real_ip_from unix:; set_real_ip_from 10.0.0.0/8;
			set_real_ip_from 2001:db8::/32; real_ip_header X-Forwarded-For; real_ip_recursive %s; return 200 "%s"; }`,
			name, recursive, realIPText)
	}
	dir := startNginx(t, server("plain", "off")+server("recursive", "on"))
	for _, c := range realIPCases {
		for name, want := range map[string]string{"plain": c.plain, "recursive": c.recursive} {
			got := ask(t, filepath.Join(dir, name), "/", realIPHead(c.lines)...)
			full := want + "|unix:|"
			if want == "" {
				full = "unix:||unix:|"
			}
			if got != full {
				t.Errorf("%q, %s: nginx says %s, want %s", c.lines, name, got, full)
			}
		}
	}
}

func TestRealIPOfOtherFields(t *testing.T) {
	tmpl := compile(t, newCompiler(), realIPText)
	for _, c := range []struct{ header, field, want string }{
		{"X-Real-IP", "x-real-ip: 192.0.2.9", "192.0.2.9||192.0.2.7|40000"},
		{"X-Real-IP", "X-Forwarded-For: 192.0.2.9", "192.0.2.7|40000|192.0.2.7|40000"},
		{"CF-Connecting-IP", "Cf-Connecting-Ip: 2001:db8::1", "2001:db8::1||192.0.2.7|40000"},
		{"CF-Connecting-IP", "Cf-Connecting-IpX: 2001:db8::1", "192.0.2.7|40000|192.0.2.7|40000"},
		{"X-Own", "X-Own: ::ffff:198.51.100.1", "198.51.100.1||192.0.2.7|40000"},
	} {
		p := route.NewRealIP(&route.RealIPSpec{From: networks("192.0.2.0/24"), Header: c.header})
		e := newEnv(t, get("/", c.field))
		e.UseRealIP(p)
		e.UseRealIP(p) // once is enough
		if got := string(tmpl.Append(nil, e)); got != c.want {
			t.Errorf("%s with %q: %s, want %s", c.header, c.field, got, c.want)
		}
		e.Reset()
		e.Remote = netip.MustParseAddrPort("192.0.2.7:40000")
		if got := string(tmpl.Append(nil, e)); got != "192.0.2.7|40000|192.0.2.7|40000" {
			t.Errorf("after Reset: %s", got)
		}
	}
	if route.NewRealIP(&route.RealIPSpec{Header: "X"}) != nil {
		t.Error("nobody is believed, and yet there is something to do")
	}
}

// proxied is the header that AppendV2 writes and Parse reads.
func proxied(t *testing.T, from, to string, c *proxyproto.Client) *proxyproto.Header {
	t.Helper()
	var a, b netip.AddrPort
	if from != "" {
		a, b = netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	}
	h := &proxyproto.Header{}
	if _, s := proxyproto.Parse(proxyproto.AppendV2(nil, a, b, c), h); s != proxyproto.Done {
		t.Fatal(s)
	}
	return h
}

func TestProxyProtocolVariables(t *testing.T) {
	c := newCompiler()
	line := &route.LogFormat{Line: compile(t, c, "$remote_addr $remote_port $proxy_protocol_addr $proxy_protocol_port "+
		"$proxy_protocol_server_addr $proxy_protocol_server_port $proxy_protocol_tlv_alpn $proxy_protocol_tlv_authority "+
		"$proxy_protocol_tlv_0x01 $proxy_protocol_tlv_0xE0 $proxy_protocol_tlv_unique_id $proxy_protocol_tlv_netns "+
		"$proxy_protocol_tlv_ssl_version $proxy_protocol_tlv_ssl_0x21 $proxy_protocol_tlv_ssl_cn $proxy_protocol_tlv_ssl_cipher "+
		"$proxy_protocol_tlv_ssl_sig_alg $proxy_protocol_tlv_ssl_key_alg $proxy_protocol_tlv_ssl_verify $proxy_protocol_tlv_ssl")}
	p := route.NewRealIP(&route.RealIPSpec{From: networks("192.0.2.7/32")})
	for _, tc := range []struct {
		name, want string
		header     *proxyproto.Header
	}{
		{"none", "192.0.2.7 40000" + strings.Repeat(" -", 18), nil},
		{"addresses", "198.51.100.1 77 198.51.100.1 77 203.0.113.1 443" + strings.Repeat(" -", 14),
			proxied(t, "198.51.100.1:77", "203.0.113.1:443", nil)},
		{"vectors", `2001:db8::1 1 2001:db8::1 1 ::ffff:203.0.113.1 443 h2 example.org h2 - id - TLSv1.3 TLSv1.3 me C - - 0 ` +
			`\x05\x00\x00\x00\x00!\x00\x07TLSv1.3\x22\x00\x02me#\x00\x01C`,
			proxied(t, "[2001:db8::1]:1", "203.0.113.1:443", &proxyproto.Client{ALPN: "h2", Authority: "example.org",
				UniqueID: []byte("id"), TLS: &proxyproto.TLS{Version: "TLSv1.3", Cipher: "C", CN: "me", Certificate: true,
					Resumed: true, Verified: true}})},
		{"no addresses", "192.0.2.7 40000 - - - - h2" + strings.Repeat(" -", 1) + " h2" + strings.Repeat(" -", 11),
			proxied(t, "", "", &proxyproto.Client{ALPN: "h2"})},
	} {
		e := newEnv(t, get("/"))
		e.ProxyProtocol = tc.header
		e.UseRealIP(p)
		if got := strings.TrimSpace(string(line.Append(nil, e))); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, got, tc.want)
		}
	}
	for _, name := range []string{"", "x", "0x", "0x100", "0xg", "ssl_", "ssl_x", "ssl_0x100", "sslx", "verify"} {
		if _, err := newCompiler().Compile("$proxy_protocol_tlv_" + name); err == nil {
			t.Errorf("$proxy_protocol_tlv_%s compiles", name)
		}
	}
}

func TestRealIPDoesNotAllocate(t *testing.T) {
	p := route.NewRealIP(&route.RealIPSpec{From: networks("10.0.0.0/8", "192.0.2.0/24"), Header: "X-Forwarded-For", Recursive: true})
	e := newEnv(t, get("/", "X-Forwarded-For: 2001:db8::1, 10.0.0.2, 10.0.0.1:80"))
	head, req, remote := e.Head, e.Req, e.Remote
	if n := testing.AllocsPerRun(100, func() {
		e.Reset()
		e.Head, e.Req, e.Remote = head, req, remote
		e.UseRealIP(p)
		if e.Remote.Addr().Is4() {
			t.Fatal("it was not used")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzRealIP looks for lists that make an invalid address of a valid one.
func FuzzRealIP(f *testing.F) {
	for _, c := range realIPCases {
		f.Add(strings.Join(c.lines, "\n"))
	}
	recursive := route.NewRealIP(&route.RealIPSpec{From: networks("192.0.2.0/24", "10.0.0.0/8"), Header: "X-Forwarded-For", Recursive: true})
	plain := route.NewRealIP(&route.RealIPSpec{From: networks("192.0.2.0/24"), Header: "X-Real-IP"})
	f.Fuzz(func(t *testing.T, text string) {
		fields := realIPHead(strings.Split(text, "\n"))
		e := &route.Env{}
		e.Reset()
		if fill(e, get("/", append(fields, "X-Real-IP: "+strings.ReplaceAll(text, "\n", ","))...)) != nil {
			return
		}
		first := e.Remote
		for _, p := range []*route.RealIP{recursive, plain} {
			e.UseRealIP(p)
			if !e.Remote.IsValid() || e.Remote.Addr().Is4In6() || e.Remote.Addr().Zone() != "" {
				t.Fatalf("%q: %s", text, e.Remote)
			}
		}
		if e.Remote != first && !strings.Contains(text, ".") && !strings.Contains(text, ":") {
			t.Fatalf("%q: %s", text, e.Remote)
		}
	})
}
