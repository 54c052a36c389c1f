// Package tls_test runs the real binary with TLS on both sides between real clients and
// servers of other makes. Where nginx behaves the same the test runs against nginx too:
// that proves that what it expects is right. HOLDFAST_E2E_ONLY=nginx (or holdfast) runs
// one of them only.
package tls_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/test/blocks"
	"holdfast/test/pki"
	"holdfast/test/proc"
	"holdfast/test/wire"
)

// host is the name that the servers' certificates are made out to.
const host = "test.example"

// clientsDir holds the scripts of the foreign clients.
const clientsDir = "../clients"

func TestMain(m *testing.M) {
	code := proc.Main(m)
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// both runs a test against holdfast and against nginx, at the same time.
func both(t *testing.T, spec proc.Spec, test func(t *testing.T, p *proc.Proxy)) {
	t.Helper()
	spec.Vars = withWorld(t, spec.Vars)
	for _, kind := range []proc.Kind{proc.Nginx, proc.Holdfast} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			only(t, kind)
			test(t, proc.Start(t, kind, spec))
		})
	}
}

// holdfast starts a holdfast, for tests of what nginx has not or does otherwise.
func holdfast(t *testing.T, spec proc.Spec) *proc.Proxy {
	t.Helper()
	only(t, proc.Holdfast)
	spec.Vars = withWorld(t, spec.Vars)
	return proc.Start(t, proc.Holdfast, spec)
}

func only(t *testing.T, kind proc.Kind) {
	t.Helper()
	if chosen := os.Getenv("HOLDFAST_E2E_ONLY"); chosen != "" && chosen != string(kind) {
		t.Skipf("HOLDFAST_E2E_ONLY=%s", chosen)
	}
}

// world is what all tests share: the certificates' files and a server for plain HTTP.
type world struct {
	dir          string
	root, middle *pki.Authority
	ecdsa, rsa   pki.Pair // of host, signed by middle
	origin       string   // address of a server that answers by blocks.Serve and echoes WebSockets
	roots        *x509.CertPool
	clients      map[string]pki.Pair
}

var shared struct {
	once sync.Once
	dir  string
	world
}

// theWorld makes what all tests share, at its first call.
func theWorld(t *testing.T) *world {
	t.Helper()
	shared.once.Do(func() {
		dir, err := os.MkdirTemp("", "holdfast-tls-")
		if err != nil {
			t.Fatal(err)
		}
		shared.dir = dir
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		makeWorld(t, &shared.world, dir)
	})
	if shared.world.origin == "" {
		t.Fatal("the certificates could not be made")
	}
	return &shared.world
}

func makeWorld(t *testing.T, w *world, dir string) {
	t.Helper()
	w.dir = dir
	w.root = pki.NewAuthority(t, "Test Root")
	w.middle = w.root.Intermediate(t, "Test Intermediate")
	w.roots = w.root.Pool()
	hosts := []string{host, "*." + host, "localhost", "127.0.0.1"}
	w.ecdsa = w.middle.Issue(t, pki.Request{Name: host, Hosts: hosts})
	w.rsa = w.middle.Issue(t, pki.Request{Name: host, Hosts: hosts, RSA: true})
	w.ecdsa.Write(t, dir, "ecdsa")
	w.rsa.Write(t, dir, "rsa")
	for _, name := range []string{"one", "two", "wild", "regex", "default"} {
		w.middle.Issue(t, pki.Request{Name: "cert-" + name, Hosts: []string{host}}).Write(t, dir, name)
	}
	pki.WriteFile(t, dir, "root.pem", w.root.PEM())
	pki.WriteFile(t, dir, "middle.pem", w.middle.PEM())
	pki.WriteFile(t, dir, "locked.key", w.ecdsa.EncryptedKeyPEM(t, "open sesame"))
	pki.WriteFile(t, dir, "passwords", []byte("wrong one\nopen sesame\n"))
	pki.WriteFile(t, dir, "ocsp.der", w.middle.OCSP(t, w.ecdsa))
	makeClients(t, w)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// It lives as long as the test process.
	go func() { _ = (&http.Server{Handler: http.HandlerFunc(serve)}).Serve(ln) }()
	w.origin = ln.Addr().String()
}

