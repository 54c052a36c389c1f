package tlsio

import (
	"holdfast/internal/assert"
	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/tlsio/info"
)

// Layer is the record layer of one shard: its connections' records, the ciphers of those
// that were active of late, and the buffers that all share. Methods are for the shard's
// thread. Connections are named by the number that Open returns.
//
// Calls that read or write return the errno of the socket, or one of these:
//
//	EAGAIN   the socket has nothing, or takes nothing more for now
//	EBADMSG  the peer broke TLS, or a record did not authenticate; an alert was sent
//	EPROTO   the peer sent a fatal alert
//
// After any but EAGAIN the connection is of no use; Problem says what it was.
type Layer struct {
	conns   pool.Slab[Conn]
	bufs    *pool.Bufs
	ciphers cipherCache
	facts   []fact
	free    []uint32 // indices of facts that are not used
	problem problem
	reader  reader
	out     []byte // outSize, or nil; records on their way to the socket
	// What ciphers are called with: their arguments have to be on the heap.
	nonce [12]byte
	extra [13]byte // the additional data of TLS 1.2 (RFC 5246 section 6.2.3.3)

	kernel     Kernel
	kernelInfo [kernelKeyMax]byte // a key on its way to the kernel
	control    [5]byte            // what a record holds that the kernel seals, if that is no data

	// How many records one key may seal or open before it is replaced (TLS 1.3: RFC 8446
	// section 5.5, for sealing), or before the connection ends (TLS 1.2, both ways).
	rekeyAfter, endAfter uint64
}

// The limits on one key, in records. AES-GCM stays below a chance of 2^-57 for an attacker
// up to 2^24.5 records of full size in TLS 1.3; TLS 1.2 knows no KeyUpdate.
const (
	rekeyAfter = 1 << 24
	endAfter   = 1 << 36
)

// fact is what the handshake of a connection found out, and who wants its tickets.
type fact struct {
	info    *info.TLS
	tickets func(records []byte)
}

// NewLayer makes a layer whose connections borrow from bufs.
func NewLayer(bufs *pool.Bufs) *Layer {
	return &Layer{bufs: bufs, rekeyAfter: rekeyAfter, endAfter: endAfter}
}

// Open takes an established connection over. The number is never 0. The suite must be
// Supported. The secrets in e are overwritten.
func (l *Layer) Open(e *Established, i *info.TLS) (id uint32) {
	assert.That(Supported(e.Version, e.Suite), "the handshake offers supported suites only")
	h, c := l.conns.Alloc()
	*c = Conn{in: e.In, out: e.Out, suite: e.Suite}
	if e.Version == TLS12 {
		c.flags |= flagTLS12
	}
	if e.Client {
		c.flags |= flagClient
	}
	clear(e.In.Secret[:])
	clear(e.Out.Secret[:])
	if i != nil {
		l.newFact(c).info = i
	}
	return h.Slot + 1
}

func (l *Layer) conn(id uint32) *Conn {
	assert.That(id != 0 && l.conns.Gen(id-1) != 0, "the connection is open")
	return l.conns.At(id - 1)
}

// Close gives up a connection: its loans, ciphers and keys, which are overwritten. It
// sends nothing.
func (l *Layer) Close(id uint32) {
	c := l.conn(id)
	l.ciphers.purge(id)
	l.dropLoans(c)
	if c.info != 0 {
		l.endTickets(c)
		l.Forget(id)
	}
	l.conns.Free(id - 1)
}

func (l *Layer) dropLoans(c *Conn) {
	if c.read != 0 {
		l.bufs.Put(c.read)
		c.read = 0
	}
	l.dropUnsent(c)
}

func (l *Layer) dropUnsent(c *Conn) {
	c.flags &^= flagKernelFull
	if c.unsent != 0 {
		l.bufs.Put(c.unsent)
		c.unsent = 0
	}
}

func (l *Layer) newFact(c *Conn) *fact {
	if n := len(l.free); n > 0 {
		c.info = l.free[n-1] + 1
		l.free = l.free[:n-1]
	} else {
		l.facts = append(l.facts, fact{})
		c.info = uint32(len(l.facts))
	}
	return &l.facts[c.info-1]
}

