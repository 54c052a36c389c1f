package tls_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/test/proc"
)

// badClient is a client that breaks TLS, or bends it in a way that must work.
type badClient struct {
	name string
	// play speaks to a server and returns how that took it: "alert NAME", "end" (the
	// connection ended without an alert), "hello" (the server answered the hello), "400" (an
	// answer in plain HTTP), "served" (a request over TLS was answered).
	play func(c *badPeer) string
	// want are the outcomes that are right, and nginx those that are seen of nginx 1.22 with
	// OpenSSL 3.0 where they differ, for the reason in why.
	want  []string
	nginx []string
	why   string
}

// badPeer is one connection of a bad client.
type badPeer struct {
	t      *testing.T
	conn   net.Conn
	config *tls.Config // for clients that begin well
	dial   func() net.Conn
	port   func(name string) net.Conn
}

// The alerts' names by number (RFC 8446 section 6).
var alertNames = map[byte]string{
	0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
	42: "bad_certificate", 43: "unsupported_certificate", 46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca",
	50: "decode_error", 51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
	86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension",
	110: "unsupported_extension", 112: "unrecognized_name", 116: "certificate_required", 120: "no_application_protocol",
}

// send writes bytes; that the server stopped reading is no failure of the client.
func (c *badPeer) send(pieces ...[]byte) {
	_ = c.conn.SetWriteDeadline(time.Now().Add(proc.Patience))
	for _, b := range pieces {
		if _, err := c.conn.Write(b); err != nil {
			if errors.Is(err, errTimeout) {
				c.t.Error("the server doesn't read: ", err)
			}
			return
		}
	}
}

// closeWrite sends a FIN.
func (c *badPeer) closeWrite() { _ = c.conn.(*net.TCPConn).CloseWrite() }

// answer reads what the server says without encryption, to the end or to its hello.
func (c *badPeer) answer() string { return c.answerAfter(0) }

// answerAfter is answer past a number of hellos.
func (c *badPeer) answerAfter(hellos int) string {
	_ = c.conn.SetReadDeadline(time.Now().Add(proc.Patience))
	br := bufio.NewReader(c.conn)
	for {
		first, err := br.Peek(1)
		switch {
		case errors.Is(err, errTimeout):
			return "silence"
		case err != nil:
			return "end"
		case first[0] == 'H' || first[0] == '<':
			return plainAnswer(br)
		}
		record, err := readRecord(br)
		if err != nil {
			return "end"
		}
		switch {
		case record[0] == typeAlert && len(record) == 7:
			return "alert " + alertNames[record[6]]
		case record[0] == typeHandshake && record[5] == 2:
			if hellos--; hellos < 0 {
				return "hello"
			}
		}
	}
}

func plainAnswer(br *bufio.Reader) string {
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		return "end"
	}
	defer resp.Body.Close()
	return fmt.Sprint(resp.StatusCode)
}

// keyLog keeps the secrets of a connection.
type keyLog struct {
	mu    sync.Mutex
	lines string
}

// Write implements io.Writer.
func (k *keyLog) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lines += string(b)
	return len(b), nil
}

// secret is the last secret with a label.
func (k *keyLog) secret(label string) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	found := regexp.MustCompile(label+" [0-9a-f]+ ([0-9a-f]+)\n").FindAllStringSubmatch(k.lines, -1)
	if found == nil {
		return nil
	}
	secret, _ := hex.DecodeString(found[len(found)-1][1])
	return secret
}

// tamperer changes what a client of crypto/tls writes, record by record, and remembers
// the server's random.
type tamperer struct {
	net.Conn
	log    keyLog
	change func(record []byte) []byte // nil leaves all as it is

	read         bytes.Buffer
	serverRandom []byte
	clientRandom []byte
}

