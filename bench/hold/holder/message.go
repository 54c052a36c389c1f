package holder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"holdfast/test/wire"
)

// A message is one binary frame (RFC 6455 section 5.2) that says which tunnel it belongs
// to. Its payload has so many bytes, from MessageBytesMin on.
const (
	MessageBytesMin = 64
	MessageBytesMax = 32 << 10
)

var maskingKey = [4]byte{0x4b, 0xd1, 0x07, 0xa6}

// appendPayload appends the message of a tunnel: its number, then bytes that follow from it.
func appendPayload(dst []byte, number, size int) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(number))
	for i := 8; i < size; i++ {
		dst = append(dst, byte(number)+byte(i))
	}
	return dst
}

// appendMessage appends the masked frame of a tunnel's message.
func appendMessage(dst []byte, number, size int) []byte {
	dst = wire.AppendHeader(dst, wire.FrameHeader{Op: wire.OpBinary, Fin: true, Masked: true, Key: maskingKey,
		Length: uint64(size)})
	at := len(dst)
	dst = appendPayload(dst, number, size)
	wire.Mask(dst[at:], maskingKey, 0)
	return dst
}

// appendEcho appends the frame that comes back.
func appendEcho(dst []byte, number, size int) []byte {
	dst = wire.AppendHeader(dst, wire.FrameHeader{Op: wire.OpBinary, Fin: true, Length: uint64(size)})
	return appendPayload(dst, number, size)
}

// switched says whether b is a whole 101 that fits the handshake of wire.UpgradeRequest.
func switched(b []byte) (bool, error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return false, nil
	}
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 101 ")) {
		return false, fmt.Errorf("answered %q", line)
	}
	if string(field(b[:end], "sec-websocket-accept")) != wire.AcceptKey(wire.SampleKey) {
		return false, errors.New("a 101 without the right Sec-WebSocket-Accept")
	}
	if end+4 != len(b) {
		return false, errors.New("bytes behind the 101")
	}
	return true, nil
}

// field is the value of a header field in a head, its name in lower case; nil without it.
func field(head []byte, name string) []byte {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		if len(line) > len(name) && line[len(name)] == ':' && bytes.EqualFold(line[:len(name)], []byte(name)) {
			return bytes.TrimSpace(line[len(name)+1:])
		}
	}
	return nil
}

// takeFrame cuts the first whole masked frame off b. Its payload is unmasked in place;
// rest is nil and ok false when the frame is not complete.
func takeFrame(b []byte) (op byte, data, rest []byte, ok bool, err error) {
	if len(b) < 2 {
		return 0, nil, nil, false, nil
	}
	if b[0]&0x80 == 0 || b[1]&0x80 == 0 {
		return 0, nil, nil, false, errors.New("a frame that is not masked or not final")
	}
	length, at := int(b[1]&0x7f), 2
	switch length {
	case 126:
		if len(b) < 4 {
			return 0, nil, nil, false, nil
		}
		length, at = int(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		return 0, nil, nil, false, errors.New("a frame above 64 KiB")
	}
	if len(b) < at+4+length {
		return 0, nil, nil, false, nil
	}
	key := [4]byte(b[at : at+4])
	data = b[at+4 : at+4+length]
	wire.Mask(data, key, 0)
	return b[0] & 0x0f, data, b[at+4+length:], true, nil
}
