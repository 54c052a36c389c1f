package tls_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
)

// The types of records (RFC 8446 section 5.1).
const (
	typeChangeCipherSpec = 20
	typeAlert            = 21
	typeHandshake        = 22
	typeApplication      = 23
	typeHeartbeat        = 24
)

// readRecord reads one whole record, its header included.
func readRecord(r io.Reader) ([]byte, error) {
	record := make([]byte, 5)
	if _, err := io.ReadFull(r, record); err != nil {
		return nil, err
	}
	record = append(record, make([]byte, binary.BigEndian.Uint16(record[3:]))...)
	_, err := io.ReadFull(r, record[5:])
	return record, err
}

// plain is a record that is not encrypted.
func plain(kind byte, payload []byte) []byte {
	return append(header(kind, 0x0303, len(payload)), payload...)
}

func header(kind byte, version, length int) []byte {
	return []byte{kind, byte(version >> 8), byte(version), byte(length >> 8), byte(length)}
}

// handshakeMessage is a handshake message with its header.
func handshakeMessage(kind byte, body []byte) []byte {
	return append([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// sealer encrypts the records of one direction by AES-GCM.
type sealer struct {
	aead   cipher.AEAD
	iv     []byte // 12 bytes in TLS 1.3, the implicit 4 in TLS 1.2
	seq    uint64
	secret []byte // of TLS 1.3
	newer  bool   // TLS 1.3
	hash   func() hash.Hash
}

// sealer13 makes the sealer of a traffic secret (RFC 8446 section 7.3).
func sealer13(suite uint16, secret []byte) (*sealer, error) {
	s := &sealer{secret: secret, newer: true, hash: sha256.New}
	length := 16
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
	case tls.TLS_AES_256_GCM_SHA384:
		s.hash, length = sha512.New384, 32
	default:
		return nil, fmt.Errorf("no sealer for %s", tls.CipherSuiteName(suite))
	}
	key, err := s.expand("key", length)
	if err != nil {
		return nil, err
	}
	if s.iv, err = s.expand("iv", 12); err != nil {
		return nil, err
	}
	s.aead, err = gcm(key)
	return s, err
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// expand is HKDF-Expand-Label with an empty context (RFC 8446 section 7.1).
func (s *sealer) expand(label string, length int) ([]byte, error) {
	info := append([]byte{0, byte(length), byte(6 + len(label))}, "tls13 "+label...)
	return hkdf.Expand(s.hash, s.secret, string(append(info, 0)), length)
}

// update moves on to the next secret, as a KeyUpdate does (RFC 8446 section 7.2).
func (s *sealer) update(suite uint16) (*sealer, error) {
	next, err := s.expand("traffic upd", len(s.secret))
	if err != nil {
		return nil, err
	}
	return sealer13(suite, next)
}

// sealer12 makes the sealer of a client's direction in TLS 1.2 (RFC 5246 section 6.3, RFC
// 5288) for ECDHE with AES-128-GCM; one record, Finished, was sealed before.
func sealer12(master, clientRandom, serverRandom []byte) (*sealer, error) {
	seed := append(append([]byte("key expansion"), serverRandom...), clientRandom...)
	var block []byte
	a := seed
	for len(block) < 40 {
		a = hmac256(master, a)
		block = append(block, hmac256(master, append(append([]byte{}, a...), seed...))...)
	}
	aead, err := gcm(block[:16])
	return &sealer{aead: aead, iv: block[32:36], seq: 1}, err
}

func hmac256(key, text []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return mac.Sum(nil)
}

// seal makes the record of a type and a payload.
func (s *sealer) seal(kind byte, payload []byte) []byte {
	defer func() { s.seq++ }()
	if s.newer {
		inner := append(append([]byte{}, payload...), kind)
		return s.sealInner(inner)
	}
	explicit := binary.BigEndian.AppendUint64(nil, s.seq)
	extra := append(binary.BigEndian.AppendUint64(nil, s.seq), header(kind, 0x0303, len(payload))...)
	body := s.aead.Seal(explicit, append(append([]byte{}, s.iv...), explicit...), payload, extra)
	return append(header(kind, 0x0303, len(body)), body...)
}

// sealInner makes the record of an inner plaintext of TLS 1.3; it leaves the number.
func (s *sealer) sealInner(inner []byte) []byte {
	head := header(typeApplication, 0x0303, len(inner)+s.aead.Overhead())
	return s.aead.Seal(head[:5:5], s.nonce(), inner, head)
}

// open decrypts a record of TLS 1.3 and returns the inner plaintext.
func (s *sealer) open(record []byte) ([]byte, error) {
	defer func() { s.seq++ }()
	return s.aead.Open(nil, s.nonce(), record[5:], record[:5])
}

func (s *sealer) nonce() []byte {
	nonce := append([]byte{}, s.iv...)
	for i := range 8 {
		nonce[4+i] ^= byte(s.seq >> (56 - 8*i))
	}
	return nonce
}
