package tlsio_test

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
)

// Alerts and content types, as on the wire.
const (
	unexpectedMessage = 10
	badRecordMAC      = 20
	recordOverflow    = 22
	illegalParameter  = 47
	decodeError       = 50
	protocolVersion   = 70
	noRenegotiation   = 100

	typeCCS       = 20
	typeAlert     = 21
	typeHandshake = 22
	typeData      = 23
)

// wire collects what a peer that misbehaves sends.
type wire struct {
	t   testing.TB
	out *direction
	b   []byte
}

func (w *wire) add(b []byte)                  { w.b = append(w.b, b...) }
func (w *wire) rec(typ byte, b ...byte)       { w.add(w.out.seal(typ, b, 0)) }
func (w *wire) data(s string)                 { w.rec(typeData, []byte(s)...) }
func (w *wire) pad(typ byte, b []byte, n int) { w.add(w.out.seal(typ, b, n)) }
func (w *wire) alert(level, a byte)           { w.rec(typeAlert, level, a) }
func (w *wire) keyUpdate(request byte) {
	if w.rec(typeHandshake, 24, 0, 0, 1, request); w.out.suite.tls13() {
		w.out.next(w.t)
	}
}

// ticket is a NewSessionTicket message with a body of size bytes.
func ticket(size int) []byte {
	return append([]byte{4, byte(size >> 16), byte(size >> 8), byte(size)}, make([]byte, size)...)
}

// misbehaviour is one thing a peer may do, and what has to come of it.
type misbehaviour struct {
	name string
	on   string // versions and roles: 3 is TLS 1.3, 2 is TLS 1.2, c as client only, s as server only
	send func(w *wire)
	fin  bool // then the connection ends
	// What is read before the end, and the end: EAGAIN for none, 0 for the stream's.
	read      string
	errno     sys.Errno
	problem   string
	alert     byte // what the peer gets, 0: none
	truncated bool
}

const (
	badMAC    = "bad record MAC (alert sent)"
	badType   = "unexpected record type (alert sent)"
	tooLong   = "record too long (alert sent)"
	fruitless = "too many records without data (alert sent)"
	late      = "handshake message after the handshake (alert sent)"
)

var large = string(bytes.Repeat([]byte("0123456789abcdef"), 1024))

