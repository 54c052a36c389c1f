package frame

import (
	"bytes"

	"holdfast/test/wire"
)

// pieceBytes is how much of a stream one send offers the kernel, about: large enough
// that the calls don't count, small enough to stay in a cache.
const pieceBytes = 128 << 10

// Stream is a bulk stream that is made while it is sent: payload in frames of one
// size, a shorter frame at its end. A Stream is never changed and may be shared; who
// sends it keeps the position.
type Stream struct {
	total   uint64 // bytes on the wire
	frame   uint64 // bytes of a whole frame on the wire; 0: no frames, payload alone
	whole   uint64 // bytes of all whole frames on the wire
	header  uint64 // bytes of a whole frame's header
	pattern []byte // as many whole frames as make a piece, or the beginning of one
	last    []byte // the header of the last, shorter frame
}

// filling is payload; nobody writes it.
var filling = bytes.Repeat([]byte("holdfast"), pieceBytes/8)

// NewStream is a stream of payload bytes in binary frames of size bytes each, masked as a
// client's or not; size zero is a stream without frames.
func NewStream(payload, size uint64, masked bool) *Stream {
	s := &Stream{total: payload}
	if size == 0 {
		return s
	}
	header := func(n uint64) []byte {
		h := wire.FrameHeader{Op: wire.OpBinary, Fin: true, Masked: masked, Length: n}
		if masked {
			h.Key = MaskingKey
		}
		return wire.AppendHeader(nil, h)
	}
	head := header(size)
	s.header = uint64(len(head))
	s.frame = s.header + size
	s.whole = payload / size * s.frame
	s.total = s.whole
	if rest := payload % size; rest > 0 {
		s.last = header(rest)
		s.total += uint64(len(s.last)) + rest
	}
	for range max(1, pieceBytes/s.frame) {
		s.pattern = append(s.pattern, head...)
		s.pattern = append(s.pattern, filling[:min(size, pieceBytes)]...)
	}
	return s
}

// MaskingKey is the key of all frames that the load tools send.
var MaskingKey = [4]byte{0x1d, 0x9a, 0x33, 0xe7}

// Bytes is the length of the stream on the wire.
func (s *Stream) Bytes() uint64 { return s.total }

// Piece is what comes next at a position below Bytes. The memory is the stream's; it is
// only read.
func (s *Stream) Piece(position uint64) []byte {
	left := s.total - position
	switch {
	case s.frame == 0:
		return upTo(filling, left)
	case position >= s.whole:
		if at := position - s.whole; at < uint64(len(s.last)) {
			return s.last[at:]
		}
		return upTo(filling, left)
	case uint64(len(s.pattern)) >= s.frame: // whole frames
		return upTo(s.pattern[position%uint64(len(s.pattern)):], s.whole-position)
	}
	at := position % s.frame
	if at < s.header {
		return s.pattern[at:]
	}
	return upTo(filling, s.frame-at)
}

func upTo(b []byte, n uint64) []byte {
	if uint64(len(b)) > n {
		return b[:n]
	}
	return b
}