// makeClients makes the certificates that clients show.
func makeClients(t *testing.T, w *world) {
	t.Helper()
	past := time.Now().Add(-48 * time.Hour)
	stranger := pki.NewAuthority(t, "Somebody Else")
	w.clients = map[string]pki.Pair{
		"good":     w.root.Issue(t, pki.Request{Name: "good client", Client: true, Subject: subject("good client")}),
		"deep":     w.middle.Issue(t, pki.Request{Name: "deep client", Client: true}),
		"expired":  w.root.Issue(t, pki.Request{Name: "expired client", Client: true, From: past, Until: past.Add(time.Hour)}),
		"stranger": stranger.Issue(t, pki.Request{Name: "strange client", Client: true}),
		"revoked":  w.root.Issue(t, pki.Request{Name: "revoked client", Client: true}),
		"rsa":      w.root.Issue(t, pki.Request{Name: "rsa client", Client: true, RSA: true}),
	}
	for name, pair := range w.clients {
		pair.Write(t, w.dir, "client-"+name)
	}
	lists := append(w.root.CRL(t, w.clients["revoked"]), w.middle.CRL(t)...)
	pki.WriteFile(t, w.dir, "crl.pem", lists)
}

func withWorld(t *testing.T, vars map[string]string) map[string]string {
	t.Helper()
	w := theWorld(t)
	all := map[string]string{"pki": w.dir, "origin": w.origin}
	for name, value := range vars {
		all[name] = value
	}
	return all
}

// serve echoes WebSockets and answers the rest by blocks.Serve.
func serve(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		blocks.Serve(w, r)
		return
	}
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Write([]byte(wire.SwitchResponse(r.Header.Get("Sec-WebSocket-Key"))))
	_ = wire.Echo(buffered.Reader, c)
}

// passing is the location that passes everything on, upgrades included, in the usual way.
const passing = `
location / {
    proxy_pass http://{{origin}};
    proxy_http_version 1.1;
    proxy_set_header Host $host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    client_max_body_size 0;
    proxy_request_buffering off;
    proxy_read_timeout 120s;
}
location = /tls { return 200 "$ssl_protocol $ssl_cipher $ssl_session_reused $ssl_server_name\n"; }
location = /tls-close { keepalive_timeout 0; return 200 "$ssl_protocol $ssl_cipher $ssl_session_reused $ssl_server_name\n"; }
`

// modern are the versions that holdfast offers unless told otherwise. nginx 1.22 has
// others.
const modern = `ssl_protocols TLSv1.2 TLSv1.3;
`

// upgradeMap is the map that passing needs.
const upgradeMap = `map $http_upgrade $connection_upgrade { default upgrade; '' ""; }
`

// equal reports a difference of two values.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %#v, want %#v", what, got, want)
	}
}

// run runs a foreign program to its end and returns its output; it must exit 0.
func run(t *testing.T, path string, args ...string) string {
	t.Helper()
	out, err := try(t, nil, "", path, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", path, strings.Join(args, " "), err, out)
	}
	return out
}

// try runs a foreign program with input to its end and returns all it says.
func try(t *testing.T, env []string, input, path string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*proc.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = proc.Patience
	cmd.Stdin = strings.NewReader(input)
	if env != nil {
		cmd.Env = append(os.Environ(), env...)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// program finds a foreign program or skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		proc.Skip(t, name+" is not on PATH")
	}
	return path
}

// node finds Node.js with an installed npm package.
func node(t *testing.T, npmPackage string) string {
	t.Helper()
	path := program(t, "node")
	if _, err := os.Stat(filepath.Join(clientsDir, "node_modules", npmPackage)); err != nil {
		proc.Skip(t, "the npm package "+npmPackage+" is not installed: run npm ci in test/clients")
	}
	return path
}

// python finds a Python that has the package websockets: Debian's own one first, since
// python3-websockets belongs to that.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if path, err := exec.LookPath(name); err == nil && exec.Command(path, "-c", "import websockets").Run() == nil {
			return path
		}
	}
	proc.Skip(t, "no python3 with the package websockets")
	return ""
}

func subject(name string) *pkix.Name {
	return &pkix.Name{CommonName: name, Organization: []string{"Tests, Inc."}, OrganizationalUnit: []string{"R+D"}, Country: []string{"DE"}}
}
