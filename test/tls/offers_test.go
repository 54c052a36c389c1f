package tls_test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/test/proc"
)

var update = flag.Bool("update", false, "write docs/tls-offers.md anew")

const offersFile = "../../docs/tls-offers.md"

// offersFront is a server with two certificates and nothing else said about TLS.
const offersFront = `
server {
	listen 127.0.0.1:{{port:front}} ssl;
	server_name test.example;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key;
	ssl_certificate {{pki}}/rsa.pem; ssl_certificate_key {{pki}}/rsa.key;
	return 200 "yes\n";
}`

// serverHello is what a server answers to a hello: the parts of its own, or an alert.
type serverHello struct {
	version, suite uint16
	group          uint16 // of a HelloRetryRequest
	compression    byte
	extensions     map[uint16][]byte
	alert          string
}

// asks sends a hello and reads the answer.
func asks(t *testing.T, address string, h *hello) serverHello {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, proc.Patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(proc.Patience))
	if _, err := c.Write(h.records()); err != nil {
		t.Fatal(err)
	}
	record, err := readRecord(bufio.NewReader(c))
	switch {
	case err != nil:
		return serverHello{alert: "end"}
	case record[0] == typeAlert:
		return serverHello{alert: alertNames[record[6]]}
	case record[0] != typeHandshake || record[5] != 2:
		return serverHello{alert: fmt.Sprintf("record %d", record[0])}
	}
	b := record[9:]
	s := serverHello{version: binary.BigEndian.Uint16(b), extensions: map[uint16][]byte{}}
	b = b[34:]
	b = b[1+int(b[0]):]
	s.suite, s.compression = binary.BigEndian.Uint16(b), b[2]
	b = b[3:]
	if len(b) < 2 {
		return s
	}
	for b = b[2 : 2+binary.BigEndian.Uint16(b)]; len(b) > 0; {
		n := binary.BigEndian.Uint16(b[2:])
		s.extensions[binary.BigEndian.Uint16(b)] = b[4 : 4+n]
		b = b[4+n:]
	}
	if v := s.extensions[extSupportedVersions]; v != nil {
		s.version = binary.BigEndian.Uint16(v)
	}
	if share := s.extensions[extKeyShare]; len(share) >= 2 {
		s.group = binary.BigEndian.Uint16(share)
	}
	return s
}

