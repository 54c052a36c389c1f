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
	in, out Direction
	suite   uint16
	flags   uint16
	read    uint32 // buffer: a record that came in part, or plaintext nobody has taken yet; 0: none
	unsent  uint32 // buffer: records the socket has not taken yet; 0: none
	info    uint32 // index + 1 of what the handshake found out, 0: forgotten
}