var misbehaviours = []misbehaviour{
	// Authentication.
	{name: "a flipped bit in the tag", on: "32", send: func(w *wire) { w.data("ok"); w.data("x"); w.b[len(w.b)-1] ^= 1 },
		read: "ok", errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "a flipped bit in the data", on: "32", send: func(w *wire) { w.data("abcdef"); w.b[len(w.b)-18] ^= 0x80 },
		errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "a flipped bit in the explicit nonce", on: "2", send: func(w *wire) { w.data("abc"); w.b[7] ^= 1 },
		errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "a flipped bit in a large record", on: "32", send: func(w *wire) { w.data(large); w.b[8000] ^= 1 },
		errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "a sequence number left out", on: "32", send: func(w *wire) { w.data("a"); w.out.seq++; w.data("b") },
		read: "a", errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "a record replayed", on: "32", send: func(w *wire) { w.data("once"); w.add(bytes.Clone(w.b)) },
		read: "once", errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "two records swapped", on: "32", send: func(w *wire) {
		a, b := w.out.seal(typeData, []byte("a"), 0), w.out.seal(typeData, []byte("b"), 0)
		w.add(b)
		w.add(a)
	}, errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "a record reflected", on: "32", send: func(w *wire) {
		other := *w.out
		other.iv = bytes.Clone(other.iv)
		other.iv[0] ^= 1
		w.add(other.seal(typeData, []byte("a"), 0))
	}, errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "another key", on: "32", send: func(w *wire) {
		secret := make([]byte, 48)
		w.add(newDirection(w.t, w.out.suite, secret, w.out.seq).seal(typeData, []byte("a"), 0))
	}, errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "a tag without anything", on: "32", send: func(w *wire) { w.add(append([]byte{23, 3, 3, 0, 16}, make([]byte, 16)...)) },
		errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "shorter than a tag", on: "32", send: func(w *wire) { w.add([]byte{23, 3, 3, 0, 3, 1, 2, 3}) },
		errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "a record without anything", on: "32", send: func(w *wire) { w.add([]byte{23, 3, 3, 0, 0}) },
		errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "a nonce without a tag", on: "2", send: func(w *wire) { w.add(append([]byte{23, 3, 3, 0, 8}, make([]byte, 8)...)) },
		errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "the type changed on the way", on: "2", send: func(w *wire) { w.data("\x01\x00"); w.b[0] = typeAlert },
		errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "the length changed on the way", on: "32", send: func(w *wire) { w.data("abc"); w.data("def"); w.b[4]++ },
		errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "data under the keys before a KeyUpdate", on: "3", send: func(w *wire) { w.rec(typeHandshake, 24, 0, 0, 1, 0); w.data("x") },
		errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "data under new keys without a KeyUpdate", on: "3", send: func(w *wire) { w.out.next(w.t); w.data("x") },
		errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},

	// Headers.
	{name: "an unknown type", on: "32", send: func(w *wire) { w.data("a"); w.add([]byte{24, 3, 3, 0, 40}) },
		read: "a", errno: sys.EBADMSG, problem: badType, alert: unexpectedMessage},
	{name: "plain HTTP", on: "32", send: func(w *wire) { w.add([]byte("GET / HTTP/1.1\r\n\r\n")) },
		errno: sys.EBADMSG, problem: badType, alert: unexpectedMessage},
	{name: "an SSLv2 hello", on: "32", send: func(w *wire) { w.add([]byte{0x80, 0x2e, 1, 3, 1, 0, 0x15}) },
		errno: sys.EBADMSG, problem: badType, alert: unexpectedMessage},
	{name: "zeros", on: "32", send: func(w *wire) { w.add(make([]byte, 100)) },
		errno: sys.EBADMSG, problem: badType, alert: unexpectedMessage},
	{name: "a plain alert", on: "3", send: func(w *wire) { w.add([]byte{21, 3, 3, 0, 2, 2, 40}) },
		errno: sys.EBADMSG, problem: badType, alert: unexpectedMessage},
	{name: "a plain alert in TLS 1.2", on: "2", send: func(w *wire) { w.add([]byte{21, 3, 3, 0, 2, 2, 40}) },
		errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "a plain handshake record", on: "3", send: func(w *wire) { w.add([]byte{22, 3, 3, 0, 4, 1, 0, 0, 0}) },
		errno: sys.EBADMSG, problem: badType, alert: unexpectedMessage},
	{name: "ChangeCipherSpec after the handshake", on: "3", send: func(w *wire) { w.add([]byte{20, 3, 3, 0, 1, 1}) },
		errno: sys.EBADMSG, problem: badType, alert: unexpectedMessage},
	{name: "ChangeCipherSpec sealed", on: "32", send: func(w *wire) { w.rec(typeCCS, 1) },
		errno: sys.EBADMSG, problem: badType, alert: unexpectedMessage},
	{name: "an outer type that is not data", on: "3", send: func(w *wire) { w.add(w.out.sealInner([]byte{'a', typeData}, typeHandshake, 0x0303)) },
		errno: sys.EBADMSG, problem: badType, alert: unexpectedMessage},
	{name: "an inner type that nobody knows", on: "3", send: func(w *wire) { w.rec(99, 1, 2) },
		errno: sys.EBADMSG, problem: badType, alert: unexpectedMessage},
	{name: "heartbeat", on: "32", send: func(w *wire) { w.rec(24, 1, 0x40, 0) },
		errno: sys.EBADMSG, alert: unexpectedMessage, problem: badType},
	{name: "version 1.3 in a header", on: "32", send: func(w *wire) { w.add(w.out.sealInner([]byte{'a', typeData}, typeData, 0x0304)) },
		errno: sys.EBADMSG, problem: "wrong version in a record's header (alert sent)", alert: protocolVersion},
	{name: "version 1.0 in a header", on: "32", send: func(w *wire) { w.add([]byte{23, 3, 1, 0, 20}) },
		errno: sys.EBADMSG, problem: "wrong version in a record's header (alert sent)", alert: protocolVersion},

	// Lengths.
	{name: "ciphertext past the limit", on: "3", send: func(w *wire) { w.add([]byte{23, 3, 3, 0x41, 1}) },
		errno: sys.EBADMSG, problem: tooLong, alert: recordOverflow},
	{name: "ciphertext past the limit in TLS 1.2", on: "2", send: func(w *wire) { w.add([]byte{23, 3, 3, 0x48, 1}) },
		errno: sys.EBADMSG, problem: tooLong, alert: recordOverflow},
	{name: "garbage below the limit in TLS 1.2", on: "2", send: func(w *wire) {
		w.add(append([]byte{23, 3, 3, 0x48, 0}, make([]byte, 0x4800)...))
	}, errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "garbage below the limit", on: "3", send: func(w *wire) {
		w.add(append([]byte{23, 3, 3, 0x41, 0}, make([]byte, 0x4100)...))
	}, errno: sys.EBADMSG, problem: badMAC, alert: badRecordMAC},
	{name: "a length of 65,535", on: "32", send: func(w *wire) { w.data("a"); w.add([]byte{23, 3, 3, 0xff, 0xff, 1}) },
		read: "a", errno: sys.EBADMSG, problem: tooLong, alert: recordOverflow},
	{name: "one byte too much data", on: "32", send: func(w *wire) { w.data(large); w.data(large + "!") },
		read: large, errno: sys.EBADMSG, problem: tooLong, alert: recordOverflow},
	{name: "padding past the limit", on: "3", send: func(w *wire) { w.pad(typeData, []byte("a"), 16384) },
		errno: sys.EBADMSG, problem: tooLong, alert: recordOverflow},
	{name: "data past the limit by 200", on: "32", send: func(w *wire) { w.data(large + large[:200]) },
		errno: sys.EBADMSG, problem: tooLong, alert: recordOverflow},
	{name: "data of full size", on: "32", send: func(w *wire) { w.data(large); w.data("b") }, read: large + "b", errno: sys.EAGAIN},
	{name: "padding up to the limit", on: "3", send: func(w *wire) { w.pad(typeData, []byte("a"), 16383); w.data("b") },
		read: "ab", errno: sys.EAGAIN},
	{name: "padded to full size", on: "3", send: func(w *wire) { w.pad(typeData, []byte(large[:9000]), 7384) },
		read: large[:9000], errno: sys.EAGAIN},
	{name: "nothing but zeros inside", on: "3", send: func(w *wire) { w.add(w.out.sealInner(make([]byte, 50), 23, 0x0303)) },
		errno: sys.EBADMSG, problem: "record without a type (alert sent)", alert: unexpectedMessage},
	{name: "nothing at all inside", on: "3", send: func(w *wire) { w.add(w.out.sealInner(nil, 23, 0x0303)) },
		errno: sys.EBADMSG, problem: "record without a type (alert sent)", alert: unexpectedMessage},
	{name: "zeros to the limit", on: "3", send: func(w *wire) { w.add(w.out.sealInner(make([]byte, 16385), 23, 0x0303)) },
		errno: sys.EBADMSG, problem: "record without a type (alert sent)", alert: unexpectedMessage},

	// Records without data.
	{name: "sixteen empty records", on: "32", send: func(w *wire) { many(16, func() { w.data("") }); w.data("a") },
		read: "a", errno: sys.EAGAIN},
	{name: "a flood of empty records", on: "32", send: func(w *wire) { w.data("a"); many(17, func() { w.data("") }) },
		read: "a", errno: sys.EBADMSG, problem: fruitless, alert: unexpectedMessage},
	{name: "a flood of padding", on: "3", send: func(w *wire) { many(17, func() { w.pad(typeData, nil, 500) }) },
		errno: sys.EBADMSG, problem: fruitless, alert: unexpectedMessage},
	{name: "empty records between data", on: "32", send: func(w *wire) {
		many(5, func() { many(16, func() { w.data("") }); w.data("a") })
	}, read: "aaaaa", errno: sys.EAGAIN},
	{name: "a flood of warnings", on: "2", send: func(w *wire) { many(17, func() { w.alert(1, 90) }) },
		errno: sys.EBADMSG, problem: fruitless, alert: unexpectedMessage},
	{name: "a flood of user_canceled", on: "3", send: func(w *wire) { many(17, func() { w.alert(1, 90) }) },
		errno: sys.EBADMSG, problem: fruitless, alert: unexpectedMessage},
	{name: "a flood of KeyUpdates", on: "3", send: func(w *wire) { many(17, func() { w.keyUpdate(0) }) },
		errno: sys.EBADMSG, problem: fruitless, alert: unexpectedMessage},
	{name: "a flood of KeyUpdates that ask back", on: "3", send: func(w *wire) { w.data("a"); many(17, func() { w.keyUpdate(1) }) },
		read: "a", errno: sys.EBADMSG, problem: fruitless, alert: unexpectedMessage},
	{name: "a flood of everything", on: "3", send: func(w *wire) {
		many(6, func() { w.keyUpdate(0); w.data(""); w.alert(1, 90) })
	}, errno: sys.EBADMSG, problem: fruitless, alert: unexpectedMessage},
	{name: "a flood of tickets", on: "3c", send: func(w *wire) { many(17, func() { w.rec(typeHandshake, ticket(100)...) }) },
		errno: sys.EBADMSG, problem: fruitless, alert: unexpectedMessage},
	{name: "a flood of tickets in one record", on: "3c", send: func(w *wire) { w.rec(typeHandshake, bytes.Repeat(ticket(10), 17)...) },
		errno: sys.EBADMSG, problem: fruitless, alert: unexpectedMessage},
	{name: "a ticket in single bytes", on: "3c", send: func(w *wire) {
		for _, b := range ticket(30) {
			w.rec(typeHandshake, b)
		}
	}, errno: sys.EBADMSG, problem: fruitless, alert: unexpectedMessage},

	// Handshake messages.
	{name: "a KeyUpdate", on: "3", send: func(w *wire) { w.data("a"); w.keyUpdate(0); w.data("b") }, read: "ab", errno: sys.EAGAIN},
	{name: "sixteen KeyUpdates", on: "3", send: func(w *wire) { many(16, func() { w.keyUpdate(1) }); w.data("b") },
		read: "b", errno: sys.EAGAIN},
	{name: "a padded KeyUpdate", on: "3", send: func(w *wire) {
		w.pad(typeHandshake, []byte{24, 0, 0, 1, 0}, 1000)
		w.out.next(w.t)
		w.data("b")
	}, read: "b", errno: sys.EAGAIN},
	{name: "a KeyUpdate in pieces", on: "3", send: func(w *wire) {
		for _, b := range []byte{24, 0, 0, 1, 0} {
			w.rec(typeHandshake, b)
		}
		w.out.next(w.t)
		w.data("b")
	}, read: "b", errno: sys.EAGAIN},
	{name: "a KeyUpdate without its end", on: "3", send: func(w *wire) { w.rec(typeHandshake, 24, 0, 0, 1) }, errno: sys.EAGAIN},
	{name: "data inside a KeyUpdate", on: "3", send: func(w *wire) { w.rec(typeHandshake, 24, 0); w.data("x") },
		errno: sys.EBADMSG, problem: "data inside a handshake message (alert sent)", alert: unexpectedMessage},
	{name: "data inside a ticket", on: "3c", send: func(w *wire) { w.rec(typeHandshake, ticket(100)[:50]...); w.data("x") },
		errno: sys.EBADMSG, problem: "data inside a handshake message (alert sent)", alert: unexpectedMessage},
	{name: "two KeyUpdates in a record", on: "3", send: func(w *wire) { w.rec(typeHandshake, 24, 0, 0, 1, 0, 24, 0, 0, 1, 0) },
		errno: sys.EBADMSG, problem: "KeyUpdate inside a record (alert sent)", alert: unexpectedMessage},
	{name: "a ticket behind a KeyUpdate in a record", on: "3c", send: func(w *wire) {
		w.rec(typeHandshake, append([]byte{24, 0, 0, 1, 1}, ticket(20)...)...)
	}, errno: sys.EBADMSG, problem: "KeyUpdate inside a record (alert sent)", alert: unexpectedMessage},
	{name: "a KeyUpdate behind a ticket in a record", on: "3c", send: func(w *wire) {
		w.rec(typeHandshake, append(ticket(20), 24, 0, 0, 1, 0)...)
		w.out.next(w.t)
		w.data("b")
	}, read: "b", errno: sys.EAGAIN},
	{name: "a KeyUpdate that asks for 2", on: "3", send: func(w *wire) { w.rec(typeHandshake, 24, 0, 0, 1, 2) },
		errno: sys.EBADMSG, problem: "KeyUpdate with an unknown request (alert sent)", alert: illegalParameter},
	{name: "a KeyUpdate without a body", on: "3", send: func(w *wire) { w.rec(typeHandshake, 24, 0, 0, 0) },
		errno: sys.EBADMSG, problem: "KeyUpdate of a wrong length (alert sent)", alert: decodeError},
	{name: "a KeyUpdate of 16 MB", on: "3", send: func(w *wire) { w.rec(typeHandshake, 24, 0xff, 0xff, 0xff, 0) },
		errno: sys.EBADMSG, problem: "KeyUpdate of a wrong length (alert sent)", alert: decodeError},
	{name: "an empty handshake record", on: "32", send: func(w *wire) { w.rec(typeHandshake) },
		errno: sys.EBADMSG, problem: "empty handshake record (alert sent)", alert: unexpectedMessage},
	{name: "a ticket to a server", on: "3s", send: func(w *wire) { w.rec(typeHandshake, ticket(100)...) },
		errno: sys.EBADMSG, problem: late, alert: unexpectedMessage},
	{name: "the first byte of a ticket to a server", on: "3s", send: func(w *wire) { w.rec(typeHandshake, 4) },
		errno: sys.EBADMSG, problem: late, alert: unexpectedMessage},
	{name: "tickets", on: "3c", send: func(w *wire) {
		w.rec(typeHandshake, append(ticket(150), ticket(200)...)...)
		w.rec(typeHandshake, ticket(1)...)
		w.data("b")
	}, read: "b", errno: sys.EAGAIN},
	{name: "a ticket over three records", on: "3c", send: func(w *wire) {
		b := ticket(40_000)
		w.rec(typeHandshake, b[:2]...)
		w.rec(typeHandshake, b[2:16_000]...)
		w.rec(typeHandshake, b[16_000:32_000]...)
		w.rec(typeHandshake, b[32_000:]...)
		w.data("b")
	}, read: "b", errno: sys.EAGAIN},
	{name: "a ticket of 16 MB", on: "3c", send: func(w *wire) { w.rec(typeHandshake, 4, 0xff, 0xff, 0xff, 1) },
		errno: sys.EBADMSG, problem: "session ticket of a wrong length (alert sent)", alert: decodeError},
	{name: "an empty ticket", on: "3c", send: func(w *wire) { w.rec(typeHandshake, 4, 0, 0, 0) },
		errno: sys.EBADMSG, problem: "session ticket of a wrong length (alert sent)", alert: decodeError},
	{name: "a ClientHello", on: "32", send: func(w *wire) { w.data("a"); w.rec(typeHandshake, append([]byte{1, 0, 0, 40}, make([]byte, 40)...)...) },
		read: "a", errno: sys.EBADMSG, problem: late, alert: unexpectedMessage},
	{name: "a CertificateRequest", on: "3", send: func(w *wire) { w.rec(typeHandshake, 13, 0, 0, 3, 0, 0, 0) },
		errno: sys.EBADMSG, problem: late, alert: unexpectedMessage},
	{name: "a Finished", on: "32", send: func(w *wire) { w.rec(typeHandshake, append([]byte{20, 0, 0, 32}, make([]byte, 32)...)...) },
		errno: sys.EBADMSG, problem: late, alert: unexpectedMessage},
	{name: "a HelloRequest in TLS 1.3", on: "3", send: func(w *wire) { w.rec(typeHandshake, 0, 0, 0, 0) },
		errno: sys.EBADMSG, problem: late, alert: unexpectedMessage},
	{name: "a HelloRequest", on: "2", send: func(w *wire) { w.rec(typeHandshake, 0, 0, 0, 0) },
		errno: sys.EBADMSG, problem: "renegotiation (alert sent)", alert: noRenegotiation},
	{name: "a KeyUpdate in TLS 1.2", on: "2", send: func(w *wire) { w.rec(typeHandshake, 24, 0, 0, 1, 0) },
		errno: sys.EBADMSG, problem: late, alert: unexpectedMessage},
	{name: "a ticket in TLS 1.2", on: "2", send: func(w *wire) { w.rec(typeHandshake, ticket(30)...) },
		errno: sys.EBADMSG, problem: late, alert: unexpectedMessage},

	// Alerts.
	{name: "unknown_ca", on: "32", send: func(w *wire) { w.data("a"); w.alert(2, 48); w.data("b") },
		read: "a", errno: sys.EPROTO, problem: "alert from peer: unknown_ca"},
	{name: "a fatal alert of level 1", on: "3", send: func(w *wire) { w.alert(1, 40) },
		errno: sys.EPROTO, problem: "alert from peer: handshake_failure"},
	{name: "an alert nobody knows", on: "32", send: func(w *wire) { w.alert(2, 250) },
		errno: sys.EPROTO, problem: "alert from peer: alert 250"},
	{name: "an alert of level 0", on: "2", send: func(w *wire) { w.alert(0, 40) },
		errno: sys.EBADMSG, problem: "alert of an unknown level (alert sent)", alert: illegalParameter},
	{name: "an alert of level 0 in TLS 1.3", on: "3", send: func(w *wire) { w.alert(0, 40) },
		errno: sys.EPROTO, problem: "alert from peer: handshake_failure"},
	{name: "a few warnings", on: "2", send: func(w *wire) { w.alert(1, 90); w.alert(1, 100); w.data("a") }, read: "a", errno: sys.EAGAIN},
	{name: "user_canceled", on: "3", send: func(w *wire) { w.alert(1, 90); w.data("a"); w.alert(1, 0) }, read: "a"},
	{name: "an empty alert", on: "32", send: func(w *wire) { w.rec(typeAlert) },
		errno: sys.EBADMSG, problem: "empty alert (alert sent)", alert: unexpectedMessage},
	{name: "half an alert", on: "32", send: func(w *wire) { w.rec(typeAlert, 2) },
		errno: sys.EBADMSG, problem: "alert of a wrong length (alert sent)", alert: decodeError},
	{name: "two alerts in a record", on: "32", send: func(w *wire) { w.rec(typeAlert, 1, 0, 2, 40) },
		errno: sys.EBADMSG, problem: "alert of a wrong length (alert sent)", alert: decodeError},
	{name: "an alert inside a KeyUpdate", on: "3", send: func(w *wire) { w.rec(typeHandshake, 24, 0, 0); w.alert(2, 80) },
		errno: sys.EPROTO, problem: "alert from peer: internal_error"},

	// Ends.
	{name: "close_notify", on: "32", send: func(w *wire) { w.data("a"); w.alert(1, 0) }, read: "a"},
	{name: "close_notify, fatal", on: "32", send: func(w *wire) { w.data("a"); w.alert(2, 0) }, read: "a"},
	{name: "close_notify, then FIN", on: "32", send: func(w *wire) { w.data("a"); w.alert(1, 0) }, fin: true, read: "a"},
	{name: "data after close_notify", on: "32", send: func(w *wire) { w.data("a"); w.alert(1, 0); w.data("b"); w.data(large) }, read: "a"},
	{name: "garbage after close_notify", on: "32", send: func(w *wire) { w.alert(1, 0); w.add([]byte("garbage, more garbage")) }},
	{name: "an alert after close_notify", on: "32", send: func(w *wire) { w.alert(1, 0); w.alert(2, 80) }},
	{name: "close_notify inside a KeyUpdate", on: "3", send: func(w *wire) { w.rec(typeHandshake, 24); w.alert(1, 0) }},
	{name: "FIN without close_notify", on: "32", send: func(w *wire) { w.data("a") }, fin: true, read: "a", truncated: true},
	{name: "FIN at once", on: "32", send: func(*wire) {}, fin: true, truncated: true},
	{name: "FIN inside a header", on: "32", send: func(w *wire) { w.data("a"); w.add([]byte{23, 3}) }, fin: true, read: "a", truncated: true},
	{name: "FIN inside a record", on: "32", send: func(w *wire) { w.data("a"); w.data(large); w.b = w.b[:len(w.b)-1] },
		fin: true, read: "a", truncated: true},
	{name: "FIN inside a KeyUpdate", on: "3", send: func(w *wire) { w.rec(typeHandshake, 24) }, fin: true, truncated: true},
	{name: "FIN inside close_notify", on: "32", send: func(w *wire) { w.alert(1, 0); w.b = w.b[:len(w.b)-2] }, fin: true, truncated: true},
}

