package config

import (
	"crypto/tls"
	"slices"
	"strings"
)

// suite is a suite of TLS 1.2 that is spoken here.
type suite struct {
	id   uint16
	name string // OpenSSL's
	// tags are the words of OpenSSL's cipher lists that mean it among others, each between
	// blanks.
	tags string
	// static is a key exchange without forward secrecy, which only its own words ask for.
	static bool
}

const (
	tagsAll   = " ALL HIGH DEFAULT COMPLEMENTOFDEFAULT TLSv1.2 AEAD "
	tagsECDHE = " ECDHE EECDH kECDHE kEECDH ECDH "
	tagsECDSA = " aECDSA ECDSA "
	tagsRSA   = " aRSA "
	tagsGCM   = " AES AESGCM "
	tagsChaCh = " CHACHA20 "
)

// suites are in the order of preference.
var suites = []suite{
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256",
		tagsAll + tagsECDHE + tagsECDSA + tagsGCM + " AES128 ", false},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256",
		tagsAll + tagsECDHE + tagsRSA + tagsGCM + " AES128 ", false},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384",
		tagsAll + tagsECDHE + tagsECDSA + tagsGCM + " AES256 ", false},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384",
		tagsAll + tagsECDHE + tagsRSA + tagsGCM + " AES256 ", false},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305",
		tagsAll + tagsECDHE + tagsECDSA + tagsChaCh, false},
	{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305",
		tagsAll + tagsECDHE + tagsRSA + tagsChaCh, false},
	{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256",
		tagsAll + tagsRSA + tagsGCM + " AES128 kRSA RSA ", true},
	{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384",
		tagsAll + tagsRSA + tagsGCM + " AES256 kRSA RSA ", true},
}

// cipherList reads a list in the language of OpenSSL (ciphers(1)): names and aliases,
// joined by "+" within an element, which "!" bans, "-" takes out and "+" puts last. What
// adds nothing is in unsupported.
func cipherList(list string) (ids []uint16, unsupported []string) {
	var banned []uint16
	separator := func(r rune) bool { return r == ':' || r == ',' || r == ' ' || r == ';' }
	for _, element := range strings.FieldsFunc(list, separator) {
		if strings.HasPrefix(element, "@") { // @STRENGTH, @SECLEVEL=n: all that is left is strong
			continue
		}
		op := element[0]
		found := matchSuites(strings.TrimLeft(element, "!-+"))
		switch op {
		case '!':
			banned = append(banned, found...)
			ids = without(ids, found)
		case '-':
			ids = without(ids, found)
		case '+':
			last := slices.DeleteFunc(slices.Clone(ids), func(id uint16) bool { return !slices.Contains(found, id) })
			ids = append(without(ids, found), last...)
		default:
			if len(found) == 0 {
				unsupported = append(unsupported, element)
			}
			for _, id := range found {
				if !slices.Contains(ids, id) && !slices.Contains(banned, id) {
					ids = append(ids, id)
				}
			}
		}
	}
	return ids, unsupported
}

// matchSuites are the suites that an element without its operator means: a name, or
// words that must all hold.
func matchSuites(element string) (ids []uint16) {
	words := strings.Split(element, "+")
	for i := range suites {
		s := &suites[i]
		matches := func(word string) bool {
			return word == s.name || word != "" && strings.Contains(s.tags, " "+word+" ")
		}
		if s.static && !slices.ContainsFunc(words, func(w string) bool { return w == s.name || w == "kRSA" || w == "RSA" }) {
			continue
		}
		if !slices.ContainsFunc(words, func(w string) bool { return !matches(w) }) {
			ids = append(ids, s.id)
		}
	}
	return ids
}

func without(ids, gone []uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(ids), func(id uint16) bool { return slices.Contains(gone, id) })
}

// suiteNames are OpenSSL's names of suites, joined by colons.
func suiteNames(ids []uint16) string {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		i := slices.IndexFunc(suites, func(s suite) bool { return s.id == id })
		names = append(names, suites[i].name)
	}
	return strings.Join(names, ":")
}

// curves are the key exchanges by the names of OpenSSL and of the NIST.
var curves = map[string]tls.CurveID{
	"x25519": tls.X25519, "prime256v1": tls.CurveP256, "secp256r1": tls.CurveP256, "p-256": tls.CurveP256,
	"secp384r1": tls.CurveP384, "p-384": tls.CurveP384, "secp521r1": tls.CurveP521, "p-521": tls.CurveP521,
	"x25519mlkem768":    tls.X25519MLKEM768,
	"secp256r1mlkem768": tls.SecP256r1MLKEM768, "secp384r1mlkem1024": tls.SecP384r1MLKEM1024,
}