// freeFact lets go of a connection's fact once nothing is left of it.
func (l *Layer) freeFact(c *Conn) {
	if f := &l.facts[c.info-1]; f.info == nil && f.tickets == nil {
		l.free = append(l.free, c.info-1)
		c.info = 0
	}
}

// Forget gives up what the handshake found out about a connection (Info), which nobody
// will ask for any more.
func (l *Layer) Forget(id uint32) {
	c := l.conn(id)
	if c.info == 0 {
		return
	}
	l.facts[c.info-1].info = nil
	l.freeFact(c)
}

// Info is what the handshake found out, nil after Forget.
func (l *Layer) Info(id uint32) *info.TLS {
	if c := l.conn(id); c.info != 0 {
		return l.facts[c.info-1].info
	}
	return nil
}

// OnTickets has take called with the records behind a client's handshake, as they came from
// the socket, for as long as they are session tickets (Tickets.Take). It ends with the first
// record that is something else, or the connection: then take is called with nil. It must be
// called before anything is read.
func (l *Layer) OnTickets(id uint32, take func(records []byte)) {
	c := l.conn(id)
	if !c.is(flagClient) || c.is(flagTLS12) {
		return
	}
	if c.info == 0 {
		l.newFact(c)
	}
	l.facts[c.info-1].tickets = take
	c.flags |= flagTickets
}

func (l *Layer) endTickets(c *Conn) {
	if c.is(flagTickets) {
		c.flags &^= flagTickets
		l.facts[c.info-1].tickets(nil) // there are no more
		l.facts[c.info-1].tickets = nil
		l.freeFact(c)
	}
}

// Truncated reports whether the stream ended without the peer's close_notify.
func (l *Layer) Truncated(id uint32) bool { return l.conn(id).is(flagTruncated) }

// Problem is what made Recv or Write fail last with EBADMSG or EPROTO, for the log: the
// alert's name and who sent it. It is valid until the next such failure on the layer.
func (l *Layer) Problem() string { return l.problem.String() }

// Trim gives up ciphers that were not used since the last call, half of them at most,
// and reports whether any are left.
func (l *Layer) Trim() (more bool) {
	more = l.ciphers.trim()
	if l.conns.Len() == 0 {
		l.reader.in, l.out = nil, nil
		l.facts, l.free = nil, nil
	}
	return more
}

// Len is the number of open connections.
func (l *Layer) Len() int { return l.conns.Len() }

// Full reports whether the buffers lent have reached their limit.
func (l *Layer) Full() bool { return l.bufs.Full() }

// inKeys are the expanded keys for reading.
func (l *Layer) inKeys(id uint32, c *Conn) *keys {
	k := &l.ciphers.get(id).in
	if k.aead == nil {
		k.expand(c.version(), c.suite, &c.in.Secret)
	}
	return k
}

// outKeys are the expanded keys for writing.
func (l *Layer) outKeys(id uint32, c *Conn) *keys {
	k := &l.ciphers.get(id).out
	if k.aead == nil {
		k.expand(c.version(), c.suite, &c.out.Secret)
	}
	return k
}

// rekeyed makes the next record of a direction be read or written under its next secret.
func (l *Layer) rekeyed(c *Conn, d *Direction, k *keys) {
	kind, _ := kindOf(c.version(), c.suite)
	nextSecret(&d.Secret, kind.sha384)
	d.Seq = 0
	*k = keys{}
}

// fail ends both directions for what the peer did, with an alert to it where that can be
// written now.
func (l *Layer) fail(id uint32, fd int32, a alert, reason string) {
	c := l.conn(id)
	l.problem = problem{reason: reason, alert: a, sent: l.sendAlert(id, fd, a)}
	l.dead(id, c, sys.EBADMSG)
}

// dead ends both directions with an errno.
func (l *Layer) dead(id uint32, c *Conn, errno sys.Errno) {
	c.endIn(uint64(errno))
	c.endOut(uint64(errno))
	l.ciphers.purge(id)
	l.dropUnsent(c)
}
