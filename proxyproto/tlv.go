package proxyproto

import "encoding/binary"

// The types of vectors (section 2.2.1 on), and of those inside one of TypeSSL.
const (
	TypeALPN      = 0x01
	TypeAuthority = 0x02
	TypeCRC32C    = 0x03
	TypeNoop      = 0x04
	TypeUniqueID  = 0x05
	TypeSSL       = 0x20
	TypeNetns     = 0x30

	SubtypeVersion = 0x21
	SubtypeCN      = 0x22
	SubtypeCipher  = 0x23
	SubtypeSigAlg  = 0x24
	SubtypeKeyAlg  = 0x25
)

// The bits of the first byte of a TypeSSL vector (section 2.2.6).
const (
	clientSSL      = 0x01 // the client came over TLS
	clientCertConn = 0x02 // with a certificate on this connection
	clientCertSess = 0x04 // or on one before it in the same TLS session
)

const (
	vectorHead  = 3 // type and length
	sslHead     = 5 // client and verify
	uniqueIDMax = 128
)

// nextVector takes the first vector of b; size is 0 where b does not hold all of it.
func nextVector(b []byte) (kind byte, value []byte, size int) {
	if len(b) < vectorHead {
		return 0, nil, 0
	}
	size = vectorHead + int(binary.BigEndian.Uint16(b[1:]))
	if size > len(b) {
		return 0, nil, 0
	}
	return b[0], b[vectorHead:size], size
}

// soundSSL reports whether the value of a TypeSSL vector is well-formed.
func soundSSL(value []byte) bool {
	if len(value) < sslHead {
		return false
	}
	for b := value[sslHead:]; len(b) > 0; {
		_, _, size := nextVector(b)
		if size == 0 {
			return false
		}
		b = b[size:]
	}
	return true
}

// find is the value of the first vector of a type.
func find(b []byte, kind byte) ([]byte, bool) {
	for len(b) > 0 {
		k, value, size := nextVector(b)
		if size == 0 {
			return nil, false
		}
		if k == kind {
			return value, true
		}
		b = b[size:]
	}
	return nil, false
}

// TLV is the value of the first vector of a type. It aliases h.
func (h *Header) TLV(kind byte) (value []byte, found bool) { return find(h.TLVs, kind) }

// SSL is the value of the first vector of a type inside that of TypeSSL. It aliases h.
func (h *Header) SSL(kind byte) (value []byte, found bool) {
	ssl, found := h.TLV(TypeSSL)
	if !found || len(ssl) < sslHead {
		return nil, false
	}
	return find(ssl[sslHead:], kind)
}

// SSLVerify is what the proxy says about the client's certificate: 0 if it presented one
// that was verified. found is false without a TypeSSL vector.
func (h *Header) SSLVerify() (result uint32, found bool) {
	ssl, found := h.TLV(TypeSSL)
	if !found || len(ssl) < sslHead {
		return 0, false
	}
	return binary.BigEndian.Uint32(ssl[1:]), true
}
