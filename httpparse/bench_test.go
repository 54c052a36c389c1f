package httpparse_test

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"holdfast/httpparse"
)

func BenchmarkRequestParse(b *testing.B) {
	buf := []byte(browserUpgrade)
	var r httpparse.Request
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if done, err := r.Parse(buf); !done || err != httpparse.OK {
			b.Fatal(done, err)
		}
	}
}

// BenchmarkRequestAll adds what the shard asks of an upgrade request after the parse.
func BenchmarkRequestAll(b *testing.B) {
	buf := []byte(browserUpgrade)
	uri := make([]byte, 0, 256)
	var r httpparse.Request
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		done, err := r.Parse(buf)
		if !done || err != httpparse.OK || r.Check(buf) != httpparse.OK ||
			r.Upgrade(buf) != httpparse.UpgradeWebSocket || !r.KeepAlive(buf) {
			b.Fatal(done, err)
		}
		target, _ := httpparse.ParseTarget(r.Target.Of(buf), r.MethodID)
		if _, err := httpparse.NormalizePath(uri, target.Path.Of(r.Target.Of(buf)), true); err != httpparse.OK {
			b.Fatal(err)
		}
	}
}

func BenchmarkRequestNetHTTP(b *testing.B) {
	buf := []byte(browserUpgrade)
	in := bytes.NewReader(buf)
	buffered := bufio.NewReader(in)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(buf)
		buffered.Reset(in)
		if _, err := http.ReadRequest(buffered); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRequestByteByByte shows that a head that trickles in costs no more than
// the calls: the work per byte does not grow with the head.
func BenchmarkRequestByteByByte(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 14} {
		buf := []byte("GET / HTTP/1.1\r\nA: " + strings.Repeat("x", size) + "\r\n\r\n")
		name := "1KiB"
		if size > 1<<10 {
			name = "16KiB"
		}
		b.Run(name, func(b *testing.B) {
			var r httpparse.Request
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				r.Reset()
				for end := range buf {
					if done, err := r.Parse(buf[:end+1]); err != httpparse.OK || done != (end+1 == len(buf)) {
						b.Fatal(done, err)
					}
				}
			}
		})
	}
}

func BenchmarkSwitchOK(b *testing.B) {
	req, reqBuf := parsedRequest(b, browserUpgrade)
	resp, buf := parsedResponse(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if !resp.SwitchOK(buf, req, reqBuf, true) {
			b.Fatal("refused")
		}
	}
}

func BenchmarkChunkedDecode(b *testing.B) {
	chunk := append(httpparse.AppendChunkHeader(nil, 4096), strings.Repeat("x", 4096)+"\r\n"...)
	body := append(bytes.Repeat(chunk, 8), httpparse.LastChunk...)
	piece := make([]byte, len(body))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		copy(piece, body)
		var c httpparse.Chunked
		if n, _, done, err := c.Decode(piece); n != 8*4096 || !done || err != httpparse.OK {
			b.Fatal(n, done, err)
		}
	}
}
