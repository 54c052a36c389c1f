package tlsio

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
)

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446 section 7.1), for as
// much as one block of the hash. It does not allocate, because it runs for every
// connection that wakes up.
func expandLabel(out []byte, sha384 bool, secret *[48]byte, label string) {
	var message [32]byte
	b := binary.BigEndian.AppendUint16(message[:0], uint16(len(out)))
	b = append(b, byte(len("tls13 ")+len(label)))
	b = append(b, "tls13 "...)
	b = append(b, label...)
	b = append(b, 0, 1) // no context; the first block of HKDF-Expand (RFC 5869 section 2.3)
	if sha384 {
		block := hmacSHA384(secret, b)
		copy(out, block[:])
	} else {
		block := hmacSHA256(secret, b)
		copy(out, block[:])
	}
}

// nextSecret replaces a traffic secret by the next one (RFC 8446 section 7.2).
func nextSecret(secret *[48]byte, sha384 bool) {
	size := sha256.Size
	if sha384 {
		size = sha512.Size384
	}
	var next [48]byte
	expandLabel(next[:size], sha384, secret, "traffic upd")
	*secret = next
	clear(next[:])
}

// hmacSHA256 is HMAC (RFC 2104) for short messages and secrets as long as the hash.
func hmacSHA256(secret *[48]byte, message []byte) [sha256.Size]byte {
	const block = sha256.BlockSize
	var inner, outer [block + 64]byte
	for i := range block {
		var k byte
		if i < sha256.Size {
			k = secret[i]
		}
		inner[i], outer[i] = k^0x36, k^0x5c
	}
	n := block + copy(inner[block:], message)
	digest := sha256.Sum256(inner[:n])
	n = block + copy(outer[block:], digest[:])
	digest = sha256.Sum256(outer[:n])
	clear(inner[:])
	clear(outer[:])
	return digest
}

// hmacSHA384 is hmacSHA256 with SHA-384.
func hmacSHA384(secret *[48]byte, message []byte) [sha512.Size384]byte {
	const block = sha512.BlockSize
	var inner, outer [block + 64]byte
	for i := range block {
		var k byte
		if i < sha512.Size384 {
			k = secret[i]
		}
		inner[i], outer[i] = k^0x36, k^0x5c
	}
	n := block + copy(inner[block:], message)
	digest := sha512.Sum384(inner[:n])
	n = block + copy(outer[block:], digest[:])
	digest = sha512.Sum384(outer[:n])
	clear(inner[:])
	clear(outer[:])
	return digest
}