// The table of what is offered, in the manner of testssl.sh, against the committed one.
func TestOffers(t *testing.T) {
	t.Parallel()
	p := holdfast(t, proc.Spec{HTTP: offersFront})
	base := func() *hello {
		config := goConfig(t, visit{})
		config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
		return parseHello(clientHello(t, config))
	}
	var out strings.Builder
	out.WriteString("# What is offered over TLS\n\n" +
		"What a client finds at a `listen … ssl` with an ECDSA (P-256) and an RSA (2,048 bits) certificate and no other\n" +
		"`ssl_` directive. Every row was asked for by a hello of its own. `go test ./test/tls -run TestOffers -update` writes\n" +
		"this page anew; without `-update` the test compares it.\n")
	versions(t, &out, p.Front(), base)
	suites(t, &out, p.Front(), base)
	groups(t, &out, p.Front(), base)
	signatures(t, &out, p.Front(), base)
	features(t, &out, p.Front(), base)
	sessions(t, &out, p.Front())
	if *update {
		if err := os.WriteFile(offersFile, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(offersFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != out.String() {
		t.Errorf("%s is not what is offered, which is:\n%s", filepath.Base(offersFile), out.String())
	}
}

func versions(t *testing.T, out *strings.Builder, address string, base func() *hello) {
	out.WriteString("\n## Versions\n\n| version | answer |\n|---|---|\n")
	for _, v := range []struct {
		name    string
		version uint16
	}{{"SSL 3", 0x0300}, {"TLS 1.0", 0x0301}, {"TLS 1.1", 0x0302}, {"TLS 1.2", 0x0303}} {
		h := base().drop(extSupportedVersions)
		h.version = v.version
		h.suites = append(h.suites, u16(0xc013, 0xc009, 0x002f)...)
		fmt.Fprintf(out, "| %s | %s |\n", v.name, answerOf(asks(t, address, h), v.version))
	}
	h := base().set(extSupportedVersions, append([]byte{2}, u16(0x0304)...))
	fmt.Fprintf(out, "| TLS 1.3 | %s |\n", answerOf(asks(t, address, h), 0x0304))
}

func answerOf(s serverHello, want uint16) string {
	switch {
	case s.alert != "":
		return "refused: " + s.alert
	case s.version == want:
		return "offered"
	}
	return "answered by " + tls.VersionName(s.version)
}

// suites asks for every suite by itself.
func suites(t *testing.T, out *strings.Builder, address string, base func() *hello) {
	out.WriteString("\n## Cipher suites\n\nAll 512 numbers from 0x0000 to 0x00ff and from 0xc000 to 0xc0ff, those with ChaCha20, and\n" +
		"those of TLS 1.3 were asked for one by one.\n\n" +
		"| version | suite |\n|---|---|\n")
	var asked []uint16
	for _, from := range []uint16{0x0000, 0xc000} {
		for i := range uint16(256) {
			asked = append(asked, from+i)
		}
	}
	for i := range uint16(16) {
		asked = append(asked, 0xcca0+i)
	}
	for _, suite := range asked {
		h := base().drop(extSupportedVersions)
		h.suites = u16(suite)
		if s := asks(t, address, h); s.alert == "" {
			fmt.Fprintf(out, "| TLS 1.2 | %s |\n", tls.CipherSuiteName(s.suite))
		}
	}
	for suite := uint16(0x1300); suite < 0x1310; suite++ {
		h := base().set(extSupportedVersions, append([]byte{2}, u16(0x0304)...))
		h.suites = u16(suite)
		if s := asks(t, address, h); s.alert == "" {
			fmt.Fprintf(out, "| TLS 1.3 | %s |\n", tls.CipherSuiteName(s.suite))
		}
	}
	order := func(suites ...uint16) uint16 {
		h := base()
		if suites[0] < 0x1400 {
			h.set(extSupportedVersions, append([]byte{2}, u16(0x0304)...))
		} else {
			h.drop(extSupportedVersions)
		}
		h.suites = u16(suites...)
		return asks(t, address, h).suite
	}
	whose := func(a, b uint16) string {
		if order(a, b) == order(b, a) {
			return "the server's (" + tls.CipherSuiteName(order(a, b)) + " before " + tls.CipherSuiteName(a^b^order(a, b)) + ")"
		}
		return "the client's"
	}
	fmt.Fprintf(out, "\nOf two suites of TLS 1.2 the choice is %s; of TLS 1.3 %s.\n",
		whose(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
		whose(tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384))
}

// groups asks for every group by itself, without a key share: the answer of a server that
// has the group is a HelloRetryRequest.
func groups(t *testing.T, out *strings.Builder, address string, base func() *hello) {
	out.WriteString("\n## Groups for the key exchange\n\n| group | TLS 1.3 | TLS 1.2 |\n|---|---|---|\n")
	for _, g := range []struct {
		name string
		id   uint16
	}{
		{"X25519MLKEM768", 0x11ec}, {"SecP256r1MLKEM768", 0x11eb}, {"SecP384r1MLKEM1024", 0x11ed}, {"X25519", 29}, {"X448", 30},
		{"secp256r1", 23}, {"secp384r1", 24}, {"secp521r1", 25}, {"secp224r1", 21}, {"secp256k1", 22}, {"brainpoolP256r1", 26},
		{"ffdhe2048", 256}, {"ffdhe4096", 258},
	} {
		newer := base().set(extSupportedVersions, append([]byte{2}, u16(0x0304)...))
		newer.set(extSupportedGroups, list(u16(g.id))).set(extKeyShare, list(nil))
		older := base().drop(extSupportedVersions).set(extSupportedGroups, list(u16(g.id)))
		older.suites = u16(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)
		fmt.Fprintf(out, "| %s | %s | %s |\n", g.name, yes(asks(t, address, newer)), yes(asks(t, address, older)))
	}
}

func yes(s serverHello) string {
	if s.alert == "" {
		return "offered"
	}
	return "no"
}

// signatures asks for every signature algorithm by itself.
func signatures(t *testing.T, out *strings.Builder, address string, base func() *hello) {
	out.WriteString("\n## Signatures\n\n| algorithm | TLS 1.3 | TLS 1.2 |\n|---|---|---|\n")
	for _, a := range []struct {
		name string
		id   uint16
	}{
		{"ecdsa_secp256r1_sha256", 0x0403}, {"ecdsa_secp384r1_sha384", 0x0503}, {"rsa_pss_rsae_sha256", 0x0804}, {"rsa_pss_rsae_sha384", 0x0805},
		{"rsa_pss_rsae_sha512", 0x0806}, {"rsa_pkcs1_sha256", 0x0401}, {"rsa_pkcs1_sha384", 0x0501}, {"rsa_pkcs1_sha512", 0x0601},
		{"rsa_pkcs1_sha1", 0x0201}, {"ecdsa_sha1", 0x0203}, {"ed25519", 0x0807},
	} {
		newer := base().set(extSupportedVersions, append([]byte{2}, u16(0x0304)...)).set(extSignatureAlgorithms, list(u16(a.id)))
		older := base().drop(extSupportedVersions).set(extSignatureAlgorithms, list(u16(a.id)))
		older.suites = u16(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)
		fmt.Fprintf(out, "| %s | %s | %s |\n", a.name, yes(asks(t, address, newer)), signed(t, address, older))
	}
}

// signed tells whether a server of TLS 1.2 gets as far as the end of its flight, which has
// its signature.
func signed(t *testing.T, address string, h *hello) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, proc.Patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(proc.Patience))
	if _, err := c.Write(h.records()); err != nil {
		t.Fatal(err)
	}
	const serverHelloDone = 14
	for br := bufio.NewReader(c); ; {
		record, err := readRecord(br)
		switch {
		case err != nil || record[0] == typeAlert:
			return "no"
		case record[5] == serverHelloDone:
			return "offered"
		}
	}
}

// features offers every extension of old and looks which the server takes up.
func features(t *testing.T, out *strings.Builder, address string, base func() *hello) {
	const (
		extMaxFragment   = 1
		extEncryptThen   = 22
		extMasterSecret  = 23
		extRecordLimit   = 28
		extRenegotiation = 0xff01
	)
	h := base().drop(extSupportedVersions)
	h.compression = []byte{1, 0}
	h.set(extHeartbeat, []byte{1}).set(extMaxFragment, []byte{1}).set(extEncryptThen, nil).set(extMasterSecret, nil).set(extRecordLimit, u16(1024))
	h.set(extSessionTicket, nil).set(extRenegotiation, []byte{0}).set(extALPN, list([]byte("\x02h2\x08http/1.1\x08http/1.0")))
	s := asks(t, address, h)
	taken := func(kind uint16) string {
		if _, there := s.extensions[kind]; there {
			return "yes"
		}
		return "no"
	}
	out.WriteString("\n## Features of TLS 1.2\n\n| feature | taken up |\n|---|---|\n")
	compressed := "no"
	if s.compression != 0 {
		compressed = "yes"
	}
	fmt.Fprintf(out, "| compression | %s |\n", compressed)
	for _, f := range []struct {
		name string
		kind uint16
	}{
		{"heartbeat", extHeartbeat}, {"max_fragment_length", extMaxFragment}, {"encrypt_then_mac", extEncryptThen}, {"record_size_limit", extRecordLimit},
		{"extended_master_secret", extMasterSecret}, {"session tickets", extSessionTicket}, {"secure renegotiation is announced", extRenegotiation},
	} {
		fmt.Fprintf(out, "| %s | %s |\n", f.name, taken(f.kind))
	}
	chosen := "none"
	if b := s.extensions[extALPN]; len(b) > 3 {
		chosen = string(b[3:])
	}
	fmt.Fprintf(out, "| ALPN, of h2, http/1.1 and http/1.0 | %s |\n", chosen)
	fmt.Fprintf(out, "| ALPN, of h2 alone | refused: %s |\n", asks(t, address, base().set(extALPN, list([]byte("\x02h2")))).alert)
	b := base().drop(extSupportedVersions)
	b.suites = append(b.suites, u16(0x5600)...)
	fmt.Fprintf(out, "| fallback (RFC 7507) | refused: %s |\n", asks(t, address, b).alert)
}

// sessions looks at resumption, and at a client that would renegotiate, by openssl.
func sessions(t *testing.T, out *strings.Builder, address string) {
	out.WriteString("\n## Sessions\n\n| what | answer |\n|---|---|\n")
	for _, version := range []string{"1.2", "1.3"} {
		session := filepath.Join(t.TempDir(), "session")
		flag := "-tls" + strings.Replace(version, ".", "_", 1)
		_ = sClient(t, address, closing("/"), flag, "-sess_out", session)
		resumed := "no"
		if strings.Contains(sClient(t, address, closing("/"), flag, "-sess_in", session), "Reused, ") {
			resumed = "yes"
		}
		fmt.Fprintf(out, "| TLS %s: resumed by ticket | %s |\n", version, resumed)
	}
	session := filepath.Join(t.TempDir(), "session")
	_ = sClient(t, address, closing("/"), "-tls1_2", "-no_ticket", "-sess_out", session)
	resumed := "no"
	if strings.Contains(sClient(t, address, closing("/"), "-tls1_2", "-no_ticket", "-sess_in", session), "Reused, ") {
		resumed = "yes"
	}
	fmt.Fprintf(out, "| TLS 1.2: resumed by identifier | %s |\n", resumed)
	early := "no"
	if strings.Contains(sClient(t, address, closing("/"), "-tls1_3"), "Max Early Data: ") &&
		!strings.Contains(sClient(t, address, closing("/"), "-tls1_3"), "Max Early Data: 0") {
		early = "yes"
	}
	fmt.Fprintf(out, "| TLS 1.3: early data | %s |\n", early)
	fmt.Fprintf(out, "| TLS 1.2: renegotiation by the client | %s |\n", renegotiated(t, address))
}

// renegotiated tells how the server takes a client that renegotiates.
func renegotiated(t *testing.T, address string) string {
	// In s_client the line R renegotiates.
	said, _ := try(t, nil, "R\n", program(t, "openssl"), "s_client", "-connect", address, "-tls1_2")
	switch {
	case strings.Contains(said, "no renegotiation"):
		return "refused: no_renegotiation"
	case strings.Contains(said, "SSL alert number 10"):
		return "refused: unexpected_message"
	}
	return "not refused: " + brief(said)
}
