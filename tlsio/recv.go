package tlsio

import (
	"encoding/binary"

	"holdfast/internal/sys"
)

// The sizes of RFC 8446 section 5.1 and 5.2 and of RFC 5246 section 6.2, in bytes.
const (
	headerSize  = 5
	plainMax    = 1 << 14
	sealedMax13 = plainMax + 256
	sealedMax12 = plainMax + 2048
	recordMax   = headerSize + sealedMax12
	// overheadMax is how much longer than its data a record without padding is.
	overheadMax = headerSize + explicitLen + tagLen
)

// inSize is what one recv(2) may bring with what stood before it: 64 KiB of data in records
// of full size, or the largest record.
const inSize = 64<<10 + 8*overheadMax

// reader is what a Layer's connection has while it reads. in[r:w] was not opened yet,
// in[plainR:plainW] was opened and found no room. Both move to a lent buffer in the end.
type reader struct {
	id             uint32
	c              *Conn
	fd             int32
	in             []byte // inSize, or nil
	r, w           int
	plainR, plainW int
	message        message
	missing        int // bytes missing to the record that was held, which still lies in its buffer; else 0
}

// Recv reads plaintext into dst, as recv(2) does: n < len(dst) with errno 0 means that the
// socket has no more for now (but see what RDHUP means to a short read; and Ready); 0 is the
// end of the stream: the peer's close_notify, or the end of the connection without one
// (Truncated). dst may have any size but 0; what of a record doesn't fit is kept for the
// next call. What is behind n in dst is overwritten.
func (l *Layer) Recv(id uint32, fd int32, dst []byte) (n int, errno sys.Errno) {
	c := l.conn(id)
	n = l.takeHeld(c, dst)
	if n < len(dst) && !c.is(flagInDone) {
		n += l.read(id, fd, dst[n:])
	}
	switch {
	case n > 0:
		return n, 0
	case c.is(flagInDone):
		return 0, sys.Errno(c.in.Seq)
	}
	return 0, sys.EAGAIN
}

// AtEnd reports whether the stream has ended and Recv would return 0 next. It reads what
// the socket has as far as that takes.
func (l *Layer) AtEnd(id uint32, fd int32) bool {
	c := l.conn(id)
	if l.Buffered(id) == 0 && !c.is(flagInDone) {
		l.read(id, fd, nil)
	}
	return l.Buffered(id) == 0 && c.is(flagInDone) && c.in.Seq == 0
}

// read fills dst from the socket, until it is full, the socket is empty or the direction
// has ended. With an empty dst it stops at the first plaintext. No plaintext is held.
func (l *Layer) read(id uint32, fd int32, dst []byte) (n int) {
	r := &l.reader
	r.id, r.c, r.fd = id, l.conn(id), fd
	if r.in == nil {
		r.in = make([]byte, inSize)
	}
	if r.c.is(flagKernelNext) {
		l.readInKernel(r.c, fd)
	}
	l.load()
	if r.c.is(flagKernelIn) {
		n = l.readKernel(dst)
	} else {
		n = l.readSealed(dst)
	}
	l.hold()
	r.c = nil
	return n
}

// readSealed is read where the socket gives records as they are.
func (l *Layer) readSealed(dst []byte) (n int) {
	r := &l.reader
	for short := false; ; {
		n += l.openAll(dst[n:])
		if r.plainW > 0 || r.c.is(flagInDone) || n > 0 && (n == len(dst) || short) {
			break
		}
		asked, got := l.fetch(len(dst) - n)
		if got <= 0 {
			break
		}
		short = got < asked
	}
	return n
}

// load brings what the connection holds into in. A record that came in part stays where it
// is until it is whole: who sends single bytes must not make us copy all others each time.
func (l *Layer) load() {
	r := &l.reader
	r.r, r.w, r.plainR, r.plainW, r.missing = 0, 0, 0, 0, 0
	r.message = message{}
	if r.c.read == 0 {
		return
	}
	b := l.bufs.At(r.c.read).Bytes()
	r.w = len(b)
	wait := r.w > 0
	if r.w >= headerSize { // it may not have been looked at yet: dst was full
		a, _ := r.c.judge(b)
		wait = a == alertNone
	}
	if r.missing = missing(b); r.missing == 0 || !wait {
		l.unhold()
	}
}

