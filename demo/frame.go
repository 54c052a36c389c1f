package demo

import (
	"crypto/sha1" // prescribed by RFC 6455 section 4.2.2; it protects nothing
	"encoding/base64"
	"encoding/binary"
)

// Opcodes of WebSocket frames, RFC 6455 section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// Close codes, RFC 6455 section 7.4.1.
const (
	closeNormal   = 1000
	closeProtocol = 1002
	closeTooBig   = 1009
)

const (
	controlBytesMax = 125 // RFC 6455 section 5.5
	headerBytesMax  = 14  // two bytes, a 64-bit length, a mask
)

// header is a frame's header.
type header struct {
	fin    bool
	rsv    bool // any reserved bit set
	opcode byte
	masked bool
	mask   [4]byte
	length uint64 // payload bytes
	size   int    // bytes of the header itself
}

func (h header) control() bool { return h.opcode&0x8 != 0 }

// parseHeader reads the header at the front of buf; ok is false while bytes of it
// are missing.
func parseHeader(buf []byte) (h header, ok bool) {
	if len(buf) < 2 {
		return header{}, false
	}
	h = header{
		fin:    buf[0]&0x80 != 0,
		rsv:    buf[0]&0x70 != 0,
		opcode: buf[0] & 0x0F,
		masked: buf[1]&0x80 != 0,
		length: uint64(buf[1] & 0x7F),
		size:   2,
	}
	extended := 0
	switch h.length {
	case 126:
		extended = 2
	case 127:
		extended = 8
	}
	maskAt := 2 + extended
	h.size = maskAt
	if h.masked {
		h.size += len(h.mask)
	}
	if len(buf) < h.size {
		return header{}, false
	}
	switch extended {
	case 2:
		h.length = uint64(binary.BigEndian.Uint16(buf[2:]))
	case 8:
		h.length = binary.BigEndian.Uint64(buf[2:])
	}
	if h.masked {
		copy(h.mask[:], buf[maskAt:])
	}
	return h, true
}

// refuse returns the close code for a header that breaks RFC 6455, or 0.
// fragmented says that a message has begun and not ended, fromClient which side
// sent the frame.
func (h header) refuse(fragmented, fromClient bool) uint16 {
	switch {
	case h.rsv: // section 5.2: no extension was negotiated
		return closeProtocol
	case h.masked != fromClient: // section 5.1
		return closeProtocol
	case h.control():
		if h.opcode > opPong || !h.fin || h.length > controlBytesMax { // section 5.5
			return closeProtocol
		}
	case h.opcode > opBinary, (h.opcode == opContinuation) != fragmented: // section 5.4
		return closeProtocol
	case h.length > frameBytesMax:
		return closeTooBig
	}
	return 0
}

// appendHeader appends an unmasked frame's header.
func appendHeader(dst []byte, fin bool, opcode byte, length uint64) []byte {
	if fin {
		opcode |= 0x80
	}
	switch {
	case length <= 125:
		return append(dst, opcode, byte(length))
	case length <= 0xFFFF:
		return binary.BigEndian.AppendUint16(append(dst, opcode, 126), uint16(length))
	default:
		return binary.BigEndian.AppendUint64(append(dst, opcode, 127), length)
	}
}

// appendClose appends a Close frame with a code and no text.
func appendClose(dst []byte, code uint16) []byte {
	return binary.BigEndian.AppendUint16(appendHeader(dst, true, opClose, 2), code)
}

// appendUnmasked appends payload with the mask removed; offset is the number of
// the frame's payload bytes before it.
func appendUnmasked(dst, payload []byte, mask [4]byte, offset uint64) []byte {
	for i, b := range payload {
		dst = append(dst, b^mask[(offset+uint64(i))&3])
	}
	return dst
}

// acceptKey computes Sec-WebSocket-Accept, RFC 6455 section 4.2.2.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