func many(n int, f func()) {
	for range n {
		f()
	}
}

// TestMisbehaving runs every misbehaviour against every suite it is meant for, in the roles
// it is meant for, with the bytes arriving at once and in pieces, read at once and in pieces.
func TestMisbehaving(t *testing.T) {
	if len(misbehaviours) < 60 {
		t.Fatalf("%d cases", len(misbehaviours))
	}
	deliveries := [][2]int{{1 << 20, 1 << 16}, {1, 1000}, {997, 1}, {1 << 20, 1}, {1 << 20, 1500}}
	if testing.Short() { // under an emulator
		deliveries = deliveries[:3]
	}
	for _, m := range misbehaviours {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range suites {
				for _, client := range []bool{true, false} {
					if !m.meant(s, client) {
						continue
					}
					for _, delivery := range deliveries {
						m.run(t, s, client, delivery)
					}
				}
			}
		})
	}
}

func (m misbehaviour) meant(s suite, client bool) bool {
	version, role := byte('2'), byte('s')
	if s.tls13() {
		version = '3'
	}
	if client {
		role = 'c'
	}
	last := m.on[len(m.on)-1]
	return bytes.IndexByte([]byte(m.on), version) >= 0 && (last != 'c' && last != 's' || last == role) &&
		(m.name != "a flipped bit in the explicit nonce" && m.name != "a nonce without a tag" || !s.chacha())
}

