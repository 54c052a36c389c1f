package client

import (
	"encoding/binary"

	"holdfast/bench/load/frame"
	"holdfast/test/wire"
)

// numberBytes is how many bytes of a message's payload hold its number; a shorter
// message holds the low bytes of it.
const numberBytes = 8

// message makes a load's messages and checks their echoes. The payload is the number of
// the message in its connection, little endian, and a fill.
type message struct {
	size   int
	raw    bool
	text   []byte // as sent
	number int    // where in text the number stands
	mask   uint64
}

func newMessage(size int, raw bool) *message {
	m := &message{size: size, raw: raw}
	if !raw {
		h := wire.FrameHeader{Op: wire.OpBinary, Fin: true, Masked: true, Key: frame.MaskingKey, Length: uint64(size)}
		m.text = wire.AppendHeader(nil, h)
		key := binary.LittleEndian.Uint32(h.Key[:])
		m.mask = uint64(key)<<32 | uint64(key)
	}
	m.number = len(m.text)
	for i := range size {
		m.text = append(m.text, byte(i*7))
	}
	if !raw {
		wire.Mask(m.text[m.number:], frame.MaskingKey, 0)
	}
	return m
}

// numbered is message n on the wire; it is valid until the next call.
func (m *message) numbered(n uint64) []byte {
	var b [numberBytes]byte
	binary.LittleEndian.PutUint64(b[:], n^m.mask)
	copy(m.text[m.number:], b[:min(m.size, numberBytes)])
	return m.text
}

// check takes bytes of the echo of message n; it returns how many belong to it, whether
// they end it, and whether they are right. The place in the message is kept in d, also
// when there are no frames.
func (m *message) check(d *frame.Decoder, n uint64, b []byte) (taken int, done, ok bool) {
	if d.Left == 0 {
		if m.raw {
			d.Length, d.Left = uint64(m.size), uint64(m.size)
		} else {
			var whole bool
			if taken, whole = d.Header(b); !whole {
				return taken, false, true
			}
			if d.Op != wire.OpBinary || !d.Fin || d.Masked || d.Length != uint64(m.size) {
				return taken, false, false
			}
		}
	}
	at := d.Length - d.Left
	part := b[taken:min(uint64(len(b)), uint64(taken)+d.Left)]
	d.Left -= uint64(len(part))
	taken += len(part)
	return taken, d.Left == 0, rightNumber(n, at, part)
}

// rightNumber tells whether part, which starts at a place of a payload, agrees with its number.
func rightNumber(n, at uint64, part []byte) bool {
	if at == 0 && len(part) >= numberBytes {
		return binary.LittleEndian.Uint64(part) == n
	}
	for i := 0; i < len(part) && at+uint64(i) < numberBytes; i++ {
		if part[i] != byte(n>>(8*(at+uint64(i)))) {
			return false
		}
	}
	return true
}
