package tlsio

import "encoding/binary"

// Content types (RFC 8446 section 5.1).
const (
	typeChangeCipherSpec = 20
	typeAlert            = 21
	typeHandshake        = 22
	typeData             = 23
)

// openAll opens the whole records in in, in order, and returns how much data it wrote to
// dst. It stops when dst is full; with an empty dst at the first data.
func (l *Layer) openAll(dst []byte) (n int) {
	r := &l.reader
	for r.missing == 0 && r.plainW == 0 && !r.c.is(flagInDone) && (n == 0 || n < len(dst)) {
		rec, a, reason := l.next()
		if a != alertNone {
			l.fail(r.id, r.fd, a, reason)
			return n
		}
		if rec == nil {
			return n
		}
		m, a, reason := l.take(rec, dst[n:])
		n += m
		if a != alertNone {
			l.fail(r.id, r.fd, a, reason)
		}
	}
	return n
}

// next is the next whole record, nil if there is none yet. Its header is judged as soon as
// it has come.
func (l *Layer) next() (rec []byte, a alert, reason string) {
	r := &l.reader
	b := r.in[r.r:r.w]
	if len(b) < headerSize {
		return nil, alertNone, ""
	}
	if a, reason = r.c.judge(b); a != alertNone || missing(b) > 0 {
		return nil, a, reason
	}
	size := headerSize + int(binary.BigEndian.Uint16(b[3:]))
	r.r += size
	return b[:size], alertNone, ""
}

// judge says what is wrong with a record's header (RFC 8446 section 5.1 and 5.2, RFC 5246
// section 6.2.1).
func (c *Conn) judge(head []byte) (alert, string) {
	typ, version, size := head[0], binary.BigEndian.Uint16(head[1:]), int(binary.BigEndian.Uint16(head[3:]))
	limit := sealedMax13
	if c.is(flagTLS12) {
		limit = sealedMax12
	}
	switch {
	case !c.is(flagTLS12) && typ != typeData, typ < typeChangeCipherSpec, typ > typeData:
		return alertUnexpectedMessage, "unexpected record type"
	case version != uint16(TLS12): // also in TLS 1.3
		return alertProtocolVersion, "wrong version in a record's header"
	case size > limit:
		return alertRecordOverflow, "record too long"
	}
	return alertNone, ""
}

// take opens one record and does what it says. Data goes to dst; what finds no room there
// stays in in.
func (l *Layer) take(rec, dst []byte) (n int, a alert, reason string) {
	r := &l.reader
	raw := rec
	if r.c.is(flagTickets) { // the record is decrypted where it lies
		l.makeOut()
		raw = l.out[:copy(l.out, rec)]
	}
	plain, typ, a, reason := l.open(rec, dst)
	switch {
	case a != alertNone:
		return 0, a, reason
	case typ == typeAlert:
		a, reason = l.takeAlert(plain)
		return 0, a, reason
	case typ == typeHandshake:
		a, reason = l.takeHandshake(plain, raw)
		return 0, a, reason
	case typ != typeData:
		return 0, alertUnexpectedMessage, "unexpected record type"
	case r.message.partial():
		return 0, alertUnexpectedMessage, "data inside a handshake message"
	}
	l.endTickets(r.c)
	if len(plain) == 0 {
		return 0, l.fruitless(), tooManyFruitless
	}
	r.c.fruitful()
	if len(dst) > 0 && &plain[0] == &dst[0] {
		return len(plain), alertNone, ""
	}
	n = copy(dst, plain)
	if n < len(plain) {
		r.plainW = r.r - tagLen // the plaintext lies where the ciphertext did
		if !r.c.is(flagTLS12) {
			r.plainW = r.r - len(rec) + headerSize + len(plain)
		}
		r.plainR = r.plainW - len(plain) + n
	}
	return n, alertNone, ""
}

const tooManyFruitless = "too many records without data"

// fruitless counts a record without data.
func (l *Layer) fruitless() alert {
	if l.reader.c.fruitless() {
		return alertUnexpectedMessage
	}
	return alertNone
}

// open authenticates and decrypts a record: into dst where that surely has room for its
// data, else in place.
func (l *Layer) open(rec, dst []byte) (plain []byte, typ byte, a alert, reason string) {
	r := &l.reader
	k := l.inKeys(r.id, r.c)
	sealed, extra := rec[headerSize:], rec[:headerSize]
	if r.c.is(flagTLS12) && r.c.in.Seq >= l.endAfter {
		return nil, 0, alertInternalError, "too many records under one key"
	}
	k.nonce(&l.nonce, r.c.in.Seq)
	if k.explicit {
		if len(sealed) < explicitLen {
			return nil, 0, alertBadRecordMAC, "bad record MAC"
		}
		copy(l.nonce[4:], sealed)
		sealed = sealed[explicitLen:]
	}
	if len(sealed) < tagLen {
		return nil, 0, alertBadRecordMAC, "bad record MAC"
	}
	if r.c.is(flagTLS12) {
		extra = l.extra12(r.c.in.Seq, rec[0], len(sealed)-tagLen)
	}
	into := sealed[:0]
	if len(sealed)-tagLen <= len(dst) {
		into = dst[:0:len(dst)]
	}
	plain, err := k.aead.Open(into, l.nonce[:], sealed, extra)
	if err != nil {
		return nil, 0, alertBadRecordMAC, "bad record MAC"
	}
	r.c.in.Seq++
	if r.c.is(flagTLS12) {
		if len(plain) > plainMax {
			return nil, 0, alertRecordOverflow, "record too long"
		}
		return plain, rec[0], alertNone, ""
	}
	return inner(plain)
}

// inner takes a TLSInnerPlaintext apart (RFC 8446 section 5.4): data, type, zeros.
func inner(b []byte) (plain []byte, typ byte, a alert, reason string) {
	if len(b) > plainMax+1 {
		return nil, 0, alertRecordOverflow, "record too long"
	}
	i := len(b) - 1
	for i >= 0 && b[i] == 0 {
		i--
	}
	if i < 0 {
		return nil, 0, alertUnexpectedMessage, "record without a type"
	}
	return b[:i], b[i], alertNone, ""
}

// extra12 is the additional data of a record in TLS 1.2 (RFC 5246 section 6.2.3.3).
func (l *Layer) extra12(seq uint64, typ byte, size int) []byte {
	binary.BigEndian.PutUint64(l.extra[:], seq)
	l.extra[8] = typ
	binary.BigEndian.PutUint16(l.extra[9:], uint16(TLS12))
	binary.BigEndian.PutUint16(l.extra[11:], uint16(size))
	return l.extra[:]
}
