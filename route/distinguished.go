package route

import (
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// attribute is one part of a distinguished name: its type and its value, with the value's
// encoding for types whose value is no text.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// attributeNames are the short names of OpenSSL for the types that certificates have.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description",
	"2.5.4.15": "businessCategory", "2.5.4.17": "postalCode", "2.5.4.41": "name", "2.5.4.42": "GN",
	"2.5.4.43": "initials", "2.5.4.44": "generationQualifier", "2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym",
	"2.5.4.97": "organizationIdentifier", "1.2.840.113549.1.9.1": "emailAddress",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
	"1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL", "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
	"1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}

// parts takes the DER of a distinguished name apart: sets of attributes, in their order.
func parts(der []byte) (sets [][]attribute) {
	var raw []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &raw); err != nil || len(rest) > 0 {
		return nil
	}
	for _, r := range raw {
		var set []attribute
		if _, err := asn1.UnmarshalWithParams(r.FullBytes, &set, "set"); err != nil {
			return nil
		}
		sets = append(sets, set)
	}
	return sets
}

// appendDN appends a distinguished name as RFC 2253 writes it, the last part first, as nginx
// has it since 1.11.6.
func appendDN(dst, der []byte) []byte {
	sets := parts(der)
	for i := len(sets) - 1; i >= 0; i-- {
		if i < len(sets)-1 {
			dst = append(dst, ',')
		}
		for j := len(sets[i]) - 1; j >= 0; j-- {
			if j < len(sets[i])-1 {
				dst = append(dst, '+')
			}
			a := &sets[i][j]
			name, known := attributeNames[a.Type.String()]
			if !known {
				// The type as a number, the value as its encoding (RFC 2253 section 2.4).
				dst = append(dst, a.Type.String()...)
				dst = append(dst, '=', '#')
				dst = append(dst, strings.ToUpper(hex.EncodeToString(a.Value.FullBytes))...)
				continue
			}
			dst = append(dst, name...)
			dst = append(dst, '=')
			dst = appendEscapedValue(dst, attributeText(a))
		}
	}
	return dst
}

// appendLegacyDN appends a distinguished name as OpenSSL's X509_NAME_oneline does.
func appendLegacyDN(dst, der []byte) []byte {
	for _, set := range parts(der) {
		for j := range set {
			a := &set[j]
			name, known := attributeNames[a.Type.String()]
			if !known {
				name = a.Type.String()
			}
			dst = append(dst, '/')
			dst = append(dst, name...)
			dst = append(dst, '=')
			for _, c := range a.Value.Bytes {
				switch {
				case c < ' ' || c > '~':
					dst = append(dst, '\\', 'x', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
				case c == '/' || c == '+':
					dst = append(dst, '\\', c)
				default:
					dst = append(dst, c)
				}
			}
		}
	}
	return dst
}

// attributeText is an attribute's value in UTF-8.
func attributeText(a *attribute) string {
	var text []rune
	b := a.Value.Bytes
	switch a.Value.Tag {
	case asn1.TagBMPString:
		for ; len(b) >= 2; b = b[2:] {
			text = append(text, rune(b[0])<<8|rune(b[1]))
		}
	case asn1.TagT61String: // OpenSSL takes it for Latin-1
		for _, c := range b {
			text = append(text, rune(c))
		}
	default:
		return string(b)
	}
	return string(text)
}

// appendEscapedValue escapes what RFC 2253 section 2.4 says, what is no text, and all beyond
// ASCII, byte by byte, as OpenSSL does (XN_FLAG_RFC2253).
func appendEscapedValue(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		switch {
		case c < ' ' || c >= utf8.RuneSelf || c == 0x7f:
			dst = append(dst, '\\', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		case strings.IndexByte(`,+"\<>;`, c) >= 0, i == 0 && (c == ' ' || c == '#'), i == len(s)-1 && c == ' ':
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
