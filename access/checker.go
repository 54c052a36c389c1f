package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"sync/atomic"
)

// CredentialsMax is the longest user:password that is verified, in bytes: crypt(3) takes no
// longer password than 512.
const CredentialsMax = 1024

// Checker asks what is remembered. It belongs to one goroutine.
type Checker struct {
	mac hash.Hash
	sum digest
}

// key makes what is remembered useless to who does not have it.
var key = func() []byte {
	k := make([]byte, 32)
	_, _ = rand.Read(k) // it never fails
	return k
}()

// NewChecker returns a Checker that agrees with all others of the process.
func NewChecker() *Checker {
	return &Checker{mac: hmac.New(sha256.New, key)}
}

// Known tells whether these credentials, user:password, were found right since the file was
// read. It does not allocate.
func (c *Checker) Known(u *Users, credentials []byte) bool {
	t := u.table.Load()
	if t.failed != 0 {
		return false
	}
	place, _ := c.find(t, credentials)
	known := place.Load()
	return known != nil && subtle.ConstantTimeCompare(known[:], c.sum[:]) == 1
}

// find is where credentials are remembered, and their digest.
func (c *Checker) find(t *table, credentials []byte) (*atomic.Pointer[digest], digest) {
	c.mac.Reset()
	_, _ = c.mac.Write(credentials)
	c.mac.Sum(c.sum[:0])
	return &t.known[binary.LittleEndian.Uint64(c.sum[:])&uint64(len(t.known)-1)], c.sum
}
