package tls_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gobwas "github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	gorilla "github.com/gorilla/websocket"

	"holdfast/test/blocks"
	"holdfast/test/pki"
	"holdfast/test/proc"
)

// matrixFront offers both versions on two ports, with an ECDSA and with an RSA key.
const matrixFront = modern + upgradeMap + `
server {
    listen 127.0.0.1:{{port:ecdsa}} ssl;
    server_name test.example;
    ssl_certificate {{pki}}/ecdsa.pem;
    ssl_certificate_key {{pki}}/ecdsa.key;
` + passing + `
}
server {
    listen 127.0.0.1:{{port:rsa}} ssl;
    server_name test.example;
    ssl_certificate {{pki}}/rsa.pem;
    ssl_certificate_key {{pki}}/rsa.key;
` + passing + `
}
`

// matrixSteps are the transfers of sizes both ways and in both framings, as the scripts
// read them.
func matrixSteps(sizes ...int64) []string {
	var steps []string
	for _, direction := range []string{"down", "up"} {
		for _, framing := range []string{"length", "chunked"} {
			for _, size := range sizes {
				hash, _, _ := strings.Cut(blocks.DigestOf(size), " ")
				steps = append(steps, fmt.Sprintf("%s:%s:%d:%s", direction, framing, size, hash))
			}
		}
	}
	return steps
}

// visit is one client's way through the matrix: to a port, with one version of TLS.
type visit struct {
	address string
	version string // 1.2 or 1.3
	rsa     bool
}

// matrixClients make a full and a resumed handshake, check what /tls says of them, move
// bodies both ways and, where the client can, WebSocket messages.
var matrixClients = map[string]func(t *testing.T, v visit){
	"openssl": opensslVisit, "curl": curlVisit, "python": pythonVisit, "node": nodeVisit, "go": goVisit,
}

func TestMatrixOfClients(t *testing.T) {
	t.Parallel()
	both(t, proc.Spec{HTTP: matrixFront}, func(t *testing.T, p *proc.Proxy) {
		t.Run("visits", func(t *testing.T) {
			for name, play := range matrixClients {
				for _, version := range []string{"1.2", "1.3"} {
					for _, key := range []string{"ecdsa", "rsa"} {
						t.Run(name+"_"+version+"_"+key, func(t *testing.T) {
							t.Parallel()
							play(t, visit{p.Addr(key), version, key == "rsa"})
						})
					}
				}
			}
		})
	})
}

// checkSaid compares what /tls says of a connection.
func checkSaid(t *testing.T, said string, v visit, reused string) {
	t.Helper()
	words := strings.Fields(said)
	if len(words) != 4 || words[0] != "TLSv"+v.version || words[2] != reused || words[3] != host {
		t.Errorf("the server says %q, want TLSv%s … %s %s", said, v.version, reused, host)
		return
	}
	if v.version == "1.2" && strings.Contains(words[1], "ECDSA") == v.rsa {
		t.Errorf("cipher %s with RSA %v", words[1], v.rsa)
	}
}

func opensslVisit(t *testing.T, v visit) {
	w, session := theWorld(t), filepath.Join(t.TempDir(), "session")
	args := []string{"-CAfile", w.dir + "/root.pem", "-verify_return_error", "-tls" + strings.Replace(v.version, ".", "_", 1)}
	out := sClient(t, v.address, closing("/tls"), append(args, "-sess_out", session)...)
	if !strings.Contains(out, "Verify return code: 0 (ok)") || !strings.Contains(out, "New, TLSv"+v.version) {
		t.Errorf("the full handshake:\n%s", out)
	}
	checkSaid(t, bodyOf(out), v, ".")
	out = sClient(t, v.address, closing("/tls"), append(args, "-sess_in", session)...)
	if !strings.Contains(out, "Reused, TLSv"+v.version) {
		t.Errorf("the resumed handshake:\n%s", out)
	}
	checkSaid(t, bodyOf(out), v, "r")
}

func curlVisit(t *testing.T, v visit) {
	dir := t.TempDir()
	upload := filepath.Join(dir, "upload")
	f, err := os.Create(upload)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, blocks.New(1<<20)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	versions := []string{"--tlsv" + v.version, "--tls-max", v.version}
	out := curl(t, v.address, append(versions, "-H", "Connection: close", "{}/tls", "{}/tls")...)
	lines := strings.SplitAfter(out, "\n")
	if len(lines) != 3 {
		t.Fatalf("curl says %q", out)
	}
	checkSaid(t, lines[0], v, ".")
	if v.version == "1.3" { // curl 7.88 gives a session of TLS 1.2 up with a connection that the server ends
		checkSaid(t, lines[1], v, "r")
	}
	for _, extra := range [][]string{{"-T", upload}, {"-T", upload, "-H", "Transfer-Encoding: chunked"}} {
		out = curl(t, v.address, append(append(versions, "{}/up"), extra...)...)
		equal(t, "upload", out, blocks.DigestOf(1<<20))
	}
	for _, framing := range []string{"length", "chunked"} {
		got, err := blocks.Digest(strings.NewReader(curl(t, v.address, append(versions, "{}/down?size=1048576&framing="+framing)...)))
		if err != nil || got != blocks.DigestOf(1<<20) {
			t.Errorf("download: %s, %v", got, err)
		}
	}
}

