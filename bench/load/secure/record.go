package secure

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
)

// A record (RFC 8446 section 5) is a header of 5 bytes, up to PlainBytesMax bytes of
// payload with one byte of type behind, and a tag of 16 bytes. OpenBytesMax is the
// longest that may come, with padding.
const (
	headerBytes   = 5
	tagBytes      = 16
	PlainBytesMax = 16 << 10
	OpenBytesMax  = headerBytes + PlainBytesMax + 256
)

// The types of records.
const (
	alertType       = 21
	handshakeType   = 22
	applicationType = 23
)

const (
	keyBytes   = 16
	nonceBytes = 12
)

// Direction is one direction of a connection: its key, and how many records it has had.
// Its expanded cipher is made at the first record, and again after Forget.
type Direction struct {
	key      [keyBytes]byte
	iv       [nonceBytes]byte
	sequence uint64
	aead     cipher.AEAD
}

// newDirection derives the key and the IV of a traffic secret (RFC 8446 section 7.3).
func newDirection(secret []byte) (Direction, error) {
	var d Direction
	if len(secret) != sha256.Size {
		return d, errors.New("crypto/tls told no traffic secret")
	}
	err := errors.Join(expandLabel(d.key[:], secret, "key"), expandLabel(d.iv[:], secret, "iv"))
	return d, err
}

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446 section 7.1).
func expandLabel(dst, secret []byte, label string) error {
	label = "tls13 " + label
	info := string([]byte{byte(len(dst) >> 8), byte(len(dst)), byte(len(label))}) + label + "\x00"
	out, err := hkdf.Expand(sha256.New, secret, info, len(dst))
	copy(dst, out)
	return err
}

// Forget drops the expanded cipher, which is several times as large as the rest.
func (d *Direction) Forget() { d.aead = nil }

func (d *Direction) cipher() cipher.AEAD {
	if d.aead == nil {
		block, err := aes.NewCipher(d.key[:])
		if err == nil {
			d.aead, err = cipher.NewGCM(block)
		}
		if err != nil {
			panic(err) // the key has the right length
		}
	}
	return d.aead
}

var noTag [tagBytes]byte

// Pump seals and opens records. It belongs to one goroutine.
type Pump struct{ nonce [nonceBytes]byte }

// next is the nonce of the next record (RFC 8446 section 5.3).
func (p *Pump) next(d *Direction) []byte {
	p.nonce = d.iv
	tail := p.nonce[nonceBytes-8:]
	binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^d.sequence)
	d.sequence++
	return p.nonce[:]
}

// Seal appends plain as records to dst.
func (p *Pump) Seal(dst []byte, d *Direction, plain []byte) []byte {
	for len(plain) > 0 {
		part := plain[:min(len(plain), PlainBytesMax)]
		plain = plain[len(part):]
		size := len(part) + 1 + tagBytes
		at := len(dst)
		dst = append(dst, applicationType, 3, 3, byte(size>>8), byte(size))
		dst = append(dst, part...)
		dst = append(dst, applicationType)
		dst = append(dst, noTag[:]...) // room, so that sealing in place does not move it
		body := dst[at+headerBytes : len(dst)-tagBytes]
		d.cipher().Seal(body[:0], p.next(d), body, dst[at:at+headerBytes])
	}
	return dst
}

// Open takes the first record off b: its payload, opened in place, and what follows. A
// record that is no data has a nil payload. n is zero when the record is not there whole.
func (p *Pump) Open(d *Direction, b []byte) (plain []byte, n int, err error) {
	if len(b) < headerBytes {
		return nil, 0, nil
	}
	n = headerBytes + int(binary.BigEndian.Uint16(b[3:]))
	if n > OpenBytesMax {
		return nil, 0, fmt.Errorf("a record of %d bytes", n)
	}
	if len(b) < n {
		return nil, 0, nil
	}
	plain, err = d.cipher().Open(b[headerBytes:headerBytes], p.next(d), b[headerBytes:n], b[:headerBytes])
	if err != nil {
		return nil, 0, fmt.Errorf("record %d: %w", d.sequence-1, err)
	}
	kind := len(plain) - 1
	for kind >= 0 && plain[kind] == 0 {
		kind--
	}
	if kind < 0 {
		return nil, 0, errors.New("a record without a type")
	}
	switch plain[kind] {
	case applicationType:
		return plain[:kind], n, nil
	case handshakeType:
		const newSessionTicket = 4
		if plain[0] != newSessionTicket {
			return nil, 0, fmt.Errorf("a handshake message of type %d", plain[0])
		}
		return nil, n, nil
	case alertType:
		return nil, 0, fmt.Errorf("alert %d", plain[min(1, kind)])
	}
	return nil, 0, fmt.Errorf("a record of type %d", plain[kind])
}

// keyLog takes the traffic secrets out of what crypto/tls logs, in the format that
// NSS has made up.
type keyLog struct{ client, server []byte }

// Write implements io.Writer; it gets a line at a time.
func (k *keyLog) Write(line []byte) (int, error) {
	words := strings.Fields(string(line))
	if len(words) != 3 {
		return len(line), nil
	}
	switch words[0] {
	case "CLIENT_TRAFFIC_SECRET_0":
		k.client, _ = hex.DecodeString(words[2])
	case "SERVER_TRAFFIC_SECRET_0":
		k.server, _ = hex.DecodeString(words[2])
	}
	return len(line), nil
}

// byRecord gives crypto/tls one record at a time, so that nothing that follows the
// handshake is inside when the connection is taken out.
type byRecord struct {
	net.Conn
	in   *bufio.Reader
	left int // of the current record
}

func newByRecord(c net.Conn) *byRecord { return &byRecord{Conn: c, in: bufio.NewReader(c)} }

// Read implements io.Reader.
func (r *byRecord) Read(b []byte) (int, error) {
	if r.left == 0 {
		header, err := r.in.Peek(headerBytes)
		if err != nil {
			return 0, err
		}
		r.left = headerBytes + int(binary.BigEndian.Uint16(header[3:]))
	}
	n, err := r.in.Read(b[:min(len(b), r.left)])
	r.left -= n
	return n, err
}

// rest is what has been read of the socket and was not asked for.
func (r *byRecord) rest() []byte {
	b := make([]byte, r.in.Buffered())
	_, _ = r.in.Read(b)
	return b
}
