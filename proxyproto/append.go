package proxyproto

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Client is what a header of version 2 may tell of the client beside its address. Empty
// fields are left out; texts past 255 bytes, and identifiers past 128, too.
type Client struct {
	ALPN      string // the protocol chosen by TLS
	Authority string // the name that the client asked for by SNI
	UniqueID  []byte
	// TLS is nil for a client that does not speak TLS.
	TLS *TLS
	// Checksum adds the CRC32c of the header.
	Checksum bool
}

// TLS is what the TypeSSL vector tells.
type TLS struct {
	Version string // TLSv1.3
	Cipher  string // OpenSSL's name
	CN      string // common name of the client's certificate
	// Certificate says that the client sent one on this connection, or, where Resumed is
	// set too, in the session that it resumes.
	Certificate, Resumed bool
	// Verified says that the certificate was sent and is good.
	Verified bool
}

// textMax bounds the texts of a Client in bytes, so that a header fits an MSS.
const textMax = 255

// ends brings the two addresses to one family: where they differ, the IPv4 one is mapped.
// ok is false if either is not valid.
func ends(from, to netip.AddrPort) (netip.AddrPort, netip.AddrPort, bool) {
	if !from.IsValid() || !to.IsValid() {
		return from, to, false
	}
	a, b := from.Addr().Unmap().WithZone(""), to.Addr().Unmap().WithZone("")
	if a.Is4() != b.Is4() {
		a, b = netip.AddrFrom16(a.As16()), netip.AddrFrom16(b.As16())
	}
	return netip.AddrPortFrom(a, from.Port()), netip.AddrPortFrom(b, to.Port()), true
}

// AppendV1 appends the header of version 1 of a connection between two addresses; without
// them, as with a unix-domain socket, it is UNKNOWN. dst may grow.
func AppendV1(dst []byte, from, to netip.AddrPort) []byte {
	from, to, ok := ends(from, to)
	if !ok {
		return append(dst, v1Start+"UNKNOWN\r\n"...)
	}
	dst = append(dst, v1Start+"TCP6 "...)
	if from.Addr().Is4() {
		dst[len(dst)-2] = '4'
	}
	dst = append(from.Addr().AppendTo(dst), ' ')
	dst = append(to.Addr().AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(from.Port()), 10), ' ')
	dst = strconv.AppendUint(dst, uint64(to.Port()), 10)
	return append(dst, '\r', '\n')
}

// AppendV2 appends the header of version 2 of a connection between two addresses; without
// them its family is UNSPEC. c may be nil. dst may grow.
func AppendV2(dst []byte, from, to netip.AddrPort, c *Client) []byte {
	start := len(dst)
	dst = append(dst, signature...)
	from, to, ok := ends(from, to)
	switch {
	case !ok:
		dst = append(dst, version2|commandProxy, overNothing, 0, 0)
	case from.Addr().Is4():
		a, b := from.Addr().As4(), to.Addr().As4()
		dst = append(dst, version2|commandProxy, tcpOver4, 0, 0)
		dst = append(append(dst, a[:]...), b[:]...)
	default:
		a, b := from.Addr().As16(), to.Addr().As16()
		dst = append(dst, version2|commandProxy, tcpOver6, 0, 0)
		dst = append(append(dst, a[:]...), b[:]...)
	}
	if ok {
		dst = binary.BigEndian.AppendUint16(dst, from.Port())
		dst = binary.BigEndian.AppendUint16(dst, to.Port())
	}
	sum := 0
	if c != nil {
		dst = c.appendVectors(dst)
		if c.Checksum {
			sum = len(dst) + vectorHead
			dst = append(dst, TypeCRC32C, 0, 4, 0, 0, 0, 0)
		}
	}
	header := dst[start:]
	binary.BigEndian.PutUint16(header[len(signature)+2:], uint16(len(header)-v2Fixed))
	if sum > 0 {
		binary.BigEndian.PutUint32(dst[sum:], checksum(header, sum-start))
	}
	return dst
}

func (c *Client) appendVectors(dst []byte) []byte {
	dst = appendText(dst, TypeALPN, c.ALPN)
	dst = appendText(dst, TypeAuthority, c.Authority)
	if n := len(c.UniqueID); n > 0 && n <= uniqueIDMax {
		dst = append(dst, TypeUniqueID, 0, byte(n))
		dst = append(dst, c.UniqueID...)
	}
	if c.TLS == nil {
		return dst
	}
	at := len(dst)
	flags, verify := byte(clientSSL), byte(1)
	if c.TLS.Certificate {
		flags |= clientCertSess
		if !c.TLS.Resumed {
			flags |= clientCertConn
		}
	}
	if c.TLS.Verified {
		verify = 0
	}
	dst = append(dst, TypeSSL, 0, 0, flags, 0, 0, 0, verify)
	dst = appendText(dst, SubtypeVersion, c.TLS.Version)
	dst = appendText(dst, SubtypeCN, c.TLS.CN)
	dst = appendText(dst, SubtypeCipher, c.TLS.Cipher)
	binary.BigEndian.PutUint16(dst[at+1:], uint16(len(dst)-at-vectorHead))
	return dst
}

func appendText(dst []byte, kind byte, text string) []byte {
	if len(text) == 0 || len(text) > textMax {
		return dst
	}
	dst = append(dst, kind, 0, byte(len(text)))
	return append(dst, text...)
}