// run plays one of them. The delivery is how many bytes come at a time, and how many are
// read.
func (m misbehaviour) run(t *testing.T, s suite, client bool, delivery [2]int) {
	r := newRig(t, s, client)
	at := fmt.Sprintf("%s, client %v, delivery %v", s.name, client, delivery)
	w := &wire{t: t, out: r.out}
	m.send(w)
	var got []byte
	errno := sys.EAGAIN
	step := delivery[0]
	if step == 1 && len(w.b) > 3000 {
		step = 1 + len(w.b)/3000
	}
	for i := 0; i < len(w.b) && errno == sys.EAGAIN; i += step {
		r.raw(w.b[i:min(len(w.b), i+step)])
		var b []byte
		b, errno = r.recv(delivery[1])
		got = append(got, b...)
	}
	if m.fin {
		unix.Shutdown(int(r.peer), unix.SHUT_WR)
		if len(w.b) == 0 || errno == sys.EAGAIN {
			var b []byte
			b, errno = r.recv(delivery[1])
			got = append(got, b...)
		}
	}
	if string(got) != m.read || errno != m.errno {
		t.Errorf("%s: read %d bytes, then %v; want %d, %v", at, len(got), errno, len(m.read), m.errno)
	}
	m.check(r, at)
	r.close()
}

