package tlsio

import "holdfast/internal/sys"

// Handshake messages that may come after the handshake (RFC 8446 section 4).
const (
	messageHelloRequest = 0
	messageNewTicket    = 4
	messageKeyUpdate    = 24
)

// ticketMax bounds a NewSessionTicket message, in bytes.
const ticketMax = 64 << 10

// takeAlert does what an alert says (RFC 8446 section 6, RFC 5246 section 7.2).
func (l *Layer) takeAlert(b []byte) (alert, string) {
	r := &l.reader
	switch {
	case len(b) == 0:
		return alertUnexpectedMessage, "empty alert"
	case len(b) != 2:
		return alertDecodeError, "alert of a wrong length"
	}
	level, a := b[0], alert(b[1])
	switch {
	case a == alertCloseNotify:
		l.ended()
		return alertNone, ""
	case !r.c.is(flagTLS12) && a == alertUserCanceled, r.c.is(flagTLS12) && level == levelWarning:
		l.endTickets(r.c)
		return l.fruitless(), tooManyFruitless
	case r.c.is(flagTLS12) && level != levelFatal:
		return alertIllegalParameter, "alert of an unknown level"
	}
	l.problem = problem{alert: a}
	l.dead(r.id, r.c, sys.EPROTO)
	return alertNone, ""
}

// takeHandshake does what the handshake messages in a record say. They may end in a later
// record. raw is the record as it came.
func (l *Layer) takeHandshake(b, raw []byte) (alert, string) {
	r := &l.reader
	switch {
	case len(b) == 0:
		return alertUnexpectedMessage, "empty handshake record"
	case r.c.is(flagTLS12) && b[0] == messageHelloRequest:
		return alertNoRenegotiation, "renegotiation"
	case r.c.is(flagTLS12):
		return alertUnexpectedMessage, "handshake message after the handshake"
	}
	if l.fruitless() != alertNone {
		return alertUnexpectedMessage, tooManyFruitless
	}
	for messages := 0; len(b) > 0; {
		if m := &r.message; m.skip > 0 {
			n := min(len(b), int(m.skip))
			b, m.skip = b[n:], m.skip-uint32(n)
			continue
		}
		if r.message.n == 0 {
			if messages++; messages > 1 && l.fruitless() != alertNone {
				return alertUnexpectedMessage, tooManyFruitless
			}
		}
		rest, a, reason := l.takeMessage(b)
		if a != alertNone {
			return a, reason
		}
		b = rest
	}
	if r.c.is(flagTickets) {
		l.facts[r.c.info-1].tickets(raw)
	}
	return alertNone, ""
}

// takeMessage reads on at the header of a handshake message. Of a ticket the body is left
// to be skipped; a KeyUpdate is done when its one byte has come.
func (l *Layer) takeMessage(b []byte) (rest []byte, a alert, reason string) {
	r := &l.reader
	m := &r.message
	n := copy(m.head[m.n:], b)
	m.n += uint8(n)
	b = b[n:]
	typ, size := m.head[0], uint32(m.head[1])<<16|uint32(m.head[2])<<8|uint32(m.head[3])
	switch {
	case typ != messageKeyUpdate && (typ != messageNewTicket || !r.c.is(flagClient)):
		return nil, alertUnexpectedMessage, "handshake message after the handshake"
	case int(m.n) < len(m.head):
		return nil, alertNone, ""
	case typ == messageNewTicket && (size == 0 || size > ticketMax):
		return nil, alertDecodeError, "session ticket of a wrong length"
	case typ == messageNewTicket:
		*m = message{skip: size}
		return b, alertNone, ""
	case size != 1:
		return nil, alertDecodeError, "KeyUpdate of a wrong length"
	case len(b) == 0:
		return nil, alertNone, ""
	}
	*m = message{}
	a, reason = l.keyUpdate(b)
	return nil, a, reason
}

// keyUpdate changes the keys for reading (RFC 8446 section 4.6.3). b is the message's body
// and what stands behind it in the record, which must be nothing (section 5.1).
func (l *Layer) keyUpdate(b []byte) (alert, string) {
	r := &l.reader
	switch {
	case b[0] > 1:
		return alertIllegalParameter, "KeyUpdate with an unknown request"
	case len(b) > 1:
		return alertUnexpectedMessage, "KeyUpdate inside a record"
	case b[0] == 1:
		r.c.flags |= flagOwed
	}
	l.endTickets(r.c)
	return l.renewIn()
}
