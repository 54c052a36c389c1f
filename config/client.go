package config

import (
	"strings"
	"time"
)

func readKeepaliveTimeout(l *level, n *node) {
	l.set.KeepaliveHeader = 0
	duration(func(s *Settings) *time.Duration { return &s.KeepaliveTimeout })(l, n)
	if len(n.args) < 2 {
		return
	}
	header, ok := parseSeconds(n.args[1])
	if !ok {
		l.invalid(n, n.args[1], "write a time in seconds such as 60s")
		return
	}
	l.set.KeepaliveHeader = header
}

func readKeepaliveRequests(l *level, n *node) {
	var ok bool
	if l.set.KeepaliveRequests, ok = parseNumber(n.args[0]); !ok {
		l.invalid(n, n.args[0], hintNumber)
	}
}

// poolBytes is nginx's default connection_pool_size, below which it takes no large
// header buffers.
const poolBytes = 512

// headBytesMax bounds what a request head may grow to, so that a slip in a size
// cannot ask for a buffer that is never there.
const headBytesMax = 16 << 20

func readLargeBuffers(l *level, n *node) {
	count, ok := parseInt(n.args[0], 1)
	if !ok {
		l.invalid(n, n.args[0], "write a number from 1 on")
		return
	}
	bytes, ok := parseSize(n.args[1])
	if !ok || bytes < poolBytes || bytes > headBytesMax {
		l.invalid(n, n.args[1], "write a size from 512 to 16m such as 8k")
		return
	}
	l.set.LargeClientHeaderBuffers = Buffers{Count: count, Size: bytes}
}

func readHeaderBuffer(l *level, n *node) {
	bytes, ok := parseSize(n.args[0])
	if !ok || bytes > headBytesMax {
		l.invalid(n, n.args[0], "write a size up to 16m such as 1k")
		return
	}
	l.set.ClientHeaderBufferSize = bytes
}

func readLingeringClose(l *level, n *node) {
	switch strings.ToLower(n.args[0]) {
	case "off":
		l.set.LingeringClose = LingeringOff
	case "on":
		l.set.LingeringClose = LingeringOn
	case "always":
		l.set.LingeringClose = LingeringAlways
	default:
		l.invalid(n, n.args[0], "write off, on or always")
	}
}

func readDefaultType(l *level, n *node) {
	if !isFieldValue(n.args[0]) {
		l.invalid(n, n.args[0], "write a media type such as text/plain")
		return
	}
	l.set.DefaultType = n.args[0]
}

// fieldsMax bounds max_headers; the size of a head is the tighter bound.
const fieldsMax = 10_000

func readMaxHeaders(l *level, n *node) {
	count, ok := parseInt(n.args[0], 1)
	if !ok || count > fieldsMax {
		l.invalid(n, n.args[0], "write a number from 1 to 10000")
		return
	}
	l.set.MaxHeaders = count
}

func readBodyBuffer(l *level, n *node) {
	bytes, ok := parseSize(n.args[0])
	if !ok {
		l.invalid(n, n.args[0], hintSize)
		return
	}
	l.set.ClientBodyBufferSize = l.held(n, bytes)
}

// held is bytes, or the most that is held of one body, with a warning.
func (l *level) held(n *node, bytes int64) int64 {
	if bytes <= bufferedMax {
		return bytes
	}
	l.add(Warning, n.Position, "nothing is lost: what is larger is streamed", "%q counts as 128k", n.name)
	return bufferedMax
}
