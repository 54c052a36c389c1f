// Package parse measures httpparse beside net/http and fasthttp on the same heads. It
// is a module of its own, so that what it compares with is no dependency of the product.
package parse

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"

	"holdfast/httpparse"
)

// browserUpgrade is what a browser sends to open a WebSocket: 13 fields.
const browserUpgrade = "GET /socket/room?id=42&token=eyJhbGciOiJIUzI1NiJ9 HTTP/1.1\r\n" +
	"Host: chat.example.com\r\n" +
	"Connection: Upgrade\r\n" +
	"Pragma: no-cache\r\n" +
	"Cache-Control: no-cache\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Upgrade: websocket\r\n" +
	"Origin: https://chat.example.com\r\n" +
	"Sec-WebSocket-Version: 13\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" +
	"Cookie: session=b64f7a2c9d1e4f5a8b3c; theme=dark\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" +
	"\r\n"

const smallGet = "GET /health HTTP/1.1\r\n" +
	"Host: app.example.com\r\n" +
	"User-Agent: curl/8.5.0\r\n" +
	"Accept: */*\r\n" +
	"\r\n"

const appResponse = "HTTP/1.1 200 OK\r\n" +
	"Date: Tue, 04 Aug 2026 10:11:12 GMT\r\n" +
	"Server: app\r\n" +
	"Content-Type: application/json; charset=utf-8\r\n" +
	"Content-Length: 1532\r\n" +
	"Connection: keep-alive\r\n" +
	"Cache-Control: private, max-age=0, must-revalidate\r\n" +
	"ETag: W/\"5fc-Zp1bXv0q2Wv6mJ0Fq1kqvYw\"\r\n" +
	"Vary: Accept-Encoding, Origin\r\n" +
	"X-Request-Id: 0b8f2f6e-8f1d-4a57-9d3c-6b1f0a3e2c11\r\n" +
	"X-Content-Type-Options: nosniff\r\n" +
	"Strict-Transport-Security: max-age=15552000; includeSubDomains\r\n" +
	"Set-Cookie: session=b64f7a2c9d1e4f5a8b3c; Path=/; HttpOnly; Secure; SameSite=Lax\r\n" +
	"\r\n"

const switching = "HTTP/1.1 101 Switching Protocols\r\n" +
	"Upgrade: websocket\r\n" +
	"Connection: Upgrade\r\n" +
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" +
	"\r\n"

var requests = []struct{ name, head string }{
	{"upgrade", browserUpgrade},
	{"get", smallGet},
}

var responses = []struct{ name, head string }{
	{"app", appResponse},
	{"101", switching},
}

// measure runs parse on head as often as the benchmark wants. The buffered reader,
// which net/http and fasthttp read from, is the same all the time and holds the head.
func measure(b *testing.B, head string, parse func(from *bufio.Reader) error) {
	in := bytes.NewReader(nil)
	from := bufio.NewReader(in)
	buf := []byte(head)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(buf)
		from.Reset(in)
		if err := parse(from); err != nil {
			b.Fatal(err)
		}
	}
}

// measureHere is measure for httpparse, which takes bytes and not a reader. The head is
// copied first, as reading it would.
func measureHere(b *testing.B, head string, parse func(buf []byte) (bool, httpparse.Error)) {
	buf := make([]byte, len(head))
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, head)
		if done, err := parse(buf); !done || err != httpparse.OK {
			b.Fatal(done, err)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	for _, c := range requests {
		b.Run(c.name+"/holdfast", func(b *testing.B) {
			var r httpparse.Request
			measureHere(b, c.head, func(buf []byte) (bool, httpparse.Error) {
				r.Reset()
				return r.Parse(buf)
			})
		})
		// With what a proxy must know before it may forward: target, Host, framing.
		b.Run(c.name+"/holdfast-checked", func(b *testing.B) {
			var r httpparse.Request
			measureHere(b, c.head, func(buf []byte) (bool, httpparse.Error) {
				r.Reset()
				if done, err := r.Parse(buf); !done || err != httpparse.OK {
					return done, err
				}
				return true, r.Check(buf)
			})
		})
		b.Run(c.name+"/fasthttp", func(b *testing.B) {
			var header fasthttp.RequestHeader
			measure(b, c.head, header.Read)
		})
		b.Run(c.name+"/net-http", func(b *testing.B) {
			measure(b, c.head, func(from *bufio.Reader) error {
				_, err := http.ReadRequest(from)
				return err
			})
		})
	}
}

func BenchmarkResponse(b *testing.B) {
	for _, c := range responses {
		b.Run(c.name+"/holdfast", func(b *testing.B) {
			var r httpparse.Response
			measureHere(b, c.head, func(buf []byte) (bool, httpparse.Error) {
				r.Reset()
				return r.Parse(buf)
			})
		})
		b.Run(c.name+"/holdfast-checked", func(b *testing.B) {
			var r httpparse.Response
			measureHere(b, c.head, func(buf []byte) (bool, httpparse.Error) {
				r.Reset()
				if done, err := r.Parse(buf); !done || err != httpparse.OK {
					return done, err
				}
				_, err := r.Framing(buf, httpparse.MethodGet)
				return true, err
			})
		})
		b.Run(c.name+"/fasthttp", func(b *testing.B) {
			var header fasthttp.ResponseHeader
			measure(b, c.head, header.Read)
		})
		b.Run(c.name+"/net-http", func(b *testing.B) {
			measure(b, c.head, func(from *bufio.Reader) error {
				_, err := http.ReadResponse(from, nil)
				return err
			})
		})
	}
}
