package tlsio

import "holdfast/internal/sys"

// readKernel is read where the kernel opens the records. It asks for room for the largest
// record at least, so that any but data comes whole; what finds no room in dst is held.
func (l *Layer) readKernel(dst []byte) (n int) {
	r := &l.reader
	for r.plainW == 0 && !r.c.is(flagInDone) && (n == 0 || n < len(dst)) {
		into, direct := dst[n:], true
		if len(into) < plainMax {
			into, direct = r.in[:plainMax], false
		}
		got, typ, errno := sys.RecvRecord(r.fd, into)
		switch {
		case errno == sys.EAGAIN:
			return n
		case errno != 0:
			l.kernelRefused(errno)
			return n
		case typ == 0 && got == 0:
			r.c.flags |= flagTruncated
			l.ended()
			return n
		case typ != typeData && typ != 0:
			l.takeKernel(typ, into[:got])
			continue
		case r.message.partial():
			l.fail(r.id, r.fd, alertUnexpectedMessage, "data inside a handshake message")
			return n
		}
		r.c.fruitful()
		if !direct {
			taken := copy(dst[n:], into[:got])
			if taken < got {
				r.plainR, r.plainW = taken, got
			}
			got = taken
		}
		n += got
	}
	return n
}

// takeKernel does what a record other than data says.
func (l *Layer) takeKernel(typ byte, b []byte) {
	r := &l.reader
	a, reason := alertUnexpectedMessage, "unexpected record type"
	switch typ {
	case typeAlert:
		a, reason = l.takeAlert(b)
	case typeHandshake:
		a, reason = l.takeHandshake(b, nil)
	}
	if a != alertNone {
		l.fail(r.id, r.fd, a, reason)
	}
}

// kernelRefused ends the connection for what the kernel found wrong, with the alert of
// RFC 8446 section 6.2 where that is about TLS.
func (l *Layer) kernelRefused(errno sys.Errno) {
	r := &l.reader
	var a alert
	var reason string
	switch errno {
	case sys.EBADMSG:
		a, reason = alertBadRecordMAC, "bad record MAC, or a record without a type"
	case sys.EMSGSIZE:
		a, reason = alertRecordOverflow, "record too long"
	case sys.EINVAL:
		a, reason = alertProtocolVersion, "wrong version in a record's header"
	case sys.EKEYEXPIRED: // the first bytes of a KeyUpdate have come, and the kernel takes them for all of it
		a, reason = alertUnexpectedMessage, "KeyUpdate in pieces, which the kernel can't follow (ssl_ktls)"
	default:
		l.dead(r.id, r.c, errno)
		return
	}
	l.fail(r.id, r.fd, a, reason)
}

// renewIn changes the keys for reading after a KeyUpdate.
func (l *Layer) renewIn() (alert, string) {
	r := &l.reader
	if !r.c.is(flagKernelIn) {
		l.rekeyed(r.c, &r.c.in, l.inKeys(r.id, r.c))
		return alertNone, ""
	}
	if l.renewKernel(r.c, &r.c.in, sys.SetReceiveKey, r.fd) != 0 {
		return alertInternalError, "KeyUpdate, and the kernel can't replace keys (ssl_ktls)"
	}
	return alertNone, ""
}
