package route

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/tlsio/info"
)

func rendered(t *testing.T, e *Env, text string) string {
	t.Helper()
	compiled, err := NewCompiler(Process{}, nil).Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(compiled.Append(nil, e))
}

func TestSSLVariables(t *testing.T) {
	e := &Env{TLS: &info.TLS{
		Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Curve: "X25519", Ciphers: "A:B", Curves: "X25519:prime256v1",
		ALPN: "http/1.1", ServerName: "a.test", Resumed: true, SessionID: "0a0b", Sigalg: "ecdsa_secp256r1_sha256", Verify: "NONE",
	}}
	for name, want := range map[string]string{
		"ssl_protocol": "TLSv1.3", "ssl_cipher": "TLS_AES_128_GCM_SHA256", "ssl_curve": "X25519", "ssl_ciphers": "A:B",
		"ssl_curves": "X25519:prime256v1", "ssl_alpn_protocol": "http/1.1", "ssl_server_name": "a.test", "ssl_session_reused": "r",
		"ssl_session_id": "0a0b", "ssl_sigalg": "ecdsa_secp256r1_sha256", "ssl_client_verify": "NONE", "ssl_early_data": "",
		"ssl_client_s_dn": "", "ssl_client_cert": "", "scheme": "https", "https": "on",
	} {
		if got := rendered(t, e, "$"+name); got != want {
			t.Errorf("$%s is %q, want %q", name, got, want)
		}
		if got := rendered(t, &Env{}, "$"+name); got != map[string]string{"scheme": "http"}[name] {
			t.Errorf("without TLS $%s is %q", name, got)
		}
	}
	e.TLS = &info.TLS{}
	if got := rendered(t, e, "$ssl_session_reused"); got != "." {
		t.Errorf("$ssl_session_reused is %q", got)
	}
}

// TestClientCertificateVariables compares them with what nginx 1.22 with OpenSSL 3.0 makes of
// such a certificate.
func TestClientCertificateVariables(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	attribute := func(id asn1.ObjectIdentifier, value any) pkix.RelativeDistinguishedNameSET {
		return pkix.RelativeDistinguishedNameSET{{Type: id, Value: value}}
	}
	subject, err := asn1.Marshal(pkix.RDNSequence{
		attribute(asn1.ObjectIdentifier{2, 5, 4, 6}, "DE"),
		attribute(asn1.ObjectIdentifier{2, 5, 4, 10}, `#Ex, "Inc";`),
		attribute(asn1.ObjectIdentifier{2, 5, 4, 11}, "A+B=C"),
		attribute(asn1.ObjectIdentifier{2, 5, 4, 3}, "Jürgen <x> "),
		{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "a@b.c"}},
		{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: "u1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0xABC), RawSubject: subject, NotBefore: now, NotAfter: now.Add(100*24*time.Hour + time.Minute),
	}
	issuer := &x509.Certificate{Subject: pkix.Name{Organization: []string{"CA"}, CommonName: "Root"}}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	e := &Env{TLS: &info.TLS{ClientCert: der, Verify: "SUCCESS"}, NowNs: now.Add(24 * time.Hour).UnixNano()}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	for name, want := range map[string]string{
		"ssl_client_s_dn":        `UID=u1,emailAddress=a@b.c,CN=J\C3\BCrgen \<x\>\ ,OU=A\+B=C,O=\#Ex\, \"Inc\"\;,C=DE`,
		"ssl_client_s_dn_legacy": `/C=DE/O=#Ex, "Inc";/OU=A\+B=C/CN=J\xC3\xBCrgen <x> /emailAddress=a@b.c/UID=u1`,
		"ssl_client_i_dn":        "CN=Root,O=CA",
		"ssl_client_i_dn_legacy": "/O=CA/CN=Root",
		"ssl_client_serial":      "0ABC",
		"ssl_client_v_start":     "Mar  4 05:06:07 2026 GMT",
		"ssl_client_v_end":       "Jun 12 05:07:07 2026 GMT",
		"ssl_client_v_remain":    "99",
		"ssl_client_raw_cert":    text,
		"ssl_client_cert":        strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n\t"),
	} {
		if got := rendered(t, e, "$"+name); got != want {
			t.Errorf("$%s is\n%q, want\n%q", name, got, want)
		}
	}
	escaped := rendered(t, e, "$ssl_client_escaped_cert")
	if back, err := url.PathUnescape(escaped); err != nil || back != text || strings.ContainsAny(escaped, "+/=\n ") {
		t.Errorf("$ssl_client_escaped_cert is %q", escaped)
	}
	if got := rendered(t, e, "$ssl_client_fingerprint"); len(got) != 40 || got != strings.ToLower(got) {
		t.Errorf("$ssl_client_fingerprint is %q", got)
	}
	for _, hostile := range [][]byte{{}, {0x30}, []byte("\x30\x80\x31\x00"), []byte("\x30\x03\x31\x01\x30")} {
		if got := string(appendDN(nil, hostile)) + string(appendLegacyDN(nil, hostile)); got != "" {
			t.Errorf("%x is %q", hostile, got)
		}
	}
}

func TestUnknownAuthority(t *testing.T) {
	for verify, want := range map[string]bool{
		"SUCCESS": false, "NONE": false, "": false, "FAILED:certificate has expired": false,
		"FAILED:self-signed certificate": true, "FAILED:unable to verify the first certificate": true,
	} {
		if UnknownAuthority(verify) != want {
			t.Errorf("%q: not %v", verify, want)
		}
	}
}

// TestRedirectsKeepTheScheme proves that a redirect that begins with / is made absolute with
// https on TLS, and without its usual port.
func TestRedirectsKeepTheScheme(t *testing.T) {
	ret, err := NewCompiler(Process{}, nil).NewReturn(302, "/b", "")
	if err != nil {
		t.Fatal(err)
	}
	for local, want := range map[string]string{
		"127.0.0.1:443": "Location: https://h/b\r\n", "127.0.0.1:80": "Location: https://h:80/b\r\n", "127.0.0.1:8443": "Location: https://h:8443/b\r\n",
	} {
		e := &Env{Host: []byte("h"), Local: netip.MustParseAddrPort(local), TLS: &info.TLS{}}
		if got := string(ret.Append(nil, e, ReplyForm{})); !strings.Contains(got, want) {
			t.Errorf("on %s: %s, want %s", local, got, want)
		}
	}
}

func TestParseURLOfHTTPS(t *testing.T) {
	for url, want := range map[string]string{
		"https://h":          "true h 443 h ",
		"HTTPS://h:443/x":    "true h 443 h /x",
		"https://h:80":       "true h 80 h:80 ",
		"http://h:443":       "false h 443 h:443 ",
		"https://unix:/a:/b": "true   localhost /b",
		"https://":           "", "https:/h": "", "h": "", "http://": "", "ftp://h": "",
	} {
		p, ok := parseURL([]byte(url))
		got := ""
		if ok {
			got = map[bool]string{true: "true", false: "false"}[p.TLS] + " " + string(p.Host) + " " + string(p.Port) + " " + string(p.hostField) + " " + string(p.uri)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
}
