// Package wire speaks HTTP/1.1 heads and WebSocket frames byte by byte, for tests
// and benches that need to see and send exactly what is on the wire. It shares no
// code with the proxy, so that a mistake there cannot hide here.
package wire

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// HeadBytesMax bounds a message head that ReadHead accepts.
const HeadBytesMax = 1 << 20

// SampleKey is the Sec-WebSocket-Key of the example in RFC 6455 section 1.3.
const SampleKey = "dGhlIHNhbXBsZSBub25jZQ=="

// acceptGUID is the constant of RFC 6455 section 4.2.2 item 5.4.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// Field is one header field as it was on the wire.
type Field struct {
	Name  string
	Value string
}

// Head is a parsed request or response head.
type Head struct {
	// Raw is the head as read, including the empty line.
	Raw string
	// Start is the request line or the status line.
	Start string
	// Fields are the header fields in wire order, the values trimmed.
	Fields []Field
}

// ReadHead reads one message head up to and including its empty line. Bytes behind
// it stay in br. A head that has no line end within HeadBytesMax is an error.
func ReadHead(br *bufio.Reader) (Head, error) {
	var raw strings.Builder
	var h Head
	for {
		line, err := br.ReadString('\n')
		raw.WriteString(line)
		if err != nil {
			return h, fmt.Errorf("head ends early after %q: %w", tail(raw.String()), err)
		}
		if raw.Len() > HeadBytesMax {
			return h, errors.New("head too large")
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			h.Raw = raw.String()
			return h, nil
		}
		if h.Start == "" {
			h.Start = line
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return h, fmt.Errorf("header line without a colon: %q", line)
		}
		h.Fields = append(h.Fields, Field{Name: name, Value: strings.TrimSpace(value)})
	}
}

// Get returns the first value of the named field, compared without case, or "".
func (h Head) Get(name string) string {
	if v := h.Values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Values returns all values of the named field, compared without case.
func (h Head) Values(name string) []string {
	var values []string
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// Has tells whether the named field is present, whatever its value.
func (h Head) Has(name string) bool { return len(h.Values(name)) > 0 }

// Status is the status code of a response head, 0 if the start line has none.
func (h Head) Status() int {
	parts := strings.SplitN(h.Start, " ", 3)
	if len(parts) < 2 {
		return 0
	}
	status, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0
	}
	return status
}

// Method is the method of a request head.
func (h Head) Method() string { return h.startWord(0) }

// Target is the request target of a request head.
func (h Head) Target() string { return h.startWord(1) }

func (h Head) startWord(i int) string {
	parts := strings.Split(h.Start, " ")
	if i >= len(parts) {
		return ""
	}
	return parts[i]
}

// ContentLength is the length a head declares, -1 if none.
func (h Head) ContentLength() int64 {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// Chunked tells whether the head declares the chunked transfer coding.
func (h Head) Chunked() bool { return strings.EqualFold(h.Get("Transfer-Encoding"), "chunked") }

// IsUpgrade tells whether a request head asks for a WebSocket (RFC 6455 section 4.1).
func (h Head) IsUpgrade() bool {
	return strings.EqualFold(h.Get("Upgrade"), "websocket") &&
		strings.Contains(strings.ToLower(h.Get("Connection")), "upgrade")
}

// AcceptKey computes Sec-WebSocket-Accept (RFC 6455 section 4.2.2).
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + acceptGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// UpgradeRequest is the head of a WebSocket handshake. Each of fields is a whole
// header line without its line end, put behind the standard ones.
func UpgradeRequest(host, target string, fields ...string) string {
	lines := []string{
		"GET " + target + " HTTP/1.1",
		"Host: " + host,
		"Connection: Upgrade",
		"Upgrade: websocket",
		"Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: " + SampleKey,
	}
	return Lines(append(lines, fields...)...)
}

// SwitchResponse is the 101 that answers a handshake with the given key.
func SwitchResponse(key string, fields ...string) string {
	lines := []string{
		"HTTP/1.1 101 Switching Protocols",
		"Connection: Upgrade",
		"Upgrade: websocket",
		"Sec-WebSocket-Accept: " + AcceptKey(key),
	}
	return Lines(append(lines, fields...)...)
}

// Lines joins lines to a message head: CRLF behind each, an empty line at the end.
func Lines(lines ...string) string {
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// tail is the end of s, short enough for an error message.
func tail(s string) string {
	const most = 120
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}
