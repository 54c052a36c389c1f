// Package frame reads and makes streams of WebSocket frames (RFC 6455 section 5.2) in the
// loops of the load tools: without allocating, and without ever holding a whole frame.
package frame

import (
	"encoding/binary"

	"holdfast/test/wire"
)

// HeaderBytesMax is the length of the longest frame header.
const HeaderBytesMax = 14

// Decoder follows the frames of a byte stream that comes in pieces. Between two pieces
// it holds at most the beginning of a header. The zero value stands before a first frame.
type Decoder struct {
	// Left is how many bytes of the current frame's payload have not come yet.
	Left uint64
	// Length is the payload length of the current frame; Op its opcode; Key its masking
	// key, zero when Masked is not set.
	Length uint64
	Key    [4]byte
	Op     byte
	Masked bool
	Fin    bool

	have  uint8 // bytes in start
	start [HeaderBytesMax]byte
}

// Header takes the bytes of b that belong to the next header and returns their number.
// It is called while Left is zero. done tells that the header is complete, and Left is
// its payload's length; else all of b was taken and more is needed.
func (d *Decoder) Header(b []byte) (n int, done bool) {
	if d.have == 0 {
		if size := headerBytes(b); size > 0 && size <= len(b) {
			d.set(b[:size])
			return size, true
		}
	}
	for _, c := range b {
		d.start[d.have] = c
		d.have++
		n++
		if size := headerBytes(d.start[:d.have]); size > 0 && size == int(d.have) {
			d.set(d.start[:size])
			d.have = 0
			return n, true
		}
	}
	return n, false
}

// Within tells whether the stream stands inside a frame, where it must not end.
func (d *Decoder) Within() bool { return d.have > 0 || d.Left > 0 }

// headerBytes is the length of the header that starts with b; zero if b is too short to
// tell.
func headerBytes(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	size := 2
	switch b[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	return size + int(b[1]>>7)*4
}

func (d *Decoder) set(b []byte) {
	d.Op, d.Fin, d.Masked = b[0]&0x0f, b[0]&0x80 != 0, b[1]&0x80 != 0
	d.Length = uint64(b[1] & 0x7f)
	b = b[2:]
	switch d.Length {
	case 126:
		d.Length = uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	case 127:
		d.Length = binary.BigEndian.Uint64(b)
		b = b[8:]
	}
	d.Key = [4]byte{}
	if d.Masked {
		d.Key = [4]byte(b)
	}
	d.Left = d.Length
}

// Count takes a piece of a stream of data frames and returns how many payload bytes it
// holds. ok is false when there is a control frame, or one that is masked where it must
// not be or the other way round.
func (d *Decoder) Count(b []byte, masked bool) (payload uint64, ok bool) {
	for len(b) > 0 {
		if d.Left == 0 {
			n, done := d.Header(b)
			b = b[n:]
			if done && (d.Masked != masked || d.Op > wire.OpBinary) {
				return payload, false
			}
			continue
		}
		n := min(d.Left, uint64(len(b)))
		d.Left -= n
		payload += n
		b = b[n:]
	}
	return payload, true
}

// Echo turns a piece of a client's stream into what an echo server answers to it, in
// place, and returns that part of b: data frames come back unmasked, Ping as Pong, Close
// as Close, Pong not at all. The answer is never longer than the piece, but for the
// header of a frame whose first bytes came earlier: b must have HeaderBytesMax bytes of
// room before at, where the piece starts. ok is false if a frame is not masked (RFC 6455
// section 5.1). Behind a Close frame the rest is dropped; then closed is set.
func (d *Decoder) Echo(b []byte, at int) (answer []byte, closed, ok bool) {
	first := max(at-int(d.have), 0)
	out := b[first:first]
	in := b[at:]
	for len(in) > 0 {
		if d.Left == 0 {
			n, done := d.Header(in)
			in = in[n:]
			if !done {
				break
			}
			if !d.Masked {
				return out, false, false
			}
			out = d.answerHeader(out)
		} else {
			n := min(d.Left, uint64(len(in)))
			if d.Op != wire.OpPong {
				size := len(out)
				out = append(out, in[:n]...)
				wire.Mask(out[size:], d.Key, d.Length-d.Left)
			}
			d.Left -= n
			in = in[n:]
		}
		if d.Left == 0 && d.Op == wire.OpClose {
			return out, true, true
		}
	}
	return out, false, true
}

// answerHeader appends the header of the echo of the current frame.
func (d *Decoder) answerHeader(out []byte) []byte {
	op := d.Op
	switch op {
	case wire.OpPong:
		return out
	case wire.OpPing:
		op = wire.OpPong
	}
	return wire.AppendHeader(out, wire.FrameHeader{Op: op, Fin: d.Fin, Length: d.Length})
}
