package httpparse_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/httpparse"
)

// peerDeadline bounds every exchange with nginx; it only matters when one hangs.
const peerDeadline = 30 * time.Second

// nginxLog collects what nginx logs and tells when it listens.
type nginxLog struct {
	text      bytes.Buffer
	listening chan struct{}
}

func (l *nginxLog) Write(p []byte) (int, error) {
	// nginx chooses its event method after it has opened its listening sockets.
	was := bytes.Contains(l.text.Bytes(), []byte("event method"))
	l.text.Write(p)
	if !was && bytes.Contains(l.text.Bytes(), []byte("event method")) {
		close(l.listening)
	}
	return len(p), nil
}

// startNginx runs the installed nginx with three unix sockets: one answers with $uri,
// one does so with merge_slashes off, one passes the path on to upstream.
func startNginx(t *testing.T, upstream net.Addr) (merged, unmerged, proxied string) {
	t.Helper()
	binary, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("HOLDFAST_REQUIRE_PEERS") == "1" {
			t.Fatal("nginx is required and is not on PATH")
		}
		t.Skip("nginx is not on PATH")
	}
	dir := t.TempDir()
	merged, unmerged, proxied = filepath.Join(dir, "m"), filepath.Join(dir, "u"), filepath.Join(dir, "p")
	conf := fmt.Sprintf(`daemon off; master_process off; pid nginx.pid; error_log stderr notice;
events { worker_connections 64; }
http {
	access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
	uwsgi_temp_path t4; scgi_temp_path t5; default_type application/octet-stream;
	server { listen unix:%s; return 200 "$uri"; }
	server { listen unix:%s; merge_slashes off; return 200 "$uri"; }
	server { listen unix:%s; location / { proxy_pass http://%s/; } }
}`, merged, unmerged, proxied, upstream)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-e", "stderr", "-p", dir, "-c", "nginx.conf")
	log := &nginxLog{listening: make(chan struct{})}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	select {
	case <-log.listening:
	case err := <-exited:
		t.Fatalf("nginx: %v: %s", err, log.text.Bytes())
	case <-time.After(peerDeadline):
		_ = cmd.Process.Kill()
		<-exited
		t.Fatalf("nginx does not listen: %s", log.text.Bytes())
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Logf("nginx: %s", log.text.Bytes())
		}
	})
	return merged, unmerged, proxied
}

// ask sends a request for target and returns the answer's status and body.
func ask(t *testing.T, socket, target string) (status int, body string) {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(peerDeadline)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", target); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", target, err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%q: %v", target, err)
	}
	return resp.StatusCode, string(data)
}

// ours is what the server that answers with $uri would have said if it used this package.
func ours(target string, merge bool) (status int, body string) {
	parts, err := httpparse.ParseTarget([]byte(target), httpparse.MethodGet)
	if err != httpparse.OK {
		return err.Status(), ""
	}
	uri, err := httpparse.NormalizePath(nil, parts.Path.Of([]byte(target)), merge)
	if err != httpparse.OK {
		return err.Status(), ""
	}
	return 200, string(uri)
}

// TestNormalizePathAgreesWithNginx leaves out raw "#", of which nginx cuts off the
// rest, and which ParseTarget refuses.
func TestNormalizePathAgreesWithNginx(t *testing.T) {
	merged, unmerged, _ := startNginx(t, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
	targets := []string{
		"/", "/a/b?c", "//", "/a//b///", "/./", "/a/.", "/a/..", "/a/../", "/..", "/../a", "/a/../..", "/.//..",
		"/...", "/..a", "/.a./b", "/%2e%2e", "/%2E/", "/a%2f..", "/a%2F%2e%2e%2f", "/%2541", "/%3f", "/%23", "/.%3f/..",
		"/%", "/%4", "/%4g", "/%00", "/a%00b", "/%0a", "/%7f", "/%ff", "/a+b%2b", "/a?b/../c", "/?", "//..", "/a//..",
		"/a/b/c/../../d", "/a%20b", "/\"<>^`{|}\\", "/a;b=c", "/a:b@c", "http://h", "http://h?q", "http://h/a/../b",
		"/\xc3\xa9", "/a/.%2e/b", "/a/%2e./b", "/.%2f", "/..%2f", "/%5c..%5c", "/a/..;/b",
	}
	random := rand.New(rand.NewPCG(1, 2))
	letters := []string{"/", "/", ".", ".", "..", "/../", "%2e", "%2F", "%2", "%", "%25", "%3f", "%41", "a", "b", "?", "+"}
	for range 600 {
		var b strings.Builder
		b.WriteString("/")
		for range random.IntN(10) {
			b.WriteString(letters[random.IntN(len(letters))])
		}
		targets = append(targets, b.String())
	}
	for _, target := range targets {
		for socket, merge := range map[string]bool{merged: true, unmerged: false} {
			status, body := ask(t, socket, target)
			if status != 200 {
				body = ""
			}
			wantStatus, wantBody := ours(target, merge)
			if status != wantStatus || body != wantBody {
				t.Errorf("%q, merge %v: nginx %d %q, ours %d %q", target, merge, status, body, wantStatus, wantBody)
			}
		}
	}
}

// TestAppendEscapedPathAgreesWithNginx sends every byte but NUL percent-encoded
// through a proxy_pass with a URI part and compares what the upstream sees.
func TestAppendEscapedPathAgreesWithNginx(t *testing.T) {
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = upstream.Close() })
	go func() {
		for {
			conn, err := upstream.Accept()
			if err != nil {
				return
			}
			go answerWithTarget(conn)
		}
	}()
	_, _, proxied := startNginx(t, upstream.Addr())
	for c := 1; c < 256; c++ {
		target := fmt.Sprintf("/x%%%02xy", c)
		status, got := ask(t, proxied, target)
		uri, normErr := httpparse.NormalizePath(nil, []byte(target), true)
		want := string(httpparse.AppendEscapedPath(nil, uri))
		if status != 200 || got != want || normErr != httpparse.OK {
			t.Errorf("%s: nginx %d %q, ours %q %v", target, status, got, want, normErr)
		}
	}
}

// answerWithTarget answers one request with its own target, unread by net/http.
func answerWithTarget(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	if conn.SetDeadline(time.Now().Add(peerDeadline)) != nil {
		return
	}
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return
	}
	for field := line; strings.TrimSpace(field) != ""; {
		if field, err = in.ReadString('\n'); err != nil {
			return
		}
	}
	target := strings.Split(line, " ")[1]
	_, _ = fmt.Fprintf(conn, "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(target), target)
}