func pythonVisit(t *testing.T, v visit) { scriptVisit(t, v, python(t), "-B", "tls_client.py") }

func nodeVisit(t *testing.T, v visit) { scriptVisit(t, v, node(t, "ws"), "tls_client.js") }

func scriptVisit(t *testing.T, v visit, path string, args ...string) {
	t.Helper()
	steps := matrixSteps(1, 16385, 1<<20)
	args[len(args)-1] = filepath.Join(clientsDir, args[len(args)-1])
	args = append(args, v.address, theWorld(t).dir+"/root.pem", host, v.version)
	equal(t, "output", run(t, path, append(args, steps...)...), fmt.Sprintf("ok %d\n", len(steps)))
}

// goConfig is a client's configuration for a visit.
func goConfig(t *testing.T, v visit) *tls.Config {
	t.Helper()
	c := &tls.Config{RootCAs: theWorld(t).roots, ServerName: host, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13}
	switch v.version {
	case "1.2":
		c.MaxVersion = tls.VersionTLS12
	case "1.3":
		c.MinVersion = tls.VersionTLS13
	}
	return c
}

func goVisit(t *testing.T, v visit) {
	config := goConfig(t, v)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for _, reused := range []string{".", "r"} {
		transport := &http.Transport{TLSClientConfig: config.Clone()}
		client := &http.Client{Transport: transport, Timeout: 2 * proc.Patience}
		text, resp, err := fetch(client, "https://"+v.address+"/tls", nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		checkSaid(t, text, v, reused)
		if resp.TLS.DidResume != (reused == "r") {
			t.Errorf("resumed: %v", resp.TLS.DidResume)
		}
		moveBodies(t, client, "https://"+v.address, 1<<20)
		transport.CloseIdleConnections()
	}
	url := "wss://" + v.address + "/"
	t.Run("gorilla", func(t *testing.T) { echoGorilla(t, url, config) })
	t.Run("coder", func(t *testing.T) { echoCoder(t, url, config) })
	t.Run("gobwas", func(t *testing.T) { echoGobwas(t, url, config) })
}

// fetch makes one request, a POST where there is a body. A negative size is chunked.
func fetch(client *http.Client, url string, body io.Reader, size int64) (string, *http.Response, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return "", nil, err
	}
	if size > 0 {
		req.ContentLength = size
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	if strings.Contains(url, "/down?") {
		text, err := blocks.Digest(resp.Body)
		return text, resp, err
	}
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", resp.Status)
	}
	return string(text), resp, err
}

// moveBodies moves bodies of a size both ways in both framings.
func moveBodies(t *testing.T, client *http.Client, base string, size int64) {
	t.Helper()
	for _, framing := range []string{"length", "chunked"} {
		got, _, err := fetch(client, fmt.Sprintf("%s/down?size=%d&framing=%s", base, size, framing), nil, 0)
		if err != nil || got != blocks.DigestOf(size) {
			t.Errorf("down, %s: %s, %v", framing, got, err)
		}
		length := size
		if framing == "chunked" {
			length = -1
		}
		got, _, err = fetch(client, base+"/up", struct{ io.Reader }{blocks.New(size)}, length)
		if err != nil || got != blocks.DigestOf(size) {
			t.Errorf("up, %s: %s, %v", framing, got, err)
		}
	}
}

// messageSizes lie around the length forms of a frame and of a record.
var messageSizes = []int{64, 125, 126, 16383, 16384, 16385, 65536, 1 << 20}

func message(size int) []byte { return bytes.Repeat([]byte("holdfast!"), size/9+1)[:size] }

