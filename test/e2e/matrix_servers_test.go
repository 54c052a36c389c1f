package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"holdfast/test/blocks"
	"holdfast/test/proc"
)

// The HTTP matrix moves bodies of a fixed pattern between foreign clients and foreign
// servers. Every program of it makes the pattern by itself and says the SHA-256 of what
// it received; the hashes that the steps name are those of test/blocks.

// goServer serves a handler by Go's net/http and returns its address.
func goServer(t *testing.T, handler http.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { server.Close() })
	return ln.Addr().String()
}

var listening = regexp.MustCompile(`listening (\d+)\n`)

// scriptServer starts a server that says where it listens and returns its address.
func scriptServer(t *testing.T, path string, args ...string) string {
	t.Helper()
	output := filepath.Join(t.TempDir(), "output")
	p, err := proc.Launch(proc.Command{Path: path, Args: args, Output: output})
	if err != nil {
		t.Fatal(err)
	}
	var address string
	t.Cleanup(func() {
		p.Kill()
		if text, _ := os.ReadFile(output); t.Failed() {
			t.Logf("%s says:\n%s", filepath.Base(path), text)
		}
	})
	proc.Until(t, "the server's port", func() error {
		text, err := os.ReadFile(output)
		if err != nil {
			return err
		}
		if p.Ended() {
			t.Fatalf("the server ended:\n%s", text)
		}
		found := listening.FindSubmatch(text)
		if found == nil {
			return fmt.Errorf("no port in %q", text)
		}
		address = "127.0.0.1:" + string(found[1])
		return nil
	})
	return address
}

// matrixServers are the upstream servers by name; each returns its address.
var matrixServers = map[string]func(t *testing.T) string{
	"go": func(t *testing.T) string { return goServer(t, http.HandlerFunc(blocks.Serve)) },
	"node": func(t *testing.T) string {
		return scriptServer(t, program(t, "node"), filepath.Join(clientsDir, "http_server.js"))
	},
	"python": func(t *testing.T) string {
		return scriptServer(t, pythonWith(t, "http.server"), "-B", filepath.Join(clientsDir, "http_server.py"))
	},
}