// unhold moves the held records to the front of in.
func (l *Layer) unhold() {
	r := &l.reader
	buf := l.bufs.At(r.c.read)
	r.message.load(buf.B)
	copy(r.in, buf.Bytes())
	l.bufs.Put(r.c.read)
	r.c.read, r.missing = 0, 0
}

// missing is how many bytes the first record in b lacks, or its header; 0: it is whole.
func missing(b []byte) int {
	if len(b) < headerSize {
		return headerSize - len(b)
	}
	return max(0, headerSize+int(binary.BigEndian.Uint16(b[3:]))-len(b))
}

// fetch reads from the socket behind what in holds: as much as room bytes of data take in
// records of full size, and at least the largest record. got is 0 where there is nothing to
// open, for now or for ever.
func (l *Layer) fetch(room int) (asked, got int) {
	r := &l.reader
	if r.r > 0 {
		r.w = copy(r.in, r.in[r.r:r.w])
		r.r = 0
	}
	total := min(len(r.in), max(recordMax, room+(room/plainMax+1)*overheadMax))
	asked = total - r.w
	got, errno := sys.Recv(r.fd, r.in[r.w:total])
	switch {
	case errno == sys.EAGAIN:
		return asked, 0
	case errno != 0:
		l.dead(r.id, r.c, errno)
		return asked, 0
	case got == 0:
		r.c.flags |= flagTruncated
		l.ended()
		return asked, 0
	}
	if r.missing > 0 {
		l.append(r.in[r.w : r.w+got])
	} else {
		r.w += got
	}
	return asked, got
}

// append puts bytes behind a record that is held in part, and takes it over if that was the
// rest of it. (Its header alone may have been what was missing: then it is looked at anew.)
func (l *Layer) append(b []byte) {
	r := &l.reader
	if len(b) >= r.missing {
		at := r.w
		l.unhold()
		r.w = at + len(b)
		return
	}
	buf := l.bufs.At(r.c.read)
	if len(buf.B)-buf.W < len(b) {
		read, larger := l.bufs.Get(heldHeader + buf.Len() + len(b))
		copy(larger.B, buf.B[:heldHeader])
		larger.R, larger.W = heldHeader, heldHeader+copy(larger.B[heldHeader:], buf.Bytes())
		l.bufs.Put(r.c.read)
		r.c.read, buf = read, larger
	}
	buf.W += copy(buf.B[buf.W:], b)
	r.w = buf.Len()
	r.missing -= len(b)
}

// ended ends the incoming direction in order: nothing behind this is looked at.
func (l *Layer) ended() {
	r := &l.reader
	r.c.endIn(0)
	if e := l.ciphers.find(r.id); e != nil {
		e.in = keys{}
	}
}

// hold keeps what is left in in for the next call.
func (l *Layer) hold() {
	r := &l.reader
	if r.c.is(flagInDone) {
		l.endTickets(r.c)
		if r.c.read != 0 { // a record in part that nothing will complete
			l.bufs.Put(r.c.read)
			r.c.read = 0
		}
		r.r, r.w, r.message = 0, 0, message{}
	}
	plain := r.in[r.plainR:r.plainW]
	if r.missing > 0 && r.c.read != 0 || len(plain)+r.w-r.r == 0 && !r.message.partial() {
		return
	}
	read, buf := l.bufs.Get(heldHeader + len(plain) + r.w - r.r)
	setHeldPlain(buf.B, len(plain))
	r.message.store(buf.B)
	buf.R, buf.W = heldHeader, heldHeader+copy(buf.B[heldHeader:], plain)
	buf.W += copy(buf.B[buf.W:], r.in[r.r:r.w])
	r.c.read = read
}
