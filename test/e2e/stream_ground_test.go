package e2e_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"holdfast/test/pki"
	"holdfast/test/proc"
)

// bothStreams runs a test of a stream block against holdfast and against nginx.
func bothStreams(t *testing.T, block string, vars map[string]string, test func(t *testing.T, p *proc.Proxy)) {
	t.Helper()
	for _, kind := range []proc.Kind{proc.Nginx, proc.Holdfast} {
		t.Run(string(kind), func(t *testing.T) { test(t, streams(t, kind, block, vars)) })
	}
}

// holdfastStreams starts a holdfast with a stream block.
func holdfastStreams(t *testing.T, block string, vars map[string]string) *proc.Proxy {
	t.Helper()
	return streams(t, proc.Holdfast, block, vars)
}

func streams(t *testing.T, kind proc.Kind, block string, vars map[string]string) *proc.Proxy {
	t.Helper()
	only(t, kind)
	spec := proc.Spec{Main: "stream {\n" + block + "\n}\n", Vars: vars}
	if kind == proc.Nginx {
		spec.Main = streamModule(t) + spec.Main
	}
	return proc.Start(t, kind, spec)
}

// plainStream passes connections on as they are.
const plainStream = `server { listen 127.0.0.1:{{port:front}}; proxy_half_close on; proxy_pass {{backend}}; }`

// vars are the values of placeholders, name and value in turn.
func vars(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// rawServer plays a server of plain connections.
type rawServer struct {
	addr string

	ln    net.Listener
	mu    sync.Mutex
	conns map[net.Conn]bool
	total int
	wg    sync.WaitGroup
}

// serveRaw serves every connection at a free port by play; the connection is closed behind
// it. What play does wrong fails the test, unless the test has ended.
func serveRaw(t *testing.T, play func(c *proc.Raw) error) *rawServer {
	t.Helper()
	return serveRawAt(t, "127.0.0.1:0", nil, play)
}

// serveRawAt is serveRaw at an address, "host:port" or "unix:/path", with TLS if there is
// a configuration of it.
func serveRawAt(t *testing.T, address string, config *tls.Config, play func(c *proc.Raw) error) *rawServer {
	t.Helper()
	network, name := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, name = "unix", path
	}
	ln, err := net.Listen(network, name)
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{ln: ln, conns: map[net.Conn]bool{}, addr: ln.Addr().String()}
	if network == "unix" {
		s.addr = address
	}
	s.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.keep(c, +1)
			s.wg.Go(func() {
				defer s.keep(c, -1)
				s.serve(t, c, config, play)
			})
		}
	})
	t.Cleanup(s.close)
	return s
}

func (s *rawServer) serve(t *testing.T, c net.Conn, config *tls.Config, play func(c *proc.Raw) error) {
	defer c.Close()
	peer := c
	if config != nil {
		peer = tls.Server(c, config)
	}
	raw := proc.NewRaw(peer)
	if err := errors.Join(play(raw), raw.Err()); err != nil && s.isOpen() {
		t.Errorf("the server at %s: %v", s.addr, err)
	}
	if config != nil {
		peer.Close()
	}
}

func (s *rawServer) keep(c net.Conn, change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if change > 0 {
		s.total++
		s.conns[c] = true
	} else {
		delete(s.conns, c)
	}
}

func (s *rawServer) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns != nil
}

// served waits until play is through with every connection. A client that has got all its bytes
// may be ahead of those it has sent: they must not be lost with a proxy that is stopped.
func (s *rawServer) served(t *testing.T) {
	t.Helper()
	proc.Until(t, "the server to be through", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if n := len(s.conns); n > 0 {
			return fmt.Errorf("%d connections are open", n)
		}
		return nil
	})
}

// connections is how many connections there were so far.
func (s *rawServer) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// open is how many connections there are now.
func (s *rawServer) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *rawServer) close() {
	s.ln.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.wg.Wait()
}

// echoRaw sends back what comes.
func echoRaw(c *proc.Raw) error {
	_, err := io.Copy(struct{ io.Writer }{c.Conn()}, c.Reader())
	return gone(err)
}

// sayRaw sends a text and reads until the peer ends the connection.
func sayRaw(text string) func(c *proc.Raw) error {
	return func(c *proc.Raw) error {
		if _, err := io.WriteString(c.Conn(), text); err != nil {
			return gone(err)
		}
		return readToEnd(c)
	}
}

