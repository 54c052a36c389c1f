package preread_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net"
	"strings"
	"testing"

	"holdfast/preread"
)

// clientHello is what crypto/tls sends first.
func clientHello(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	go func() {
		defer server.Close()
		_ = tls.Client(server, config).Handshake()
	}()
	b := make([]byte, 1<<16)
	n, err := client.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func usual() *tls.Config {
	return &tls.Config{ServerName: "Chat.example.test", NextProtos: []string{"h2", "http/1.1"}}
}

// split puts the message of a one-record hello into records of size bytes.
func split(hello []byte, size int) (out []byte) {
	for message := hello[5:]; len(message) > 0; {
		n := min(size, len(message))
		out = append(out, hello[:3]...)
		out = binary.BigEndian.AppendUint16(out, uint16(n))
		out = append(out, message[:n]...)
		message = message[n:]
	}
	return out
}

func check(t *testing.T, h *preread.Hello, name, alpn, protocol string) {
	t.Helper()
	if string(h.ServerName) != name || string(h.AppendALPN(nil)) != alpn || h.Protocol() != protocol {
		t.Errorf("got %q %q %q, want %q %q %q", h.ServerName, h.AppendALPN(nil), h.Protocol(), name, alpn, protocol)
	}
}

func TestHello(t *testing.T) {
	for _, tc := range []struct {
		config               *tls.Config
		name, alpn, protocol string
	}{
		{usual(), "Chat.example.test", "h2,http/1.1", "TLSv1.3"},
		{&tls.Config{InsecureSkipVerify: true}, "", "", "TLSv1.3"},
		{&tls.Config{ServerName: "192.0.2.1"}, "", "", "TLSv1.3"},
		{&tls.Config{ServerName: "a", MaxVersion: tls.VersionTLS12}, "a", "", "TLSv1.2"},
		{&tls.Config{ServerName: "a", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "a", "", "TLSv1.1"},
	} {
		var h preread.Hello
		hello := clientHello(t, tc.config)
		if status := preread.Parse(hello, &h); status != preread.Done {
			t.Fatalf("status %d", status)
		}
		check(t, &h, tc.name, tc.alpn, tc.protocol)
		if status := preread.Parse(append(hello, "early data"...), &h); status != preread.Done {
			t.Fatalf("with bytes behind it: status %d", status)
		}
		check(t, &h, tc.name, tc.alpn, tc.protocol)
	}
}

// TestEveryPrefix proves that a hello needs all of its bytes and no more, in one record and
// in records of every size.
func TestEveryPrefix(t *testing.T) {
	hello := clientHello(t, usual())
	for _, size := range []int{1 << 14, 1, 2, 3, 4, 5, 7, 100, 101} {
		whole := split(hello, size)
		var h preread.Hello
		for n := range whole {
			if status := preread.Parse(whole[:n:n], &h); status != preread.More {
				t.Fatalf("records of %d, %d of %d bytes: status %d", size, n, len(whole), status)
			}
		}
		if status := preread.Parse(whole, &h); status != preread.Done {
			t.Fatalf("records of %d: status %d", size, status)
		}
		check(t, &h, "Chat.example.test", "h2,http/1.1", "TLSv1.3")
	}
}

func vector(bytes int, content string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	return string(head[4-bytes:]) + content
}

func extension(kind byte, content string) string {
	return "\x00" + string([]byte{kind}) + vector(2, content)
}

func handmade(extensions string) []byte { return record(body("\x03\x03", vector(2, extensions))) }

func body(version, extensions string) string {
	return version + strings.Repeat("r", 32) + vector(1, "") + vector(2, "\x13\x01") + vector(1, "\x00") + extensions
}

func record(body string) []byte { return []byte("\x16\x03\x01" + vector(2, "\x01"+vector(3, body))) }

func sni(name string) string { return extension(0, vector(2, "\x00"+vector(2, name))) }

func TestHandmade(t *testing.T) {
	const done, notTLS, malformed = preread.Done, preread.NotTLS, preread.Malformed
	for _, tc := range []struct {
		name  string
		bytes []byte
		want  preread.Status
	}{
		{"no extensions", record(body("\x03\x03", "")), done},
		{"empty list of extensions", handmade(""), done},
		{"sni", handmade(sni("a.test")), done},
		{"unknown kind of name beside it", handmade(extension(0, vector(2, "\x07"+vector(2, "x")+"\x00"+vector(2, "a")))), done},
		{"unknown extension", handmade(extension(99, "whatever")), done},
		{"grease in versions", handmade(extension(43, vector(1, "\x7a\x7a\x03\x04"))), done},
		{"http", []byte("GET / HTTP/1.1\r\n\r\n"), notTLS},
		{"one byte", []byte("S"), notTLS},
		{"sslv2", []byte("\x80\x2e\x01\x03\x01"), notTLS},
		{"alert", []byte("\x15\x03\x01\x00\x02\x02\x28"), notTLS},
		{"empty record", []byte("\x16\x03\x01\x00\x00"), notTLS},
		{"record too large", []byte("\x16\x03\x01\x40\x01"), notTLS},
		{"another message", []byte("\x16\x03\x01\x00\x04\x02\x00\x00\x00"), notTLS},
		{"empty message", []byte("\x16\x03\x01\x00\x04\x01\x00\x00\x00"), malformed},
		{"second record is none", []byte("\x16\x03\x01\x00\x04\x01\x00\x00\x30\x17\x03\x03\x00\x01x"), malformed},
		{"session id too long", record("\x03\x03" + strings.Repeat("r", 32) + vector(1, strings.Repeat("s", 33)) +
			vector(2, "\x13\x01") + vector(1, "\x00")), malformed},
		{"half a suite", record("\x03\x03" + strings.Repeat("r", 32) + vector(1, "") + vector(2, "\x13") + vector(1, "\x00")), malformed},
		{"no compression", record("\x03\x03" + strings.Repeat("r", 32) + vector(1, "") + vector(2, "\x13\x01") + vector(1, "")), malformed},
		{"bytes behind the extensions", record(body("\x03\x03", vector(2, "")+"x")), malformed},
		{"extensions too short", record(body("\x03\x03", "\x00\x05abc")), malformed},
		{"extension too long", handmade("\x00\x00\x00\x09abc"), malformed},
		{"sni twice", handmade(sni("a") + sni("b")), malformed},
		{"two host names", handmade(extension(0, vector(2, "\x00"+vector(2, "a")+"\x00"+vector(2, "b")))), malformed},
		{"empty sni", handmade(extension(0, "")), malformed},
		{"empty list of names", handmade(extension(0, vector(2, ""))), malformed},
		{"empty name", handmade(sni("")), malformed},
		{"zero byte in the name", handmade(sni("a\x00b")), malformed},
		{"line end in the name", handmade(sni("a\nb")), malformed},
		{"slash in the name", handmade(sni("../a")), malformed},
		{"name too long", handmade(sni(strings.Repeat("a", 256))), malformed},
		{"bytes behind the names", handmade(extension(0, vector(2, "\x00"+vector(2, "a"))+"x")), malformed},
		{"empty alpn", handmade(extension(16, vector(2, ""))), malformed},
		{"empty protocol", handmade(extension(16, vector(2, vector(1, "")))), malformed},
		{"protocol too long", handmade(extension(16, vector(2, "\x09ab"))), malformed},
		{"half a version", handmade(extension(43, vector(1, "\x03"))), malformed},
		{"no version", handmade(extension(43, vector(1, ""))), malformed},
		{"101 extensions", handmade(manyExtensions(101)), malformed},
		{"100 extensions", handmade(manyExtensions(100)), done},
	} {
		var h preread.Hello
		if got := preread.Parse(tc.bytes, &h); got != tc.want {
			t.Errorf("%s: status %d, want %d", tc.name, got, tc.want)
		}
		for n := range tc.bytes {
			if got := preread.Parse(tc.bytes[:n:n], &h); got != preread.More && got != tc.want {
				t.Errorf("%s: %d bytes of it have the status %d", tc.name, n, got)
			}
		}
	}
}

func manyExtensions(n int) (all string) {
	for i := range n {
		all += extension(byte(100+i), "")
	}
	return all
}

func TestAllocations(t *testing.T) {
	hello := clientHello(t, usual())
	for _, b := range [][]byte{hello, split(hello, 50)} {
		var h preread.Hello
		preread.Parse(b, &h)
		if n := testing.AllocsPerRun(100, func() { preread.Parse(b, &h) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// FuzzParse proves that nothing is read past the end, that the verdict does not depend on
// how records are cut, and that a verdict other than More holds for all that follows.
func FuzzParse(f *testing.F) {
	f.Add(clientHello(f, usual()), 7)
	f.Add(split(clientHello(f, usual()), 9), 3)
	f.Add(handmade(sni("a.test")+extension(16, vector(2, vector(1, "h2")))), 1)
	f.Add([]byte("GET / HTTP/1.1\r\n"), 4)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var h preread.Hello
		status := preread.Parse(b[:len(b):len(b)], &h)
		name := bytes.Clone(h.ServerName)
		h.AppendALPN(nil)
		if cut = min(max(cut, 0), len(b)); cut < len(b) {
			var part preread.Hello
			if early := preread.Parse(b[:cut:cut], &part); early != preread.More && early != status {
				t.Errorf("status %d of %d bytes, %d of all", early, cut, status)
			}
		}
		if status != preread.Done {
			return
		}
		oneRecord := int(b[3])<<8 | int(b[4])
		if len(b) < 5+oneRecord {
			return
		}
		var again preread.Hello
		if got := preread.Parse(append(split(b[:5+oneRecord], 1+cut%50), b[5+oneRecord:]...), &again); got != status || !bytes.Equal(again.ServerName, name) {
			t.Errorf("cut into records of %d: status %d, name %q; in one: %d, %q", 1+cut%50, got, again.ServerName, status, name)
		}
	})
}
