package tlsio

// Version is a version of TLS, as on the wire.
type Version uint16

// The versions spoken.
const (
	TLS12 Version = 0x0303
	TLS13 Version = 0x0304
)

// Established is what a handshake leaves to the record layer. The secrets are those of
// the first application keys; sequence numbers are those of the next record.
type Established struct {
	Version Version
	Suite   uint16 // IANA number, as in crypto/tls
	Client  bool   // we are the client of this connection
	// In and Out are for records read and written. In TLS 1.3 Secret is the traffic
	// secret (RFC 8446 section 7.2), in TLS 1.2 the key with the implicit nonce behind it.
	In, Out Direction
}

// Direction is the cryptographic state of one direction.
type Direction struct {
	Secret [48]byte
	Seq    uint64
}

// Conn is one established connection: what it costs while it is idle. It holds no
// pointer. Only Layer's methods change it.
type Conn struct {
	in, out Direction // where a direction has ended, Seq is the errno of its end
	suite   uint16
	flags   uint16
	read    uint32 // buffer: a record that came in part, or plaintext nobody has taken yet; 0: none
	unsent  uint32 // buffer: records the socket has not taken yet; 0: none
	info    uint32 // index + 1 of what the handshake found out, 0: forgotten
}

// What is known of a connection. The bits from fruitlessShift on count the records in a row
// that brought no data.
const (
	flagClient     uint16 = 1 << iota // we are the client
	flagTLS12                         // TLS 1.2, else 1.3
	flagInDone                        // nothing more is read: Recv returns in.Seq, 0 for the end of the stream
	flagOutDone                       // nothing more is sealed: Write returns out.Seq
	flagTruncated                     // the connection ended without the peer's close_notify
	flagOwed                          // the peer asked for a KeyUpdate of ours (RFC 8446 section 4.6.3)
	flagTickets                       // handshake messages are shown to whoever asked for tickets
	flagKernelNext                    // reading goes to the kernel (ToKernel) as soon as it can
	flagKernelIn                      // the kernel opens records
	flagKernelOut                     // the kernel seals records
	flagKernelFull                    // and may have some that wait for room in the socket

	fruitlessShift = 11
	fruitlessMask  = 0x1f << fruitlessShift
)

// fruitlessMax is how many records in a row may bring no data: empty ones, warnings,
// KeyUpdates, tickets.
const fruitlessMax = 16

func (c *Conn) is(flag uint16) bool { return c.flags&flag != 0 }

func (c *Conn) version() Version {
	if c.is(flagTLS12) {
		return TLS12
	}
	return TLS13
}

// fruitless counts a record without data and reports whether there were too many in a row.
func (c *Conn) fruitless() bool {
	n := c.flags & fruitlessMask >> fruitlessShift
	if n >= fruitlessMax {
		return true
	}
	c.flags += 1 << fruitlessShift
	return false
}

func (c *Conn) fruitful() { c.flags &^= fruitlessMask }

// endIn ends the incoming direction with what Recv is to return from now on, and
// overwrites its secret.
func (c *Conn) endIn(errno uint64) {
	c.in = Direction{Seq: errno}
	c.flags |= flagInDone
}

// endOut ends the outgoing direction with what Write is to return from now on, and
// overwrites its secret.
func (c *Conn) endOut(errno uint64) {
	c.out = Direction{Seq: errno}
	c.flags |= flagOutDone
}