// readToEnd reads and drops until the peer ends the connection, however long it takes.
func readToEnd(c *proc.Raw) error {
	_, err := io.Copy(io.Discard, c.Reader())
	return gone(err)
}

// gone passes over the errors of a peer that has left, which a proxy may do by RST.
func gone(err error) error {
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// streamBytes is how much the bulk tests of stream and CONNECT move each way: 64 MB, 8 MB
// with -short, or as many megabytes as HOLDFAST_E2E_BULK says.
func streamBytes(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv("HOLDFAST_E2E_BULK")
	if text == "" {
		return bulkBytes()
	}
	megabytes, err := strconv.ParseInt(text, 10, 64)
	if err != nil || megabytes <= 0 {
		t.Fatalf("HOLDFAST_E2E_BULK=%q is no number of megabytes", text)
	}
	return megabytes << 20
}

// streamClosed waits until exactly one tunnel has ended, for this reason and on this side.
func streamClosed(t *testing.T, p *proc.Proxy, reason, side string) {
	t.Helper()
	if p.Kind != proc.Holdfast {
		return
	}
	want := proc.CloseCount{Reason: reason, Side: side, Count: 1}
	proc.Until(t, "the tunnel's end", func() error {
		sum := p.Status(t).Totals
		if sum.Tunnels != 0 || len(sum.TunnelCloses) != 1 || sum.TunnelCloses[0] != want {
			return fmt.Errorf("tunnels %d, closes %v, want %v", sum.Tunnels, sum.TunnelCloses, want)
		}
		return nil
	})
}

// sessionClosed waits until exactly one session that became no tunnel has ended so.
func sessionClosed(t *testing.T, p *proc.Proxy, reason, side string) {
	t.Helper()
	if p.Kind != proc.Holdfast {
		return
	}
	proc.Until(t, "the session's end", func() error {
		sum := p.Status(t).Totals
		if proc.Closed(sum.SessionCloses, reason, side) != 1 {
			return fmt.Errorf("closes %v, want one of %s %s", sum.SessionCloses, reason, side)
		}
		return nil
	})
}

// logged waits until the log file of that name in the proxy's folder has so many lines, and
// returns them.
func logged(t *testing.T, p *proc.Proxy, name string, lines int) []string {
	t.Helper()
	var found []string
	proc.Until(t, fmt.Sprintf("%d lines in %s", lines, name), func() error {
		text, err := os.ReadFile(filepath.Join(p.Dir, "logs", name))
		if err != nil {
			return err
		}
		found = strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if len(text) == 0 || len(found) < lines {
			return fmt.Errorf("it has %q", text)
		}
		return nil
	})
	return found
}

// errorLogged waits for a text in the error log.
func errorLogged(t *testing.T, p *proc.Proxy, text string) {
	t.Helper()
	proc.Until(t, "the error log's line", func() error {
		if log := p.ErrorLog(); !strings.Contains(log, text) {
			return fmt.Errorf("no %q in %s", text, log)
		}
		return nil
	})
}

// identity are certificates of a test's own, as files and as what Go's TLS takes.
type identity struct {
	dir  string
	root *pki.Authority
	pair map[string]pki.Pair
}

// certify makes an authority and a certificate for each name. The files are root.pem,
// NAME.pem and NAME.key in a folder that nginx's workers can read.
func certify(t *testing.T, names ...string) *identity {
	t.Helper()
	dir, err := os.MkdirTemp("", "holdfast-pki-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	id := &identity{dir: dir, root: pki.NewAuthority(t, "Stream Root"), pair: map[string]pki.Pair{}}
	pki.WriteFile(t, dir, "root.pem", id.root.PEM())
	for _, name := range names {
		id.pair[name] = id.root.Issue(t, pki.Request{Name: name, Hosts: []string{name, "127.0.0.1"}})
		id.pair[name].Write(t, dir, name)
	}
	return id
}

// server is how a server with the certificate of that name speaks TLS.
func (id *identity) server(name string, protocols ...string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{id.pair[name].TLS()}, NextProtos: protocols, MinVersion: tls.VersionTLS12}
}

// client is how a client that asks for that name speaks TLS.
func (id *identity) client(name string, protocols ...string) *tls.Config {
	return &tls.Config{ServerName: name, RootCAs: id.root.Pool(), NextProtos: protocols, MinVersion: tls.VersionTLS12}
}
