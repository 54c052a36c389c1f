package route

import (
	"bytes"
	"crypto/sha1" // the fingerprint that nginx and OpenSSL show
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strconv"
	"strings"
	"time"

	"holdfast/tlsio/info"
)

// sslVariables are nginx's variables about TLS with the client, all absent without it.
var sslVariables = map[string]varFunc{
	"ssl_alpn_protocol":       tlsText(func(t *info.TLS) string { return t.ALPN }),
	"ssl_cipher":              tlsText(func(t *info.TLS) string { return t.Cipher }),
	"ssl_ciphers":             tlsText(func(t *info.TLS) string { return t.Ciphers }),
	"ssl_client_cert":         varClientCert,
	"ssl_client_escaped_cert": varClientEscapedCert,
	"ssl_client_fingerprint":  varClientFingerprint,
	"ssl_client_i_dn":         clientName(func(c *x509.Certificate) []byte { return c.RawIssuer }, appendDN),
	"ssl_client_i_dn_legacy":  clientName(func(c *x509.Certificate) []byte { return c.RawIssuer }, appendLegacyDN),
	"ssl_client_raw_cert":     varClientRawCert,
	"ssl_client_s_dn":         clientName(func(c *x509.Certificate) []byte { return c.RawSubject }, appendDN),
	"ssl_client_s_dn_legacy":  clientName(func(c *x509.Certificate) []byte { return c.RawSubject }, appendLegacyDN),
	"ssl_client_serial":       varClientSerial,
	"ssl_client_sigalg":       varAbsent,
	"ssl_client_v_end":        varClientEnd,
	"ssl_client_v_remain":     varClientRemain,
	"ssl_client_v_start":      varClientStart,
	"ssl_client_verify":       tlsText(func(t *info.TLS) string { return t.Verify }),
	"ssl_curve":               tlsText(func(t *info.TLS) string { return t.Curve }),
	"ssl_curves":              tlsText(func(t *info.TLS) string { return t.Curves }),
	"ssl_early_data":          tlsText(func(t *info.TLS) string { return flagText(t.EarlyData, "1", "") }),
	"ssl_protocol":            tlsText(func(t *info.TLS) string { return t.Version }),
	"ssl_server_name":         tlsText(func(t *info.TLS) string { return t.ServerName }),
	"ssl_session_id":          tlsText(func(t *info.TLS) string { return t.SessionID }),
	"ssl_session_reused":      tlsText(func(t *info.TLS) string { return flagText(t.Resumed, "r", ".") }),
	"ssl_sigalg":              tlsText(func(t *info.TLS) string { return t.Sigalg }),
}

func init() {
	for name, render := range sslVariables {
		fixedVariables[name] = render
	}
}

func flagText(set bool, yes, no string) string {
	if set {
		return yes
	}
	return no
}

// tlsText is a variable that the handshake's findings have as text.
func tlsText(of func(*info.TLS) string) varFunc {
	return func(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
		if e.TLS == nil {
			return dst, false
		}
		text := of(e.TLS)
		return append(dst, text...), text != ""
	}
}

// scheme is what the client speaks to us.
func (e *Env) scheme() string {
	if e.TLS != nil {
		return "https"
	}
	return "http"
}

func varScheme(dst []byte, e *Env, _ *varArg) ([]byte, bool) { return append(dst, e.scheme()...), true }

// varHTTPS is "on" with TLS, and empty without.
func varHTTPS(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if e.TLS != nil {
		dst = append(dst, "on"...)
	}
	return dst, true
}

// clientCert is the client's certificate as DER; nil if there is none.
func (e *Env) clientCert() []byte {
	if e.TLS == nil {
		return nil
	}
	return e.TLS.ClientCert
}

// parsedCert is the client's certificate; nil if there is none. It is parsed anew each time:
// few configurations look into it.
func (e *Env) parsedCert() *x509.Certificate {
	der := e.clientCert()
	if der == nil {
		return nil
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return c
}

// certText is a variable made of the client's certificate.
func certText(dst []byte, e *Env, of func([]byte, *x509.Certificate) []byte) ([]byte, bool) {
	c := e.parsedCert()
	if c == nil {
		return dst, false
	}
	return of(dst, c), true
}

func clientName(part func(*x509.Certificate) []byte, form func(dst, name []byte) []byte) varFunc {
	return func(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
		return certText(dst, e, func(dst []byte, c *x509.Certificate) []byte { return form(dst, part(c)) })
	}
}

func varClientSerial(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return certText(dst, e, func(dst []byte, c *x509.Certificate) []byte {
		serial := strings.ToUpper(hex.EncodeToString(c.SerialNumber.Bytes()))
		if c.SerialNumber.Sign() < 0 {
			dst = append(dst, '-')
		}
		if serial == "" {
			serial = "00"
		}
		return append(dst, serial...)
	})
}

func varClientFingerprint(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	der := e.clientCert()
	if der == nil {
		return dst, false
	}
	sum := sha1.Sum(der)
	return hex.AppendEncode(dst, sum[:]), true
}

// clientPEM is the certificate as PEM; empty if there is none.
func (e *Env) clientPEM() []byte {
	der := e.clientCert()
	if der == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func varClientRawCert(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	text := e.clientPEM()
	return append(dst, text...), text != nil
}

// varClientCert is the certificate with a tab before each line but the first, so that it
// could be the value of a folded header field.
func varClientCert(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	text := bytes.TrimSuffix(e.clientPEM(), []byte("\n"))
	return append(dst, bytes.ReplaceAll(text, []byte("\n"), []byte("\n\t"))...), len(text) > 0
}

func varClientEscapedCert(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	text := e.clientPEM()
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', strings.IndexByte("-._~", c) >= 0:
			dst = append(dst, c)
		default:
			dst = append(dst, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		}
	}
	return dst, text != nil
}

// certTime is the form that OpenSSL prints times in (ASN1_TIME_print).
const certTime = "Jan _2 15:04:05 2006 GMT"

func varClientStart(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return certText(dst, e, func(dst []byte, c *x509.Certificate) []byte {
		return c.NotBefore.UTC().AppendFormat(dst, certTime)
	})
}

func varClientEnd(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return certText(dst, e, func(dst []byte, c *x509.Certificate) []byte {
		return c.NotAfter.UTC().AppendFormat(dst, certTime)
	})
}

// varClientRemain is the number of days until the certificate expires.
func varClientRemain(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return certText(dst, e, func(dst []byte, c *x509.Certificate) []byte {
		left := c.NotAfter.Sub(time.Unix(0, e.NowNs))
		return strconv.AppendInt(dst, max(int64(left/(24*time.Hour)), 0), 10)
	})
}

// UnknownAuthority tells whether a client's certificate (info.TLS.Verify) is at fault only in
// that nobody known has signed it, which ssl_verify_client optional_no_ca lets pass.
func UnknownAuthority(verify string) bool {
	switch strings.TrimPrefix(verify, "FAILED:") {
	case "self-signed certificate", "self-signed certificate in certificate chain", "certificate not trusted",
		"unable to get local issuer certificate", "unable to verify the first certificate":
		return true
	}
	return false
}
