package origin

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"strconv"

	"holdfast/bench/load/frame"
)

// headBytesMax bounds a request head.
const headBytesMax = 16 << 10

// bodyBytes is the length of the answer to a plain request.
const bodyBytes = 128

// inlineMax is the largest body that is copied behind its head; others are streamed.
const inlineMax = 16 << 10

// request is what the backend needs to know of a request head. Its slices are the head's.
type request struct {
	method, target, token, key []byte
	length                     uint64
	upgrade, last, bad         bool
}

var headEnd = []byte("\r\n\r\n")

// requests answers the requests that lie whole in b from at on, and keeps the rest. It
// returns false like received.
func (l *loop) requests(c *conn, b []byte, at int) bool {
	if len(c.head) > 0 {
		b = append(append(make([]byte, room, room+len(c.head)+len(b)-at), c.head...), b[at:]...)
		at = room
		c.head = c.head[:0]
	}
	l.out = l.out[:0]
	for at < len(b) {
		n := min(c.skip, uint64(len(b)-at))
		c.skip -= n
		at += int(n)
		size := bytes.Index(b[at:], headEnd)
		if size < 0 {
			if len(b)-at > headBytesMax {
				return l.refuse(c, "431 Request Header Fields Too Large")
			}
			c.head = append(c.head, b[at:]...)
			break
		}
		size += len(headEnd)
		r := parse(b[at : at+size])
		at += size
		switch {
		case r.bad:
			return l.refuse(c, "400 Bad Request")
		case r.upgrade:
			return l.upgrade(c, r, b, at)
		}
		c.skip = r.length
		l.answer(c, r)
		if c.closing {
			break
		}
		if c.stream != nil {
			c.head = append(c.head, b[at:]...)
			break
		}
	}
	return l.send(c, l.out)
}

// refuse answers with an error and closes.
func (l *loop) refuse(c *conn, status string) bool {
	l.out = append(l.out, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"...)
	c.closing = true
	return l.send(c, l.out)
}

// parse reads a head that ends with an empty line.
func parse(b []byte) request {
	var r request
	line, b := cutLine(b)
	method, rest, ok1 := bytes.Cut(line, []byte{' '})
	target, version, ok2 := bytes.Cut(rest, []byte{' '})
	r.method, r.target = method, target
	r.bad = !ok1 || !ok2 || !bytes.HasPrefix(version, []byte("HTTP/1."))
	r.last = bytes.Equal(version, []byte("HTTP/1.0"))
	for {
		line, b = cutLine(b)
		if len(line) == 0 {
			return r
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			r.bad = true
			return r
		}
		r.field(line[:colon], bytes.TrimSpace(line[colon+1:]))
	}
}

func cutLine(b []byte) (line, rest []byte) {
	end := bytes.IndexByte(b, '\n')
	return bytes.TrimSuffix(b[:end], []byte{'\r'}), b[end+1:]
}

func (r *request) field(name, value []byte) {
	switch len(name) {
	case len("Upgrade"):
		if is(name, "upgrade") {
			r.token = value
		}
	case len("Connection"):
		if is(name, "connection") {
			r.upgrade = r.upgrade || holds(value, "upgrade")
			r.last = r.last || holds(value, "close")
		}
	case len("Content-Length"):
		if is(name, "content-length") {
			n, err := strconv.ParseUint(string(value), 10, 62)
			r.length, r.bad = n, r.bad || err != nil
		}
	case len("Sec-WebSocket-Key"):
		switch {
		case is(name, "sec-websocket-key"):
			r.key = value
		case is(name, "transfer-encoding"): // of the same length; the benches send none
			r.bad = true
		}
	}
}

// is compares in lower case; word is in lower case.
func is(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

func holds(list []byte, word string) bool {
	for len(list) > 0 {
		var item []byte
		item, list, _ = bytes.Cut(list, []byte{','})
		if is(bytes.TrimSpace(item), word) {
			return true
		}
	}
	return false
}

// answer appends the response to a plain request, or its head and starts a stream.
func (l *loop) answer(c *conn, r request) {
	size := uint64(bodyBytes)
	if digits, ok := bytes.CutPrefix(r.target, []byte("/b/")); ok {
		size = number(digits)
	}
	l.out = append(l.out, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "...)
	l.out = strconv.AppendUint(l.out, size, 10)
	if r.last {
		l.out = append(l.out, "\r\nConnection: close"...)
		c.closing = true
	}
	l.out = append(l.out, headEnd...)
	if is(r.method, "head") || size == 0 {
		return
	}
	body := l.makeStream(streamKey{bytes: size})
	if size <= inlineMax {
		l.out = append(l.out, body.Piece(0)...)
		return
	}
	c.stream, c.position = body, 0
}

const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455 section 4.2.2

// upgrade switches to what the target asks for; bytes behind the head belong to it.
func (l *loop) upgrade(c *conn, r request, b []byte, at int) bool {
	if len(r.token) == 0 {
		return l.refuse(c, "400 Bad Request")
	}
	c.raw = !is(r.token, "websocket")
	l.out = append(l.out, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "...)
	l.out = append(l.out, r.token...)
	if !c.raw {
		l.out = append(l.out, "\r\nSec-WebSocket-Accept: "...)
		var text [128]byte
		sum := sha1.Sum(append(append(text[:0], r.key...), acceptGUID...))
		l.out = base64.StdEncoding.AppendEncode(l.out, sum[:])
	}
	l.out = append(l.out, headEnd...)
	path, query, _ := bytes.Cut(r.target, []byte{'?'})
	c.state, c.got = echoing, 0
	switch {
	case bytes.HasSuffix(path, []byte("/source")):
		c.state = waiting
	case bytes.HasSuffix(path, []byte("/sink")):
		c.state = sinking
	}
	c.want, c.size = parameter(query, "bytes="), parameter(query, "frame=")
	if c.raw {
		c.size = 0
	}
	if !l.send(c, l.out) {
		if c.held != nil { // only for a client that sends requests and reads no answers
			l.close(c)
		}
		return false
	}
	if c.state == sinking && c.want == 0 {
		return l.count(c)
	}
	return at == len(b) || l.received(c, b, at)
}

// parameter is the number behind name in a query; zero without one.
func parameter(query []byte, name string) uint64 {
	for len(query) > 0 {
		var item []byte
		item, query, _ = bytes.Cut(query, []byte{'&'})
		if digits, ok := bytes.CutPrefix(item, []byte(name)); ok {
			return number(digits)
		}
	}
	return 0
}

// number reads the decimal digits that b starts with.
func number(b []byte) (n uint64) {
	for _, c := range b {
		if c < '0' || c > '9' || n > 1<<56 {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// streamKey says what a stream is made of: payload bytes, in frames of size, zero for none.
type streamKey struct{ bytes, size uint64 }

// makeStream returns the last stream again if it is the same: streams are never changed.
func (l *loop) makeStream(key streamKey) *frame.Stream {
	if l.stream == nil || l.streamOf != key {
		l.stream, l.streamOf = frame.NewStream(key.bytes, key.size, false), key
	}
	return l.stream
}
