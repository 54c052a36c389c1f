package tlsio

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"

	"golang.org/x/crypto/chacha20poly1305"

	"holdfast/internal/assert"
)

// suiteKind is what the record layer has to know of a cipher suite.
type suiteKind struct {
	keyLen int
	ivLen  int  // of the implicit nonce: 4 for GCM in TLS 1.2 (RFC 5288 section 3), else 12
	sha384 bool // the hash of TLS 1.3's key schedule is SHA-384, else SHA-256
	chacha bool // ChaCha20-Poly1305, else AES-GCM
}

// kindOf finds a suite's kind by its IANA number. ok is false for suites that are not spoken.
func kindOf(v Version, suite uint16) (k suiteKind, ok bool) {
	if v == TLS13 {
		switch suite {
		case tls.TLS_AES_128_GCM_SHA256:
			return suiteKind{keyLen: 16, ivLen: 12}, true
		case tls.TLS_AES_256_GCM_SHA384:
			return suiteKind{keyLen: 32, ivLen: 12, sha384: true}, true
		case tls.TLS_CHACHA20_POLY1305_SHA256:
			return suiteKind{keyLen: 32, ivLen: 12, chacha: true}, true
		}
		return suiteKind{}, false
	}
	if v != TLS12 {
		return suiteKind{}, false
	}
	switch suite {
	case tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256:
		return suiteKind{keyLen: 16, ivLen: 4}, true
	case tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_RSA_WITH_AES_256_GCM_SHA384:
		return suiteKind{keyLen: 32, ivLen: 4, sha384: true}, true
	case tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
		return suiteKind{keyLen: 32, ivLen: 12, chacha: true}, true
	}
	return suiteKind{}, false
}

// Supported reports whether the record layer speaks a suite of a version: those with an
// AEAD. Nothing else may be offered in a handshake.
func Supported(v Version, suite uint16) bool {
	_, ok := kindOf(v, suite)
	return ok
}

// tagLen is the length of the authentication tag of every suite, in bytes.
const tagLen = 16

// explicitLen is the length of the nonce that GCM records of TLS 1.2 carry, in bytes.
const explicitLen = 8

// keys are one direction's cipher, expanded, and what its nonces are made of.
type keys struct {
	aead     cipher.AEAD // nil: not expanded
	iv       [12]byte
	explicit bool // a part of the nonce stands in the record (RFC 5288 section 3)
}

// expand makes the keys of a direction. It allocates.
func (k *keys) expand(v Version, suite uint16, secret *[48]byte) {
	kind, ok := kindOf(v, suite)
	assert.That(ok, "the handshake offers supported suites only")
	var key [32]byte
	if v == TLS13 {
		expandLabel(key[:kind.keyLen], kind.sha384, secret, "key")
		expandLabel(k.iv[:], kind.sha384, secret, "iv")
	} else {
		copy(key[:], secret[:kind.keyLen])
		copy(k.iv[:], secret[kind.keyLen:kind.keyLen+kind.ivLen])
	}
	k.explicit = kind.ivLen == 4
	k.aead = newAEAD(key[:kind.keyLen], kind.chacha)
	clear(key[:])
}

// newAEAD makes a cipher. The key has the length that the cipher takes, so nothing fails.
func newAEAD(key []byte, chacha bool) cipher.AEAD {
	if chacha {
		aead, err := chacha20poly1305.New(key)
		assert.That(err == nil, "the key has the cipher's length")
		return aead
	}
	block, err := aes.NewCipher(key)
	assert.That(err == nil, "the key has the cipher's length")
	aead, err := cipher.NewGCM(block)
	assert.That(err == nil, "AES has GCM's block size")
	return aead
}

// nonce writes the nonce of record seq to n (RFC 8446 section 5.3, RFC 7905 section 2).
// Explicit nonces are the sequence number.
func (k *keys) nonce(n *[12]byte, seq uint64) {
	*n = k.iv
	for i := range 8 {
		n[11-i] ^= byte(seq >> (8 * i))
	}
}
