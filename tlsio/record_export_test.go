package tlsio

import "unsafe"

// ConnSizeForTest is what an idle connection costs, in bytes.
const ConnSizeForTest = unsafe.Sizeof(Conn{})

// ConnForTest is for looking at the type.
var ConnForTest Conn

// LimitsForTest sets how many records a key may seal (TLS 1.3), or seal and open (TLS 1.2).
func (l *Layer) LimitsForTest(rekey, end uint64) { l.rekeyAfter, l.endAfter = rekey, end }

// SeqForTest are the sequence numbers of a connection.
func (l *Layer) SeqForTest(id uint32) (in, out uint64) {
	c := l.conn(id)
	return c.in.Seq, c.out.Seq
}

// CachedForTest is how many connections have expanded ciphers, and for how many there is room.
func (l *Layer) CachedForTest() (count, room int) { return l.ciphers.count, len(l.ciphers.table) }

// ExpandedForTest reports whether a connection's ciphers are in the cache.
func (l *Layer) ExpandedForTest(id uint32) bool { return l.ciphers.find(id) != nil }

// FactsForTest is how many connections have something from their handshake.
func (l *Layer) FactsForTest() int { return len(l.facts) - len(l.free) }

// ExpandLabelForTest is HKDF-Expand-Label.
func ExpandLabelForTest(out []byte, sha384 bool, secret *[48]byte, label string) {
	expandLabel(out, sha384, secret, label)
}

// SecretsForTest reports whether any byte of a connection's secrets is left.
func (l *Layer) SecretsForTest(id uint32) bool {
	c := l.conn(id)
	return c.in.Secret != [48]byte{} || c.out.Secret != [48]byte{}
}

// InKernelForTest is which directions of a connection the kernel has.
func (l *Layer) InKernelForTest(id uint32) (in, out bool) {
	c := l.conn(id)
	return c.is(flagKernelIn), c.is(flagKernelOut)
}