// check looks at what is left: the reason, the alert, and that it stays as it is.
func (m misbehaviour) check(r *rig, at string) {
	t := r.t
	t.Helper()
	if p := r.layer.Problem(); p != m.problem {
		t.Errorf("%s: %q, want %q", at, p, m.problem)
	}
	if r.layer.Truncated(r.id) != m.truncated {
		t.Errorf("%s: truncated is %v", at, !m.truncated)
	}
	typ, plain, ok := r.read()
	switch level := byte(2); {
	case m.alert == 0 && ok:
		t.Errorf("%s: the peer got a record of type %d: %x", at, typ, plain)
	case m.alert == 0:
	default:
		if m.alert == noRenegotiation {
			level = 1
		}
		if !ok || typ != typeAlert || !bytes.Equal(plain, []byte{level, m.alert}) {
			t.Errorf("%s: the peer got %v, type %d: %x; want alert %d", at, ok, typ, plain, m.alert)
		}
	}
	if m.errno == sys.EAGAIN {
		return
	}
	if r.layer.AtEnd(r.id, r.fd) != (m.errno == 0) || !r.layer.Ready(r.id) {
		t.Errorf("%s: the end is not seen", at)
	}
	if n, errno := r.layer.Recv(r.id, r.fd, make([]byte, 10)); n != 0 || errno != m.errno {
		t.Errorf("%s: once more: %d, %v", at, n, errno)
	}
	if m.errno == 0 {
		if n, errno := r.layer.Write(r.id, r.fd, []byte("still")); n != 5 || errno != 0 {
			t.Errorf("%s: the other direction: %d, %v", at, n, errno)
		}
		return
	}
	if _, errno := r.layer.Write(r.id, r.fd, []byte("no")); errno != m.errno {
		t.Errorf("%s: a write: %v", at, errno)
	}
	if errno := r.layer.CloseNotify(r.id, r.fd); errno != m.errno {
		t.Errorf("%s: close_notify: %v", at, errno)
	}
	if n, _ := r.layer.CachedForTest(); n != 0 || r.layer.SecretsForTest(r.id) {
		t.Errorf("%s: keys are left", at)
	}
	if _, _, ok := r.read(); ok {
		t.Errorf("%s: the alert was not the last record", at)
	}
}
