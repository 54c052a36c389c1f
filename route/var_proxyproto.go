package route

import (
	"net/netip"
	"strconv"
	"strings"

	"holdfast/proxyproto"
)

func appendRemoteAddr(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return append(dst, "unix:"...)
	}
	return a.Addr().AppendTo(dst)
}

// appendRemotePort appends nothing where no port is known, as with an address that came
// without one in a field of the request.
func appendRemotePort(dst []byte, a netip.AddrPort) []byte {
	if a.Port() == 0 {
		return dst
	}
	return strconv.AppendUint(dst, uint64(a.Port()), 10)
}

// peer is the address of the connection itself.
func (e *Env) peer() netip.AddrPort {
	if e.real.set {
		return e.real.peer
	}
	return e.Remote
}

func varRealIPRemoteAddr(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return appendRemoteAddr(dst, e.peer()), true
}

func varRealIPRemotePort(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return appendRemotePort(dst, e.peer()), true
}

// proxied are the addresses of the PROXY protocol's header; not valid without them.
func (e *Env) proxied() (source, destination netip.AddrPort) {
	if e.ProxyProtocol == nil {
		return source, destination
	}
	return e.ProxyProtocol.Source, e.ProxyProtocol.Destination
}

func varProxyProtocolAddr(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	source, _ := e.proxied()
	return appendProxiedAddr(dst, source)
}

func varProxyProtocolPort(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	source, _ := e.proxied()
	return appendProxiedPort(dst, source)
}

func varProxyProtocolServerAddr(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	_, destination := e.proxied()
	return appendProxiedAddr(dst, destination)
}

func varProxyProtocolServerPort(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	_, destination := e.proxied()
	return appendProxiedPort(dst, destination)
}

func appendProxiedAddr(dst []byte, a netip.AddrPort) ([]byte, bool) {
	if !a.IsValid() {
		return dst, false
	}
	return a.Addr().AppendTo(dst), true
}

func appendProxiedPort(dst []byte, a netip.AddrPort) ([]byte, bool) {
	if !a.IsValid() {
		return dst, false
	}
	return strconv.AppendUint(dst, uint64(a.Port()), 10), true
}

// vectorPrefix begins the variables of the header's vectors.
const vectorPrefix = "proxy_protocol_tlv_"

// vectorNames are the vectors that have a name in nginx, sslVectorNames those inside that of
// ssl, by what follows the prefix.
var (
	vectorNames = map[string]int{
		"alpn": proxyproto.TypeALPN, "authority": proxyproto.TypeAuthority, "unique_id": proxyproto.TypeUniqueID,
		"ssl": proxyproto.TypeSSL, "netns": proxyproto.TypeNetns,
	}
	sslVectorNames = map[string]int{
		"version": proxyproto.SubtypeVersion, "cn": proxyproto.SubtypeCN, "cipher": proxyproto.SubtypeCipher,
		"sig_alg": proxyproto.SubtypeSigAlg, "key_alg": proxyproto.SubtypeKeyAlg,
	}
)

// vectorVariable is the part for $proxy_protocol_tlv_NAME, where NAME is one of nginx's or a
// number such as 0xe0, and may have "ssl_" before it for those inside that of ssl. found is
// false for names of other variables.
func vectorVariable(name string) (p part, found bool, err error) {
	rest, found := strings.CutPrefix(name, vectorPrefix)
	if !found {
		return part{}, false, nil
	}
	if rest == "ssl_verify" {
		return part{render: varSSLVectorVerify}, true, nil
	}
	p, names := part{render: varVector}, vectorNames
	if inner, ok := strings.CutPrefix(rest, "ssl_"); ok {
		rest, p.render, names = inner, varSSLVector, sslVectorNames
	}
	kind, known := names[rest]
	if digits, ok := strings.CutPrefix(rest, "0x"); ok {
		n, err := strconv.ParseUint(digits, 16, 8)
		kind, known = int(n), err == nil
	}
	if !known {
		return part{}, true, &CompileError{
			Text: `unknown PROXY protocol TLV "$` + name + `"`,
			Hint: "write alpn, authority, unique_id, netns, ssl, ssl_version, ssl_cn, ssl_cipher, ssl_sig_alg, ssl_key_alg, " +
				"ssl_verify or a number such as 0xe0 behind " + vectorPrefix,
		}
	}
	p.arg.index = kind
	return p, true, nil
}

func varVector(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	if e.ProxyProtocol == nil {
		return dst, false
	}
	value, found := e.ProxyProtocol.TLV(byte(a.index))
	return append(dst, value...), found
}

func varSSLVector(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	if e.ProxyProtocol == nil {
		return dst, false
	}
	value, found := e.ProxyProtocol.SSL(byte(a.index))
	return append(dst, value...), found
}

func varSSLVectorVerify(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if e.ProxyProtocol == nil {
		return dst, false
	}
	result, found := e.ProxyProtocol.SSLVerify()
	if !found {
		return dst, false
	}
	return strconv.AppendUint(dst, uint64(result), 10), true
}
