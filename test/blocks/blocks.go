// Package blocks is the body of the HTTP matrices: blocks in a fixed pattern, each with
// its number in front, so that a lost, doubled or swapped block changes the hash. The
// scripts in test/clients make the same one by themselves.
package blocks

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// blockBytes is the size of the pattern's blocks, a prime, so that no buffer of a usual
// size fits.
const blockBytes = 65521

var pattern = sync.OnceValue(func() []byte {
	p := make([]byte, blockBytes)
	for j := range p {
		p[j] = byte(j*167 + (j>>8)*13)
	}
	return p
})

// Reader reads a body.
type Reader struct {
	left   int64
	number uint64
	block  [blockBytes]byte
	rest   []byte // of the block
}

// New is a body of size bytes.
func New(size int64) *Reader {
	b := &Reader{left: size}
	copy(b.block[:], pattern())
	return b
}

// Read implements io.Reader.
func (b *Reader) Read(p []byte) (int, error) {
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

// Digest reads r to its end: "SHA256 BYTES".
func Digest(r io.Reader) (string, error) {
	sum := sha256.New()
	n, err := io.CopyBuffer(sum, struct{ io.Reader }{r}, make([]byte, 256<<10))
	return fmt.Sprintf("%x %d", sum.Sum(nil), n), err
}

var digests sync.Map // of bodies, by size

// DigestOf is what Digest says about a body of size bytes.
func DigestOf(size int64) string {
	if known, ok := digests.Load(size); ok {
		return known.(string)
	}
	text, _ := Digest(New(size))
	digests.Store(size, text)
	return text
}

// Serve is the matrix's server on Go's net/http: /down answers with a body, any
// other request with the digest of what it carried.
func Serve(w http.ResponseWriter, r *http.Request) {
	received, err := Digest(r.Body)
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
	_, _ = io.CopyBuffer(struct{ io.Writer }{w}, New(size), make([]byte, 128<<10))
}
