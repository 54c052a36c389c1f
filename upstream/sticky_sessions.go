package upstream

import (
	"crypto/md5"
	"encoding/binary"
	"math/rand/v2"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// SessionIDMax is the longest name of a session that is learned or looked up, in bytes.
const SessionIDMax = 4096

// SessionKey stands for the name of a session: its MD5 sum, as in nginx.
type SessionKey [md5.Size]byte

// NewSessionKey is the key of the session that is called id.
func NewSessionKey(id []byte) SessionKey { return md5.Sum(id) }

const (
	// sessionBytes is what nginx takes of a zone for a session.
	sessionBytes = 128
	// sessionPage is a page of a zone, of which nginx takes sessionPageHeader beside it, and
	// sessionPool once.
	sessionPage       = 4096
	sessionPageHeader = 24
	sessionPool       = 704

	// sessionPartsMax and sessionPartSize say how many tables with a lock of their own a zone is
	// made of: one for each 64 KiB.
	sessionPartsMax = 64
	sessionPartSize = 64 << 10
	// sessionsMax bounds the sessions of one of them.
	sessionsMax = 1 << 28

	noSession = ^uint32(0)
)

// Sessions is a zone of sticky learn: which server each session belongs to. It is bounded: where
// it is full the session that was not used for the longest time is forgotten. It is safe for
// every shard at once; a call takes a lock of a part of it for some tens of nanoseconds, and
// allocates nothing once the table has come to its size.
type Sessions struct {
	name, group string
	size        int64
	seed        uint64 // so that nobody can choose sessions that all fall into one chain
	parts       []sessionPart
}

// sessionPart is one of the tables: a session is in the part that its hash says.
type sessionPart struct {
	mu             sync.Mutex
	heads          []uint32 // chains of entries by hash; the length is a power of two
	entries        []session
	oldest, newest uint32
	free           uint32 // the first of a chain of free entries
	used, most     int
	_              [8]byte // parts don't share cache lines
}

// session is one entry. chain is the next with the same head, or the next free one.
type session struct {
	key                 SessionKey
	lastMs              int64 // of its last use
	chain, older, newer uint32
	length              uint8 // of sid
	sid                 [SIDMax]byte
}

// newSessions makes a zone of that size in bytes, which holds as many sessions as in nginx: about
// 8,000 for a megabyte.
func newSessions(name, group string, size int64) *Sessions {
	n := 1
	for n < sessionPartsMax && int64(2*n)*sessionPartSize <= size {
		n *= 2
	}
	most := max(size-sessionPool, 0) / (sessionPage + sessionPageHeader) * sessionPage / sessionBytes
	z := &Sessions{name: name, group: group, size: size, seed: rand.Uint64(), parts: make([]sessionPart, n)}
	for i := range z.parts {
		p := &z.parts[i]
		p.most = int(min(max(most/int64(n), 1), sessionsMax))
		p.oldest, p.newest, p.free = noSession, noSession, noSession
		p.heads = noSessions(8)
	}
	return z
}

// noSessions are n heads of empty chains.
func noSessions(n int) []uint32 {
	heads := make([]uint32, n)
	for at := range heads {
		heads[at] = noSession
	}
	return heads
}

// Name is the zone's name.
func (z *Sessions) Name() string { return z.name }

// hash is that of a key.
func (z *Sessions) hash(key *SessionKey) uint64 {
	var text [8 + len(SessionKey{})]byte
	binary.LittleEndian.PutUint64(text[:], z.seed)
	copy(text[8:], key[:])
	return xxhash.Sum64(text[:])
}

// part is the part of a hash, head the start of its chain there.
func (z *Sessions) part(hash uint64) *sessionPart { return &z.parts[hash&uint64(len(z.parts)-1)] }

func (p *sessionPart) head(hash uint64) *uint32 { return &p.heads[hash>>6&uint64(len(p.heads)-1)] }

// AppendSID appends what sticky calls the server of a session to dst; nothing for a session that
// is not known, or was last used more than timeoutMs ago. It counts as no use.
func (z *Sessions) AppendSID(dst []byte, key SessionKey, timeoutMs, nowMs int64) []byte {
	hash := z.hash(&key)
	p := z.part(hash)
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.find(&key, hash)
	if at == noSession || nowMs-p.entries[at].lastMs > timeoutMs {
		return dst
	}
	s := &p.entries[at]
	return append(dst, s.sid[:s.length]...)
}

// Learn notes that a session was used with the server that sticky calls sid. One that is not
// known is made if create says so.
func (z *Sessions) Learn(key SessionKey, sid string, create bool, timeoutMs, nowMs int64) {
	if sid == "" || len(sid) > SIDMax {
		return
	}
	hash := z.hash(&key)
	p := z.part(hash)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(z, timeoutMs, nowMs)
	at := p.find(&key, hash)
	switch {
	case at != noSession:
		p.unlink(at)
	case !create:
		return
	default:
		if p.used == p.most {
			p.remove(p.oldest, z.hash(&p.entries[p.oldest].key))
		}
		if p.used == len(p.heads) {
			p.grow(z)
		}
		at = p.add(&key, hash)
	}
	p.link(at)
	s := &p.entries[at]
	s.lastMs, s.length = nowMs, uint8(copy(s.sid[:], sid))
}

// Len is the number of sessions, with some perhaps whose time is over. It takes every lock in
// turn: not for a shard's thread.
func (z *Sessions) Len() (n int) {
	for i := range z.parts {
		p := &z.parts[i]
		p.mu.Lock()
		n += p.used
		p.mu.Unlock()
	}
	return n
}

// expireAtOnce is how many sessions whose time is over go with one use of another.
const expireAtOnce = 2

func (p *sessionPart) expire(z *Sessions, timeoutMs, nowMs int64) {
	for range expireAtOnce {
		if p.oldest == noSession || nowMs-p.entries[p.oldest].lastMs <= timeoutMs {
			return
		}
		p.remove(p.oldest, z.hash(&p.entries[p.oldest].key))
	}
}

func (p *sessionPart) find(key *SessionKey, hash uint64) uint32 {
	at := *p.head(hash)
	for at != noSession && p.entries[at].key != *key {
		at = p.entries[at].chain
	}
	return at
}

// add makes an entry for a key that has none.
func (p *sessionPart) add(key *SessionKey, hash uint64) (at uint32) {
	if at = p.free; at != noSession {
		p.free = p.entries[at].chain
	} else {
		at = uint32(len(p.entries))
		p.entries = append(p.entries, session{})
	}
	head := p.head(hash)
	p.entries[at] = session{key: *key, chain: *head}
	*head = at
	p.used++
	return at
}

// remove frees an entry.
func (p *sessionPart) remove(at uint32, hash uint64) {
	link := p.head(hash)
	for *link != at {
		link = &p.entries[*link].chain
	}
	*link = p.entries[at].chain
	p.unlink(at)
	p.entries[at].chain, p.free = p.free, at
	p.used--
}

// grow doubles the chains.
func (p *sessionPart) grow(z *Sessions) {
	p.heads = noSessions(2 * len(p.heads))
	for at := p.oldest; at != noSession; at = p.entries[at].newer {
		head := p.head(z.hash(&p.entries[at].key))
		p.entries[at].chain, *head = *head, at
	}
}

// link makes an entry the newest.
func (p *sessionPart) link(at uint32) {
	s := &p.entries[at]
	s.older, s.newer = p.newest, noSession
	if p.newest != noSession {
		p.entries[p.newest].newer = at
	} else {
		p.oldest = at
	}
	p.newest = at
}

func (p *sessionPart) unlink(at uint32) {
	s := &p.entries[at]
	if s.older != noSession {
		p.entries[s.older].newer = s.newer
	} else {
		p.oldest = s.newer
	}
	if s.newer != noSession {
		p.entries[s.newer].older = s.older
	} else {
		p.newest = s.older
	}
}
