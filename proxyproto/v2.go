package proxyproto

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// The commands and the bytes of family and transport (section 2.2).
const (
	version2     = 0x20
	commandLocal = 0
	commandProxy = 1

	overNothing      = 0x00
	tcpOver4         = 0x11
	udpOver4         = 0x12
	tcpOver6         = 0x21
	udpOver6         = 0x22
	unixStream       = 0x31
	unixDatagram     = 0x32
	addresses4Length = 2*4 + 2*2
	addresses6Length = 2*16 + 2*2
	unixLength       = 2 * 108
)

// castagnoli is the polynomial of CRC32c (section 2.2.3, RFC 4960 appendix B).
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func parseV2(b []byte, h *Header) (int, Status) {
	agrees, whole := begins(b, signature)
	switch {
	case !agrees:
		return 0, ErrSignature
	case !whole || len(b) == len(signature):
		return 0, More
	}
	at := len(signature)
	command := b[at] & 0x0f
	switch {
	case b[at]&0xf0 != version2:
		return 0, ErrVersion
	case command > commandProxy:
		return 0, ErrCommand
	case len(b) < v2Fixed:
		return 0, More
	}
	n := v2Fixed + int(binary.BigEndian.Uint16(b[at+2:]))
	addresses, s := addressesLength(b[at+1], command)
	switch {
	case s != Done:
		return 0, s
	case n > LengthMax, n < v2Fixed+addresses:
		return 0, ErrLength
	case len(b) < n:
		return 0, More
	}
	h.Version, h.Local = 2, command == commandLocal
	if h.Local {
		return n, Done // whatever it has is to be discarded, its family included
	}
	b = b[:n]
	if s := checkVectors(b, v2Fixed+addresses); s != Done {
		return 0, s
	}
	h.setAddresses(b[at+1], b[v2Fixed:])
	h.TLVs = append(h.TLVs, b[v2Fixed+addresses:]...)
	return n, Done
}

// addressesLength is the number of bytes that the addresses of a family take.
func addressesLength(family, command byte) (int, Status) {
	if command == commandLocal {
		return 0, Done
	}
	switch family {
	case overNothing:
		return 0, Done
	case tcpOver4, udpOver4:
		return addresses4Length, Done
	case tcpOver6, udpOver6:
		return addresses6Length, Done
	case unixStream, unixDatagram:
		return unixLength, Done
	}
	return 0, ErrFamily
}

// setAddresses reads the addresses of a TCP connection. Those of the other families are
// valid but of no use here, as in nginx.
func (h *Header) setAddresses(family byte, b []byte) {
	var from, to netip.Addr
	var ports []byte
	switch family {
	case tcpOver4:
		from, to = netip.AddrFrom4([4]byte(b[:4])), netip.AddrFrom4([4]byte(b[4:8]))
		ports = b[8:]
	case tcpOver6:
		from, to = netip.AddrFrom16([16]byte(b[:16])), netip.AddrFrom16([16]byte(b[16:32]))
		ports = b[32:]
	default:
		return
	}
	h.Source = netip.AddrPortFrom(from, binary.BigEndian.Uint16(ports))
	h.Destination = netip.AddrPortFrom(to, binary.BigEndian.Uint16(ports[2:]))
}

// checkVectors judges the vectors of a whole header, which begin at from.
func checkVectors(header []byte, from int) Status {
	summed := false
	for at := from; at < len(header); {
		kind, value, size := nextVector(header[at:])
		if size == 0 {
			return ErrVector
		}
		switch kind {
		case TypeCRC32C:
			if len(value) != 4 || summed {
				return ErrVector
			}
			summed = true
			if binary.BigEndian.Uint32(value) != checksum(header, at+vectorHead) {
				return ErrChecksum
			}
		case TypeUniqueID:
			if len(value) > uniqueIDMax {
				return ErrVector
			}
		case TypeSSL:
			if !soundSSL(value) {
				return ErrVector
			}
		}
		at += size
	}
	return Done
}

// zeros stand for the checksum while it is computed. They are no local variable, which
// the call would move to the heap.
var zeros [4]byte

// checksum is the CRC32c of a header, the four bytes at sum counting as zeros.
func checksum(header []byte, sum int) uint32 {
	c := crc32.Update(0, castagnoli, header[:sum])
	c = crc32.Update(c, castagnoli, zeros[:])
	return crc32.Update(c, castagnoli, header[sum+len(zeros):])
}