func echoGorilla(t *testing.T, url string, config *tls.Config) {
	t.Helper()
	dialer := gorilla.Dialer{HandshakeTimeout: proc.Patience, TLSClientConfig: config}
	c, _, err := dialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(proc.Patience))
	for _, size := range messageSizes {
		if err := c.WriteMessage(gorilla.BinaryMessage, message(size)); err != nil {
			t.Fatal(err)
		}
		_, got, err := c.ReadMessage()
		if err != nil || !bytes.Equal(got, message(size)) {
			t.Fatalf("%d bytes: %d bytes back, %v", size, len(got), err)
		}
	}
	goodbye := gorilla.FormatCloseMessage(gorilla.CloseNormalClosure, "done")
	_ = c.WriteControl(gorilla.CloseMessage, goodbye, time.Now().Add(proc.Patience))
	if _, _, err = c.ReadMessage(); !gorilla.IsCloseError(err, gorilla.CloseNormalClosure) {
		t.Errorf("at the end: %v", err)
	}
}

func echoCoder(t *testing.T, url string, config *tls.Config) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), proc.Patience)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	c, _, err := coder.Dial(ctx, url, &coder.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(2 << 20)
	for _, size := range messageSizes {
		if err := c.Write(ctx, coder.MessageBinary, message(size)); err != nil {
			t.Fatal(err)
		}
		_, got, err := c.Read(ctx)
		if err != nil || !bytes.Equal(got, message(size)) {
			t.Fatalf("%d bytes: %d bytes back, %v", size, len(got), err)
		}
	}
	if err := c.Close(coder.StatusNormalClosure, "done"); err != nil {
		t.Error("close: ", err)
	}
}

func echoGobwas(t *testing.T, url string, config *tls.Config) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), proc.Patience)
	defer cancel()
	c, _, _, err := gobwas.Dialer{TLSConfig: config}.Dial(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(proc.Patience))
	for _, size := range messageSizes {
		if err := wsutil.WriteClientBinary(c, message(size)); err != nil {
			t.Fatal(err)
		}
		got, _, err := wsutil.ReadServerData(c)
		if err != nil || !bytes.Equal(got, message(size)) {
			t.Fatalf("%d bytes: %d bytes back, %v", size, len(got), err)
		}
	}
}

// A page of a headless Chromium that trusts the test's authority: fetches, a resumed
// session, wss messages, with both versions of TLS and both kinds of key.
func TestMatrixOfBrowsers(t *testing.T) {
	t.Parallel()
	nodePath, browser, certutil := node(t, "playwright-core"), program(t, "chromium"), program(t, "certutil")
	both(t, proc.Spec{HTTP: matrixFront}, func(t *testing.T, p *proc.Proxy) {
		for _, version := range []string{"tls1.2", "tls1.3"} {
			home, err := os.MkdirTemp("", "holdfast-browser-")
			if err != nil {
				t.Fatal(err)
			}
			// The browser's last processes may still write while the test ends.
			t.Cleanup(func() { _ = os.RemoveAll(home) })
			store := filepath.Join(home, ".pki", "nssdb")
			if err := os.MkdirAll(store, 0o700); err != nil {
				t.Fatal(err)
			}
			run(t, certutil, "-N", "-d", "sql:"+store, "--empty-password")
			run(t, certutil, "-A", "-d", "sql:"+store, "-t", "C,,", "-n", "test", "-i", theWorld(t).dir+"/root.pem")
			out, err := try(t, []string{"HOME=" + home, "XDG_DATA_HOME=", "XDG_CONFIG_HOME=" + home}, "", nodePath, filepath.Join(clientsDir, "wss_page.js"),
				browser, filepath.Join(home, "profile"), version, host+":"+p.Port("ecdsa"), host+":"+p.Port("rsa"))
			if err != nil || !strings.HasSuffix(out, "ok\n") {
				t.Errorf("%s: the browser says %q, %v", version, out, err)
			}
		}
	})
}

// A large body each way, by curl and by Go.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	size := int64(100 << 20)
	if testing.Short() {
		size = 8 << 20
	}
	p := holdfast(t, proc.Spec{HTTP: matrixFront})
	v := visit{address: p.Addr("ecdsa")}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: goConfig(t, v), DisableKeepAlives: true}}
	moveBodies(t, client, "https://"+v.address, size)
	name := filepath.Join(t.TempDir(), "body")
	curl(t, v.address, "-o", name, fmt.Sprintf("{}/down?size=%d&framing=length", size))
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := blocks.Digest(f)
	if err != nil || got != blocks.DigestOf(size) {
		t.Errorf("down: %s, %v", got, err)
	}
	equal(t, "up", curl(t, v.address, "-T", name, "{}/up"), blocks.DigestOf(size))
}

// ticketKeys writes a file for ssl_session_ticket_key.
func ticketKeys(t *testing.T, fill byte, size int) string {
	t.Helper()
	return pki.WriteFile(t, t.TempDir(), "ticket.key", bytes.Repeat([]byte{fill}, size))
}
