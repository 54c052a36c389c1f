package httpparse_test

import (
	"testing"
	"unsafe"

	"holdfast/httpparse"
)

// TestNoAllocation is the promise of the package: nothing is allocated for a head or a
// body once Fields and the caller's buffers have grown.
func TestNoAllocation(t *testing.T) {
	const answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
	req, reqBuf := parsedRequest(t, browserUpgrade)
	resp, respBuf := parsedResponse(t, answer)
	chunks := []byte("5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n")
	room := make([]byte, 0, 256)
	piece := make([]byte, len(chunks))
	fields := make([]httpparse.Field, 0, 8)

	checks := map[string]func(){
		"request in two pieces": func() {
			req.Reset()
			if done, err := req.Parse(reqBuf[:100]); done || err != httpparse.OK {
				t.Error("first piece", done, err)
			}
			if done, err := req.Parse(reqBuf); !done || err != httpparse.OK {
				t.Error("second piece", done, err)
			}
		},
		"response": func() {
			resp.Reset()
			if done, err := resp.Parse(respBuf); !done || err != httpparse.OK {
				t.Error(done, err)
			}
		},
		"checks of a request": func() {
			target, err := httpparse.ParseTarget(req.Target.Of(reqBuf), req.MethodID)
			_, _, hostErr := httpparse.ParseHost(req.Authority(reqBuf, target))
			if req.Check(reqBuf) != httpparse.OK || err != httpparse.OK || hostErr != httpparse.OK {
				t.Error("refused")
			}
			if req.Upgrade(reqBuf) != httpparse.UpgradeWebSocket || !req.KeepAlive(reqBuf) {
				t.Error("not an upgrade")
			}
			if httpparse.ConnectionLists(reqBuf, req.Fields, room) {
				t.Error("lists nothing")
			}
		},
		"checks of a response": func() {
			if _, err := resp.Framing(respBuf, req.MethodID); err != httpparse.OK || !resp.KeepAlive(respBuf) {
				t.Error("refused")
			}
			if !resp.SwitchOK(respBuf, req, reqBuf, true) {
				t.Error("no switch")
			}
			if !req.AsksWebSocket(reqBuf) || req.CheckWebSocket(reqBuf) != httpparse.OK {
				t.Error("no handshake")
			}
		},
		"path": func() {
			out, err := httpparse.NormalizePath(room, []byte("/a/%2e%2e/b//c%20d"), true)
			if err != httpparse.OK || string(out) != "/b/c d" {
				t.Errorf("%q %v", out, err)
			}
			if out = httpparse.AppendEscapedPath(room, []byte("/b/c d")); string(out) != "/b/c%20d" {
				t.Errorf("%q", out)
			}
		},
		"accept key": func() {
			if len(httpparse.AcceptKey(room, []byte("dGhlIHNhbXBsZSBub25jZQ=="))) != 28 {
				t.Error("length")
			}
		},
		"chunks": func() {
			copy(piece, chunks)
			var c httpparse.Chunked
			if n, _, done, err := c.Decode(piece); n != 11 || !done || err != httpparse.OK {
				t.Error(n, done, err)
			}
			if len(httpparse.AppendChunkHeader(room, 65536)) != 7 {
				t.Error("chunk header")
			}
		},
		"chunks with trailers": func() {
			copy(piece, chunks)
			var c httpparse.Chunked
			c.KeepTrailers()
			n, _, done, err := c.Decode(piece)
			if n != 11 || !done || err != httpparse.OK || c.Kept() != len("A: b\r\n") {
				t.Error(n, done, err, c.Kept())
			}
			fields, err = httpparse.ParseFields(piece[n:n+c.Kept()], fields, 0)
			if len(fields) != 1 || err != httpparse.OK {
				t.Error(len(fields), err)
			}
		},
	}
	for name, check := range checks {
		if n := testing.AllocsPerRun(100, check); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestSizes pins what a request record costs: the shard keeps them pooled.
func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(httpparse.Field{}); n != 20 {
		t.Errorf("Field has %d bytes", n)
	}
	if n := unsafe.Sizeof(httpparse.Request{}); n > 80 {
		t.Errorf("Request has %d bytes", n)
	}
	if n := unsafe.Sizeof(httpparse.Response{}); n > 80 {
		t.Errorf("Response has %d bytes", n)
	}
	if n := unsafe.Sizeof(httpparse.Chunked{}); n > 24 {
		t.Errorf("Chunked has %d bytes", n)
	}
}
