package e2e_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"holdfast/test/proc"
)

// The HTTP matrix moves bodies of a fixed pattern between foreign clients and foreign
// servers. Every program of it makes the pattern by itself and says the SHA-256 of what
// it received; the hashes that the steps name are those of this file's generator.

// blockBytes is the size of the pattern's blocks, a prime, so that no buffer of a usual
// size fits.
const blockBytes = 65521

var blockPattern = sync.OnceValue(func() []byte {
	pattern := make([]byte, blockBytes)
	for j := range pattern {
		pattern[j] = byte(j*167 + (j>>8)*13)
	}
	return pattern
})

// blocks is a body: blocks in the pattern, each with its number in front.
type blocks struct {
	left   int64
	number uint64
	block  [blockBytes]byte
	rest   []byte // of the block
}

func newBlocks(size int64) *blocks {
	b := &blocks{left: size}
	copy(b.block[:], blockPattern())
	return b
}

func (b *blocks) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if len(b.rest) == 0 {
		binary.BigEndian.PutUint64(b.block[:], b.number)
		b.number++
		b.rest = b.block[:min(blockBytes, b.left)]
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	b.left -= int64(n)
	return n, nil
}

// digest reads r to its end: "SHA256 BYTES".
func digest(r io.Reader) (string, error) {
	sum := sha256.New()
	n, err := io.CopyBuffer(sum, struct{ io.Reader }{r}, make([]byte, 256<<10))
	return fmt.Sprintf("%x %d", sum.Sum(nil), n), err
}

var digests sync.Map // of bodies, by size

// digestOf is what digest says about a body of size bytes.
func digestOf(size int64) string {
	if known, ok := digests.Load(size); ok {
		return known.(string)
	}
	text, _ := digest(newBlocks(size))
	digests.Store(size, text)
	return text
}

// serveBlocks is the matrix's server on Go's net/http: /down answers with a body, any
// other request with the digest of what it carried.
func serveBlocks(w http.ResponseWriter, r *http.Request) {
	received, err := digest(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if r.URL.Path != "/down" {
		_, _ = io.WriteString(w, received)
		return
	}
	size, err := strconv.ParseInt(r.URL.Query().Get("size"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.URL.Query().Get("framing") == "length" {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	} else {
		// A flushed head has no length, so that the smallest body is chunked as well.
		_ = http.NewResponseController(w).Flush()
	}
	_, _ = io.CopyBuffer(struct{ io.Writer }{w}, newBlocks(size), make([]byte, 128<<10))
}

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
	"go": func(t *testing.T) string { return goServer(t, http.HandlerFunc(serveBlocks)) },
	"node": func(t *testing.T) string {
		return scriptServer(t, program(t, "node"), filepath.Join(clientsDir, "http_server.js"))
	},
	"python": func(t *testing.T) string {
		return scriptServer(t, pythonWith(t, "http.server"), "-B", filepath.Join(clientsDir, "http_server.py"))
	},
}
