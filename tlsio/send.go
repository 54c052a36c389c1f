package tlsio

import (
	"encoding/binary"

	"holdfast/internal/sys"
)

// writeMax is how much plaintext is sealed before the socket is asked to take it, in bytes.
const writeMax = 64 << 10

// outSize holds writeMax in records, each behind a KeyUpdate, at most.
const outSize = writeMax + (writeMax/plainMax+1)*2*(overheadMax+8)

func (l *Layer) makeOut() {
	if l.out == nil {
		l.out = make([]byte, outSize)
	}
}

// Write seals b and writes it, as write(2) does, but for one thing: what it takes it
// takes for good, and records that the socket did not take are Pending. While there are
// any it takes nothing: EAGAIN. n may be smaller than len(b).
func (l *Layer) Write(id uint32, fd int32, b []byte) (n int, errno sys.Errno) {
	c := l.conn(id)
	if c.is(flagOutDone) {
		return 0, sys.Errno(c.out.Seq)
	}
	if c.is(flagKernelOut) {
		return l.writeKernel(id, c, fd, b)
	}
	if c.unsent != 0 {
		if errno := l.Flush(id, fd); errno != 0 {
			return 0, errno
		}
	}
	for n < len(b) {
		if c.is(flagTLS12) && c.out.Seq >= l.endAfter {
			if n == 0 {
				l.fail(id, fd, alertInternalError, "too many records under one key")
				return 0, sys.EBADMSG
			}
			return n, 0
		}
		size := min(len(b)-n, writeMax)
		if l.bufs.Full() {
			size = min(size, plainMax) // what the socket does not take of it will be held
		}
		w := l.sealData(id, c, b[n:n+size])
		errno = l.send(id, c, fd, l.out[:w])
		if errno != 0 && errno != sys.EAGAIN {
			break
		}
		n += size
		if errno == sys.EAGAIN {
			break
		}
	}
	if n > 0 {
		return n, 0
	}
	return 0, errno
}

// send writes sealed records and holds what the socket does not take: EAGAIN. With any
// other errno the connection is dead, since its records are in order or worth nothing.
func (l *Layer) send(id uint32, c *Conn, fd int32, b []byte) sys.Errno {
	n, errno := sys.Write(fd, b)
	switch {
	case errno != 0 && errno != sys.EAGAIN:
		l.deadOut(id, c, errno)
		return errno
	case n == len(b):
		return 0
	}
	unsent, buf := l.bufs.Get(len(b) - n)
	buf.W = copy(buf.B, b[n:])
	c.unsent = unsent
	return sys.EAGAIN
}

// deadOut ends the outgoing direction because of the socket. What came before is still read.
func (l *Layer) deadOut(id uint32, c *Conn, errno sys.Errno) {
	c.endOut(uint64(errno))
	l.dropUnsent(c)
	if e := l.ciphers.find(id); e != nil {
		e.out = keys{}
	}
}

// Flush writes what is pending. EAGAIN: some still is.
func (l *Layer) Flush(id uint32, fd int32) sys.Errno {
	c := l.conn(id)
	if c.is(flagKernelOut) {
		return l.flushKernel(c, fd)
	}
	if c.unsent == 0 {
		return 0
	}
	buf := l.bufs.At(c.unsent)
	for buf.Len() > 0 {
		n, errno := sys.Write(fd, buf.Bytes())
		if errno == sys.EAGAIN {
			return sys.EAGAIN
		}
		if errno != 0 {
			l.deadOut(id, c, errno)
			return errno
		}
		buf.R += n
	}
	l.dropUnsent(c)
	return 0
}

// Pending reports whether records wait for the socket.
func (l *Layer) Pending(id uint32) bool {
	c := l.conn(id)
	return c.unsent != 0 || c.is(flagKernelFull)
}

// CloseNotify ends our direction of the stream (RFC 8446 section 6.1) behind what is
// pending; it does not shut the socket down. EAGAIN: not yet, call it again. Once it has
// succeeded it does nothing, and Write fails with EPIPE.
func (l *Layer) CloseNotify(id uint32, fd int32) sys.Errno {
	c := l.conn(id)
	if errno := l.Flush(id, fd); errno != 0 {
		return errno
	}
	if c.is(flagOutDone) {
		if c.out.Seq == uint64(sys.EPIPE) {
			return 0
		}
		return sys.Errno(c.out.Seq)
	}
	if c.is(flagKernelOut) {
		return l.closeKernel(id, c, fd)
	}
	w := l.sealAlert(id, c, alertCloseNotify)
	l.ciphers.get(id).out = keys{}
	c.endOut(uint64(sys.EPIPE))
	return l.send(id, c, fd, l.out[:w])
}

// sendAlert writes a fatal alert if the socket takes it now: what comes in the way of it is
// not worth waiting for.
func (l *Layer) sendAlert(id uint32, fd int32, a alert) (sent bool) {
	c := l.conn(id)
	if c.is(flagOutDone) || l.Flush(id, fd) != 0 {
		return false
	}
	if c.is(flagKernelOut) {
		sys.SocketError(fd) // of records behind this one, else the socket takes no alert
		return l.alertKernel(fd, a) == 0
	}
	w := l.sealAlert(id, c, a)
	n, errno := sys.Write(fd, l.out[:w])
	return errno == 0 && n == w
}

// sealData seals b, of writeMax bytes at most, into out and returns the records' length.
func (l *Layer) sealData(id uint32, c *Conn, b []byte) (w int) {
	k := l.outKeys(id, c)
	for len(b) > 0 {
		if c.is(flagOwed) || !c.is(flagTLS12) && c.out.Seq >= l.rekeyAfter {
			w = l.seal(c, k, w, record{typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, 0}})
			l.rekeyed(c, &c.out, k)
			k = l.outKeys(id, c)
			c.flags &^= flagOwed
		}
		n := min(len(b), plainMax)
		w = l.seal(c, k, w, record{typeData, b[:n]})
		b = b[n:]
	}
	return w
}

func (l *Layer) sealAlert(id uint32, c *Conn, a alert) (w int) {
	return l.seal(c, l.outKeys(id, c), 0, record{typeAlert, []byte{a.level(), byte(a)}})
}

// record is one that is to be sealed.
type record struct {
	typ byte
	b   []byte
}

// seal puts a record into out at w and returns its end (RFC 8446 section 5.2, RFC 5246
// section 6.2.3.3).
func (l *Layer) seal(c *Conn, k *keys, w int, rec record) int {
	l.makeOut()
	out := l.out[w:]
	k.nonce(&l.nonce, c.out.Seq)
	out[0], out[1], out[2] = rec.typ, byte(TLS12>>8), byte(TLS12&0xff)
	body := out[headerSize:]
	var extra []byte
	if c.is(flagTLS12) {
		if k.explicit {
			binary.BigEndian.PutUint64(body, c.out.Seq)
			copy(l.nonce[4:], body[:explicitLen])
			body = body[explicitLen:]
		}
		extra = l.extra12(c.out.Seq, rec.typ, len(rec.b))
	} else {
		out[0] = typeData
		n := copy(body, rec.b)
		body[n] = rec.typ
		rec.b = body[:n+1]
		extra = out[:headerSize]
	}
	size := len(out) - len(body) - headerSize + len(rec.b) + tagLen
	binary.BigEndian.PutUint16(out[3:], uint16(size))
	k.aead.Seal(body[:0], l.nonce[:], rec.b, extra)
	c.out.Seq++
	return w + headerSize + size
}