// Write implements net.Conn.
func (c *tamperer) Write(b []byte) (int, error) {
	r := bytes.NewReader(b)
	for r.Len() > 0 {
		record, err := readRecord(r)
		if err != nil {
			return 0, err
		}
		if c.clientRandom == nil {
			c.clientRandom = slices.Clone(record[11:43])
		}
		if c.change != nil {
			record = c.change(record)
		}
		if _, err := c.Conn.Write(record); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// Read implements net.Conn.
func (c *tamperer) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.serverRandom == nil {
		if c.read.Write(b[:n]); c.read.Len() >= 43 {
			c.serverRandom = slices.Clone(c.read.Bytes()[11:43])
		}
	}
	return n, err
}

// begin makes a TLS client whose records can be changed on their way; the handshake is
// not made yet.
func (c *badPeer) begin(version uint16, change func(log *keyLog, record []byte) []byte) (*tls.Conn, *tamperer) {
	config := c.config.Clone()
	config.MinVersion, config.MaxVersion = version, version
	config.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	wire := &tamperer{Conn: c.conn}
	if change != nil {
		wire.change = func(record []byte) []byte { return change(&wire.log, record) }
	}
	config.KeyLogWriter = &wire.log
	_ = c.conn.SetDeadline(time.Now().Add(proc.Patience))
	return tls.Client(wire, config), wire
}

// ask makes a request over TLS and says how it went.
func (c *badPeer) ask(conn *tls.Conn) string {
	if _, err := io.WriteString(conn, closing("/tls")); err != nil {
		return ended(err)
	}
	return c.rest(conn)
}

// rest reads all that still comes over TLS.
func (c *badPeer) rest(conn *tls.Conn) string {
	text, err := io.ReadAll(conn)
	if strings.HasPrefix(string(text), "HTTP/1.1 200 ") {
		return "served"
	}
	if strings.HasPrefix(string(text), "HTTP/1.1 400 ") {
		return "refused"
	}
	return ended(err)
}

var goAlerts = regexp.MustCompile(`remote error: tls: (.*)`)

// goNames are crypto/tls's words for alerts where they are not those of the RFC.
var goNames = map[string]string{
	"error decoding message": "decode_error", "error decrypting message": "decrypt_error", "bad record MAC": "bad_record_mac",
	"unknown certificate authority": "unknown_ca", "protocol version not supported": "protocol_version", "no renegotiation": "no_renegotiation",
}

func ended(err error) string {
	switch {
	case errors.Is(err, errTimeout):
		return "silence"
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrClosed):
		return "end"
	}
	if found := goAlerts.FindStringSubmatch(err.Error()); found != nil {
		if name := goNames[found[1]]; name != "" {
			return "alert " + name
		}
		return "alert " + strings.ReplaceAll(found[1], " ", "_")
	}
	return err.Error()
}

// established makes a whole handshake and a request, and returns the sealer for what the
// client says next. The connection stays open.
func (c *badPeer) established(version uint16) (*tls.Conn, *sealer) {
	conn, wire := c.begin(version, nil)
	if _, err := io.WriteString(conn, "GET /tls HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
		c.t.Error("the handshake: ", err)
		return nil, nil
	}
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if err != nil {
		c.t.Error("the first request: ", err)
		return nil, nil
	}
	var s *sealer
	state := conn.ConnectionState()
	if version == tls.VersionTLS13 {
		s, err = sealer13(state.CipherSuite, wire.log.secret("CLIENT_TRAFFIC_SECRET_0"))
	} else {
		s, err = sealer12(wire.log.secret("CLIENT_RANDOM"), wire.clientRandom, wire.serverRandom)
	}
	if err != nil {
		c.t.Error(err)
		return nil, nil
	}
	s.seq++ // the request
	return conn, s
}

// badFront has the ports that the bad clients knock at.
const badFront = modern + upgradeMap + `
ssl_ecdh_curve X25519:prime256v1;
server {
	listen 127.0.0.1:{{port:front}} ssl;
	server_name test.example;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key;
	TIMEOUT
` + passing + `
}
server {
	listen 127.0.0.1:{{port:verify}} ssl;
	server_name test.example;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key;
	ssl_verify_client on; ssl_client_certificate {{pki}}/root.pem;
	TIMEOUT
	location = /tls { return 200 "$ssl_client_verify\n"; }
}
server {
	listen 127.0.0.1:{{port:reject}} ssl;
	server_name _;
	TIMEOUT
	ssl_reject_handshake on;
}
`

// Every bad client against holdfast and nginx, many at a time; between them well-behaved
// ones are served, and at the end nothing is left of them.
func TestBadClients(t *testing.T) {
	t.Parallel()
	for kind, timeout := range map[proc.Kind]string{proc.Nginx: "client_header_timeout 3s;", proc.Holdfast: "ssl_handshake_timeout 3s;"} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			only(t, kind)
			p := proc.Start(t, kind, proc.Spec{HTTP: strings.ReplaceAll(badFront, "TIMEOUT", timeout), Vars: withWorld(t, nil)})
			t.Run("clients", func(t *testing.T) {
				for _, b := range badClients {
					t.Run(b.name, func(t *testing.T) {
						t.Parallel()
						want := b.want
						if kind == proc.Nginx {
							if b.nginx != nil {
								want = b.nginx
							}
							// It closes with bytes unread, and the reset may overtake the alert.
							want = append(slices.Clone(want), "end")
						}
						if got := playBad(t, b, p.Addr); !slices.Contains(want, got) {
							t.Errorf("got %q, want one of %q", got, want)
						}
						probe(t, p.Front())
					})
				}
			})
		})
	}
}

// playBad plays one client against the ports that addr names.
func playBad(t *testing.T, b badClient, addr func(name string) string) string {
	t.Helper()
	dial := func(name string) net.Conn {
		conn, err := net.DialTimeout("tcp", addr(name), proc.Patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	c := &badPeer{t: t, config: goConfig(t, visit{}), port: dial}
	c.config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
	c.dial = func() net.Conn { return dial("front") }
	c.conn = c.dial()
	return b.play(c)
}

// probe is a well-behaved client.
func probe(t *testing.T, address string) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: proc.Patience}, "tcp", address, goConfig(t, visit{}))
	if err != nil {
		t.Errorf("the next client: %v", err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(proc.Patience))
	_, _ = io.WriteString(conn, closing("/tls"))
	if text, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 200 ") {
		t.Errorf("the next client: %q, %v", text, err)
	}
}
