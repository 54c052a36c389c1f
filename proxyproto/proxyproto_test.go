package proxyproto_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"strings"
	"testing"

	oracle "github.com/pires/go-proxyproto"

	"holdfast/proxyproto"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// v2 makes a header of version 2 whose length is right.
func v2(command, family byte, body string) string {
	return string(append([]byte(signature), command, family, byte(len(body)>>8), byte(len(body)))) + body
}

func tlv(kind byte, value string) string {
	return string([]byte{kind, byte(len(value) >> 8), byte(len(value))}) + value
}

const (
	addresses4 = "\x01\x02\x03\x04\x05\x06\x07\x08\x03\xe8\x01\xbb"
	mapped     = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"
	addresses6 = mapped + "\x01\x02\x03\x04" + "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\xff\xff\x00\x00"
)

// sealed is a header with a right CRC32c as its last vector.
func sealed(command, family byte, body string) string {
	h := []byte(v2(command, family, body+tlv(proxyproto.TypeCRC32C, "\x00\x00\x00\x00")))
	binary.BigEndian.PutUint32(h[len(h)-4:], crc32.Checksum(h, crc32.MakeTable(crc32.Castagnoli)))
	return string(h)
}

var good = []struct {
	name, header     string
	from, to         string // empty: none
	local            bool
	version          uint8
	tlvs             string
	oracleRefuses    bool
	oracleHasAddress bool
}{
	{name: "v1 IPv4", header: "PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\n", from: "1.2.3.4:1000", to: "5.6.7.8:443", version: 1},
	{name: "v1 extremes", header: "PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n",
		from: "255.255.255.255:65535", to: "0.0.0.0:0", version: 1},
	{name: "v1 IPv6", header: "PROXY TCP6 2001:db8::1 ::1 1 2\r\n", from: "[2001:db8::1]:1", to: "[::1]:2", version: 1},
	{name: "v1 IPv6 in full", header: "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		from: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", to: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", version: 1},
	{name: "v1 mapped", header: "PROXY TCP6 ::ffff:1.2.3.4 ::ffff:5.6.7.8 1 2\r\n",
		from: "[::ffff:1.2.3.4]:1", to: "[::ffff:5.6.7.8]:2", version: 1},
	{name: "v1 unknown", header: "PROXY UNKNOWN\r\n", version: 1},
	{name: "v1 unknown with words", header: "PROXY UNKNOWN ffff:: what ever\r\n", version: 1},
	{name: "v1 unknown, longest", header: "PROXY UNKNOWN " + strings.Repeat("x", 107-16) + "\r\n", version: 1},
	{name: "v2 IPv4", header: v2(0x21, 0x11, addresses4), from: "1.2.3.4:1000", to: "5.6.7.8:443", version: 2},
	{name: "v2 IPv6", header: v2(0x21, 0x21, addresses6), from: "[::ffff:1.2.3.4]:65535", to: "[2001:db8::1]:0", version: 2},
	{name: "v2 UDP", header: v2(0x21, 0x12, addresses4), version: 2, oracleHasAddress: true},
	{name: "v2 UDP over IPv6", header: v2(0x21, 0x22, addresses6), version: 2, oracleHasAddress: true},
	{name: "v2 unix", header: v2(0x21, 0x31, "/a"+strings.Repeat("\x00", 214)), version: 2, oracleHasAddress: true},
	{name: "v2 unix datagram", header: v2(0x21, 0x32, "/a"+strings.Repeat("\x00", 214)), version: 2, oracleHasAddress: true},
	{name: "v2 unspec", header: v2(0x21, 0x00, ""), version: 2, oracleRefuses: true},
	{name: "v2 unspec with a vector", header: v2(0x21, 0x00, tlv(4, "")), version: 2, tlvs: tlv(4, ""), oracleRefuses: true},
	{name: "v2 local", header: v2(0x20, 0x00, ""), version: 2, local: true},
	{name: "v2 local with addresses", header: v2(0x20, 0x11, addresses4+"\xff"), version: 2, local: true},
	{name: "v2 local of no family", header: v2(0x20, 0x77, "rubbish"), version: 2, local: true, oracleRefuses: true},
	{name: "v2 vectors", header: v2(0x21, 0x11, addresses4+tlv(1, "h2")+tlv(0xe0, "\x00\xff")), from: "1.2.3.4:1000", to: "5.6.7.8:443",
		version: 2, tlvs: tlv(1, "h2") + tlv(0xe0, "\x00\xff")},
	{name: "v2 checksum", header: sealed(0x21, 0x11, addresses4), from: "1.2.3.4:1000", to: "5.6.7.8:443", version: 2,
		tlvs: sealed(0x21, 0x11, addresses4)[28:]},
	{name: "v2 longest", header: v2(0x21, 0x11, addresses4+tlv(4, strings.Repeat("x", 4096-16-12-3))), from: "1.2.3.4:1000",
		to: "5.6.7.8:443", version: 2, tlvs: tlv(4, strings.Repeat("x", 4096-16-12-3))},
}

func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func TestGoodHeaders(t *testing.T) {
	for _, c := range good {
		var h proxyproto.Header
		n, s := proxyproto.Parse([]byte(c.header+"GET /"), &h)
		if s != proxyproto.Done || n != len(c.header) {
			t.Errorf("%s: %s after %d of %d bytes", c.name, s, n, len(c.header))
			continue
		}
		if address(h.Source) != c.from || address(h.Destination) != c.to || h.Local != c.local || h.Version != c.version ||
			string(h.TLVs) != c.tlvs {
			t.Errorf("%s: %+v", c.name, h)
		}
		for i := range len(c.header) {
			if n, s := proxyproto.Parse([]byte(c.header[:i]), &h); n != 0 || s != proxyproto.More {
				t.Errorf("%s: %s after %d bytes", c.name, s, i)
				break
			}
		}
		theirs, err := oracle.Read(bufio.NewReader(strings.NewReader(c.header)))
		if c.oracleRefuses != (err != nil) {
			t.Errorf("%s: the other parser says %v", c.name, err)
		} else if err == nil && !c.oracleHasAddress && c.from != "" {
			sameAddresses(t, theirs, &h, c.from, c.to)
		}
	}
}

func sameAddresses(t *testing.T, theirs *oracle.Header, _ *proxyproto.Header, from, to string) {
	t.Helper()
	a, b, ok := theirs.TCPAddrs()
	if !ok {
		t.Errorf("the other parser has no addresses")
		return
	}
	for i, pair := range [][2]string{{a.String(), from}, {b.String(), to}} {
		x, y := netip.MustParseAddrPort(pair[0]), netip.MustParseAddrPort(pair[1])
		if x.Addr().Unmap() != y.Addr().Unmap() || x.Port() != y.Port() {
			t.Errorf("address %d: %s, the other parser %s", i, y, x)
		}
	}
}

var bad = []struct {
	name, header string
	status       proxyproto.Status
}{
	{"a request", "GET / HTTP/1.1\r\n\r\n", proxyproto.ErrSignature},
	{"a hello", "\x16\x03\x01\x00\x05", proxyproto.ErrSignature},
	{"lower case", "proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", proxyproto.ErrSignature},
	{"another word", "PROXI TCP4", proxyproto.ErrSignature},
	{"a post", "POST /", proxyproto.ErrSignature},
	{"a tab", "PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n", proxyproto.ErrSignature},
	{"another family", "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", proxyproto.ErrLine},
	{"no family", "PROXY \r\n", proxyproto.ErrLine},
	{"UDP", "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", proxyproto.ErrLine},
	{"two spaces", "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", proxyproto.ErrLine},
	{"two spaces later", "PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n", proxyproto.ErrLine},
	{"a space at the end", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", proxyproto.ErrLine},
	{"another word at the end", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", proxyproto.ErrLine},
	{"no ports", "PROXY TCP4 1.2.3.4 5.6.7.8\r\n", proxyproto.ErrLine},
	{"one port", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", proxyproto.ErrLine},
	{"bare LF", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", proxyproto.ErrLine},
	{"bare CR", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX", proxyproto.ErrLine},
	{"two CR", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n", proxyproto.ErrLine},
	{"LF inside", "PROXY UNKNOWN a\nb\r\n", proxyproto.ErrLine},
	{"glued unknown", "PROXY UNKNOWNX\r\n", proxyproto.ErrLine},
	{"large port", "PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", proxyproto.ErrAddress},
	{"negative port", "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n", proxyproto.ErrAddress},
	{"port with a zero", "PROXY TCP4 1.2.3.4 5.6.7.8 080 2\r\n", proxyproto.ErrAddress},
	{"port in hex", "PROXY TCP4 1.2.3.4 5.6.7.8 0x1 2\r\n", proxyproto.ErrAddress},
	{"octet of 256", "PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n", proxyproto.ErrAddress},
	{"octet with a zero", "PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n", proxyproto.ErrAddress},
	{"three octets", "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", proxyproto.ErrAddress},
	{"five octets", "PROXY TCP4 1.2.3.4.5 5.6.7.8 1 2\r\n", proxyproto.ErrAddress},
	{"IPv6 as IPv4", "PROXY TCP4 ::1 ::1 1 2\r\n", proxyproto.ErrAddress},
	{"IPv4 as IPv6", "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", proxyproto.ErrAddress},
	{"a zone", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", proxyproto.ErrAddress},
	{"brackets", "PROXY TCP6 [::1] ::1 1 2\r\n", proxyproto.ErrAddress},
	{"two gaps", "PROXY TCP6 1::2::3 ::1 1 2\r\n", proxyproto.ErrAddress},
	{"nine groups", "PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n", proxyproto.ErrAddress},
	{"a gap of nothing", "PROXY TCP6 1:2:3:4:5:6:7:8:: ::1 1 2\r\n", proxyproto.ErrAddress},
	{"five digits", "PROXY TCP6 12345::1 ::1 1 2\r\n", proxyproto.ErrAddress},
	{"a name", "PROXY TCP4 localhost 5.6.7.8 1 2\r\n", proxyproto.ErrAddress},
	{"no end", "PROXY UNKNOWN " + strings.Repeat("x", 200), proxyproto.ErrLength},
	{"one byte too long", "PROXY UNKNOWN " + strings.Repeat("x", 107-15) + "\r\n", proxyproto.ErrLength},
	{"signature cut by another byte", "\r\n\r\n\x00\r\nQUIS\n", proxyproto.ErrSignature},
	{"an empty line", "\r\nGET /", proxyproto.ErrSignature},
	{"version 1", v2(0x11, 0x11, addresses4), proxyproto.ErrVersion},
	{"version 3", v2(0x31, 0x11, addresses4), proxyproto.ErrVersion},
	{"command 2", v2(0x22, 0x11, addresses4), proxyproto.ErrCommand},
	{"family 4", v2(0x21, 0x41, addresses4), proxyproto.ErrFamily},
	{"transport 3", v2(0x21, 0x13, addresses4), proxyproto.ErrFamily},
	{"transport without family", v2(0x21, 0x01, addresses4), proxyproto.ErrFamily},
	{"family without transport", v2(0x21, 0x10, addresses4), proxyproto.ErrFamily},
	{"addresses too short", v2(0x21, 0x11, addresses4[:11]), proxyproto.ErrLength},
	{"IPv6 addresses too short", v2(0x21, 0x21, addresses6[:35]), proxyproto.ErrLength},
	{"unix addresses too short", v2(0x21, 0x31, addresses6), proxyproto.ErrLength},
	{"too long", v2(0x21, 0x11, addresses4+tlv(4, strings.Repeat("x", 4096-16-12-2))), proxyproto.ErrLength},
	{"longest length", signature + "\x21\x11\xff\xff", proxyproto.ErrLength},
	{"longest local", signature + "\x20\x00\xff\xff", proxyproto.ErrLength},
	{"a vector's head cut", v2(0x21, 0x11, addresses4+"\x01\x00"), proxyproto.ErrVector},
	{"a vector past the end", v2(0x21, 0x11, addresses4+"\x01\x00\x03ab"), proxyproto.ErrVector},
	{"a byte behind the vectors", v2(0x21, 0x11, addresses4+tlv(1, "h2")+"\x00"), proxyproto.ErrVector},
	{"a short checksum", v2(0x21, 0x11, addresses4+tlv(3, "abc")), proxyproto.ErrVector},
	{"a wrong checksum", v2(0x21, 0x11, addresses4+tlv(3, "abcd")), proxyproto.ErrChecksum},
	{"a changed byte", strings.Replace(sealed(0x21, 0x11, addresses4), "\x01\x02", "\x01\x03", 1), proxyproto.ErrChecksum},
	{"two checksums", sealed(0x21, 0x11, addresses4+tlv(3, "\x00\x00\x00\x00")), proxyproto.ErrChecksum},
	{"a long identifier", v2(0x21, 0x11, addresses4+tlv(5, strings.Repeat("x", 129))), proxyproto.ErrVector},
	{"a short ssl vector", v2(0x21, 0x11, addresses4+tlv(0x20, "\x01\x00\x00\x00")), proxyproto.ErrVector},
	{"a bad ssl subvector", v2(0x21, 0x11, addresses4+tlv(0x20, "\x01\x00\x00\x00\x00\x21\x00\x09TLS")), proxyproto.ErrVector},
}

func TestBadHeaders(t *testing.T) {
	if len(bad) < 40 {
		t.Errorf("%d bad headers", len(bad))
	}
	for _, c := range bad {
		var h proxyproto.Header
		n, s := proxyproto.Parse([]byte(c.header), &h)
		if n != 0 || s != c.status {
			t.Errorf("%s: %q, want %q", c.name, s, c.status)
		}
	}
}

// What is wrong with the first bytes stays wrong, and what is right with them stays right.
func checkPrefixes(t *testing.T, b []byte) {
	var h proxyproto.Header
	n, s := proxyproto.Parse(b, &h)
	if (s == proxyproto.Done) != (n > 0) || n > len(b) || n > proxyproto.LengthMax {
		t.Fatalf("%s with length %d of %d", s, n, len(b))
	}
	for i := range len(b) {
		var part proxyproto.Header
		m, got := proxyproto.Parse(b[:i], &part)
		switch {
		case got == proxyproto.More && (s != proxyproto.Done || i < n):
		case got == proxyproto.Done && s == proxyproto.Done && m == n && i >= n:
		case got > proxyproto.More && s > proxyproto.More:
		default:
			t.Fatalf("%q: %s after %d bytes, %s (%d) after all", b, got, i, s, n)
		}
	}
}

func TestPrefixes(t *testing.T) {
	for _, c := range bad {
		checkPrefixes(t, []byte(c.header))
	}
	for _, c := range good {
		checkPrefixes(t, []byte(c.header+"behind"))
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range bad {
		f.Add([]byte(c.header))
	}
	for _, c := range good {
		f.Add([]byte(c.header))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 5000 {
			return
		}
		checkPrefixes(t, b)
		var h proxyproto.Header
		n, s := proxyproto.Parse(b, &h)
		if s != proxyproto.Done {
			return
		}
		if !h.Source.IsValid() {
			if h.Destination.IsValid() {
				t.Fatalf("one address only: %+v", h)
			}
			return
		}
		theirs, err := oracle.Read(bufio.NewReader(bytes.NewReader(b[:n])))
		if err != nil {
			t.Fatalf("the other parser refuses %q: %v", b[:n], err)
		}
		sameAddresses(t, theirs, &h, h.Source.String(), h.Destination.String())
		rest := h.TLVs
		for len(rest) > 0 {
			size := 3 + int(binary.BigEndian.Uint16(rest[1:]))
			if _, found := h.TLV(rest[0]); !found {
				t.Fatalf("vector %#x is not found", rest[0])
			}
			rest = rest[size:]
		}
		h.SSLVerify()
		h.SSL(proxyproto.SubtypeCN)
	})
}

// FuzzAppend writes headers and reads them with both parsers.
func FuzzAppend(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, uint32(1<<16|2), "h", "a", byte(0x7f))
	f.Add([]byte(addresses6[:32]), uint32(65535), "", "", byte(0))
	f.Add([]byte("\x01\x02\x03\x04"+addresses6[16:32]), uint32(9<<16), strings.Repeat("x", 256), strings.Repeat("b", 129), byte(0x81))
	f.Fuzz(func(t *testing.T, both []byte, ports uint32, alpn, name string, flags byte) {
		cut := len(both) / 2
		if len(both) == 20 {
			cut = 4 + int(flags>>7)*12
		}
		from, ok1 := netip.AddrFromSlice(both[:cut])
		to, ok2 := netip.AddrFromSlice(both[cut:])
		source, destination := netip.AddrPort{}, netip.AddrPort{}
		if ok1 && ok2 {
			source, destination = netip.AddrPortFrom(from, uint16(ports>>16)), netip.AddrPortFrom(to, uint16(ports))
		}
		c := &proxyproto.Client{ALPN: alpn, Authority: name, UniqueID: []byte(name), Checksum: flags&1 != 0}
		if flags&2 != 0 {
			c.TLS = &proxyproto.TLS{Version: "TLSv1.3", Cipher: alpn, CN: name, Certificate: flags&4 != 0, Resumed: flags&8 != 0,
				Verified: flags&16 != 0}
		}
		for _, header := range [][]byte{
			proxyproto.AppendV1([]byte("before"), source, destination),
			proxyproto.AppendV2([]byte("before"), source, destination, c),
			proxyproto.AppendV2([]byte("before"), source, destination, nil),
		} {
			header = header[len("before"):]
			var h proxyproto.Header
			n, s := proxyproto.Parse(header, &h)
			if s != proxyproto.Done || n != len(header) {
				t.Fatalf("%q: %s, %d", header, s, n)
			}
			if h.Source.IsValid() != source.IsValid() {
				t.Fatalf("%q: source %s", header, h.Source)
			}
			if source.IsValid() {
				sameAddresses(t, must(oracle.Read(bufio.NewReader(bytes.NewReader(header)))), &h, source.String(), destination.String())
				if h.Source.Addr().Unmap() != source.Addr().Unmap() || h.Destination.Addr().Unmap() != destination.Addr().Unmap() {
					t.Fatalf("%q: %s, %s", header, h.Source, h.Destination)
				}
			}
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Vectors written are those read back, also by the other parser.
func TestVectors(t *testing.T) {
	from, to := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("[2001:db8::2]:443")
	b := proxyproto.AppendV2(nil, from, to, &proxyproto.Client{
		ALPN: "http/1.1", Authority: "example.org", UniqueID: []byte("id"), Checksum: true,
		TLS: &proxyproto.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", CN: "me", Certificate: true, Verified: true},
	})
	var h proxyproto.Header
	if n, s := proxyproto.Parse(b, &h); s != proxyproto.Done || n != len(b) {
		t.Fatalf("%s, %d of %d", s, n, len(b))
	}
	for kind, want := range map[byte]string{1: "http/1.1", 2: "example.org", 5: "id"} {
		if v, found := h.TLV(kind); !found || string(v) != want {
			t.Errorf("vector %#x: %q", kind, v)
		}
	}
	for kind, want := range map[byte]string{0x21: "TLSv1.3", 0x22: "me", 0x23: "TLS_AES_128_GCM_SHA256"} {
		if v, found := h.SSL(kind); !found || string(v) != want {
			t.Errorf("ssl vector %#x: %q", kind, v)
		}
	}
	if v, found := h.SSLVerify(); v != 0 || !found {
		t.Errorf("verify %d, %v", v, found)
	}
	if ssl, _ := h.TLV(proxyproto.TypeSSL); ssl[0] != 7 {
		t.Errorf("client bits %#x", ssl[0])
	}
	if _, found := h.TLV(0x30); found {
		t.Error("a vector that is not there")
	}
	theirs, err := must(oracle.Read(bufio.NewReader(bytes.NewReader(b)))).TLVs()
	if err != nil || len(theirs) != 5 {
		t.Errorf("the other parser: %d vectors, %v", len(theirs), err)
	}
	if h.Source.String() != "[::ffff:10.0.0.1]:1" {
		t.Errorf("source %s", h.Source)
	}
}

// The other implementation's writer, read by ours.
func TestReadsTheOtherWriter(t *testing.T) {
	for _, version := range []byte{1, 2} {
		for _, pair := range [][2]string{{"10.1.2.3:80", "10.9.9.9:65535"}, {"[2001:db8::1]:1", "[fe80::2]:2"}} {
			from, to := netip.MustParseAddrPort(pair[0]), netip.MustParseAddrPort(pair[1])
			theirs := oracle.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(from), net.TCPAddrFromAddrPort(to))
			b := must(theirs.Format())
			var h proxyproto.Header
			if n, s := proxyproto.Parse(b, &h); s != proxyproto.Done || n != len(b) || h.Source != from || h.Destination != to {
				t.Errorf("version %d: %s, %+v", version, s, h)
			}
			ours := proxyproto.AppendV1(nil, from, to)
			if version == 2 {
				ours = proxyproto.AppendV2(nil, from, to, nil)
			}
			if !bytes.Equal(ours, b) {
				t.Errorf("version %d: %q, theirs %q", version, ours, b)
			}
		}
	}
}

// TestAddressesInText holds the parsers of addresses against netip's.
func TestAddressesInText(t *testing.T) {
	for _, text := range []string{
		"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::8", "a:B:c:D::", "0001::", "00001::",
		"::1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::ffff:1.2.3.4", "::ffff:1.2.3", "::1.2.3.4:1", "1.2.3.4::",
		":", ":::", "::1::", "1:", ":1", "1:2", "g::", "::g", "::1 ", "", ".", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1::2:3:4:5:6:7:8",
		"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "1:2:3:4:5::1.2.3.4", "::01.2.3.4", "fe80::1%a",
	} {
		checkAddress(t, text)
	}
}

func checkAddress(t *testing.T, text string) {
	t.Helper()
	if strings.ContainsAny(text, " \r\n") || len(text) > 60 {
		return
	}
	var h proxyproto.Header
	for family, is := range map[string]func(netip.Addr) bool{"TCP4": netip.Addr.Is4, "TCP6": netip.Addr.Is6} {
		other := map[string]string{"TCP4": "1.1.1.1", "TCP6": "::"}[family]
		_, s := proxyproto.Parse(fmt.Appendf(nil, "PROXY %s %s %s 1 2\r\n", family, text, other), &h)
		want, err := netip.ParseAddr(text)
		ok := err == nil && is(want) && want.Zone() == ""
		if ok != (s == proxyproto.Done) || ok && h.Source.Addr() != want {
			t.Errorf("%s %q: %s, %s; netip says %s, %v", family, text, s, h.Source, want, err)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add("::ffff:1.2.3.4")
	f.Add("1:2:3:4:5:6:7:8")
	f.Add("10.0.0.255")
	f.Fuzz(checkAddress)
}

func TestNothingIsAllocated(t *testing.T) {
	var h proxyproto.Header
	out := make([]byte, 0, 1024)
	client := &proxyproto.Client{ALPN: "a", Authority: "b", TLS: &proxyproto.TLS{Version: "c"}, Checksum: true}
	headers := [][]byte{
		[]byte("PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\n"), []byte("PROXY TCP6 2001:db8::1 ::1 1 2\r\n"),
		[]byte(sealed(0x21, 0x21, addresses6+tlv(1, "h2"))),
	}
	run := func() {
		for _, b := range headers {
			if _, s := proxyproto.Parse(b, &h); s != proxyproto.Done {
				t.Fatal(s)
			}
			out = proxyproto.AppendV1(out[:0], h.Source, h.Destination)
			out = proxyproto.AppendV2(out[:0], h.Source, h.Destination, client)
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
