package tlsio

import "encoding/binary"

// What a connection holds between two calls lies in one lent buffer (Conn.read): a header,
// then plaintext that nobody has taken, then records that were not opened, of which the
// last may be incomplete. The buffer's R and W stand around the latter two.
//
//	0   uint32   length of the plaintext
//	4   uint32   bytes of a handshake message yet to be skipped
//	8   [4]byte  the header of a handshake message that came in part
//	12  uint8    how much of that header there is
const heldHeader = 16

// message is how far a handshake message has come that ends in a later record.
type message struct {
	head [4]byte
	n    uint8
	skip uint32
}

func (m *message) partial() bool { return m.n > 0 || m.skip > 0 }

func heldPlain(b []byte) int { return int(binary.LittleEndian.Uint32(b)) }

func setHeldPlain(b []byte, n int) { binary.LittleEndian.PutUint32(b, uint32(n)) }

func (m *message) load(b []byte) {
	m.skip = binary.LittleEndian.Uint32(b[4:])
	copy(m.head[:], b[8:12])
	m.n = b[12]
}

func (m *message) store(b []byte) {
	binary.LittleEndian.PutUint32(b[4:], m.skip)
	copy(b[8:12], m.head[:])
	b[12] = m.n
}

// Unread gives plaintext back that was read, or was owed before anything that Recv would
// return: the next Recv returns it first. b is copied.
func (l *Layer) Unread(id uint32, b []byte) {
	if len(b) == 0 {
		return
	}
	c := l.conn(id)
	if c.read == 0 {
		read, buf := l.bufs.Get(heldHeader + len(b))
		clear(buf.B[:heldHeader])
		setHeldPlain(buf.B, len(b))
		buf.R, buf.W = heldHeader, heldHeader+copy(buf.B[heldHeader:], b)
		c.read = read
		return
	}
	old := l.bufs.At(c.read)
	if old.R-heldHeader >= len(b) {
		old.R -= len(b)
		copy(old.B[old.R:], b)
		setHeldPlain(old.B, heldPlain(old.B)+len(b))
		return
	}
	read, buf := l.bufs.Get(heldHeader + len(b) + old.Len())
	copy(buf.B, old.B[:heldHeader])
	setHeldPlain(buf.B, heldPlain(old.B)+len(b))
	buf.R, buf.W = heldHeader, heldHeader+copy(buf.B[heldHeader:], b)
	buf.W += copy(buf.B[buf.W:], old.Bytes())
	l.bufs.Put(c.read)
	c.read = read
}

// Buffered is how many bytes of plaintext Recv could return without the socket.
func (l *Layer) Buffered(id uint32) int {
	if c := l.conn(id); c.read != 0 {
		return heldPlain(l.bufs.At(c.read).B)
	}
	return 0
}

// Ready reports whether Recv has something to return although the socket may have nothing:
// plaintext, the end of the stream, a failure. Ask it after a Recv that came back short,
// since the peer's close_notify may have been read behind the last data.
func (l *Layer) Ready(id uint32) bool {
	c := l.conn(id)
	return c.is(flagInDone) || l.Buffered(id) > 0
}

// takeHeld moves held plaintext to dst.
func (l *Layer) takeHeld(c *Conn, dst []byte) (n int) {
	if c.read == 0 {
		return 0
	}
	buf := l.bufs.At(c.read)
	plain := heldPlain(buf.B)
	if plain == 0 {
		return 0
	}
	n = copy(dst, buf.B[buf.R:buf.R+plain])
	buf.R += n
	setHeldPlain(buf.B, plain-n)
	if n == plain && buf.Len() == 0 && buf.B[12] == 0 && binary.LittleEndian.Uint32(buf.B[4:]) == 0 {
		l.bufs.Put(c.read)
		c.read = 0
	}
	return n
}
