package wire

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// The opcodes of RFC 6455 section 5.2.
const (
	OpContinuation byte = 0x0
	OpText         byte = 0x1
	OpBinary       byte = 0x2
	OpClose        byte = 0x8
	OpPing         byte = 0x9
	OpPong         byte = 0xA
)

// FrameHeader is the part of a frame before its payload (RFC 6455 section 5.2).
type FrameHeader struct {
	Op     byte
	Fin    bool
	Masked bool
	Key    [4]byte
	// Length is the payload's length in bytes.
	Length uint64
}

// AppendHeader appends the wire form of h.
func AppendHeader(dst []byte, h FrameHeader) []byte {
	first := h.Op
	if h.Fin {
		first |= 0x80
	}
	var mask byte
	if h.Masked {
		mask = 0x80
	}
	switch {
	case h.Length < 126:
		dst = append(dst, first, mask|byte(h.Length))
	case h.Length <= 0xFFFF:
		dst = append(dst, first, mask|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(h.Length))
	default:
		dst = append(dst, first, mask|127)
		dst = binary.BigEndian.AppendUint64(dst, h.Length)
	}
	if h.Masked {
		dst = append(dst, h.Key[:]...)
	}
	return dst
}

// ClientFrame is one whole frame as a client sends it: final and masked.
func ClientFrame(op byte, payload []byte) []byte {
	h := FrameHeader{Op: op, Fin: true, Masked: true, Key: [4]byte{0x1d, 0x9a, 0x33, 0xe7}, Length: uint64(len(payload))}
	dst := AppendHeader(make([]byte, 0, len(payload)+14), h)
	at := len(dst)
	dst = append(dst, payload...)
	Mask(dst[at:], h.Key, 0)
	return dst
}

// ServerFrame is one whole frame as a server sends it: final and not masked.
func ServerFrame(op byte, payload []byte) []byte {
	h := FrameHeader{Op: op, Fin: true, Length: uint64(len(payload))}
	return append(AppendHeader(make([]byte, 0, len(payload)+10), h), payload...)
}

// Mask applies the masking key to b in place (RFC 6455 section 5.3); offset is the
// position of b[0] within its payload.
func Mask(b []byte, key [4]byte, offset uint64) {
	var k [8]byte
	for i := range k {
		k[i] = key[(offset+uint64(i))&3]
	}
	word := binary.LittleEndian.Uint64(k[:])
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^word)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= k[i]
	}
}

// ReadHeader reads one frame header.
func ReadHeader(br *bufio.Reader) (FrameHeader, error) {
	var h FrameHeader
	var b [8]byte
	if _, err := io.ReadFull(br, b[:2]); err != nil {
		return h, err
	}
	h.Op, h.Fin, h.Masked = b[0]&0x0f, b[0]&0x80 != 0, b[1]&0x80 != 0
	h.Length = uint64(b[1] & 0x7f)
	var err error
	switch h.Length {
	case 126:
		_, err = io.ReadFull(br, b[:2])
		h.Length = uint64(binary.BigEndian.Uint16(b[:2]))
	case 127:
		_, err = io.ReadFull(br, b[:8])
		h.Length = binary.BigEndian.Uint64(b[:8])
	}
	if err == nil && h.Masked {
		_, err = io.ReadFull(br, h.Key[:])
	}
	return h, noEOF(err)
}

// ReadFrame reads one whole frame and returns its header and unmasked payload, which
// the caller owns. A payload above limit bytes is an error.
func ReadFrame(br *bufio.Reader, limit uint64) (FrameHeader, []byte, error) {
	h, err := ReadHeader(br)
	if err != nil {
		return h, nil, err
	}
	if h.Length > limit {
		return h, nil, fmt.Errorf("frame of %d bytes, limit %d", h.Length, limit)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(br, payload); err != nil {
		return h, nil, noEOF(err)
	}
	if h.Masked {
		Mask(payload, h.Key, 0)
	}
	return h, payload, nil
}

// noEOF turns an end within a frame into the error that says so.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
