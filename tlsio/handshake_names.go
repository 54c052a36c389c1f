package tlsio

import (
	"crypto/tls"
	"fmt"
)

func versionName(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return fmt.Sprintf("0x%04x", v)
}

// cipherName is a suite as OpenSSL calls it, or its number as nginx writes those that
// OpenSSL doesn't know.
func cipherName(id uint16) string {
	if name, ok := opensslNames[id]; ok {
		return name
	}
	return fmt.Sprintf("0x%04x", id)
}

func cipherNames(ids []uint16) string {
	return joined(len(ids), func(i int) string { return cipherName(ids[i]) })
}

var groupNames = map[tls.CurveID]string{
	19: "prime192v1", 21: "secp224r1", 22: "secp256k1", 23: "prime256v1", 24: "secp384r1", 25: "secp521r1",
	26: "brainpoolP256r1", 27: "brainpoolP384r1", 28: "brainpoolP512r1", 29: "X25519", 30: "X448",
	256: "ffdhe2048", 257: "ffdhe3072", 258: "ffdhe4096", 259: "ffdhe6144", 260: "ffdhe8192",
	4587: "SecP256r1MLKEM768", 4588: "X25519MLKEM768", 4589: "SecP384r1MLKEM1024",
}

// curveName is a group as OpenSSL calls it.
func curveName(id tls.CurveID) string {
	if name, ok := groupNames[id]; ok {
		return name
	}
	return fmt.Sprintf("0x%04x", uint16(id))
}

func curveNames(ids []tls.CurveID) string {
	return joined(len(ids), func(i int) string { return curveName(ids[i]) })
}

// namesMax bounds a list of names, in bytes: a hello may name 32,767 suites.
const namesMax = 4096

func joined(n int, name func(int) string) string {
	var b []byte
	for i := range n {
		s := name(i)
		if len(b)+1+len(s) > namesMax {
			break
		}
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, s...)
	}
	return string(b)
}
